//! Lines, I/O APIC entries and messages.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

use device_interrupts::{IsaLines, Message, Polarity, Redirection, Signal, Trigger};

#[test]
fn isa_interrupts_follow_the_firmware() {
    let mut lines = IsaLines::new();
    assert_eq!(lines.input(1), (1, Signal::default()));
    assert_eq!(lines.input(16), (16, Signal::PCI));
    // What QEMU's firmware states.
    lines.replace(0, 2, None, None);
    for isa in [5, 9, 10, 11] {
        lines.replace(isa, u32::from(isa), Some(Trigger::Level), Some(Polarity::High));
    }
    lines.replace(16, 3, None, None);
    assert_eq!(lines.input(0), (2, Signal::default()));
    assert_eq!(lines.input(9), (9, Signal { trigger: Trigger::Level, polarity: Polarity::High }));
    assert_eq!(lines.input(16), (16, Signal::PCI));
    assert_eq!(lines.input(u32::MAX), (u32::MAX, Signal::PCI));
}

#[test]
fn entries_are_encoded() {
    let entry = Redirection::new(0x31, 7, Signal::PCI);
    assert_eq!(entry.0, 0x0700_0000_0001_a031);
    assert!(entry.is_masked() && !entry.unmasked().is_masked());
    assert_eq!(entry.signal(), Signal::PCI);
    assert_eq!((entry.low(), entry.high()), (0x1_a031, 0x0700_0000));
    assert_eq!(Redirection::from_halves(entry.low(), entry.high()), entry);
    assert_eq!(entry.to(0xfe).high(), 0xfe00_0000);
    assert_eq!(entry.to(0xfe).low(), entry.low());
    let isa = Redirection::new(0xef, 0, Signal::default());
    assert_eq!((isa.0, isa.signal()), (0x1_00ef, Signal::default()));
    assert_eq!(Redirection::OFF, Redirection(0x1_0000));
}

#[test]
fn messages_are_encoded() {
    assert_eq!(Message::new(0x31, 0), Message { address: 0xfee0_0000, data: 0x31 });
    assert_eq!(Message::new(0xef, 0xfe), Message { address: 0xfeef_e000, data: 0xef });
}
