//! x86-64 part of the PV interface: registers, traps, selectors, vCPU contexts.
//!
//! Source: Xen public headers `arch-x86/xen.h` and `arch-x86/xen-x86_64.h`.

use crate::{
    GuestVirtual, Mfn,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Which base set_segment_base sets.
    pub struct SegmentBase(u32) {
        FS = 0, "SEGBASE_FS";
        GS_USER = 1, "SEGBASE_GS_USER";
        GS_KERNEL = 2, "SEGBASE_GS_KERNEL";
        /// Loads a selector into the user GS.
        GS_USER_SELECTOR = 3, "SEGBASE_GS_USER_SEL";
    }

    /// Flags of a [`VcpuGuestContext`], and of an [`IretFrame`] (only `IN_SYSCALL`).
    pub struct ContextFlags(u64) {
        I387_VALID = 1 << 0, "VGCF_i387_valid";
        IN_KERNEL = 1 << 2, "VGCF_in_kernel";
        FAILSAFE_DISABLES_EVENTS = 1 << 3, "VGCF_failsafe_disables_events";
        SYSCALL_DISABLES_EVENTS = 1 << 4, "VGCF_syscall_disables_events";
        ONLINE = 1 << 5, "VGCF_online";
        IN_SYSCALL = 1 << 8, "VGCF_in_syscall";
    }

    /// Devices Xen emulates for a domain.
    pub struct EmulationFlags(u32) {
        LAPIC = 1 << 0, "XEN_X86_EMU_LAPIC";
        HPET = 1 << 1, "XEN_X86_EMU_HPET";
        PM = 1 << 2, "XEN_X86_EMU_PM";
        RTC = 1 << 3, "XEN_X86_EMU_RTC";
        IOAPIC = 1 << 4, "XEN_X86_EMU_IOAPIC";
        PIC = 1 << 5, "XEN_X86_EMU_PIC";
        VGA = 1 << 6, "XEN_X86_EMU_VGA";
        IOMMU = 1 << 7, "XEN_X86_EMU_IOMMU";
        PIT = 1 << 8, "XEN_X86_EMU_PIT";
        USE_PIRQ = 1 << 9, "XEN_X86_EMU_USE_PIRQ";
        VPCI = 1 << 10, "XEN_X86_EMU_VPCI";
        ALL = 0x7FF, "XEN_X86_EMU_ALL";
    }
}

constants! {
    /// 32-bit code, ring 3.
    pub const FLAT_RING3_CS32: u16 = 0xE023, "FLAT_RING3_CS32";
    /// 64-bit code, ring 3; kernel and user of a PV guest.
    pub const FLAT_RING3_CS64: u16 = 0xE033, "FLAT_RING3_CS64";
    /// 32-bit data, ring 3.
    pub const FLAT_RING3_DS32: u16 = 0xE02B, "FLAT_RING3_DS32";
    /// Null selector: 64-bit data.
    pub const FLAT_RING3_DS64: u16 = 0, "FLAT_RING3_DS64";
    /// 32-bit stack, ring 3.
    pub const FLAT_RING3_SS32: u16 = 0xE02B, "FLAT_RING3_SS32";
    /// 64-bit stack, ring 3.
    pub const FLAT_RING3_SS64: u16 = 0xE02B, "FLAT_RING3_SS64";
    /// 64-bit code of a PV kernel.
    pub const FLAT_KERNEL_CS64: u16 = 0xE033, "FLAT_KERNEL_CS64";
    /// 64-bit stack of a PV kernel.
    pub const FLAT_KERNEL_SS64: u16 = 0xE02B, "FLAT_KERNEL_SS64";
    /// 32-bit code of PV user mode.
    pub const FLAT_USER_CS32: u16 = 0xE023, "FLAT_USER_CS32";
    /// 64-bit code of PV user mode.
    pub const FLAT_USER_CS64: u16 = 0xE033, "FLAT_USER_CS64";
    /// 32-bit stack of PV user mode.
    pub const FLAT_USER_SS32: u16 = 0xE02B, "FLAT_USER_SS32";
    /// 64-bit stack of PV user mode.
    pub const FLAT_USER_SS64: u16 = 0xE02B, "FLAT_USER_SS64";
    /// First GDT page that belongs to Xen.
    pub const FIRST_RESERVED_GDT_PAGE: u32 = 14, "FIRST_RESERVED_GDT_PAGE";
    /// First GDT byte that belongs to Xen.
    pub const FIRST_RESERVED_GDT_BYTE: u32 = 57_344, "FIRST_RESERVED_GDT_BYTE";
    /// First GDT entry that belongs to Xen; a guest's limit in entries.
    pub const FIRST_RESERVED_GDT_ENTRY: u32 = 7168, "FIRST_RESERVED_GDT_ENTRY";
    /// Lowest address of Xen's range.
    pub const HYPERVISOR_VIRT_START: u64 = crate::frame::HYPERVISOR_START, "HYPERVISOR_VIRT_START";
    /// First address above Xen's range.
    pub const HYPERVISOR_VIRT_END: u64 = crate::frame::HYPERVISOR_END, "HYPERVISOR_VIRT_END";
    /// Subleaf of a CPUID leaf that has none.
    pub const CPUID_NO_SUBLEAF: u32 = u32::MAX, "XEN_CPUID_NO_SUBLEAF";
    /// Misc flag of a domain: MSR accesses as relaxed as before 4.15.
    pub const MSR_RELAXED: u32 = 1, "XEN_X86_MSR_RELAXED";
    /// Output port of the debug console of HVM guests.
    pub const HVM_DEBUG_CONSOLE_PORT: u16 = 0xE9, "XEN_HVM_DEBUGCONS_IOPORT";
}

/// Bytes in front of CPUID that make it trap to Xen: ud2, "xen". C: `XEN_EMULATE_PREFIX`.
pub const EMULATE_PREFIX: [u8; 5] = [0x0F, 0x0B, 0x78, 0x65, 0x6E];
/// Bits 1:0 of [`TrapInfo::flags`]: the privilege `int n` needs. C: `TI_GET_DPL`.
pub const TRAP_INFO_DPL: u8 = 3;
/// Bit 2 of [`TrapInfo::flags`]: mask events on entry. C: `TI_GET_IF`.
pub const TRAP_INFO_MASK_EVENTS: u8 = 4;

wire! {
    /// Entry of set_trap_table.
    pub struct TrapInfo = "struct trap_info", 16 {
        /// Vector.
        pub vector: u8 = "vector",
        /// [`TRAP_INFO_DPL`] and [`TRAP_INFO_MASK_EVENTS`].
        pub flags: u8 = "flags",
        /// Code selector.
        pub code_selector: u16 = "cs",
        /// Padding.
        pub reserved: u32 = "",
        /// Handler; 0 ends a table.
        pub address: u64 = "address",
    }

    /// What the hypercall iret takes from the kernel stack.
    pub struct IretFrame = "struct iret_context", 72 {
        /// rax to return with.
        pub rax: u64 = "rax",
        /// r11, unless returning in sysret fashion.
        pub r11: u64 = "r11",
        /// rcx, unless returning in sysret fashion.
        pub rcx: u64 = "rcx",
        /// [`ContextFlags::IN_SYSCALL`] or 0.
        pub flags: ContextFlags = "flags",
        /// Where to go.
        pub rip: u64 = "rip",
        /// Code selector; its low bits say user or kernel.
        pub cs: u64 = "cs",
        /// Flags register.
        pub rflags: u64 = "rflags",
        /// Stack.
        pub rsp: u64 = "rsp",
        /// Stack selector.
        pub ss: u64 = "ss",
    }

    /// Registers of a vCPU.
    pub struct CpuUserRegs = "struct cpu_user_regs", 200 {
        /// Register.
        pub r15: u64 = "r15",
        /// Register.
        pub r14: u64 = "r14",
        /// Register.
        pub r13: u64 = "r13",
        /// Register.
        pub r12: u64 = "r12",
        /// Register.
        pub rbp: u64 = "rbp",
        /// Register.
        pub rbx: u64 = "rbx",
        /// Register.
        pub r11: u64 = "r11",
        /// Register.
        pub r10: u64 = "r10",
        /// Register.
        pub r9: u64 = "r9",
        /// Register.
        pub r8: u64 = "r8",
        /// Register.
        pub rax: u64 = "rax",
        /// Register.
        pub rcx: u64 = "rcx",
        /// Register.
        pub rdx: u64 = "rdx",
        /// Register.
        pub rsi: u64 = "rsi",
        /// Register.
        pub rdi: u64 = "rdi",
        /// Error code of the exception.
        pub error_code: u32 = "error_code",
        /// Its vector.
        pub entry_vector: u32 = "entry_vector",
        /// Instruction pointer.
        pub rip: u64 = "rip",
        /// Code selector.
        pub cs: u16 = "cs",
        /// Padding.
        pub reserved0: u16 = "_pad0",
        /// Event mask at the time of the entry.
        pub saved_upcall_mask: u8 = "saved_upcall_mask",
        /// Padding.
        pub reserved1: [u8; 3] = "_pad1",
        /// Flags; IF is the opposite of the event mask.
        pub rflags: u64 = "rflags",
        /// Stack pointer.
        pub rsp: u64 = "rsp",
        /// Stack selector.
        pub ss: u16 = "ss",
        /// Padding.
        pub reserved2: [u16; 3] = "_pad2",
        /// Selector.
        pub es: u16 = "es",
        /// Padding.
        pub reserved3: [u16; 3] = "_pad3",
        /// Selector.
        pub ds: u16 = "ds",
        /// Padding.
        pub reserved4: [u16; 3] = "_pad4",
        /// Selector.
        pub fs: u16 = "fs",
        /// Padding.
        pub reserved5: [u16; 3] = "_pad5",
        /// Selector.
        pub gs: u16 = "gs",
        /// Padding.
        pub reserved6: [u16; 3] = "_pad6",
    }

    /// Whole state of a PV vCPU: argument of VCPUOP_initialise and of the vcpucontext domctls.
    pub struct VcpuGuestContext = "struct vcpu_guest_context", 5168 {
        /// FXSAVE image.
        pub fpu: [u8; 512] = "fpu_ctxt",
        /// What is valid and how the callbacks treat events.
        pub flags: ContextFlags = "flags",
        /// Registers.
        pub registers: CpuUserRegs = "user_regs",
        /// Trap table by vector.
        pub traps: [TrapInfo; 256] = "trap_ctxt",
        /// LDT, linear address.
        pub ldt_base: GuestVirtual = "ldt_base",
        /// LDT entries.
        pub ldt_entries: u64 = "ldt_ents",
        /// GDT pages.
        pub gdt_frames: [Mfn; 16] = "gdt_frames",
        /// GDT entries.
        pub gdt_entries: u64 = "gdt_ents",
        /// Kernel stack selector.
        pub kernel_ss: u64 = "kernel_ss",
        /// Kernel stack pointer.
        pub kernel_sp: u64 = "kernel_sp",
        /// CR0 to CR7; CR1 holds the user page table.
        pub control: [u64; 8] = "ctrlreg",
        /// DR0 to DR7.
        pub debug: [u64; 8] = "debugreg",
        /// Event callback.
        pub event_callback: GuestVirtual = "event_callback_eip",
        /// Failsafe callback.
        pub failsafe_callback: GuestVirtual = "failsafe_callback_eip",
        /// Syscall callback.
        pub syscall_callback: GuestVirtual = "syscall_callback_eip",
        /// Enabled [`crate::vm_assist::Assist`] bits.
        pub vm_assist: u64 = "vm_assist",
        /// FS base.
        pub fs_base: u64 = "fs_base",
        /// GS base of the kernel.
        pub gs_base_kernel: u64 = "gs_base_kernel",
        /// GS base of user mode.
        pub gs_base_user: u64 = "gs_base_user",
    }

    /// x86 part of createdomain and getdomaininfo.
    pub struct ArchDomainConfig = "struct xen_arch_domainconfig", 8 {
        /// Emulated devices.
        pub emulation_flags: EmulationFlags = "emulation_flags",
        /// [`MSR_RELAXED`] or 0.
        pub misc_flags: u32 = "misc_flags",
    }

    /// A CPUID leaf of a CPU policy.
    pub struct CpuidLeaf = "struct xen_cpuid_leaf", 24 {
        /// Leaf.
        pub leaf: u32 = "leaf",
        /// Subleaf or [`CPUID_NO_SUBLEAF`].
        pub subleaf: u32 = "subleaf",
        /// eax.
        pub a: u32 = "a",
        /// ebx.
        pub b: u32 = "b",
        /// ecx.
        pub c: u32 = "c",
        /// edx.
        pub d: u32 = "d",
    }

    /// An MSR of a CPU policy.
    pub struct MsrEntry = "struct xen_msr_entry", 16 {
        /// Number.
        pub index: u32 = "idx",
        /// Must be 0.
        pub flags: u32 = "flags",
        /// Value.
        pub value: u64 = "val",
    }
}
