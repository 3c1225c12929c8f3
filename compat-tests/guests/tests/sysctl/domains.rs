//! getdomaininfolist, and domctl's getdomaininfo where it says the same.

use compat_guests::buffer::Buffer;
use compat_guests::control::{make, sysctl};
use compat_guests::report::{check, result, value_at};

pub fn all() {
    for (first, maximum) in [(0u16, 0u32), (0, 1), (0, 5), (1, 5), (0x7ff0, 1), (0x7fef, 1), (0xffff, 1)] {
        let mut list = Buffer::<1024>::filled(0x55);
        let mut request = sysctl(6).u16(8, first).u32(12, maximum).u64(16, list.address());
        result(format_args!("list.{first:x}.{maximum}"), make(&mut request));
        value_at(format_args!("list.{first:x}.{maximum}.count"), request.get_u32(24).into());
        value_at(format_args!("list.{first:x}.{maximum}.first"), request.get_u16(8).into());
        value_at(format_args!("list.{first:x}.{maximum}.written"), u64::from(list.get_u64(8) != 0x5555_5555_5555_5555));
        if maximum == 5 && first == 0 && request.get_u32(24) != 0 {
            own(&list);
        }
    }
    result(format_args!("list.bad"), make(&mut sysctl(6).u32(12, 1).u64(16, 0xffff_8000_0000_0000)));
    result(format_args!("list.unmapped"), make(&mut sysctl(6).u32(12, 1).u64(16, 0x1000)));
}

fn own(list: &Buffer<1024>) {
    for offset in [0, 4, 8, 12, 24, 28, 32, 36, 40, 44, 64, 68, 72, 76, 80, 84, 88, 92, 96, 100, 104, 108, 112, 116] {
        // Total and maximum pages are given in full below, the shared page's frame and the running time are not comparable.
        if offset != 8 && offset != 12 {
            value_at(format_args!("list.own.{offset}"), list.get_u32(offset).into());
        }
    }
    value_at(format_args!("list.own.max_pages"), list.get_u64(16));
    let (total, time) = (list.get_u64(8), list.get_u64(56));
    check("list.own.total", (0x7f00..=0x8000).contains(&total).into(), format_args!("{total:#x}"));
    check("list.own.time", (time > 100_000).into(), format_args!("{time}"));
}
