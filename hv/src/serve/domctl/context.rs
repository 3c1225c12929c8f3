//! The state of a vCPU, as a domain's builder, saver and restorer set and get it.

use core::sync::atomic::Ordering::Acquire;

use abi::{Result, VcpuId, xen_x86::VcpuGuestContext};
use hypercalls::{
    authority::Target,
    op::{
        domctl::{EntryCallbacks, VcpuPresence, VcpuStateHost},
        vcpu::Progress,
        vcpu_context::CheckedContext,
    },
};

use super::with_held;
use crate::{
    domain::PendingWork,
    sched::wake,
    serve::{Caller, context, memory::named, policy},
    time::wallclock,
};

/// The MSR of machine-check capabilities.
const MCG_CAP: u32 = 0x179;

impl VcpuStateHost for Caller<'_> {
    fn vcpu_presence(&self, target: Target, id: VcpuId) -> Result<VcpuPresence> {
        let domain = named(target)?;
        if id.0 >= domain.max_vcpus {
            return Ok(VcpuPresence::Impossible);
        }
        Ok(match domain.vcpu(id) {
            None => VcpuPresence::NotMade,
            Some(vcpu) if core::ptr::eq(vcpu, self.vcpu) => VcpuPresence::Caller,
            Some(vcpu) if vcpu.initialised.load(Acquire) => VcpuPresence::Initialised,
            Some(_) => VcpuPresence::Uninitialised,
        })
    }

    fn vcpu_reset(&mut self, target: Target, id: VcpuId) -> Result<Progress> {
        with_held(target, id, |held| Ok(context::take_away(held)))
    }

    fn vcpu_set_context(&mut self, target: Target, id: VcpuId, wanted: CheckedContext<'_>) -> Result<Progress> {
        with_held(target, id, |held| {
            let vcpu = held.vcpu();
            if vcpu.initialised.load(Acquire) {
                return context::replace(held, wanted.values()).map(|()| Progress::Done);
            }
            let progress = context::initialise(vcpu, wanted.values())?;
            if progress == Progress::Done {
                // Builders clear the shared page after the domain was made.
                wallclock::show(vcpu.domain);
            }
            Ok(progress)
        })
    }

    fn vcpu_get_context(&mut self, target: Target, id: VcpuId, into: &mut VcpuGuestContext) -> Result<Progress> {
        with_held(target, id, |held| {
            context::describe(held, into);
            Ok(Progress::Done)
        })
    }

    fn vcpu_callbacks(&mut self, target: Target, id: VcpuId) -> Result<Option<EntryCallbacks>> {
        let mut found = None;
        let _ = with_held(target, id, |held| {
            let callbacks = &held.state().virtual_cpu.callbacks;
            found = Some(EntryCallbacks { syscall32: callbacks.syscall32, sysenter: callbacks.sysenter });
            Ok(Progress::Done)
        })?;
        Ok(found)
    }

    fn vcpu_set_callbacks(&mut self, target: Target, id: VcpuId, wanted: EntryCallbacks) -> Result<Progress> {
        with_held(target, id, |held| {
            let callbacks = &mut held.state().virtual_cpu.callbacks;
            (callbacks.syscall32, callbacks.sysenter) = (wanted.syscall32, wanted.sysenter);
            Ok(Progress::Done)
        })
    }

    fn machine_check_capabilities(&self) -> u64 {
        pv_cpu::machine_check::MachineCheck::default().read(MCG_CAP, policy::of_guests().vendor)
    }

    fn vcpu_trigger_nmi(&mut self, target: Target, id: VcpuId) -> Result<()> {
        let vcpu = super::vcpu(named(target)?, id)?;
        if vcpu.note(PendingWork::NMI) {
            wake::event(vcpu);
        }
        Ok(())
    }
}
