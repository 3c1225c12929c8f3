//! What of the machine dom0 does not get, beyond what no domain gets. Source: reference inventory §4.5.

use abi::Mfn;
use raw_cpuid::CpuId;

use super::amount::touched;
use crate::{boot::loader::LoaderInfo, console::output, domain::rights::Rights, platform::firmware};

/// E820 type of memory that is broken.
const UNUSABLE: u32 = 5;
const LOW_MEMORY: u64 = 1 << 20;
/// Frames of the address range that AMD's interconnect uses for itself.
const HYPER_TRANSPORT: (Mfn, Mfn) = (Mfn(0xFD_0000_0000 >> 12), Mfn(0x100_0000_0000 >> 12));
/// Ports of a serial line and of the ACPI timer.
const SERIAL_PORTS: u16 = 8;
const TIMER_PORTS: u16 = 4;

/// Takes from dom0's rights what the hypervisor drives itself.
pub fn restrict(rights: &Rights, info: &LoaderInfo) {
    let mut is_complete = true;
    if let Some(serial) = output::with(|console| console.serial.as_ref().map(|serial| serial.base())) {
        is_complete &= rights.hide_ports(serial, SERIAL_PORTS);
    }
    if let Some(firmware) = firmware::get() {
        if let Some(timer) = firmware.fadt.map(|fadt| fadt.pm_timer).filter(|&timer| timer != 0) {
            is_complete &= rights.hide_ports(timer, TIMER_PORTS);
        }
        is_complete &= hide_page(rights, firmware.madt.local_address);
        for io_apic in &firmware.madt.io_apics {
            let page = io_apic.address >> 12;
            is_complete &= rights.make_read_only(Mfn(u64::from(page)), Mfn(u64::from(page) + 1));
        }
        if let Some(hpet) = &firmware.hpet {
            is_complete &= rights.make_read_only(Mfn(hpet.address >> 12), Mfn((hpet.address >> 12) + 1));
        }
    }
    for region in info.regions().iter().filter(|region| region.kind == UNUSABLE && region.start >= LOW_MEMORY) {
        let frames = touched(region.start, region.length);
        is_complete &= rights.hide_frames(Mfn(frames.start), Mfn(frames.end));
    }
    if CpuId::new().get_vendor_info().is_some_and(|vendor| vendor.as_str() == "AuthenticAMD") {
        is_complete &= rights.hide_frames(HYPER_TRANSPORT.0, HYPER_TRANSPORT.1);
    }
    if !is_complete {
        log::warn!("More devices to keep from dom0 than there is room to remember; it can reach some of them.");
    }
}

fn hide_page(rights: &Rights, address: u64) -> bool {
    rights.hide_frames(Mfn(address >> 12), Mfn((address >> 12) + 1))
}
