//! Each operation answers as its row says: every number of a family, named or not, is called and held against the rows.

mod common;

use abi::domctl::{DOMCTL_INTERFACE_VERSION, Domctl, DomctlOperation};
use abi::layout::Number;
use abi::platform::{PLATFORM_INTERFACE_VERSION, PlatformOp, PlatformOperation};
use abi::sysctl::{SYSCTL_INTERFACE_VERSION, Sysctl, SysctlOperation};
use abi::{DomainId, Errno, GuestHandle, VcpuId};
use common::{BASE, Fake, at};
use hypercalls::op::{console, domctl, hypfs, memory, physdev, platform, sched, sysctl, vcpu, version};
use hypercalls::outcome::{Failure, Reply};
use hypercalls::table::{Row, State};

/// Numbers tried in each family, well beyond the last named one.
const NUMBERS: u32 = 64 + 16;

/// A control domain with a memory map, so that nothing is refused for want of one; its argument is zeros.
fn host() -> Fake {
    Fake { domain_map: vec![abi::memory::E820Entry::new(0, 4096, 1)], ..Fake::new() }
}

/// Holds the answers to `call` against `rows`. `absent` says what each absent operation must answer.
#[track_caller]
fn check(rows: &[Row], named: &[Number], absent: impl Fn(u32) -> Reply, call: impl Fn(&mut Fake, u32) -> Reply) {
    for name in named {
        let count = rows.iter().filter(|row| i64::from(row.number) == name.value && row.name == name.name).count();
        assert_eq!(count, 1, "{} has {count} rows", name.name);
    }
    assert_eq!(rows.len(), named.len(), "rows for numbers without a name");
    for number in 0..NUMBERS {
        let reply = call(&mut host(), number);
        let unknown = Err(Failure::Errno(Errno::ENOSYS));
        match rows.iter().find(|row| row.number == number).map(|row| row.state) {
            Some(State::Works(_)) => assert_ne!(reply, unknown, "{number} works, but answers ENOSYS"),
            Some(State::Absent(why)) => assert_eq!(reply, absent(number), "{number}: {why}"),
            Some(State::Missing(_)) | None => assert_eq!(reply, unknown, "{number} is not there"),
        }
    }
}

fn error(errno: Errno) -> Reply {
    Err(Failure::Errno(errno))
}

fn unknown(_number: u32) -> Reply {
    error(Errno::ENOSYS)
}

#[test]
fn version() {
    check(version::ROWS, abi::version::VersionOperation::NAMED, unknown, |host, number| {
        // page size wants no pointer
        let argument = if number == 7 { GuestHandle::new(0) } else { at(0) };
        version::xen_version(host, abi::version::VersionOperation(number), argument)
    });
}

#[test]
fn console() {
    check(console::ROWS, abi::console::ConsoleOperation::NAMED, unknown, |host, number| {
        console::console_io(host, abi::console::ConsoleOperation(number), 4, at(0))
    });
}

#[test]
fn sched() {
    check(sched::ROWS, abi::sched::SchedOperation::NAMED, unknown, |host, number| {
        sched::sched(host, abi::sched::SchedOperation(number), at(0))
    });
}

#[test]
fn vcpu() {
    check(vcpu::ROWS, abi::vcpu::VcpuOperation::NAMED, unknown, |host, number| {
        vcpu::vcpu(host, abi::vcpu::VcpuOperation(number), VcpuId(0), at(0))
    });
}

#[test]
fn memory() {
    let absent = |number| match number {
        7 | 15 | 23 => error(Errno::EACCES),
        16 | 17 => error(Errno::EINVAL),
        // The zeroed argument names the caller itself.
        21 => error(Errno::EPERM),
        18 | 19 | 27 => Ok(0),
        25 | 26 => error(Errno::EOPNOTSUPP),
        _ => error(Errno::ENOSYS),
    };
    check(memory::ROWS, abi::memory::MemoryOperation::NAMED, absent, |host, number| {
        // Beyond six bits the number becomes progress, which is not another operation.
        let number = if number < 64 { number } else { 63 };
        memory::memory(host, u64::from(number), at(0))
    });
}

#[test]
fn physdev() {
    let absent = |number| if number == 29 { Ok(0) } else { error(Errno::ENOSYS) };
    check(physdev::ROWS, abi::physdev::PhysdevOperation::NAMED, absent, |host, number| {
        physdev::physdev(host, abi::physdev::PhysdevOperation(number), at(0))
    });
}

#[test]
fn platform() {
    let absent = |number| match number {
        35 | 59 | 66 => error(Errno::EINVAL),
        58 => error(Errno::ENOSPC),
        61 => Ok(0),
        _ => error(Errno::ENOSYS),
    };
    check(platform::ROWS, PlatformOperation::NAMED, absent, |host, number| {
        let request = PlatformOp {
            command: PlatformOperation(number),
            interface_version: PLATFORM_INTERFACE_VERSION,
            ..PlatformOp::default()
        };
        host.memory.put(BASE, &request);
        platform::platform(host, at(0))
    });
}

#[test]
fn domctl() {
    let absent = |number| match number {
        54 => error(Errno::EINVAL),
        75 | 78 => error(Errno::ENODEV),
        85 | 86 => error(Errno::EOPNOTSUPP),
        _ => error(Errno::ENOSYS),
    };
    check(domctl::ROWS, DomctlOperation::NAMED, absent, |host, number| {
        let request = Domctl {
            command: DomctlOperation(number),
            interface_version: DOMCTL_INTERFACE_VERSION,
            domain: DomainId(5),
            ..Domctl::default()
        };
        host.memory.put(BASE, &request);
        domctl::domctl(host, at(0))
    });
}

#[test]
fn hypfs() {
    let number_of = abi::hypfs::HypfsOperation;
    let unknown = Err(Failure::Errno(Errno::EOPNOTSUPP));
    for number in 0..NUMBERS {
        let mut host = host();
        host.memory.put(BASE, b"/\0");
        let none = hypfs::Extent { at: GuestHandle::new(0), length: 0 };
        let path = if number == 0 { none } else { hypfs::Extent { at: at(0), length: 2 } };
        let reply = hypfs::hypfs(&mut host, number_of(number), path, none);
        let is_there = hypfs::ROWS.iter().any(|row| row.number == number);
        assert_eq!(reply != unknown, is_there, "{number}");
    }
    assert_eq!(hypfs::ROWS.len(), abi::hypfs::HypfsOperation::NAMED.len());
}

#[test]
fn sysctl() {
    let absent = |number| match number {
        20 => error(Errno::EOPNOTSUPP),
        21 | 23 => error(Errno::ENODEV),
        _ => error(Errno::ENOSYS),
    };
    check(sysctl::ROWS, SysctlOperation::NAMED, absent, |host, number| {
        // Those that have commands of their own know none of number 0.
        let command = match SysctlOperation(number) {
            SysctlOperation::GET_PMSTAT => 0x21,
            SysctlOperation::PM_OP => 0x22,
            SysctlOperation::CPUPOOL_OP => 7,
            _ => 0,
        };
        let mut request = Sysctl {
            command: SysctlOperation(number),
            interface_version: SYSCTL_INTERFACE_VERSION,
            ..Sysctl::default()
        };
        request.argument[0] = command;
        host.memory.put(BASE, &request);
        sysctl::sysctl(host, at(0))
    });
}
