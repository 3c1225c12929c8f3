//! Configuration space by the data ports and by the memory window.

use compat_guests::buffer::Buffer;
use compat_guests::memory;
use compat_guests::pci::{in32, out32, physdev, read, write};
use compat_guests::report::{result, value_at};

/// The data ports and the latch.
pub fn space() {
    for (offset, width) in [(0u32, 1u32), (1, 1), (0, 2), (1, 2), (2, 2), (3, 2), (0, 4)] {
        value_at(format_args!("config.{offset}.{width}"), read(0xf8, offset, width).into());
    }
    out32(0xcf8, 0x1234_5678);
    let value = in32(0xcf8);
    value_at(format_args!("config.latch"), value.into());
    out32(0xcf8, 0x0000_f800);
    let value = in32(0xcfc);
    value_at(format_args!("config.disabled"), value.into());
    out32(0xcf8, 0x8100_f800);
    let value = in32(0xcfc);
    value_at(format_args!("config.extended"), value.into());
    write(0xf8, 0, 4, 0x1234_5678);
    value_at(format_args!("config.identity"), read(0xf8, 0, 4).into());
    write(0xf8, 0x3c, 1, 0x77);
    value_at(format_args!("config.line"), read(0xf8, 0x3c, 1).into());
}

fn window(address: u64, segment: u16, first: u16, last: u16, flags: u32) -> i64 {
    let mut argument = Buffer::<16>::new().u64(0, address).u16(8, segment).u16(10, first | last << 8).u32(12, flags);
    physdev(24, &mut argument)
}

/// The memory windows, and what becomes of stores to them.
pub fn windows() {
    let base = u64::from(read(0, 0x60, 4) & !0xfff_ffff);
    value_at(format_args!("mmcfg.base"), base);
    let page = memory::window((base >> 12) + 0xf8);
    if let Some(page) = page {
        value_at(format_args!("mmcfg.entry-before"), memory::l1_entry(page) & 0xfff);
        value_at(format_args!("mmcfg.read-before"), memory::read(page) & 0xffff_ffff);
    }
    for (label, address, segment, first, last, flags) in [
        ("elsewhere", base + 0x1000_0000, 0u16, 0u16, 255u16, 1u32),
        ("segment", base, 1, 0, 255, 1),
        ("buses", base, 0, 1, 255, 1),
        ("buses2", base, 0, 0, 254, 1),
        ("unreserved", base, 0, 0, 255, 0),
        ("unreserved-again", base, 0, 0, 255, 0),
        ("good", base, 0, 0, 255, 1),
        ("good-again", base, 0, 0, 255, 1),
        ("flags", base, 0, 0, 255, 0xffff_fffe),
        ("flags2", base, 0, 0, 255, 0xffff_ffff),
    ] {
        result(format_args!("mmcfg.{label}"), window(address, segment, first, last, flags));
        if (label.starts_with("unre") || label == "good")
            && let Some(page) = memory::window((base >> 12) + 0xf8)
        {
            value_at(format_args!("mmcfg.{label}.entry"), memory::l1_entry(page) & 0xfff);
        }
    }
    if let Some(page) = memory::window((base >> 12) + 0xf8) {
        value_at(format_args!("mmcfg.read"), memory::read(page) & 0xffff_ffff);
        value_at(format_args!("mmcfg.write"), compat_guests::trap::try_write(page + 0x38, 0x1234_5678).is_err().into());
        let word = (page + 0x3c) as *mut u32;
        // SAFETY: a mapped page of configuration space; the write is emulated.
        unsafe { word.write_volatile(0x55) };
        value_at(format_args!("mmcfg.written"), memory::read(page + 0x38) >> 32);
        value_at(format_args!("mmcfg.written-port"), read(0xf8, 0x3c, 4).into());
        let byte = (page + 0x3c) as *mut u8;
        // SAFETY: as above.
        unsafe { byte.write_volatile(0x66) };
        value_at(format_args!("mmcfg.written-byte"), memory::read(page + 0x38) >> 32);
        let half = (page + 0x3c) as *mut u16;
        // SAFETY: as above.
        unsafe { half.write_volatile(0x99) };
        value_at(format_args!("mmcfg.written-half"), memory::read(page + 0x38) >> 32);
    }
}
