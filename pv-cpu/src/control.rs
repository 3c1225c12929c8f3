//! CR0 and CR4 as a PV guest sees and sets them.
//!
//! CR0.TS is the guest's; nothing else of CR0 is. Of CR4 four bits are, within its CPUID policy, and four more show the
//! host's choice. Source: inventory of the PV contract; Intel SDM vol. 3 section 2.5.

/// CR0.TS: the next FPU instruction raises #NM.
pub const CR0_TASK_SWITCHED: u64 = 1 << 3;

/// CR4 bits.
pub mod cr4 {
    /// RDTSC is privileged.
    pub const TIME_STAMP_DISABLE: u64 = 1 << 2;
    /// DR4 and DR5 fault, I/O breakpoints work.
    pub const DEBUG_EXTENSIONS: u64 = 1 << 3;
    /// Physical address extension.
    pub const PAE: u64 = 1 << 5;
    /// Machine checks.
    pub const MACHINE_CHECK: u64 = 1 << 6;
    /// FXSAVE.
    pub const OSFXSR: u64 = 1 << 9;
    /// SIMD exceptions.
    pub const OSXMMEXCPT: u64 = 1 << 10;
    /// RDFSBASE and its kin.
    pub const FSGSBASE: u64 = 1 << 16;
    /// XSAVE.
    pub const OSXSAVE: u64 = 1 << 18;

    /// What a guest may choose.
    pub const GUEST_CHOICE: u64 = TIME_STAMP_DISABLE | DEBUG_EXTENSIONS | FSGSBASE | OSXSAVE;
    /// What it sees of the host's choice.
    pub const HOST_VISIBLE: u64 = PAE | MACHINE_CHECK | OSFXSR | OSXMMEXCPT;
    /// What of the guest's choice is in effect in the CPU while it runs; OSXSAVE is always the hypervisor's.
    pub const IN_HARDWARE: u64 = TIME_STAMP_DISABLE | DEBUG_EXTENSIONS | FSGSBASE;
}

/// Guest-visible control register state that is not an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ControlRegisters {
    /// The guest's CR0.TS, as the bit of CR0.
    task_switched: u64,
    /// CR4 as read back.
    cr4: u64,
}

impl ControlRegisters {
    /// State of a fresh vCPU: TS clear, CR4 showing the host's bits. Argument: the host's CR4.
    pub const fn new(host_cr4: u64) -> Self {
        Self { task_switched: 0, cr4: host_cr4 & cr4::HOST_VISIBLE }
    }

    /// CR0 as the guest reads it: the host's, with its own TS.
    #[inline]
    pub const fn cr0(&self, host_cr0: u64) -> u64 {
        (host_cr0 & !CR0_TASK_SWITCHED) | self.task_switched
    }

    /// Whether the guest's TS is set.
    #[inline(always)]
    pub const fn is_task_switched(&self) -> bool {
        self.task_switched != 0
    }

    /// Takes TS from a CR0 value; the caller brings the CPU's TS in line.
    #[inline]
    pub const fn set_task_switched(&mut self, cr0: u64) {
        self.task_switched = cr0 & CR0_TASK_SWITCHED;
    }

    /// CR4 as the guest reads it.
    #[inline(always)]
    pub const fn cr4(&self) -> u64 {
        self.cr4
    }

    /// Takes a CR4 value: bits outside the guest's choice or its policy are dropped silently. Arguments: the value, the
    /// choice bits its CPUID policy has, the host's CR4. The caller reloads the CPU's CR4 from [`Self::hardware_cr4`].
    #[inline]
    pub const fn set_cr4(&mut self, value: u64, policy: u64, host_cr4: u64) {
        self.cr4 = (value & policy & cr4::GUEST_CHOICE) | (host_cr4 & cr4::HOST_VISIBLE);
    }

    /// The CPU's CR4 while this guest runs. Argument: the hypervisor's own CR4.
    #[inline(always)]
    pub const fn hardware_cr4(&self, host_cr4: u64) -> u64 {
        (host_cr4 & !cr4::IN_HARDWARE) | (self.cr4 & cr4::IN_HARDWARE)
    }
}
