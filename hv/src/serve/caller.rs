//! The vCPU that is being served: its registers, its state, its domain. Every host trait is implemented for it, one
//! family a file.
//!
//! Made once per entry by the code that handles the entry; exclusive by construction.

#![expect(unsafe_code, reason = "takes the current vCPU's state")]

use pv_cpu::{bounce::Crash, registers::Registers, vcpu::VirtualCpu};

use super::guest_context::Context;
use crate::{
    cpu::block::{self, CpuInfo},
    domain::{Domain, Vcpu, VcpuState},
};

/// The vCPU of the current entry.
pub struct Caller<'a> {
    /// Itself.
    pub vcpu: &'static Vcpu,
    /// Its domain.
    pub domain: &'static Domain,
    /// Its registers, as they will be loaded.
    pub registers: &'a mut Registers,
    /// What only its CPU may touch.
    pub state: &'a mut VcpuState,
}

impl<'a> Caller<'a> {
    /// The vCPU this CPU came from. `None` when the CPU serves nobody.
    #[inline(always)]
    pub fn current(registers: &'a mut Registers) -> Option<Self> {
        Self::served_by(block::this_info(), registers)
    }

    /// The same, when this CPU's info is at hand.
    #[inline(always)]
    pub fn served_by(info: &CpuInfo, registers: &'a mut Registers) -> Option<Self> {
        let vcpu = info.current()?;
        // SAFETY: 1. it is resident here, and `registers`, of which there is one, shows that the caller handles the
        // entry. 2. a `Caller` lives within one entry handler or one turn of the gate.
        let state = unsafe { vcpu.state() };
        Some(Self { vcpu, domain: vcpu.domain, registers, state })
    }

    /// The three parts that trap delivery works on.
    #[inline(always)]
    pub fn split(&mut self) -> (&mut VirtualCpu, &mut Registers, Context<'_>) {
        let context = Context::new(self.vcpu, &self.state.kernel_root, &self.state.user_root);
        (&mut self.state.virtual_cpu, self.registers, context)
    }

    /// Crashes the domain because its handlers could not be entered.
    #[cold]
    #[inline(never)]
    pub fn give_up(&mut self, crash: Crash) {
        self.crash(crash.reason());
    }

    /// Crashes the domain: prints why and where, then stops all its vCPUs.
    #[cold]
    pub fn crash(&mut self, why: &str) {
        super::crash::domain(self, why);
    }
}
