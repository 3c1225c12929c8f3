//! How fast the TSC and the local APIC timer count, against HPET, PM timer or PIT, whichever is there.
//!
//! Context: boot CPU. Sources: HPET 1.0a §2.3; ACPI 6.5 §4.8.3.3 (PM timer, 3.579545 MHz); Intel 8254 data sheet.

use boot_options::ClockSource;
use x86_64::instructions::port::Port;

use crate::{
    arch::{control, port},
    memory::device::Registers,
    platform::firmware::Firmware,
};

/// What was measured.
pub struct Frequencies {
    /// TSC ticks a second.
    pub tsc_hz: u64,
    /// Local APIC timer ticks a second, before its divider.
    pub apic_hz: u64,
    /// What it was measured against.
    pub reference: &'static str,
    /// Frequency of the reference.
    pub reference_hz: u64,
}

/// A counter of known frequency.
enum Reference {
    Hpet(Registers, u64),
    PmTimer(u16, u32),
    Pit,
}

const PM_TIMER_HZ: u64 = 3_579_545;
const PIT_HZ: u64 = 1_193_182;
/// Part of a second that a measurement takes: 1/50, 20 ms.
const FRACTION: u64 = 50;

impl Reference {
    /// What was asked for (`clocksource`) if it is there, else the best there is.
    fn choose(firmware: &Firmware, wanted: Option<ClockSource>) -> Self {
        let found = match wanted {
            None | Some(ClockSource::Tsc) => None,
            Some(ClockSource::Hpet) => Self::hpet(firmware),
            Some(ClockSource::Acpi) => Self::pm_timer(firmware),
            Some(ClockSource::Pit) => Some(Reference::Pit),
        };
        if found.is_none() && wanted.is_some() {
            log::warn!("The clock source asked for is not there or measures nothing; choosing one.");
        }
        found.or_else(|| Self::hpet(firmware)).or_else(|| Self::pm_timer(firmware)).unwrap_or(Reference::Pit)
    }

    fn hpet(firmware: &Firmware) -> Option<Self> {
        if let Some(hpet) = firmware.hpet
            && let Ok(registers) = Registers::map(hpet.address, 1024)
        {
            let period_femtoseconds = u64::from(registers.read(4));
            if (1..=100_000_000).contains(&period_femtoseconds) {
                registers.write_long(0x10, registers.read_long(0x10) | 1);
                return Some(Reference::Hpet(registers, 1_000_000_000_000_000 / period_femtoseconds));
            }
        }
        None
    }

    fn pm_timer(firmware: &Firmware) -> Option<Self> {
        let fadt = firmware.fadt.filter(|fadt| fadt.pm_timer != 0)?;
        let mask = if fadt.pm_timer_is_32_bit { u32::MAX } else { 0xFF_FFFF };
        Some(Reference::PmTimer(fadt.pm_timer, mask))
    }

    fn name(&self) -> &'static str {
        match self {
            Reference::Hpet(..) => "HPET",
            Reference::PmTimer(..) => "ACPI PM Timer",
            Reference::Pit => "PIT",
        }
    }

    fn frequency(&self) -> u64 {
        match self {
            Reference::Hpet(_, hz) => *hz,
            Reference::PmTimer(..) => PM_TIMER_HZ,
            Reference::Pit => PIT_HZ,
        }
    }

    fn start(&self) {
        if let Reference::Pit = self {
            // Channel 2, gate on, speaker off, mode 0, counts down from the top.
            port::write_u8(Port::new(0x61), port::read_u8(Port::new(0x61)) & !2 | 1);
            port::write_u8(Port::new(0x43), 0xB0);
            port::write_u8(Port::new(0x42), 0xFF);
            port::write_u8(Port::new(0x42), 0xFF);
        }
    }

    fn read(&self) -> u32 {
        match self {
            Reference::Hpet(registers, _) => registers.read(0xF0),
            Reference::PmTimer(address, _) => port::read_u32(Port::new(*address)),
            Reference::Pit => {
                port::write_u8(Port::new(0x43), 0x80);
                let low = port::read_u8(Port::new(0x42));
                let high = port::read_u8(Port::new(0x42));
                u32::from(u16::MAX) - u32::from(u16::from_le_bytes([low, high]))
            }
        }
    }

    fn elapsed(&self, start: u32, now: u32) -> u64 {
        match self {
            Reference::PmTimer(_, mask) => u64::from(now.wrapping_sub(start) & mask),
            _ => u64::from(now.wrapping_sub(start)),
        }
    }
}

/// All counters at one moment.
#[derive(Clone, Copy)]
struct Sample {
    reference: u32,
    tsc: u64,
    apic: u32,
}

/// Reads all counters, several times, and takes the readings that lie closest together: in between, firmware or another
/// hypervisor may have taken the CPU away.
fn sample(reference: &Reference, apic_counter: &impl Fn() -> u32) -> Sample {
    const ATTEMPTS: u32 = 8;
    let once = |_| {
        let before = control::read_tsc();
        let (reference, tsc, apic) = (reference.read(), control::read_tsc(), apic_counter());
        (control::read_tsc().wrapping_sub(before), Sample { reference, tsc, apic })
    };
    let first = once(0);
    let closest = |best: (u64, Sample), next: (u64, Sample)| if next.0 < best.0 { next } else { best };
    (1..ATTEMPTS).map(once).fold(first, closest).1
}

/// Measures for 20 ms. `apic_counter` reads the local APIC's running down-counter.
pub fn measure(firmware: &Firmware, wanted: Option<ClockSource>, apic_counter: impl Fn() -> u32) -> Frequencies {
    let reference = Reference::choose(firmware, wanted);
    reference.start();
    let target = reference.frequency() / FRACTION;
    let start = sample(&reference, &apic_counter);
    while reference.elapsed(start.reference, reference.read()) < target {}
    let end = sample(&reference, &apic_counter);
    let passed = reference.elapsed(start.reference, end.reference).max(1);
    let (tsc_ticks, apic_ticks) = (end.tsc.wrapping_sub(start.tsc), start.apic.wrapping_sub(end.apic));
    let per_second = |ticks: u64| (u128::from(ticks) * u128::from(reference.frequency()) / u128::from(passed)) as u64;
    Frequencies {
        tsc_hz: per_second(tsc_ticks),
        apic_hz: per_second(u64::from(apic_ticks)),
        reference: reference.name(),
        reference_hz: reference.frequency(),
    }
}
