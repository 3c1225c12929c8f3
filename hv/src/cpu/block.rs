//! Each CPU's block of address space: its stacks, its descriptor table and the page SYSCALL enters through.
//!
//! Blocks are 256 KiB apart, so that the stack pointer alone tells which CPU runs: no segment register is spent on it.
//!
//! ```text
//!  page  0      SYSCALL entry, one frame shared by all CPUs, execute only
//!  page  1      this CPU's part of the descriptor table (selectors 0xE000 and up)
//!  page  2      guard          page 3   double-fault stack
//!  page  4      guard          page 5   NMI stack
//!  page  6      guard          page 7   machine-check stack
//!  page  8      guard          page 9   debug-exception stack
//!  pages 10 to 56  guard       pages 57 to 63  main stack, CpuInfo at its very top
//! ```
//! While dom0 is built, the boot CPU's main stack reaches further down: decompressors are hungry. So it does, less far, while
//! vCPUs are made.
//! Context: `CpuInfo` belongs to its CPU alone; other CPUs use [`super::Cpu`].

#![expect(unsafe_code, reason = "derives the CPU's own data from its stack pointer")]

use core::cell::Cell;

use abi::{Mfn, Result};
use frame_allocator::Order;
use pv_cpu::registers::Registers;

use super::Cpu;
use crate::{
    arch::control,
    domain::Vcpu,
    memory::{entry, image, layout, physical, tables, tables::Size},
};

/// Bytes of a block.
pub const BLOCK_SIZE: u64 = 1 << 18;
const PAGE: u64 = 4096;
const DESCRIPTOR_PAGE: u64 = 1;
/// Exceptions that have a stack of their own: double fault, NMI, machine check, debug exception, in this order.
pub const OWN_STACKS: usize = 4;
/// Stack page of each.
const OWN_STACK_PAGES: [u64; OWN_STACKS] = [3, 5, 7, 9];
const MAIN_STACK_PAGES: core::ops::Range<u64> = 57..64;
/// Pages below the main stack that can be added for a while; one is left as a guard.
pub const MOST_EXTRA_PAGES: u64 = MAIN_STACK_PAGES.start - 11;

/// What lies at the top of a CPU's main stack. The register file comes first: TSS.rsp0 points at its end.
#[repr(C)]
pub struct CpuInfo {
    /// Registers of the guest that this CPU last came from and will go back to; reached through [`registers`].
    registers: core::cell::UnsafeCell<Registers>,
    cpu: Cell<Option<&'static Cpu>>,
    current: Cell<Option<&'static Vcpu>>,
}

const _: () = {
    assert!(size_of::<CpuInfo>() == 184);
    assert!((BLOCK_SIZE as usize - size_of::<CpuInfo>() + size_of::<Registers>()).is_multiple_of(16));
};

/// Offset of the saved stack pointer from the start of the block, for the SYSCALL entry.
pub const REGISTERS_RSP: u64 = BLOCK_SIZE - size_of::<CpuInfo>() as u64 + core::mem::offset_of!(Registers, rsp) as u64;

/// Start of a CPU's block.
pub const fn base(cpu: usize) -> u64 {
    layout::CPU_BLOCKS + cpu as u64 * BLOCK_SIZE
}

/// Where the CPU puts the words it pushes on entry from a guest: the end of the register file.
pub const fn entry_stack(cpu: usize) -> u64 {
    base(cpu) + BLOCK_SIZE - size_of::<CpuInfo>() as u64 + size_of::<Registers>() as u64
}

/// How far the end of the register file lies above the top of the debug-exception stack, in every block.
pub const DEBUG_STACK_DISTANCE: u64 = entry_stack(0) - own_stack(0, 3);

/// Top of the stack of one of the [`OWN_STACKS`].
#[expect(clippy::indexing_slicing, reason = "`which` is a constant or counts up to the array's length")]
pub const fn own_stack(cpu: usize, which: usize) -> u64 {
    base(cpu) + (OWN_STACK_PAGES[which] + 1) * PAGE
}

/// Address of the CPU's own descriptors (selector 0xE000).
pub const fn descriptors(cpu: usize) -> u64 {
    base(cpu) + DESCRIPTOR_PAGE * PAGE
}

/// Maps the block of `cpu`; returns the frame of its descriptor page. Errors: `ENOMEM`.
pub fn map(cpu: usize, syscall_page: u64) -> Result<Mfn> {
    let root = physical::root();
    let mut source = physical::allocate_zeroed;
    tables::map(root, base(cpu), image::physical(syscall_page), Size::Page, entry::CODE, &mut source)?;
    let descriptor_frame = physical::allocate_zeroed()?;
    tables::map(root, descriptors(cpu), descriptor_frame.address().0, Size::Page, entry::DATA, &mut source)?;
    for page in OWN_STACK_PAGES.into_iter().chain(MAIN_STACK_PAGES) {
        let frame = physical::allocate_zeroed()?;
        tables::map(root, base(cpu) + page * PAGE, frame.address().0, Size::Page, entry::DATA, &mut source)?;
    }
    Ok(descriptor_frame)
}

/// The extra pages below a CPU's main stack; gone when dropped.
struct DeepStack {
    cpu: usize,
    pages: core::ops::Range<u64>,
}

impl Drop for DeepStack {
    fn drop(&mut self) {
        for page in self.pages.clone() {
            let address = base(self.cpu) + page * PAGE;
            if let Some(old) = tables::unmap(physical::root(), address, Size::Page) {
                control::invalidate_page(address);
                physical::free(entry::frame(old), Order(0));
            }
        }
    }
}

/// Runs `work` with a main stack that is `extra` pages deeper, at most [`MOST_EXTRA_PAGES`]. Errors: `ENOMEM`.
///
/// Context: the CPU itself, on its main stack, no lock held.
pub fn with_deep_stack<R>(cpu: usize, extra: u64, work: impl FnOnce() -> R) -> Result<R> {
    let root = physical::root();
    let first = MAIN_STACK_PAGES.start - extra.min(MOST_EXTRA_PAGES);
    let deep = DeepStack { cpu, pages: first..MAIN_STACK_PAGES.start };
    for page in deep.pages.clone() {
        // A stack is written before it is read: what the frame held does not matter.
        let frame = physical::allocate(Order(0), physical::ANYWHERE)?;
        let (address, target) = (base(cpu) + page * PAGE, frame.address().0);
        tables::map(root, address, target, Size::Page, entry::DATA, &mut physical::allocate_zeroed)
            .inspect_err(|_| physical::free(frame, Order(0)))?;
    }
    let result = work();
    drop(deep);
    Ok(result)
}

/// Puts the CPU's own record where [`this_info`] finds it. Context: before the CPU runs on its block.
pub fn install(cpu: &'static Cpu) {
    let info = (base(cpu.index) + BLOCK_SIZE - size_of::<CpuInfo>() as u64) as *const CpuInfo;
    // SAFETY: the block is mapped (`map`), zeroed (a valid CpuInfo), aligned, and its CPU is not running yet.
    unsafe { &*info }.cpu.set(Some(cpu));
}

/// This CPU's info.
#[inline(always)]
pub fn this_info() -> &'static CpuInfo {
    let block = control::read_stack_pointer() & !(BLOCK_SIZE - 1);
    let info = (block + BLOCK_SIZE - size_of::<CpuInfo>() as u64) as *const CpuInfo;
    // SAFETY: after boot every stack of every CPU lies in its block, whose top holds a CpuInfo for good.
    unsafe { &*info }
}

/// The info of the CPU whose register file this is: no instruction is spent on finding it.
///
/// # Safety
/// 1. The pointer is that of the [`CpuInfo`]'s own register file, as the entry stubs hand it over.
#[inline(always)]
pub unsafe fn info_of(registers: *mut Registers) -> &'static CpuInfo {
    const _: () = assert!(core::mem::offset_of!(CpuInfo, registers) == 0);
    // SAFETY: duty 1; the registers are in a cell, so references to them and to their CpuInfo go together.
    unsafe { &*registers.cast::<CpuInfo>() }
}

impl CpuInfo {
    /// The record other CPUs can see.
    #[inline(always)]
    pub fn cpu(&self) -> &'static Cpu {
        // SAFETY: `install` puts it there before its CPU runs on the block, and nothing takes it away.
        unsafe { self.cpu.get().unwrap_unchecked() }
    }

    /// The vCPU this CPU serves, if any.
    #[inline(always)]
    pub fn current(&self) -> Option<&'static Vcpu> {
        self.current.get()
    }

    /// Changes which vCPU this CPU serves.
    #[inline(always)]
    pub fn set_current(&self, vcpu: Option<&'static Vcpu>) {
        self.current.set(vcpu);
    }
}

/// Where the main stack of a CPU starts, aligned as after a call has pushed its return address.
pub const fn main_stack(cpu: usize) -> u64 {
    base(cpu) + BLOCK_SIZE - size_of::<CpuInfo>() as u64 - 8
}

/// Leaves the boot stack for the CPU's main stack and goes on with `next`.
pub fn run_on_main_stack(cpu: usize, next: extern "C" fn() -> !) -> ! {
    let top = main_stack(cpu);
    // SAFETY: the stack below CpuInfo is mapped and unused; `next` never returns, so nothing of the old stack is needed.
    unsafe {
        core::arch::asm!("mov rsp, {top}", "xor ebp, ebp", "call {next}", "ud2", top = in(reg) top, next = in(reg) next,
            options(noreturn));
    }
}

/// The guest registers as a plain exclusive reference, for the code that runs between entry and exit on this CPU.
///
/// # Safety
/// 1. The caller is the one activity on this CPU that handles the current entry, and takes the reference once.
pub unsafe fn registers<'a>() -> &'a mut Registers {
    // SAFETY: duty 1 makes the reference exclusive; other CPUs never reach this CpuInfo.
    unsafe { &mut *this_info().registers.get() }
}

/// The guest registers, for the one fault handler that abandons the stack it runs on, and for work between two guests,
/// which lets go of them before it returns to the gate.
pub fn take_registers() -> &'static mut Registers {
    // SAFETY: 1. the entry whose return or service failed has given its reference up, and its handler never returns; the
    // gate and the idle loop hold none while they work.
    unsafe { registers() }
}
