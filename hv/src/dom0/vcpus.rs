//! Dom0's vCPUs: where each runs, and the state in which the first one starts. Source: reference inventory §3.1.

#![expect(unsafe_code, reason = "reaches the state of a vCPU that does not run")]

use core::sync::atomic::Ordering::Relaxed;

use abi::{Errno, Mfn, VcpuId};
use event_channels::UpcallMask;
use hypercalls::op::domctl::{AffinityWish, PinOverride};
use pv_cpu::{
    control::ControlRegisters,
    flags,
    registers::Registers,
    selector::{FLAT_CODE_64, FLAT_STACK},
    trap_table::Mode,
    vcpu::VirtualCpu,
};

use super::{Dom0Error, image::Loaded};
use crate::{boot::options, cpu::features, domain::Domain, sched::pools, serve::vcpus::claim_initialisation};

/// Binds each vCPU to the CPU it was given, if that was asked for, and masks events for every vCPU that the shared page has
/// room for.
pub fn place(domain: &'static Domain) {
    if options::get().dom0_vcpus_pin {
        for vcpu in domain.vcpus() {
            let own = 1 << (vcpu.processor.load(Relaxed) & 63);
            let wish = AffinityWish { hard: Some(own), soft: None, pin: PinOverride::Keep };
            if let Err(errno) = pools::set_affinity(vcpu, wish) {
                log::warn!("{vcpu:?} is not pinned ({}).", errno.name());
            }
        }
    }
    for info in &domain.shared().vcpu_info {
        info.set_upcall_mask(UpcallMask::Masked);
    }
}

/// Gives vCPU 0 its first context, on the tables under `root`, whose references it takes over. It stays down.
pub fn start_first(domain: &'static Domain, loaded: &Loaded, root: Mfn) -> Result<(), Dom0Error> {
    let vcpu = domain.vcpu(VcpuId(0)).ok_or(Dom0Error::Record(Errno::ENOENT))?;
    claim_initialisation(vcpu).map_err(Dom0Error::Record)?;
    // SAFETY: 1. the vCPU is down, was never resident, and the claim keeps others away. 2. dropped at the end.
    let state = unsafe { vcpu.state() };
    state.kernel_root.set(Some(root));
    state.registers = Registers {
        rip: loaded.entry,
        cs: u64::from(FLAT_CODE_64),
        rflags: flags::guest_flags(0),
        rsp: loaded.layout.stack_top(),
        ss: u64::from(FLAT_STACK),
        rsi: loaded.layout.address_of(loaded.layout.start_info_pfn),
        ..Registers::default()
    };
    state.virtual_cpu = VirtualCpu {
        mode: Mode::Kernel,
        control: ControlRegisters::new(features::host_cr4()),
        ..VirtualCpu::default()
    };
    Ok(())
}
