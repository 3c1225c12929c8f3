//! platform_op about physical CPUs.
//!
//! CPUs come into service at boot and stay: neither starting one later nor taking one out is there (`EOPNOTSUPP`). A CPU
//! that is known but not online did not start at boot.

use abi::{Errno, Result};
use hypercalls::{
    authority::ControlDomain,
    op::platform::{CpuFacts, CpuHost},
};
use raw_cpuid::CpuId;

use super::Caller;
use crate::cpu;

impl CpuHost for Caller<'_> {
    fn cpu(&self, index: u32) -> Option<CpuFacts> {
        let cpu = cpu::by_index(index as usize)?;
        // All CPUs are of one model: a CPU that lacks what the boot CPU has is not started.
        let (vendor, model) = (CpuId::new().get_vendor_info()?, CpuId::new().get_feature_info()?);
        let mut name = [0; 12];
        for (to, from) in name.iter_mut().zip(vendor.as_str().bytes()) {
            *to = from;
        }
        Some(CpuFacts {
            apic: cpu.apic_id,
            acpi: cpu.acpi_id,
            online: cpu.is_online(),
            vendor: name,
            family: u32::from(model.family_id()),
            model: u32::from(model.model_id()),
            stepping: u32::from(model.stepping_id()),
        })
    }

    fn highest_cpu(&self) -> u32 {
        (cpu::count() as u32).saturating_sub(1)
    }

    fn cpu_start(&mut self, _authority: ControlDomain, _cpu: u32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn cpu_stop(&mut self, _authority: ControlDomain, _cpu: u32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
}
