//! platform_op about physical CPUs.
//!
//! A CPU that is known but not online did not start at boot, or was taken out of service (`cpu::hotplug`).

use abi::{Errno, Result, mca::McaLogicalCpu};
use hypercalls::{
    authority::ControlDomain,
    op::platform::{CpuChange, CpuFacts, CpuHost},
};
use raw_cpuid::CpuId;
use zerocopy::FromZeros;

use super::Caller;
use crate::{
    cpu::{self, Cpu, hotplug, smp},
    entry::stubs,
};

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

    fn cpu_start(&mut self, _authority: ControlDomain, cpu: u32) -> Result<CpuChange> {
        change(cpu, hotplug::start)
    }

    fn cpu_stop(&mut self, _authority: ControlDomain, cpu: u32) -> Result<CpuChange> {
        change(cpu, hotplug::stop)
    }

    fn cpu_park(&mut self, _authority: ControlDomain, count: u32) -> Result<CpuChange> {
        hotplug::park(count).map(told)
    }

    fn parked_cpus(&self) -> u32 {
        hotplug::parked()
    }

    fn logical_cpu(&self, index: u32) -> Option<McaLogicalCpu> {
        let cpu = cpu::by_index(index as usize).filter(|cpu| cpu.is_online())?;
        let facts = self.cpu(index)?;
        Some(logical(cpu, &facts))
    }
}

fn change(index: u32, how: fn(&'static Cpu) -> Result<hotplug::Change>) -> Result<CpuChange> {
    let cpu = cpu::by_index(index as usize).ok_or(Errno::EINVAL)?;
    how(cpu).map(told)
}

fn told(change: hotplug::Change) -> CpuChange {
    match change {
        hotplug::Change::Done => CpuChange::Done,
        hotplug::Change::UnderWay => CpuChange::UnderWay,
    }
}

/// A CPU as machine-check software knows it; what CPUID says comes from the CPU that asks, all being of one model.
fn logical(cpu: &Cpu, facts: &CpuFacts) -> McaLogicalCpu {
    const CAPABILITY: u32 = 0x179;
    const CACHE_LINE: u32 = 64;
    const AMD: u32 = 2;
    const INTEL: u32 = 0;
    let cpuid = CpuId::new();
    let running = cpu::all().filter(|cpu| cpu.is_online()).count() as u32;
    let thread_mask = smp::threads_per_core() - 1;
    let (basic, extended) = (raw_cpuid::cpuid!(1), raw_cpuid::cpuid!(0x8000_0001));
    let (state, structured) = (raw_cpuid::cpuid!(0xD, 1), raw_cpuid::cpuid!(7, 0));
    let mut described = McaLogicalCpu {
        cpu: cpu.index as u32,
        core: (cpu.apic_id / smp::threads_per_core()) as u16,
        thread: (cpu.apic_id & thread_mask) as u16,
        apic_id: cpu.apic_id,
        cluster: cpu.apic_id,
        cores: running,
        active_cores: running,
        threads: smp::threads_per_core(),
        cpuid_level: raw_cpuid::cpuid!(0).eax as i32,
        family: facts.family,
        vendor: if facts.vendor == *b"AuthenticAMD" { AMD } else { INTEL },
        model: facts.model,
        stepping: facts.stepping,
        capabilities: [basic.edx, basic.ecx, extended.edx, extended.ecx, state.eax, structured.ebx, structured.ecx],
        cache_size: cpuid.get_l2_l3_cache_and_tlb_info().map_or(0, |info| u32::from(info.l3cache_size()) * 512),
        cache_alignment: CACHE_LINE,
        msr_count: 1,
        ..McaLogicalCpu::new_zeroed()
    };
    for (to, from) in described.vendor_name.iter_mut().zip(facts.vendor) {
        *to = from;
    }
    if let Some(brand) = cpuid.get_processor_brand_string() {
        for (to, from) in described.brand.iter_mut().zip(brand.as_str().bytes()) {
            *to = from;
        }
    }
    let [first, ..] = &mut described.msrs;
    *first = [u64::from(CAPABILITY), stubs::try_read_msr(CAPABILITY).unwrap_or(0)];
    described
}
