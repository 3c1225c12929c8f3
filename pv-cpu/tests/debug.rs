//! Debug and control registers.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use abi::Errno;
use pv_cpu::control::{ControlRegisters, cr4};
use pv_cpu::debug::{DebugRegisters, Reload};

const DE: u64 = cr4::DEBUG_EXTENSIONS;

#[test]
fn numbers() {
    let mut debug = DebugRegisters::default();
    assert_eq!((debug.get(6, 0), debug.get(7, 0)), (Ok(0xFFFF_0FF0), Ok(0x400)));
    assert_eq!((debug.get(4, 0), debug.get(5, 0)), (Ok(0xFFFF_0FF0), Ok(0x400)));
    for index in [4, 5] {
        assert_eq!(debug.get(index, DE), Err(Errno::ENODEV));
        assert_eq!(debug.set(index, 0, DE), Err(Errno::ENODEV));
    }
    for index in [8, 9, 15, u32::MAX] {
        assert_eq!(debug.get(index, 0), Err(Errno::ENODEV));
        assert_eq!(debug.set(index, 0, 0), Err(Errno::ENODEV));
    }
}

#[test]
fn addresses() {
    let mut debug = DebugRegisters::default();
    for (address, allowed) in [
        (0, true),
        (0x7FFF_FFFF_FFFF, true),
        (0x8000_0000_0000, false),
        (0xFFFF_8000_0000_0000, false),
        (0xFFFF_87FF_FFFF_FFFF, false),
        (0xFFFF_8800_0000_0000, true),
        (u64::MAX, true),
    ] {
        for index in 0..4 {
            let old = debug.get(index, 0).unwrap();
            let verdict = debug.set(index, address, 0);
            assert_eq!(verdict, if allowed { Ok(Reload::Nothing) } else { Err(Errno::EPERM) });
            assert_eq!(debug.get(index, 0), Ok(if allowed { address } else { old }));
        }
    }
}

#[test]
fn reserved_bits_and_control() {
    let mut debug = DebugRegisters::default();
    assert_eq!(debug.set(6, 0, 0), Ok(Reload::Nothing));
    assert_eq!(debug.get(6, 0), Ok(0xFFFF_0FF0));
    assert_eq!(debug.set(6, 0xFFFF_FFFF, 0), Ok(Reload::Nothing));
    assert_eq!(debug.get(6, 0), Ok(0xFFFF_EFFF));
    for index in 4..8 {
        assert_eq!(debug.set(index, 1 << 32, 0), Err(Errno::EINVAL));
        assert_eq!(debug.set(index, u64::MAX, 0), Err(Errno::EINVAL));
    }
    assert_eq!(debug.set(7, 1 << 13, 0), Err(Errno::EPERM));
    assert_eq!(debug.set(7, 0xD801, 0), Ok(Reload::All));
    assert_eq!(debug.get(7, 0), Ok(0x401));
    assert_eq!(debug.set(0, 0x1000, 0), Ok(Reload::All), "breakpoints are armed");
    assert_eq!(debug.set(7, 0, 0), Ok(Reload::All), "and have to be disarmed");
    assert_eq!(debug.set(7, 0, 0), Ok(Reload::Nothing));
}

#[test]
fn io_breakpoints() {
    let mut debug = DebugRegisters::default();
    // Kind 2 in breakpoint 1, enabled: only with CR4.DE. Disabled everywhere, kinds do not matter.
    assert_eq!(debug.set(7, 2 << 20 | 4, 0), Err(Errno::EPERM));
    assert_eq!(debug.set(7, 2 << 20, 0), Ok(Reload::Nothing));
    assert_eq!(debug.set(1, 0x60, DE), Ok(Reload::Nothing));
    assert_eq!(debug.set(7, 2 << 20 | 3 << 22 | 4, DE), Ok(Reload::Nothing));
    assert_eq!(debug.hardware_dr7() & 0xFF, 0);
    assert_eq!(debug.io_matches(0x5F, 1), 0);
    assert_eq!(debug.io_matches(0x5F, 2), 2);
    assert_eq!(debug.io_matches(0x63, 1), 2);
    assert_eq!(debug.io_matches(0x64, 4), 0);
    assert_eq!(debug.io_matches(0xFFFF, 4), 0);
}

#[test]
fn cr4_keeps_the_guests_choice_within_its_policy() {
    let host = 0x35_06E0;
    let mut control = ControlRegisters::new(host);
    assert_eq!(control.cr4(), 0x660);
    control.set_cr4(u64::MAX, cr4::GUEST_CHOICE, host);
    assert_eq!(control.cr4(), 0x5_066C);
    assert_eq!(control.hardware_cr4(host), host | 0x1_000C);
    control.set_cr4(u64::MAX, cr4::OSXSAVE | 1 << 20, host);
    assert_eq!(control.cr4(), 0x4_0660);
    control.set_cr4(0, u64::MAX, host);
    assert_eq!((control.cr4(), control.hardware_cr4(host)), (0x660, host & !0x1_0000));
}
