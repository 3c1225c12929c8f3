//! sysctl: each operation's answer, its room and its limits.
#![allow(clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::domctl_domain::Bitmap;
use abi::domctl_vcpu::SchedulerId;
use abi::physdev::PciDevice;
use abi::sysctl::{SYSCTL_INTERFACE_VERSION, Sysctl, SysctlOperation as Op};
use abi::sysctl_machine::{
    AvailHeap, CpuHotplug, CpuInfo, CpuTopology, CpuTopologyInfo, DebugKeys, FrameCommand, GetCpuInfo,
    HotplugOperation, IdleStatistics, NO_CORE, NO_DEVICE, NO_NODE, NodeMemory, NumaInfo, PageOffline, PciTopologyInfo,
    PhysInfo, PowerCommand, PowerOp, PowerStatistics, ReadConsole,
};
use abi::sysctl_scheduler::{CpupoolCommand, CpupoolOp, SystemSchedulerCommand, SystemSchedulerOp};
use abi::{Errno, GuestHandle};
use common::{BASE, Fake, Ring, at, errno, nowhere};
use hypercalls::op::platform::CpuChange;
use hypercalls::op::sysctl::sysctl;
use hypercalls::outcome::{Failure, Reply};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where arrays lie.
const ARRAY: u64 = 0x800;

fn call<T: IntoBytes + Immutable>(host: &mut Fake, operation: Op, argument: &T) -> Reply {
    let mut request = Sysctl {
        command: operation,
        interface_version: SYSCTL_INTERFACE_VERSION,
        argument: [0xA5A5_A5A5_A5A5_A5A5; 16],
    };
    request.argument.as_mut_bytes()[..size_of::<T>()].copy_from_slice(argument.as_bytes());
    host.next_call().memory.put(BASE, &request);
    let reply = sysctl(host, at(0));
    let end = BASE + 8 + size_of::<T>() as u64;
    assert!((end..BASE + 136).all(|byte| host.memory.get::<u8>(byte) == 0xA5), "wrote beyond its structure");
    reply
}

fn answer<T: FromBytes>(host: &Fake) -> T {
    host.memory.get(BASE + 8)
}

/// Calls, and gives what the structure holds then.
#[track_caller]
fn ask<T: IntoBytes + Immutable + FromBytes>(host: &mut Fake, operation: Op, argument: &T) -> T {
    assert_eq!(call(host, operation, argument), Ok(0));
    answer(host)
}

fn array<T>() -> GuestHandle<T> {
    at(ARRAY)
}

fn element<T: FromBytes>(host: &Fake, index: u64) -> T {
    host.memory.get(BASE + ARRAY + index * size_of::<T>() as u64)
}

fn read(clear: u8, incremental: u8, index: u32, count: u32) -> ReadConsole {
    ReadConsole { clear, incremental, index, count, buffer: array(), ..ReadConsole::default() }
}

/// What a read gives: text, and the position after it.
fn text(host: &mut Fake, request: ReadConsole) -> (String, u32) {
    let read = ask(host, Op::READCONSOLE, &request);
    ((0..u64::from(read.count)).map(|index| char::from(element::<u8>(host, index))).collect(), read.index)
}

#[test]
fn the_console_is_read_from_the_beginning_or_on() {
    let mut host = Fake::new();
    host.ring = Ring { printed: b"hello, world".to_vec(), forgotten: 0 };
    assert_eq!(text(&mut host, read(0, 0, 7, 100)), ("hello, world".into(), 12));
    assert_eq!(text(&mut host, read(0, 0, 0, 5)), ("hello".into(), 5));
    assert_eq!(text(&mut host, read(0, 1, 7, 100)), ("world".into(), 12));
    assert_eq!(text(&mut host, read(0, 1, 12, 100)), ("".into(), 12));
    assert_eq!(text(&mut host, read(0, 1, 13, 100)).0, "hello, world", "ahead of what was printed");
    host.ring.printed.extend(b"0123456789");
    assert_eq!(text(&mut host, read(0, 1, 2, 100)), (" world0123456789".into(), 22), "what is gone is left out");
}

#[test]
fn clearing_forgets_what_was_read() {
    let mut host = Fake::new();
    host.ring.printed = b"hello, world".to_vec();
    assert_eq!(text(&mut host, read(1, 0, 0, 7)).0, "hello, ");
    assert_eq!(text(&mut host, read(0, 0, 0, 100)), ("world".into(), 12));
    assert_eq!(text(&mut host, read(0, 1, 0, 100)).0, "world", "an old position");
    let unreadable = ReadConsole { buffer: nowhere(), ..read(1, 0, 0, 9) };
    assert_eq!(errno(call(&mut host, Op::READCONSOLE, &unreadable)), Errno::EFAULT);
    assert_eq!(text(&mut host, read(1, 0, 0, 100)).0, "world");
    assert_eq!(text(&mut host, read(0, 0, 0, 100)), ("".into(), 12));
}

#[test]
fn keys_are_pressed_one_by_one() {
    let mut host = Fake::new();
    host.memory.put(BASE + ARRAY, b"hq");
    let keys = |count| DebugKeys { keys: array(), count, reserved: 0 };
    assert_eq!(call(&mut host, Op::DEBUG_KEYS, &keys(2)), Ok(0));
    assert_eq!(host.take_effects(), ["key h", "key q"]);
    assert_eq!(errno(call(&mut host, Op::DEBUG_KEYS, &DebugKeys { keys: nowhere(), ..keys(1) })), Errno::EFAULT);
    assert_eq!(errno(call(&mut host, Op::DEBUG_KEYS, &keys(u32::MAX))), Errno::E2BIG);
    assert!(host.take_effects().is_empty());
}

#[test]
fn the_machine_is_described() {
    let mut host = Fake::new();
    let info = ask(&mut host, Op::PHYSINFO, &PhysInfo { scrub_pages: 9, ..PhysInfo::default() });
    assert_eq!((info.cpus, info.max_cpu_id, info.nodes, info.max_node_id), (2, 2, 1, 63));
    assert_eq!((info.total_pages, info.free_pages, info.scrub_pages), (0x4_0000, 0x1000, 0));
    assert_eq!((info.outstanding_pages, info.max_mfn, info.capabilities.0), (5, 0xF_FFFF, 0x102));
}

#[test]
fn idle_times_fill_the_room_there_is() {
    let mut host = Fake::new();
    for (max, count) in [(0, 0), (1, 1), (2, 2), (3, 3), (u32::MAX, 3)] {
        let info = GetCpuInfo { max, info: array(), ..GetCpuInfo::default() };
        assert_eq!(ask(&mut host, Op::GETCPUINFO, &info).count, count);
    }
    let times: Vec<u64> = (0..3).map(|cpu| element::<CpuInfo>(&host, cpu).idle_time).collect();
    assert_eq!(times, [7, 107, 0], "the third is not in service");
}

#[test]
fn free_memory_is_counted_by_address() {
    let mut host = Fake::new();
    for (min_bits, max_bits, node, frames) in [
        (0, 0, -1, 0x1000),
        (0, 0, 0, 0x1000),
        (0, 0, 1, 0),
        (0, 0, -2, 0),
        (0, 32, -1, 0x1000),
        (0, 31, -1, 0x800),
        (32, 0, -1, 0x800),
        (33, 0, -1, 0),
        (40, 20, -1, 0),
        (200, 300, -1, 0),
        (0, u32::MAX, 0, 0x1000),
    ] {
        let heap = ask(&mut host, Op::AVAILHEAP, &AvailHeap { min_bits, max_bits, node, ..AvailHeap::default() });
        assert_eq!(heap.bytes, frames * 4096, "{min_bits} {max_bits} {node}");
    }
}

#[test]
fn places_are_told() {
    let mut host = Fake::new();
    let counted = ask(&mut host, Op::CPUTOPOINFO, &CpuTopologyInfo::default());
    assert_eq!(counted.count, 3);
    let cpus = |count| CpuTopologyInfo { count, cpus: array(), ..CpuTopologyInfo::default() };
    assert_eq!(ask(&mut host, Op::CPUTOPOINFO, &cpus(9)).count, 3);
    assert_eq!(element::<CpuTopology>(&host, 1), CpuTopology { core: 1, socket: 1, node: 0 });
    assert_eq!(element::<CpuTopology>(&host, 2).core, NO_CORE);
    assert_eq!(ask(&mut host, Op::NUMAINFO, &NumaInfo::default()).count, 1);
    let nodes = NumaInfo { count: 8, memory: array(), distances: at(0x900), ..NumaInfo::default() };
    assert_eq!(ask(&mut host, Op::NUMAINFO, &nodes).count, 1);
    assert_eq!(element::<NodeMemory>(&host, 0), NodeMemory { size: 1 << 32, free: 0x100_0000 });
    assert_eq!(host.memory.get::<u32>(BASE + 0x900), 10);
    host.memory.put(BASE + ARRAY, &PciDevice { segment: 0, bus: 1, devfn: 8 });
    host.memory.put(BASE + ARRAY + 4, &PciDevice { segment: 0, bus: 2, devfn: 8 });
    let devices = PciTopologyInfo { count: 2, devices: array(), nodes: at(0x900), ..PciTopologyInfo::default() };
    assert_eq!(ask(&mut host, Op::PCITOPOINFO, &devices).count, 2);
    assert_eq!(host.memory.get::<[u32; 2]>(BASE + 0x900), [NO_NODE, NO_DEVICE]);
    host.budget.set(Some(0));
    let many = PciTopologyInfo { count: 40, ..devices };
    assert_eq!(ask(&mut host, Op::PCITOPOINFO, &many).count, 16, "out of time");
    let nothing = PciTopologyInfo { devices: GuestHandle::new(0), ..devices };
    assert_eq!(errno(call(&mut host, Op::PCITOPOINFO, &nothing)), Errno::EINVAL);
}

#[test]
fn power_states_are_two() {
    let mut host = Fake::new();
    let ask_for = |kind, cpu| IdleStatistics { kind: PowerStatistics(kind), cpu, ..IdleStatistics::default() };
    assert_eq!(ask(&mut host, Op::GET_PMSTAT, &ask_for(0x21, 0)).states, 2);
    let all = IdleStatistics { states: 7, residencies: array(), ..ask_for(0x22, 1) };
    let got = ask(&mut host, Op::GET_PMSTAT, &all);
    assert_eq!((got.states, got.idle_time), (2, 107));
    assert_eq!((element::<u64>(&host, 0), element::<u64>(&host, 1)), (893, 107));
    for (kind, cpu, expected) in
        [(0x11, 0, Errno::ENODEV), (0x24, 0, Errno::ENOSYS), (0, 1, Errno::ENODEV), (0x21, 2, Errno::EINVAL)]
    {
        assert_eq!(errno(call(&mut host, Op::GET_PMSTAT, &ask_for(kind, cpu))), expected);
    }
    let order = |command, cpu, value| PowerOp { command: PowerCommand(command), cpu, value, ..PowerOp::default() };
    assert_eq!(call(&mut host, Op::PM_OP, &order(0x23, 0, 5)), Ok(0));
    assert_eq!(ask(&mut host, Op::PM_OP, &order(0x22, 0, 0)).value, 5);
    assert_eq!(ask(&mut host, Op::PM_OP, &order(0x22, 1, 0)).value, u32::MAX);
    for (command, cpu, expected) in [
        (0x11, 0, Errno::EINVAL),
        (0x21, 1, Errno::EINVAL),
        (0x26, 0, Errno::EACCES),
        (0x24, 0, Errno::ENOSYS),
        (0x22, 2, Errno::EINVAL),
    ] {
        assert_eq!(errno(call(&mut host, Op::PM_OP, &order(command, cpu, 0))), expected);
    }
}

#[test]
fn cpus_go_and_come_once() {
    let mut host = Fake::new();
    let hotplug = |cpu, operation| CpuHotplug { cpu, operation: HotplugOperation(operation) };
    for (cpu, operation, expected) in [
        (0, 0, Errno::EEXIST),
        (0, 1, Errno::EINVAL),
        (1, 1, Errno::EEXIST),
        (2, 0, Errno::EINVAL),
        (3, 0, Errno::EINVAL),
        (9, 2, Errno::EOPNOTSUPP),
    ] {
        let outcome = call(&mut host, Op::CPU_HOTPLUG, &hotplug(cpu, operation));
        assert_eq!(errno(outcome), expected, "{cpu} {operation}");
    }
    host.cpu_change = CpuChange::UnderWay;
    let Err(Failure::Preempted(again)) = call(&mut host, Op::CPU_HOTPLUG, &hotplug(1, 0)) else {
        panic!("a CPU that comes is waited for");
    };
    assert_eq!((again[0], host.take_effects()), (at::<u8>(0).address().0, vec!["cpu start 1".to_string()]));
    // What a call that goes on finds done is success, and its request is what it was; from anybody else it was a mistake.
    let noted: CpuHotplug = answer(&host);
    assert_ne!(noted.operation, HotplugOperation::ONLINE);
    assert_eq!(call(&mut host, Op::CPU_HOTPLUG, &CpuHotplug { cpu: 0, ..noted }), Ok(0));
    assert_eq!(answer::<CpuHotplug>(&host).operation, HotplugOperation::ONLINE);
    assert_eq!(errno(sysctl(host.next_call_mut(), at(0))), Errno::EEXIST);
}

fn pool(command: u32, pool: u32, domain: u32, cpu: u32, bits: u32) -> CpupoolOp {
    CpupoolOp {
        command: CpupoolCommand(command),
        pool,
        scheduler: SchedulerId::CREDIT2,
        domain,
        cpu,
        domains: 77,
        cpus: Bitmap { bitmap: array(), bits, ..Bitmap::default() },
    }
}

#[test]
fn pools_are_named_and_changed() {
    const ANY: u32 = u32::MAX;
    let mut host = Fake::new();
    assert_eq!(ask(&mut host, Op::CPUPOOL_OP, &pool(1, 9, 0, 0, 0)).pool, 9);
    assert_eq!(ask(&mut host, Op::CPUPOOL_OP, &pool(1, ANY, 0, 0, 0)).pool, 6);
    for request in
        [pool(2, 5, 0, 0, 0), pool(4, 5, 0, 2, 0), pool(4, 5, 0, ANY, 0), pool(5, 0, 0, 1, 0), pool(6, 5, 5, 0, 0)]
    {
        assert_eq!(call(&mut host, Op::CPUPOOL_OP, &request), Ok(0));
    }
    let expected = [
        "pool create Some(9)",
        "pool create None",
        "pool destroy 5",
        "pool add (5, Some(2))",
        "pool add (5, None)",
        "pool remove (0, Some(1))",
        "pool move (5, 5)",
    ];
    assert_eq!(host.take_effects(), expected);
    let credit = CpupoolOp { scheduler: SchedulerId::CREDIT, ..pool(1, 9, 0, 0, 0) };
    for (request, errno_) in [
        (credit, Errno::ENOENT),
        (pool(4, 0, 0, 3, 0), Errno::EINVAL),
        (pool(5, 0, 0, 100_000, 0), Errno::EINVAL),
        (pool(6, 0, 0, 0, 0), Errno::EPERM),
        (pool(6, 0, 0x1_0000, 0, 0), Errno::EPERM),
        (pool(6, 0, 77, 0, 0), Errno::ESRCH),
        (pool(6, 0, 0x7FF0, 0, 0), Errno::ESRCH),
        (pool(3, 6, 0, 0, 0), Errno::ENOENT),
        (pool(0, 0, 0, 0, 0), Errno::ENOSYS),
        (pool(8, 0, 0, 0, 0), Errno::ENOSYS),
    ] {
        assert_eq!(errno(call(&mut host, Op::CPUPOOL_OP, &request)), errno_, "{request:?}");
    }
    assert!(host.take_effects().is_empty());
}

#[test]
fn maps_fill_the_room_there_is() {
    let mut host = Fake::new();
    for (bits, expected) in [(0, 0xAAAA_AAAA_u32), (1, 0xAAAA_AA02), (8, 0xAAAA_AA02), (9, 0xAAAA_0002), (32, 2)] {
        host.next_call().memory.put(BASE + ARRAY, &0xAAAA_AAAA_u32);
        let info = ask(&mut host, Op::CPUPOOL_OP, &pool(3, 1, 0, 0, bits));
        assert_eq!((info.pool, info.domains), (5, 0));
        assert_eq!(element::<u32>(&host, 0), expected, "{bits} bits");
    }
    let free = ask(&mut host, Op::CPUPOOL_OP, &pool(7, 0, 0, 0, 64));
    assert_eq!((free.domains, element::<u64>(&host, 0)), (77, 0b100));
}

#[test]
fn rate_limits_are_bounded() {
    let mut host = Fake::new();
    let order = |pool, scheduler, command, rate_limit| SystemSchedulerOp {
        pool,
        scheduler: SchedulerId(scheduler),
        command: SystemSchedulerCommand(command),
        rate_limit,
        ..SystemSchedulerOp::default()
    };
    assert_eq!(ask(&mut host, Op::SCHEDULER_OP, &order(5, 6, 1, 9)).rate_limit, 300);
    for limit in [0, 100, 500_000] {
        assert_eq!(call(&mut host, Op::SCHEDULER_OP, &order(0, 6, 0, limit)), Ok(0));
    }
    assert_eq!(host.take_effects(), ["rate limit (0, 0)", "rate limit (0, 100)", "rate limit (0, 500000)"]);
    for (request, expected) in [
        (order(0, 6, 0, 99), Errno::EINVAL),
        (order(0, 6, 0, 500_001), Errno::EINVAL),
        (order(0, 6, 2, 0), Errno::EINVAL),
        (order(7, 5, 9, 0), Errno::EINVAL),
        (order(1, 6, 1, 0), Errno::ESRCH),
        (order(0, 5, 1, 0), Errno::EINVAL),
    ] {
        assert_eq!(errno(call(&mut host, Op::SCHEDULER_OP, &request)), expected);
    }
}

#[test]
fn frames_leave_and_come_back_as_far_as_there_is_no_mistake() {
    const UNTOUCHED: u32 = 0x0101_0101;
    let mut host = Fake::new();
    let mut ask = |command, first, last| {
        let status = GuestHandle::new(BASE + ARRAY);
        let asked = PageOffline { command: FrameCommand(command), first, last, reserved: 7, status };
        host.memory.put(BASE + ARRAY, &[0x55_u32; 6]);
        let reply = call(&mut host, Op::PAGE_OFFLINE_OP, &asked);
        (reply.map_err(|_| errno(reply)), host.memory.get::<[u32; 6]>(BASE + ARRAY))
    };
    assert_eq!(ask(3, 5, 4), (Err(Errno::EINVAL), [0x55; 6]));
    assert_eq!(ask(1, 8, 11), (Ok(0), [0x5_1004, 0x5_1004, 2, 2, 0x55, 0x55]));
    assert_eq!(ask(3, 7, 11), (Ok(0), [0, 8, 8, 2, 2, 0x55]));
    assert_eq!(ask(1, 18, 19), (Err(Errno::EINVAL), [0x808, UNTOUCHED, 0x55, 0x55, 0x55, 0x55]));
    assert_eq!(ask(1, 20, 21), (Err(Errno::EPERM), [0x7FF2_0108, UNTOUCHED, 0x55, 0x55, 0x55, 0x55]));
    assert_eq!(ask(2, 7, 11), (Ok(0), [0, 2, 2, 2, 2, 0x55]));
    assert_eq!(ask(3, 62, 65), (Err(Errno::EINVAL), [0, 0, UNTOUCHED, UNTOUCHED, 0x55, 0x55]));
    assert_eq!(ask(2, 64, 64), (Ok(0xFFFF_FFEA), [UNTOUCHED, 0x55, 0x55, 0x55, 0x55, 0x55]));
    assert_eq!(ask(4, 20, 20), (Err(Errno::EINVAL), [UNTOUCHED, 0x55, 0x55, 0x55, 0x55, 0x55]));
    assert_eq!(ask(1 << 29 | 3, 20, 20).0, Err(Errno::EINVAL));
}
