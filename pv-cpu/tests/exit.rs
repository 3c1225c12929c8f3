//! The exit predicate: all flags, all selectors, and rip around the canonical hole.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use pv_cpu::exit::{ReturnPath, Violation, check_return};
use pv_cpu::registers::Registers;

fn sane() -> Registers {
    Registers {
        cs: 0xE033,
        ss: 0xE02B,
        rflags: 0x202,
        rip: 0x40_0000,
        entry_vector: Registers::SYSCALL,
        ..Registers::default()
    }
}

/// Bits that may differ from guest to guest: CF PF AF ZF SF TF DF OF NT RF AC ID.
const FREE: u64 = 0x25_4DD5;

#[test]
fn every_combination_of_defined_flags() {
    for flags in 0..1u64 << 22 {
        let verdict = check_return(&Registers { rflags: flags, ..sane() });
        let allowed = flags & 0x202 == 0x202 && flags & !FREE & !0x202 == 0;
        match verdict {
            Ok(path) => {
                assert!(allowed, "{flags:#x}");
                assert_eq!(path == ReturnPath::Iret, flags & 1 << 16 != 0, "{flags:#x}");
            }
            Err(Violation::Flags(found)) => assert!(!allowed && found == flags, "{flags:#x}"),
            Err(other) => panic!("{flags:#x}: {other:?}"),
        }
    }
    for bit in 22..64 {
        assert!(check_return(&Registers { rflags: 0x202 | 1 << bit, ..sane() }).is_err());
    }
}

#[test]
fn every_selector() {
    for selector in 0..=u16::MAX {
        let word = u64::from(selector);
        let code = check_return(&Registers { cs: word, ..sane() });
        let stack = check_return(&Registers { ss: word, ..sane() });
        if selector & 3 != 3 {
            assert_eq!(code, Err(Violation::CodeSelector(selector)));
            assert_eq!(stack, Err(Violation::StackSelector(selector)));
            continue;
        }
        let path = |flat| Ok(if selector == flat { ReturnPath::Sysret } else { ReturnPath::Iret });
        assert_eq!(code, path(0xE033));
        assert_eq!(stack, path(0xE02B));
    }
}

#[test]
fn sysret_needs_a_canonical_rip_and_its_marker() {
    for (rip, path) in [
        (0, ReturnPath::Sysret),
        (0x7FFF_FFFF_FFFF, ReturnPath::Sysret),
        (0x8000_0000_0000, ReturnPath::Iret),
        (0x8000_0000_0001, ReturnPath::Iret),
        (0xFFFF_7FFF_FFFF_FFFF, ReturnPath::Iret),
        (0xFFFF_8000_0000_0000, ReturnPath::Sysret),
        (u64::MAX, ReturnPath::Sysret),
        (1 << 63, ReturnPath::Iret),
    ] {
        assert_eq!(check_return(&Registers { rip, ..sane() }), Ok(path), "{rip:#x}");
    }
    assert_eq!(check_return(&Registers { entry_vector: 14, ..sane() }), Ok(ReturnPath::Iret));
}
