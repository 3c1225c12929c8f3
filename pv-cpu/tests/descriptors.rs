//! Descriptors: every access byte, every call gate target.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use abi::Errno;
use pv_cpu::descriptor::Descriptor;

fn flat(access: u64) -> u64 {
    0x00CF_0000_0000_FFFF | access << 40
}

#[test]
fn every_access_byte() {
    for access in 0..=0xFFu64 {
        let raw = flat(access) & !(0xFF << 32);
        let verdict = Descriptor(raw).checked();
        let present = access & 0x80 != 0;
        let code_or_data = access & 0x10 != 0;
        let kind = access & 0xF;
        if !present || access & 0x1F == 0 {
            assert_eq!(verdict, Ok(Descriptor(raw)), "{access:#x}");
        } else if code_or_data {
            assert_eq!(verdict, Ok(Descriptor(raw | 3 << 45)), "{access:#x}");
        } else if kind == 0xC {
            // The selector is 0, which is in the guest's part.
            assert_eq!(verdict, Ok(Descriptor(raw & !(3 << 45) | 3 << 16)), "{access:#x}");
        } else {
            assert_eq!(verdict, Err(Errno::EINVAL), "{access:#x}");
        }
    }
}

#[test]
fn every_call_gate_target() {
    for selector in 0..=0xFFFFu64 {
        let gate = 0x8C << 40 | selector << 16 | 0x1234;
        let allowed = selector >> 3 < 7168 || selector & 4 != 0 || selector == 0xE033;
        let expected = if allowed { Ok(Descriptor(gate | 3 << 16)) } else { Err(Errno::EINVAL) };
        assert_eq!(Descriptor(gate).checked(), expected, "{selector:#x}");
    }
    for bit in 32..40 {
        assert!(Descriptor(0x8C << 40 | 1 << bit).checked().is_err());
    }
}

#[test]
fn checking_twice_changes_nothing_more() {
    for raw in [flat(0x92), flat(0x9A), flat(0xFB), 0x8C00_0008_0000, 0, !(1 << 44 | 1 << 47)] {
        let once = Descriptor(raw).checked().unwrap();
        assert_eq!(once.checked(), Ok(once));
    }
}
