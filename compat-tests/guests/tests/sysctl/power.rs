//! get_pmstat and pm_op, on a machine whose firmware told nobody of power states.

use compat_guests::control::{make, sysctl};
use compat_guests::report::{result, value_at};

pub fn all() {
    for kind in [0x11u32, 0x12, 0x13, 0x21, 0x22, 0x23, 0x10, 0x20, 0x31, 0, 0x24] {
        for cpu in [0u32, 1, 2, 1000] {
            let mut request = sysctl(10).u32(8, kind).u32(12, cpu);
            result(format_args!("pmstat.{kind:x}.{cpu}"), make(&mut request));
            if kind == 0x21 {
                value_at(format_args!("pmstat.{kind:x}.{cpu}.value"), request.get_u32(16).into());
            }
        }
    }
    let mut request = sysctl(10).u32(8, 0x22).u32(12, 0);
    result(format_args!("cxstat"), make(&mut request));
    for offset in [16, 20, 48, 52] {
        value_at(format_args!("cxstat.{offset}"), request.get_u32(offset).into());
    }
    for command in [0x11u32, 0x12, 0x13, 0x14, 0x15, 0x16, 0x20, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x30, 0] {
        for cpu in [0u32, 1, 2, 1000] {
            let mut request = sysctl(12).u32(8, command).u32(12, cpu);
            result(format_args!("pm.{command:x}.{cpu}"), make(&mut request));
            value_at(format_args!("pm.{command:x}.{cpu}.0"), request.get_u32(16).into());
        }
    }
    for value in [0u32, 1, 100] {
        result(format_args!("pm.set_cstate.{value}"), make(&mut sysctl(12).u32(8, 0x23).u32(16, value)));
        let mut request = sysctl(12).u32(8, 0x22);
        result(format_args!("pm.get_cstate.{value}"), make(&mut request));
        value_at(format_args!("pm.get_cstate.{value}.value"), request.get_u32(16).into());
        value_at(format_args!("pm.get_cstate.{value}.second"), request.get_u32(20).into());
    }
}
