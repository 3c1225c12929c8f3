//! xen_version and console_io: what guests read off the hypervisor, and who may.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::Errno;
use abi::console::ConsoleOperation;
use abi::features::Feature;
use abi::version::{CompileInfo, FeatureInfo, VersionOperation as Version};
use abi::vm_assist::Assist;
use common::{BASE, Fake, at, errno, hypervisor, nowhere, preempted};
use hypercalls::op::console::console_io;
use hypercalls::op::version::xen_version;

fn text(host: &Fake, len: usize) -> String {
    let bytes: Vec<u8> = (0..len as u64).map(|index| host.memory.get::<u8>(BASE + index)).collect();
    let end = bytes.iter().position(|byte| *byte == 0).expect("terminated");
    assert!(bytes[end..].iter().all(|byte| *byte == 0), "nothing behind the text");
    String::from_utf8(bytes[..end].to_vec()).expect("text")
}

#[test]
fn version_is_4_17_whatever_the_pointer() {
    assert_eq!(xen_version(&mut Fake::unprivileged(), Version::VERSION, hypervisor()), Ok(4 << 16 | 17));
}

#[test]
fn another_version_is_answered_where_it_was_asked_for() {
    let mut host = Fake { minor: 20, ..Fake::unprivileged() };
    assert_eq!(xen_version(&mut host, Version::VERSION, hypervisor()), Ok(4 << 16 | 20));
    host.memory.put(BASE, &[0xA5u8; 2048]);
    assert_eq!(xen_version(&mut host, Version::EXTRAVERSION, at(0)), Ok(0));
    assert_eq!(text(&host, 16), "-xenolith", "no point release of another Xen");
}

#[test]
fn texts_fill_their_fields() {
    let mut host = Fake::new();
    host.memory.put(BASE, &[0xA5u8; 2048]);
    assert_eq!(xen_version(&mut host, Version::EXTRAVERSION, at(0)), Ok(0));
    assert_eq!(text(&host, 16), ".7-xenolith");
    assert_eq!(xen_version(&mut host, Version::CAPABILITIES, at(0)), Ok(0));
    assert_eq!(text(&host, 1024), "xen-3.0-x86_64 ");
    assert_eq!(xen_version(&mut host, Version::CHANGESET, at(0)), Ok(0));
    assert_eq!(text(&host, 64), "abc");
    assert_eq!(xen_version(&mut host, Version::COMPILE_INFO, at(0)), Ok(0));
    let info: CompileInfo = host.memory.get(BASE);
    assert_eq!(&info.compile_by, b"someone with a \0", "cut off, still terminated");
}

#[test]
fn pointers_are_checked() {
    for operation in [1, 2, 3, 4, 5, 6, 8, 9].map(Version) {
        for pointer in [nowhere(), hypervisor()] {
            assert_eq!(errno(xen_version(&mut Fake::new(), operation, pointer)), Errno::EFAULT, "{operation:?}");
        }
    }
    assert_eq!(xen_version(&mut Fake::new(), Version::PAGESIZE, abi::GuestHandle::new(0)), Ok(4096));
    assert_eq!(errno(xen_version(&mut Fake::new(), Version::PAGESIZE, at(0))), Errno::EINVAL);
}

#[test]
fn features_tell_dom0_from_others() {
    let ask = |mut host: Fake, submap_index| {
        host.memory.put(BASE, &FeatureInfo { submap_index, submap: 0 });
        xen_version(&mut host, Version::GET_FEATURES, at(0))
            .map(|_| u64::from(host.memory.get::<FeatureInfo>(BASE).submap))
    };
    let common = 1u64 << 5 | 1 << 6 | 1 << 7 | 1 << 13 | 1 << 17;
    assert_eq!(ask(Fake::unprivileged(), 0), Ok(common));
    assert_eq!(ask(Fake::new(), 0), Ok(common | u64::from(Feature::DOM0.mask())));
    let assisted = Fake { assist: Assist::PAE_EXTENDED_CR3.mask(), ..Fake::unprivileged() };
    assert_eq!(ask(assisted, 0), Ok(common | 1 << 4));
    assert_eq!(errno(ask(Fake::new(), 1)), Errno::EINVAL);
}

#[test]
fn command_line_and_build_id_are_for_the_control_domain() {
    let mut host = Fake::new();
    host.memory.put(BASE, &[0xA5u8; 1024]);
    assert_eq!(xen_version(&mut host, Version::COMMANDLINE, at(0)), Ok(0));
    assert_eq!(text(&host, 1024), "dom0_mem=512M");
    let mut other = Fake::unprivileged();
    other.memory.put(BASE, &[0xA5u8; 1024]);
    assert_eq!(xen_version(&mut other, Version::COMMANDLINE, at(0)), Ok(0));
    assert_eq!(text(&other, 9), "<denied>");
    assert_eq!(other.memory.get::<u8>(BASE + 9), 0xA5, "only the refusal is written");
    assert_eq!(errno(xen_version(&mut other, Version::BUILD_ID, abi::GuestHandle::new(0))), Errno::EPERM);
}

#[test]
fn build_id_reports_its_size() {
    let mut host = Fake::new();
    assert_eq!(xen_version(&mut host, Version::BUILD_ID, abi::GuestHandle::new(0)), Ok(20));
    for (room, expected) in [(0, Errno::EINVAL), (19, Errno::ENOBUFS)] {
        host.next_call().memory.put(BASE, &u32::to_le_bytes(room));
        assert_eq!(errno(xen_version(&mut host, Version::BUILD_ID, at(0))), expected);
    }
    host.next_call().memory.put(BASE, &20u32);
    assert_eq!(xen_version(&mut host, Version::BUILD_ID, at(0)), Ok(20));
    assert_eq!(host.memory.get::<[u8; 20]>(BASE + 4), [7; 20]);
    let mut without = Fake { build_id: &[], ..Fake::new() };
    assert_eq!(errno(xen_version(&mut without, Version::BUILD_ID, at(0))), Errno::ENODATA);
}

#[test]
fn texts_of_any_length_are_not_cut_off() {
    let mut host = Fake::new();
    for (operation, expected) in [
        (Version::CAPABILITIES2, "xen-3.0-x86_64 "),
        (Version::CHANGESET2, "abc"),
        (Version::COMMANDLINE2, "dom0_mem=512M"),
    ] {
        let length = expected.len() as u64;
        host.next_call();
        assert_eq!(xen_version(&mut host, operation, abi::GuestHandle::new(0)), Ok(length));
        for room in [0, length as u32 - 1] {
            host.next_call().memory.put(BASE, &[0xA5_u8; 64]);
            host.memory.put(BASE, &room);
            assert_eq!(errno(xen_version(&mut host, operation, at(0))), Errno::ENOBUFS);
        }
        host.next_call().memory.put(BASE, &40_u32);
        assert_eq!(xen_version(&mut host, operation, at(0)), Ok(length));
        let written: Vec<u8> = (0..length).map(|offset| host.memory.get(BASE + 4 + offset)).collect();
        assert_eq!(written, expected.as_bytes());
        assert_eq!(host.memory.get::<u8>(BASE + 4 + length), 0xA5, "no NUL");
    }
    let mut other = Fake::unprivileged();
    assert_eq!(xen_version(&mut other, Version::COMMANDLINE2, abi::GuestHandle::new(0)), Ok(8), "<denied>");
}

#[test]
fn console_writes_in_preemptible_pieces() {
    let mut host = Fake::new();
    let message: Vec<u8> = (0..1000u32).map(|index| b'a' + (index % 26) as u8).collect();
    host.memory.put(BASE, message.as_slice());
    host.budget.set(Some(2));
    let mut arguments = preempted(console_io(&mut host, ConsoleOperation::WRITE, 1000, at(0)));
    assert_eq!(host.console_output.len(), 3 * 128);
    let mut rounds = 1;
    loop {
        host.next_call().budget.set(Some(0));
        let [operation, count, buffer, ..] = arguments;
        let operation = ConsoleOperation(operation as u32);
        match console_io(&mut host, operation, count as u32, abi::GuestHandle::new(buffer)) {
            Ok(value) => break assert_eq!(value, 0),
            reply => arguments = preempted(reply),
        }
        rounds += 1;
    }
    assert_eq!((host.console_output, rounds), (message, 5), "each round gets one piece on");
}

#[test]
fn console_is_for_those_who_may() {
    let mut host = Fake::unprivileged();
    assert_eq!(errno(console_io(&mut host, ConsoleOperation::WRITE, 1, at(0))), Errno::EPERM);
    assert_eq!(errno(console_io(&mut host, ConsoleOperation(9), 1, at(0))), Errno::EPERM);
    host.console_domain = true;
    assert_eq!(console_io(&mut host, ConsoleOperation::WRITE, 1, at(0)), Ok(0));
    assert_eq!(errno(console_io(&mut Fake::new(), ConsoleOperation(2), 1, at(0))), Errno::ENOSYS);
    assert_eq!(errno(console_io(&mut Fake::new(), ConsoleOperation::WRITE, 1, nowhere())), Errno::EFAULT);
    assert_eq!(console_io(&mut Fake::new(), ConsoleOperation::WRITE, 0, nowhere()), Ok(0));
}

#[test]
fn console_input_survives_a_fault() {
    let mut host = Fake::new();
    host.console_input.extend(b"hello");
    assert_eq!(errno(console_io(&mut host, ConsoleOperation::READ, 16, nowhere())), Errno::EFAULT);
    assert_eq!(console_io(&mut host, ConsoleOperation::READ, 3, at(0)), Ok(3));
    assert_eq!(console_io(&mut host, ConsoleOperation::READ, 300, at(3)), Ok(2));
    assert_eq!(host.memory.get::<[u8; 5]>(BASE), *b"hello");
    assert_eq!(console_io(&mut host, ConsoleOperation::READ, 300, at(0)), Ok(0));
    assert_eq!(errno(console_io(&mut host, ConsoleOperation::READ, 1 << 31, at(0))), Errno::E2BIG);
}
