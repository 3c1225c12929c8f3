//! Calls about the vCPU itself: traps, debug registers, segment bases, iret.

use hypercalls::op::cpu::{AssistChange, Base, CpuHost};
use pv_cpu::{bounce::Crash, iret, vcpu::VirtualCpu};

use super::{Caller, instructions};
use crate::{
    arch::{debug, segments},
    domain::PendingWork,
};

impl CpuHost for Caller<'_> {
    #[inline(always)]
    fn virtual_cpu(&mut self) -> &mut VirtualCpu {
        &mut self.state.virtual_cpu
    }

    fn load_control(&mut self) {
        instructions::load_control(&self.state.virtual_cpu);
    }

    fn load_debug(&mut self) {
        debug::load(&self.state.virtual_cpu.debug);
    }

    #[inline(always)]
    fn set_base(&mut self, which: Base, address: u64) {
        let base = match which {
            Base::Fs => segments::Base::Fs,
            Base::GsKernel => segments::Base::Gs,
            Base::GsUser => segments::Base::KernelGs,
        };
        segments::set_base(base, address);
    }

    fn load_user_gs(&mut self, selector: u16) {
        let (ds, es, fs, gs) = segments::selectors();
        super::descriptors::show_selectors(self.domain, self.vcpu.id, self.state, &[ds, es, fs, gs, selector]);
        // A refused selector is null now, which is what the guest gets.
        let _ = segments::load_other_gs(selector);
    }

    fn change_assist(&mut self, change: AssistChange, bits: u64) {
        use core::sync::atomic::Ordering::AcqRel;
        match change {
            AssistChange::Enable => self.domain.assists.fetch_or(bits, AcqRel),
            AssistChange::Disable => self.domain.assists.fetch_and(!bits, AcqRel),
        };
    }

    fn retry_nmi(&mut self) {
        if self.domain.shared().arch.get(2).is_some_and(|word| word.load(core::sync::atomic::Ordering::Relaxed) != 0) {
            self.vcpu.note(PendingWork::NMI);
        }
    }

    #[inline(always)]
    fn return_from_trap(&mut self) -> Result<(), Crash> {
        let (cpu, registers, mut context) = self.split();
        iret::iret(cpu, registers, &mut context)
    }
}
