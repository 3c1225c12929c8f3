//! Extended state and MSRs of vCPUs, for saving and restoring them.

use abi::{Errno, Result, VcpuId, domctl_vcpu::VcpuMsr};
use hypercalls::{
    authority::Target,
    op::{
        domctl::{Components, VcpuRegistersHost},
        vcpu::Progress,
    },
};

use super::with_held;
use crate::{
    cpu::extended_state,
    serve::{Caller, memory::named, policy},
};

/// MSRs that are a vCPU's own: speculation control, TSC_AUX, the masks of AMD's breakpoints.
const SAVED: [u32; 6] = [0x48, 0xC000_0103, 0xC001_1027, 0xC001_1019, 0xC001_101A, 0xC001_101B];

impl VcpuRegistersHost for Caller<'_> {
    fn extended_state_format(&self) -> Option<(u64, usize)> {
        let components = extended_state::host_components();
        (components != 0).then(|| (components, extended_state::area_size() as usize))
    }

    fn extended_state_size(&self, components: u64) -> usize {
        extended_state::size_of_components(components) as usize
    }

    // Out of line, so that a CPU fault of ours in here unwinds through a call, and the caller's buffer is freed
    // (docs/soundness.md, gap 1).
    #[inline(never)]
    fn extended_state(&mut self, target: Target, vcpu: VcpuId, into: &mut [u8]) -> Result<(Components, Progress)> {
        let offered = policy::staged(named(target)?, |cpuid| cpuid.extended_states().offered());
        let mut has = Components::default();
        let progress = with_held(target, vcpu, |held| {
            let state = &held.state().extended;
            has = Components { enabled: state.enabled(), ever: state.enabled() | state.image(offered, into) };
            Ok(Progress::Done)
        })?;
        Ok((has, progress))
    }

    fn set_extended_state(&mut self, target: Target, vcpu: VcpuId, has: Components, image: &[u8]) -> Result<Progress> {
        let is_possible = policy::staged(named(target)?, |cpuid| {
            let states = cpuid.extended_states();
            states.permits(has.enabled) && states.permits(has.ever)
        });
        if !is_possible {
            return Err(Errno::EINVAL);
        }
        with_held(target, vcpu, |held| {
            held.state().extended.set_image(has.enabled, has.ever, image)?;
            Ok(Progress::Done)
        })
    }

    fn saved_msr(&mut self, target: Target, vcpu: VcpuId, position: u32) -> Result<(Option<VcpuMsr>, Progress)> {
        let Some(&index) = SAVED.get(position as usize) else { return Ok((None, Progress::Done)) };
        let mut value = 0;
        let progress = with_held(target, vcpu, |held| {
            value = held.state().msrs.saved(index);
            Ok(Progress::Done)
        })?;
        Ok((Some(VcpuMsr { index, reserved: 0, value }), progress))
    }

    fn set_saved_msr(&mut self, target: Target, vcpu: VcpuId, msr: VcpuMsr) -> Result<Progress> {
        if !SAVED.contains(&msr.index) {
            return Err(Errno::EINVAL);
        }
        let policies = policy::of(named(target)?);
        with_held(target, vcpu, |held| {
            held.state().msrs.restore(&policies.msr, msr.index, msr.value).ok_or(Errno::EINVAL)?;
            Ok(Progress::Done)
        })
    }
}
