//! What the hypervisor remembers of a PV vCPU beyond its registers.
//!
//! Plain data, owned by whoever runs the vCPU (or holds it stopped); hot fields first, the trap table last. Bits that are
//! the domain's (vm_assist) are handed in where needed, the upcall mask lives in guest memory behind [`GuestContext`].
//! Source: Xen public headers `arch-x86/xen.h` (`vcpu_guest_context`), `callback.h`, `physdev.h` (iopl, iobitmap).

use crate::asynchronous::AsyncMask;
use crate::control::ControlRegisters;
use crate::debug::DebugRegisters;
use crate::flags;
use crate::trap_table::{Events, Mode, TrapTable};

/// An entry point the guest registered outside its trap table; address 0 means none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Callback {
    /// Where it starts.
    pub address: u64,
    /// What becomes of the upcall mask.
    pub events: Events,
}

/// The guest's callbacks. NMI's is vector 2 of the trap table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Callbacks {
    /// Event upcall; always masks events.
    pub event: u64,
    /// Segment registers could not be restored.
    pub failsafe: Callback,
    /// SYSCALL from 64-bit user code.
    pub syscall: Callback,
    /// SYSCALL from 32-bit user code.
    pub syscall32: Callback,
    /// SYSENTER.
    pub sysenter: Callback,
}

/// The I/O permission bitmap of physdev_op set_iobitmap, for guest user mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IoBitmap {
    /// Guest-virtual address of the bitmap, in the kernel's address space; a set bit denies.
    pub address: u64,
    /// Ports it covers, at most 65536.
    pub ports: u32,
}

/// Segment state that the guest sets by hypercall or context, loaded when the vCPU is scheduled in.
///
/// While the vCPU runs, the truth is in the CPU: guests with CR4.FSGSBASE change bases without us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Segments {
    /// FS base.
    pub fs_base: u64,
    /// GS base of the guest kernel.
    pub gs_base_kernel: u64,
    /// GS base of the guest's user mode.
    pub gs_base_user: u64,
    /// DS selector.
    pub ds: u16,
    /// ES selector.
    pub es: u16,
    /// FS selector.
    pub fs: u16,
    /// GS selector, of the mode that runs.
    pub gs: u16,
    /// Linear address of the LDT.
    pub ldt_base: u64,
    /// Entries of the LDT; 0 means none.
    pub ldt_entries: u32,
}

/// Domain-wide assists that change how a vCPU is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IoplView {
    /// The guest never sees IOPL; its kernel counts as level 1.
    #[default]
    Hidden,
    /// vm_assist architectural_iopl: IOPL shows in frames, iret sets it, the kernel counts as level 0.
    Architectural,
}

/// A PV vCPU.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VirtualCpu {
    /// Which half of the guest runs.
    pub mode: Mode,
    /// Virtual I/O privilege level, 0 to 3.
    pub iopl: u8,
    /// Which of NMI and machine check are being handled.
    pub async_mask: AsyncMask,
    /// Stack selector given to stack_switch; kept for context reads only.
    pub kernel_stack_selector: u16,
    /// Stack pointer for entries from user mode.
    pub kernel_stack_pointer: u64,
    /// Entry points.
    pub callbacks: Callbacks,
    /// CR0.TS and CR4 as the guest sees them.
    pub control: ControlRegisters,
    /// Debug registers.
    pub debug: DebugRegisters,
    /// I/O bitmap.
    pub io_bitmap: IoBitmap,
    /// Segment state.
    pub segments: Segments,
    /// Whether CPUID from user mode faults (MSR MISC_FEATURES_ENABLES bit 0).
    pub cpuid_faulting: CpuidFaulting,
    /// Virtual IDT.
    pub traps: TrapTable,
}

/// Whether the guest made CPUID privileged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CpuidFaulting {
    /// CPUID works everywhere.
    #[default]
    Off,
    /// CPUID from the guest's user mode raises #GP(0).
    On,
}

impl VirtualCpu {
    /// Whether code in the current mode has I/O privilege: its level is at or below the virtual IOPL.
    #[inline]
    pub const fn has_io_privilege(&self, view: IoplView) -> bool {
        let level = match (self.mode, view) {
            (Mode::User, _) => 3,
            (Mode::Kernel, IoplView::Hidden) => 1,
            (Mode::Kernel, IoplView::Architectural) => 0,
        };
        level <= self.iopl
    }

    /// The virtual IOPL where RFLAGS has it.
    #[inline(always)]
    pub const fn iopl_flags(&self) -> u64 {
        (self.iopl as u64) << flags::IOPL_SHIFT & flags::IOPL
    }
}

/// The guest's frame could not be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreachable;

/// The running vCPU's address space and shared state, as trap delivery needs them.
pub trait GuestContext {
    /// The `evtchn_upcall_mask` byte of this vCPU; one load.
    fn upcall_mask(&self) -> u8;
    /// Stores the upcall mask byte.
    fn set_upcall_mask(&self, mask: u8);
    /// The domain's architectural_iopl assist.
    fn iopl_view(&self) -> IoplView;
    /// Puts the kernel's page tables and GS base in place of the user's.
    fn switch_to_kernel(&mut self);
    /// Puts the user's page tables and GS base in place of the kernel's; false if the guest has no user page table.
    fn switch_to_user(&mut self) -> bool;
    /// Writes words to the current address space with ring-3 rights; the range is clear of the hypervisor.
    fn write_stack<const WORDS: usize>(&mut self, to: u64, words: &[u64; WORDS]) -> Result<(), Unreachable>;
    /// Reads the nine words of an iret frame from the current address space with ring-3 rights; the range is clear of the
    /// hypervisor.
    fn read_iret_frame(&mut self, from: u64) -> Result<[u64; 9], Unreachable>;
}
