//! Capabilities, BARs and what a dom0 may write to them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

use device_interrupts::{
    bar, capability,
    configuration::{Configuration, Latch, at_offset_in_bus, offset_in_bus},
    intercept::{Held, Verdict, msi_write, msix_write},
    msi::Msi,
    msix::{Msix, Place},
};

/// A function's configuration space as bytes.
struct Space([u8; 256]);

impl Configuration for Space {
    fn read_word(&self, offset: u16) -> u32 {
        let at = usize::from(offset);
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }
}

impl Space {
    fn put(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }
}

/// An e1000e as QEMU has it: power management, MSI, PCI Express and MSI-X.
fn network_card() -> Space {
    Space([0; 256])
        .put(0, &[0x86, 0x80, 0xd3, 0x10])
        .put(6, &[0x10, 0])
        .put(0x10, &0xfebc_0000_u32.to_le_bytes())
        .put(0x14, &0xfebe_0000_u32.to_le_bytes())
        .put(0x18, &0xc001_u32.to_le_bytes())
        .put(0x1c, &0xfebd_0004_u32.to_le_bytes())
        .put(0x20, &0x12_u32.to_le_bytes())
        .put(0x34, &[0xc8])
        .put(0xc8, &[0x01, 0xd0])
        .put(0xd0, &[0x05, 0xe0, 0x80, 0])
        .put(0xe0, &[0x10, 0xa0])
        .put(0xa0, &[0x11, 0, 0x04, 0, 3, 0, 0, 0, 3, 0x20, 0, 0])
}

#[test]
fn capabilities_are_found() {
    let card = network_card();
    assert_eq!(capability::find(&card, capability::MSI), Some(0xd0));
    assert_eq!(capability::find(&card, capability::MSIX), Some(0xa0));
    assert_eq!(capability::find(&card, 0x09), None);
    assert_eq!(capability::find(&Space([0xff; 256]), capability::MSI), None, "nobody there");
    assert_eq!(capability::find(&network_card().put(6, &[0, 0]), capability::MSI), None, "no list");
}

#[test]
fn a_list_in_a_circle_ends() {
    let circle = network_card().put(0xe1, &[0xc8]);
    assert_eq!(capability::find(&circle, capability::MSIX), None);
    let into_the_header = network_card().put(0xc9, &[0x10]);
    assert_eq!(capability::find(&into_the_header, capability::MSI), None);
}

#[test]
fn every_position_and_pointer_is_survived() {
    for start in 0..=255_u8 {
        for next in 0..=255_u8 {
            let hostile = Space([next; 256]).put(6, &[0x10, 0]).put(0x0e, &[0]).put(0x34, &[start]);
            let _ = capability::find(&hostile, capability::MSI);
        }
    }
}

#[test]
fn registers_of_msi() {
    let with = |control: u16| Msi::read(&network_card().put(0xd2, &control.to_le_bytes()), 0xd0);
    let plain = with(0);
    assert_eq!((plain.control(), plain.address(), plain.address_high()), (0xd2, 0xd4, None));
    assert_eq!((plain.data(), plain.mask(), plain.vectors()), (0xd8, None, 1));
    let wide = with(0x80);
    assert_eq!((wide.address_high(), wide.data(), wide.mask()), (Some(0xd8), 0xdc, None));
    assert_eq!(with(0x100).mask(), Some(0xdc));
    assert_eq!(with(0x180).mask(), Some(0xe0));
    assert_eq!([0, 2, 4, 6, 8, 10, 12, 14].map(|control| with(control).vectors()), [1, 2, 4, 8, 16, 32, 32, 32]);
}

#[test]
fn registers_of_msix() {
    let msix = Msix::read(&network_card(), 0xa0);
    assert_eq!(msix.entries, 5);
    assert_eq!(msix.table, Place { bar: 3, offset: 0 });
    assert_eq!(msix.pending, Place { bar: 3, offset: 0x2000 });
    assert_eq!((msix.control(), msix.table_size(), msix.pending_size()), (0xa2, 80, 8));
    let largest = Msix::read(&network_card().put(0xa2, &[0xff, 0xff]), 0xa0);
    assert_eq!((largest.entries, largest.table_size(), largest.pending_size()), (2048, 32768, 256));
}

#[test]
fn bars_are_decoded() {
    let card = network_card();
    assert_eq!(bar::memory_base(&card, 0), Some(0xfebc_0000));
    assert_eq!(bar::memory_base(&card, 2), None, "ports");
    assert_eq!(bar::memory_base(&card, 3), Some(0x12_febd_0000), "64 bits");
    assert_eq!(bar::memory_base(&card, 5), None, "nothing assigned");
    assert_eq!([6, 7, 255].map(|index| bar::memory_base(&card, index)), [None; 3]);
    let bridge = network_card().put(0x0e, &[0x81]);
    assert_eq!([0, 1, 2].map(|index| bar::memory_base(&bridge, index)), [Some(0xfebc_0000), Some(0xfebe_0000), None]);
    let cut = network_card().put(0x24, &4_u32.to_le_bytes());
    assert_eq!(bar::memory_base(&cut, 5), None, "no room for the upper half");
}

#[test]
fn writes_to_msix_are_judged() {
    let msix = Msix::read(&network_card(), 0xa0);
    let judge = |held, offset, width, value| msix_write(msix, held, offset, width, value);
    for offset in 0..256_u16 {
        for width in [1, 2, 4] {
            let wanted = match (offset, width) {
                (0xa2, 2) => Verdict::Pass(0x8000),
                (0xa0..0xac, _) => Verdict::Drop,
                _ => Verdict::Pass(0x8000),
            };
            assert_eq!(judge(Held::Open, offset, width, 0x8000), wanted, "{offset:#x} {width}");
        }
    }
    assert_eq!(judge(Held::Masked, 0xa2, 2, 0x8000), Verdict::Pass(0xc000));
    assert_eq!(judge(Held::Masked, 0xac, 2, 0x8000), Verdict::Pass(0x8000));
}

#[test]
fn writes_to_msi_are_judged() {
    let msi = Msi::read(&network_card().put(0xd2, &0x186_u16.to_le_bytes()), 0xd0);
    let judge = |held, offset, width, value| msi_write(msi, held, offset, width, value);
    for offset in 0..256_u16 {
        for width in [1, 2, 4] {
            let wanted = match (offset, width) {
                (0xd2, 2) => Verdict::Pass(1),
                (0xe0, 4) => Verdict::Pass(0xff | 1),
                (0xd0..0xe8, _) => Verdict::Drop,
                _ => Verdict::Pass(1),
            };
            assert_eq!(judge(Held::Open, offset, width, 1), wanted, "{offset:#x} {width}");
        }
    }
    assert_eq!(judge(Held::Open, 0xe0, 4, 0), Verdict::Pass(0xfe), "vectors not in use stay masked");
    assert_eq!(judge(Held::Masked, 0xe0, 4, 0), Verdict::Pass(0xff));
    let without_mask = Msi::read(&network_card(), 0xd0);
    assert_eq!(msi_write(without_mask, Held::Open, 0xd2, 4, 7), Verdict::Pass(7));
}

#[test]
fn addresses() {
    let latch = Latch::new(0x12, 0xfa, 0x67);
    assert_eq!(latch, Latch(0x8012_fa64));
    assert_eq!((latch.bus(), latch.devfn(), latch.register()), (0x12, 0xfa, 0x64));
    assert!(latch.is_enabled() && !Latch(0x7fff_ffff).is_enabled());
    assert_eq!(offset_in_bus(0xfa, 0x123), 0xfa123);
    assert_eq!(at_offset_in_bus(0xfa123), (0xfa, 0x123));
}
