//! What tools are told about domains and vCPUs.

use core::sync::atomic::Ordering::Acquire;

use abi::{
    DomainId, Errno, Mfn, Result, VcpuId,
    domctl_domain::{
        CreateFlags, DomainCapabilities, DomainFlags, DomainInfo, DomainState, GetDomainState, NO_VCPUS, SHUTDOWN_SHIFT,
    },
    domctl_vcpu::VcpuInformation,
    vcpu::Runstate,
};
use hypercalls::{authority::Target, op::domctl::InformationHost};

use crate::{
    domain::{self, Domain, RunFlags, Vcpu, changes, virqs},
    serve::{Caller, memory::named, policy},
    time::clock,
};

impl InformationHost for Caller<'_> {
    fn domain_info(&self, id: DomainId) -> Option<DomainInfo> {
        domain::find(id).map(describe)
    }

    fn domain_from(&self, id: DomainId) -> Option<DomainId> {
        domain::find_from(id).map(|domain| domain.id)
    }

    fn domain_state(&self, id: DomainId) -> Option<GetDomainState> {
        domain::find(id).map(state_of)
    }

    fn follows_domains(&self) -> bool {
        virqs::follows_domains(self.domain)
    }

    fn take_changed(&self) -> Option<DomainId> {
        changes::take()
    }

    fn put_changed_back(&self, id: DomainId) {
        changes::note(id);
    }

    fn vcpu_information(&self, target: Target, id: VcpuId) -> Result<VcpuInformation> {
        let domain = named(target)?;
        if id.0 >= domain.max_vcpus {
            return Err(Errno::EINVAL);
        }
        let vcpu = super::vcpu(domain, id)?;
        let flags = vcpu.run_flags().0;
        Ok(VcpuInformation {
            vcpu: id,
            online: u8::from(flags & RunFlags::DOWN.0 == 0),
            blocked: u8::from(flags & (RunFlags::BLOCKED.0 | RunFlags::POLLING.0) != 0),
            running: u8::from(vcpu.running.load(Acquire)),
            cpu_time: running_time(vcpu),
            cpu: vcpu.processor.load(Acquire),
            ..VcpuInformation::default()
        })
    }
}

/// Nanoseconds that a vCPU has run.
fn running_time(vcpu: &Vcpu) -> u64 {
    let info = vcpu.time.lock().info(clock::now());
    info.time.get(Runstate::RUNNING.0 as usize).copied().unwrap_or(0)
}

/// How far a domain is in its life, and what it may do.
fn state_of(domain: &'static Domain) -> GetDomainState {
    let is_xenstore = domain.control.lock().identity.flags.contains(CreateFlags::XS_DOMAIN);
    let mut state = DomainState::EXIST;
    for (is_set, flag) in [
        (domain.shutdown().reason().is_some(), DomainState::SHUTDOWN),
        (domain.is_dying() && !domain.is_dead(), DomainState::DYING),
        (domain.is_dead(), DomainState::DEAD),
    ] {
        if is_set {
            state = state.with(flag);
        }
    }
    let mut capabilities = DomainCapabilities::default();
    for (is_set, flag) in [
        (domain.rights.is_control, DomainCapabilities::CONTROL),
        (domain.rights.is_hardware(), DomainCapabilities::HARDWARE),
        (is_xenstore, DomainCapabilities::XENSTORE),
    ] {
        if is_set {
            capabilities = capabilities.with(flag);
        }
    }
    GetDomainState { state, capabilities, pad: 0, unique_id: domain.serial }
}

/// What tools are told about a domain.
pub fn describe(domain: &'static Domain) -> DomainInfo {
    let (identity, wanted_bits) = {
        let control = domain.control.lock();
        (control.identity, control.wanted_policy.as_ref().map(|policies| policies.cpuid.physical_address_bits()))
    };
    let address_bits = wanted_bits.unwrap_or_else(|| policy::of(domain).cpuid.physical_address_bits());
    let up = || domain.vcpus().iter().filter(|vcpu| vcpu.run_flags().0 & RunFlags::DOWN.0 == 0);
    let waits = |vcpu: &Vcpu| vcpu.run_flags().0 & (RunFlags::BLOCKED.0 | RunFlags::POLLING.0) != 0;
    let shutdown = domain.shutdown();
    let mut flags = DomainFlags(shutdown.0.wrapping_shl(SHUTDOWN_SHIFT));
    for (is_set, flag) in [
        (domain.is_dead(), DomainFlags::DYING),
        (shutdown.reason().is_some(), DomainFlags::SHUTDOWN),
        (domain.is_paused(), DomainFlags::PAUSED),
        (up().count() != 0 && up().all(waits), DomainFlags::BLOCKED),
        (up().any(|vcpu| vcpu.running.load(Acquire)), DomainFlags::RUNNING),
        (domain.is_debugged.load(Acquire), DomainFlags::DEBUGGED),
        (identity.flags.contains(CreateFlags::XS_DOMAIN), DomainFlags::XS_DOMAIN),
    ] {
        if is_set {
            flags = flags.with(flag);
        }
    }
    DomainInfo {
        domain: domain.id,
        flags,
        total_pages: domain.memory.total(),
        max_pages: domain.memory.maximum(),
        outstanding_pages: domain.memory.claimed.load(Acquire),
        shared_info_frame: Mfn(domain.shared_page.frame().0),
        cpu_time: domain.vcpus().iter().map(running_time).sum(),
        online_vcpus: up().count() as u32,
        max_vcpu_id: (domain.vcpus().len() as u32).checked_sub(1).unwrap_or(NO_VCPUS),
        ssidref: identity.ssidref,
        handle: identity.handle,
        address_bits,
        arch: identity.arch,
        ..DomainInfo::default()
    }
}
