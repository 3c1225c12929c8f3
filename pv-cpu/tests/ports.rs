//! Who answers which port.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use common::host::Host;
use pv_cpu::ports::{read, write};

fn host(permitted: &[std::ops::RangeInclusive<u16>]) -> Host {
    Host { permitted: permitted.to_vec(), latch: 0x8000_1000, ..Host::default() }
}

#[track_caller]
fn reads(permitted: &[std::ops::RangeInclusive<u16>], port: u16, width: u8, value: u32, log: &[&str]) {
    let mut host = host(permitted);
    assert_eq!(read(&mut host, port, width), value);
    assert_eq!(host.log, log);
}

const ALL: &[std::ops::RangeInclusive<u16>] = &[0..=0xFFFF];

#[test]
fn latch_is_a_dword() {
    reads(ALL, 0xCF8, 4, 0x8000_1000, &[]);
    reads(&[], 0xCF8, 4, 0x8000_1000, &[]);
    reads(&[], 0xCF8, 2, 0xFFFF, &[]);
    reads(ALL, 0xCF8, 1, 0x1234_5678, &["in1 0xcf8"]);
    let mut host = host(&[]);
    write(&mut host, 0xCF8, 4, 0x8000_F804);
    write(&mut host, 0xCF8, 2, 0x1234);
    assert_eq!((host.latch, host.log.len()), (0x8000_F804, 0));
}

#[test]
fn configuration_data() {
    reads(&[], 0xCFC, 4, 0xCAFE_BABE, &["config read4 +0"]);
    reads(&[], 0xCFE, 2, 0xBABE, &["config read2 +2"]);
    reads(&[], 0xCFD, 1, 0xBE, &["config read1 +1"]);
    reads(&[], 0xCFD, 4, 0xFFBE_BABE, &["config read2 +1", "config read1 +3"]);
    let mut host = host(&[]);
    write(&mut host, 0xCFE, 4, 0x1122_3344);
    assert_eq!(host.log, ["config write2 +2 0x3344"]);
}

#[test]
fn clock_and_timer_are_never_direct() {
    reads(ALL, 0x70, 1, 0x70, &["clock read 0x70"]);
    reads(ALL, 0x70, 2, 0x7070, &["clock read 0x70", "clock read 0x71"]);
    reads(ALL, 0x6F, 2, 0x7078, &["in1 0x6f", "clock read 0x70"]);
    reads(&[], 0x61, 1, 0x42, &["timer read 0x61"]);
    reads(&[0x80..=0x80], 0x42, 2, 0x4242, &["timer read 0x42", "timer read 0x43"]);
    let mut host = host(ALL);
    write(&mut host, 0x71, 1, 0x55);
    write(&mut host, 0x70, 2, 0x0A0B);
    assert_eq!(host.log, ["clock write 0x71 0x55", "clock write 0x70 0xb", "clock write 0x71 0xa"]);
}

#[test]
fn nobody_reads_ones_and_swallows() {
    for (width, ones) in [(1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF)] {
        reads(&[], 0x3F8, width, ones, &[]);
        let mut host = host(&[]);
        write(&mut host, 0x3F8, width, 0);
        assert!(host.log.is_empty());
    }
}

#[test]
fn partly_permitted_accesses_are_taken_apart() {
    reads(&[0x81..=0x82], 0x80, 4, 0xFF78_78FF, &["in1 0x81", "in1 0x82"]);
    let mut host = host(&[0x81..=0x82]);
    write(&mut host, 0x80, 4, 0x1122_3344);
    assert_eq!(host.log, ["out1 0x81 0x33", "out1 0x82 0x22"]);
}

#[test]
fn the_last_port() {
    reads(ALL, 0xFFFF, 1, 0x1234_5678, &["in1 0xffff"]);
    // As on Xen, nothing wraps round to port 0.
    reads(ALL, 0xFFFE, 4, 0xFFFF_7878, &["in1 0xfffe", "in1 0xffff"]);
    reads(ALL, 0xFFFF, 4, 0xFFFF_FF78, &["in1 0xffff"]);
    let mut host = host(ALL);
    write(&mut host, 0xFFFF, 2, 0x1122);
    assert_eq!(host.log, ["out1 0xffff 0x22"]);
}
