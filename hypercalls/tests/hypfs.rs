//! hypfs_op: paths, room, contents, and what may be written.
#![allow(clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::hypfs::{HypfsEntry, HypfsOperation as Op, HypfsType};
use abi::{Errno, GuestHandle};
use common::{BASE, Fake, at, errno, hypervisor, nowhere};
use hypercalls::op::hypfs::{Extent, hypfs};
use hypercalls::outcome::Reply;

const DATA: u64 = 0x800;

fn extent(offset: u64, length: u64) -> Extent {
    Extent { at: at(offset), length }
}

fn at_path(host: &mut Fake, operation: Op, path: &str, data: Extent) -> Reply {
    let bytes: Vec<u8> = path.bytes().chain([0]).collect();
    for (offset, byte) in (0..).zip(&bytes) {
        host.memory.put(BASE + offset, byte);
    }
    host.next_call();
    hypfs(host, operation, extent(0, bytes.len() as u64), data)
}

fn read(host: &mut Fake, path: &str, room: u64) -> Reply {
    at_path(host, Op::READ, path, extent(DATA, room))
}

fn entry(host: &Fake) -> HypfsEntry {
    host.memory.get(BASE + DATA)
}

/// The content of what was read.
fn content(host: &Fake) -> Vec<u8> {
    (0..u64::from(entry(host).content_len)).map(|offset| host.memory.get(BASE + DATA + 12 + offset)).collect()
}

/// Names in a directory, with the entries' lengths.
fn names(host: &mut Fake, path: &str) -> Vec<(String, u16)> {
    assert_eq!(read(host, path, 0x700), Ok(0));
    assert_eq!(entry(host).kind, HypfsType::DIRECTORY);
    let bytes = content(host);
    let (mut found, mut offset) = (vec![], 0);
    while offset < bytes.len() {
        let next = u16::from_le_bytes([bytes[offset + 12], bytes[offset + 13]]);
        let name: Vec<u8> = bytes[offset + 14..].iter().copied().take_while(|byte| *byte != 0).collect();
        found.push((String::from_utf8(name).unwrap_or_default(), next));
        offset = if next == 0 { bytes.len() } else { offset + usize::from(next) };
    }
    found
}

fn write(host: &mut Fake, path: &str, content: &[u8]) -> Reply {
    for (offset, byte) in (0..).zip(content) {
        host.memory.put(BASE + DATA + offset, byte);
    }
    at_path(host, Op::WRITE_CONTENTS, path, extent(DATA, content.len() as u64))
}

#[test]
fn directories_list_their_entries() {
    let mut host = Fake::new();
    let named = |list: &[(&str, u16)]| list.iter().map(|(name, next)| (name.to_string(), *next)).collect::<Vec<_>>();
    assert_eq!(names(&mut host, "/"), named(&[("buildinfo", 26), ("cpupool", 22), ("params", 0)]));
    assert_eq!(names(&mut host, "/buildinfo/version"), named(&[("extra", 22), ("major", 22), ("minor", 0)]));
    assert_eq!(names(&mut host, "/cpupool"), named(&[("0", 22), ("5", 0)]));
    assert_eq!(names(&mut host, "/cpupool/5/"), named(&[("sched-gran", 0)]));
    assert_eq!(names(&mut host, "/params").len(), 4);
}

#[test]
fn contents_are_read_whole_or_not_at_all() {
    let mut host = Fake::new();
    assert_eq!(read(&mut host, "/buildinfo/compileinfo/compiler", 100), Ok(0));
    assert_eq!((content(&host).as_slice(), entry(&host).kind), (&b"rustc\0"[..], HypfsType::STRING));
    assert_eq!(read(&mut host, "/buildinfo/version/minor", 16), Ok(0));
    assert_eq!((content(&host).as_slice(), entry(&host).kind), (&[17, 0, 0, 0][..], HypfsType::UNSIGNED));
    for (room, expected) in [(0, Errno::EINVAL), (11, Errno::EINVAL), (12, Errno::ENOBUFS), (15, Errno::ENOBUFS)] {
        host.memory.put(BASE + DATA, &[0x55_u8; 32]);
        assert_eq!(errno(read(&mut host, "/buildinfo/version/minor", room)), expected);
        let length = if room < 12 { 0x5555_5555 } else { 4 };
        assert_eq!(entry(&host).content_len, length, "room for {room}");
        assert_eq!(host.memory.get::<u8>(BASE + DATA + 12), 0x55);
    }
    assert_eq!(errno(at_path(&mut host, Op::READ, "/", Extent { at: nowhere(), length: 100 })), Errno::EFAULT);
}

#[test]
fn paths_are_exact() {
    let mut host = Fake::new();
    for path in [
        "//",
        "/nothing",
        "/buildinfo//version",
        "/buildinfo/changeset/",
        "/buildinfo/changeset/x",
        "/cpupool/1",
        "/cpupool/x",
        "/./params",
        "/PARAMS",
        "/param",
    ] {
        assert_eq!(errno(read(&mut host, path, 0x700)), Errno::ENOENT, "{path}");
    }
    for path in ["", "buildinfo"] {
        assert_eq!(errno(read(&mut host, path, 0x700)), Errno::EINVAL, "{path}");
    }
    assert_eq!(read(&mut host, "/cpupool/00", 0x700), Ok(0));
    host.memory.put(BASE, b"/params\0\0");
    for length in [0, 1, 2, 7, 9, 1025, u64::MAX] {
        host.next_call();
        let reply = hypfs(&mut host, Op::READ, extent(0, length), extent(DATA, 0x700));
        assert_eq!(errno(reply), Errno::EINVAL, "{length}");
    }
    let bad = Extent { at: hypervisor(), length: 5 };
    assert_eq!(errno(hypfs(&mut host, Op::READ, bad, extent(DATA, 0x700))), Errno::EFAULT);
}

#[test]
fn parameters_are_written_and_nothing_else() {
    let mut host = Fake::new();
    assert_eq!(write(&mut host, "/params/loglvl", b"all\0"), Ok(0));
    assert_eq!(write(&mut host, "/params/gnttab_max_frames", b"0x40\0"), Ok(0));
    assert_eq!(write(&mut host, "/cpupool/0/sched-gran", b"cpu\0"), Ok(0));
    assert_eq!(host.take_effects(), ["parameter (LogLevel, \"all\")", "parameter (GrantFrames, \"0x40\")"]);
    for text in [&b"all"[..], b"", b"\0\0", b"a\0b\0", b"01234567890123456\0", &[b'a'; 100]] {
        assert_eq!(errno(write(&mut host, "/params/loglvl", text)), Errno::EDOM, "{text:?}");
    }
    for (path, expected) in [
        ("/", Errno::EACCES),
        ("/params", Errno::EACCES),
        ("/buildinfo/version/major", Errno::EACCES),
        ("/buildinfo/changeset", Errno::EACCES),
        ("/cpupool/0", Errno::EACCES),
        ("/cpupool/0/sched-gran", Errno::EINVAL),
        ("/nothing", Errno::ENOENT),
    ] {
        assert_eq!(errno(write(&mut host, path, b"core\0")), expected, "{path}");
    }
    assert!(host.take_effects().is_empty());
    let nowhere = Extent { at: nowhere(), length: 4 };
    assert_eq!(errno(at_path(&mut host, Op::WRITE_CONTENTS, "/params/loglvl", nowhere)), Errno::EFAULT);
}

#[test]
fn the_version_takes_no_arguments() {
    let none = Extent { at: GuestHandle::new(0), length: 0 };
    assert_eq!(hypfs(&mut Fake::new(), Op::GET_VERSION, none, none), Ok(1));
    assert_eq!(errno(hypfs(&mut Fake::new(), Op::GET_VERSION, none, extent(0, 0))), Errno::EINVAL);
    assert_eq!(errno(hypfs(&mut Fake::unprivileged(), Op::GET_VERSION, none, none)), Errno::EPERM);
}
