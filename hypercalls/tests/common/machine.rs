//! Interrupts, PCI, CPUs and firmware of the fake host: notes what it is told.

use abi::mca::McaLogicalCpu;
use abi::physdev::MapPirqType;
use abi::platform::PlatformQuirk;
use abi::{Errno, Gfn, GuestHandle, Mfn, Result};
use hypercalls::authority::{ControlDomain, Target};
use hypercalls::op::physdev::{
    ConfigurationWindow, EoiStyle, LineMode, MappedPirq, PciAddress, PciFunction, PciHost, PhysdevHost, PirqSource,
};
use hypercalls::op::platform::{
    CpuChange, CpuFacts, CpuHost, MemoryType, PlatformHost, SleepRegisters, SleepRequest, Symbol,
};

use zerocopy::FromZeros;

use super::Fake;

impl PciHost for Fake {
    fn pci_add(&mut self, _authority: ControlDomain, device: PciAddress, function: PciFunction) -> Result<()> {
        self.attempt("pci add", (device, function))
    }
    fn pci_remove(&mut self, _authority: ControlDomain, device: PciAddress) -> Result<()> {
        self.attempt("pci remove", device)
    }
    fn pci_restore_messages(&mut self, _authority: ControlDomain, device: PciAddress) -> Result<()> {
        self.attempt("pci restore", device)
    }
    fn pci_prepare_table(&mut self, _authority: ControlDomain, device: PciAddress) -> Result<()> {
        self.attempt("pci prepare", device)
    }
    fn pci_release_table(&mut self, _authority: ControlDomain, device: PciAddress) -> Result<()> {
        self.attempt("pci release", device)
    }
    fn pci_window(&mut self, _authority: ControlDomain, window: ConfigurationWindow) -> Result<()> {
        self.attempt("pci window", window)
    }
}

impl PhysdevHost for Fake {
    fn pirq_limit(&self) -> u32 {
        256
    }
    fn pirq_eoi(&mut self, pirq: u32) -> Result<()> {
        self.attempt("eoi", pirq)
    }
    fn pirqs_unmasked(&mut self) -> Result<()> {
        self.attempt("unmasked", ())
    }
    fn pirq_is_shared(&self, pirq: u32) -> bool {
        pirq == 17
    }
    fn pirq_eoi_page(&mut self, frame: Gfn, style: EoiStyle) -> Result<()> {
        self.attempt("eoi page", (frame.0, style))
    }
    fn pirq_map(&mut self, target: Target, source: PirqSource, wanted: i32) -> Result<MappedPirq> {
        self.attempt("map", (target.id().0, source, wanted))?;
        Ok(MappedPirq { pirq: 42, vectors: 2 })
    }
    fn pirq_unmap(&mut self, target: Target, pirq: i32) -> Result<()> {
        self.attempt("unmap", (target.id().0, pirq))
    }
    fn pirq_reserve(&mut self, kind: MapPirqType) -> Result<u32> {
        self.attempt("reserve", kind)?;
        Ok(77)
    }
    fn line_limit(&self) -> u32 {
        24
    }
    fn line_setup(&mut self, _authority: ControlDomain, gsi: u32, mode: LineMode) -> Result<()> {
        self.attempt("line", (gsi, mode.level, mode.low))
    }
    fn io_apic_read(&mut self, _authority: ControlDomain, base: u64, register: u32) -> Result<u32> {
        if base == 0xFEC0_0000 { Ok(0x100 + register) } else { Err(Errno::EINVAL) }
    }
    fn io_apic_write(&mut self, _authority: ControlDomain, base: u64, register: u32, value: u32) -> Result<()> {
        self.attempt("io apic", (base, register, value))
    }
    fn set_io_privilege(&mut self, level: u8) {
        self.note(format!("iopl {level}"));
    }
    fn set_io_bitmap(&mut self, bitmap: GuestHandle<u8>, ports: u32) {
        self.note(format!("bitmap {:#x} {ports}", bitmap.address().0));
    }
}

impl CpuHost for Fake {
    fn cpu(&self, cpu: u32) -> Option<CpuFacts> {
        (cpu < 2).then(|| CpuFacts {
            apic: cpu * 2,
            acpi: cpu + 1,
            online: cpu == 0,
            vendor: *b"AuthenticAMD",
            family: 25,
            model: 1,
            stepping: 1,
        })
    }
    fn highest_cpu(&self) -> u32 {
        1
    }
    fn cpu_start(&mut self, _authority: ControlDomain, cpu: u32) -> Result<CpuChange> {
        self.attempt("cpu start", cpu).map(|()| self.cpu_change)
    }
    fn cpu_stop(&mut self, _authority: ControlDomain, cpu: u32) -> Result<CpuChange> {
        self.attempt("cpu stop", cpu).map(|()| self.cpu_change)
    }
    fn cpu_park(&mut self, _authority: ControlDomain, count: u32) -> Result<CpuChange> {
        self.attempt("cpu park", count).map(|()| CpuChange::Done)
    }
    fn parked_cpus(&self) -> u32 {
        0
    }
    fn logical_cpu(&self, cpu: u32) -> Option<McaLogicalCpu> {
        (cpu < 1).then(|| McaLogicalCpu { cpu, ..McaLogicalCpu::new_zeroed() })
    }
}

impl PlatformHost for Fake {
    fn set_wallclock(&mut self, _authority: ControlDomain, seconds: u64, nanoseconds: u32, system_time: u64) {
        self.note(format!("wallclock {seconds} {nanoseconds} {system_time}"));
    }
    fn memory_type_add(&mut self, _authority: ControlDomain, range: MemoryType) -> Result<u32> {
        self.attempt("memory type", range)?;
        Ok(3)
    }
    fn memory_type_remove(&mut self, _authority: ControlDomain, register: u32) -> Result<()> {
        self.attempt("no memory type", register)
    }
    fn memory_type(&self, register: u32) -> Option<MemoryType> {
        (register < 8).then_some(MemoryType { first: Mfn(0xC0000), count: 0x40000, kind: 0 })
    }
    fn platform_quirk(&mut self, _authority: ControlDomain, quirk: PlatformQuirk) -> Result<()> {
        self.attempt("quirk", quirk)
    }
    fn keyboard_shift_flags(&self) -> u8 {
        0x20
    }
    fn has_sleep_registers(&self, which: SleepRegisters) -> bool {
        which == SleepRegisters::Pm1
    }
    fn enter_sleep(&mut self, _authority: ControlDomain, request: SleepRequest) -> Result<()> {
        self.attempt("sleep", request)
    }
    fn symbol_count(&self) -> u32 {
        2
    }
    fn symbol(&self, index: u32) -> Option<Symbol<'_>> {
        ["start", "finish"].get(index as usize).map(|name| Symbol { name, address: 0xFFFF_8300_0000_0000, kind: b'T' })
    }
}
