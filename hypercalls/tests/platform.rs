//! platform_op, domctl, sysctl: version before privilege, each operation's answer and nothing beyond it.
#![allow(clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::domctl::{Domctl, DomctlOperation};
use abi::hvm::{HvmOperation, HvmParam, HvmParamArgument};
use abi::mca::{MCA_INTERFACE_VERSION, Mca, McaOperation};
use abi::platform::{
    AddMemtype, CoreParking, CoreParkingCommand, CpuHotadd, CpuOnline, DelMemtype, EnterAcpiSleep, FirmwareInfo,
    FirmwareInfoType, MICROCODE_FORCE, MemHotadd, MicrocodeUpdate2, PLATFORM_INTERFACE_VERSION, PcpuFlags, PcpuInfo,
    PcpuVersion, PlatformOp, PlatformOperation as Op, PlatformQuirk, PlatformQuirkArgument, ReadMemtype,
    ResourceCommand, ResourceEntry, ResourceOp, Settime32, Settime64, SymbolData,
};
use abi::platform_power::{PowerInfoType, SetProcessorPminfo};
use abi::sysctl::Sysctl;
use abi::{DomainId, Errno, GuestHandle};
use common::{BASE, Fake, at, errno, nowhere};
use hypercalls::op::platform::platform;
use hypercalls::op::{absent, domctl, machine_check, sysctl};
use hypercalls::outcome::Reply;
use zerocopy::{FromBytes, Immutable, IntoBytes};

fn request<T: IntoBytes + Immutable>(operation: Op, argument: &T) -> PlatformOp {
    let mut request = PlatformOp {
        command: operation,
        interface_version: PLATFORM_INTERFACE_VERSION,
        argument: [0xA5A5_A5A5_A5A5_A5A5; 16],
    };
    request.argument.as_mut_bytes()[..size_of::<T>()].copy_from_slice(argument.as_bytes());
    request
}

fn call<T: IntoBytes + Immutable>(host: &mut Fake, operation: Op, argument: &T) -> Reply {
    host.next_call().memory.put(BASE, &request(operation, argument));
    let reply = platform(host, at(0));
    let end = BASE + 8 + size_of::<T>() as u64;
    assert!((end..BASE + 136).all(|byte| host.memory.get::<u8>(byte) == 0xA5), "wrote beyond its structure");
    reply
}

fn answer<T: FromBytes>(host: &Fake) -> T {
    host.memory.get(BASE + 8)
}

#[test]
fn version_comes_before_privilege_before_operation() {
    let wrong = PlatformOp { interface_version: 7, ..request(Op(999), &0u8) };
    for mut host in [Fake::new(), Fake::unprivileged()] {
        assert_eq!(errno(platform(&mut host, nowhere())), Errno::EFAULT);
        host.memory.put(BASE, &wrong);
        assert_eq!(errno(platform(&mut host, at(0))), Errno::EACCES);
    }
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op(999), &0u8)), Errno::EPERM);
    assert_eq!(errno(call(&mut Fake::new(), Op(999), &0u8)), Errno::ENOSYS);
    let hardware_only = Fake { hardware: true, ..Fake::unprivileged() };
    assert_eq!(errno(call(&mut { hardware_only }, Op::SETTIME64, &0u8)), Errno::EPERM);
}

#[test]
fn wallclock_is_set() {
    let mut host = Fake::new();
    let old = Settime32 { seconds: u32::MAX, nanoseconds: 2, system_time: 3 };
    let mut new = Settime64 { seconds: 1 << 40, nanoseconds: 2, must_be_zero: 0, system_time: 3 };
    assert_eq!(call(&mut host, Op::SETTIME32, &old), Ok(0));
    assert_eq!(call(&mut host, Op::SETTIME64, &new), Ok(0));
    assert_eq!(host.take_effects(), ["wallclock 4294967295 2 3", "wallclock 1099511627776 2 3"]);
    new.must_be_zero = 1;
    assert_eq!(errno(call(&mut host, Op::SETTIME64, &new)), Errno::EINVAL);
}

#[test]
fn memory_types_are_read_until_the_end() {
    let mut host = Fake::new();
    let read = |register| ReadMemtype { register, ..ReadMemtype::default() };
    assert_eq!(call(&mut host, Op::READ_MEMTYPE, &read(7)), Ok(0));
    assert_eq!(answer::<ReadMemtype>(&host).count, 0x40000);
    assert_eq!(errno(call(&mut host, Op::READ_MEMTYPE, &read(8))), Errno::EINVAL);
    assert_eq!(call(&mut host, Op::ADD_MEMTYPE, &AddMemtype { handle: 9, ..AddMemtype::default() }), Ok(0));
    let added: AddMemtype = answer(&host);
    assert_eq!((added.register, added.handle), (3, 0));
    assert_eq!(call(&mut host, Op::DEL_MEMTYPE, &DelMemtype { handle: 0, register: 3 }), Ok(0));
    assert_eq!(errno(call(&mut host, Op::DEL_MEMTYPE, &DelMemtype { handle: 1, register: 3 })), Errno::EINVAL);
    assert_eq!(errno(call(&mut host, Op::DEL_MEMTYPE, &DelMemtype { handle: 0, register: 1 << 31 })), Errno::EINVAL);
}

#[test]
fn firmware_lists_end_at_once() {
    let mut host = Fake::new();
    let ask = |kind, index| FirmwareInfo { kind: FirmwareInfoType(kind), index, info: [0; 4] };
    assert_eq!(call(&mut host, Op::FIRMWARE_INFO, &ask(5, 0)), Ok(0));
    assert_eq!(answer::<FirmwareInfo>(&host).info, [0x20, 0, 0, 0]);
    for (kind, index, expected) in [
        (1, 0, Errno::ESRCH),
        (2, 0, Errno::ESRCH),
        (3, 0, Errno::ESRCH),
        (5, 1, Errno::ESRCH),
        (4, 0, Errno::ENOSYS),
        (0, 0, Errno::EINVAL),
        (6, 0, Errno::EINVAL),
    ] {
        assert_eq!(errno(call(&mut host, Op::FIRMWARE_INFO, &ask(kind, index))), expected, "{kind} {index}");
    }
}

#[test]
fn sleep_is_checked_then_entered() {
    let mut host = Fake::new();
    let sleep = |sleep_state, flags| EnterAcpiSleep { value_a: 0x1C00, value_b: 0, sleep_state, flags };
    assert_eq!(call(&mut host, Op::ENTER_ACPI_SLEEP, &sleep(5, 0)), Ok(0));
    assert_eq!(host.take_effects(), ["sleep SleepRequest { registers: Pm1, value_a: 7168, value_b: 0, state: 5 }"]);
    for (state, flags, expected) in
        [(0, 0, Errno::EINVAL), (6, 0, Errno::EINVAL), (5, 2, Errno::EINVAL), (5, 1, Errno::EPERM)]
    {
        assert_eq!(errno(call(&mut host, Op::ENTER_ACPI_SLEEP, &sleep(state, flags))), expected);
    }
}

#[test]
fn power_data_is_not_wanted_but_mwait_is_settled() {
    let mut host = Fake::new();
    let data = |kind, address| {
        let mut info = [0; 13];
        info[0] = address;
        SetProcessorPminfo { id: u32::MAX, kind: PowerInfoType(kind), info }
    };
    for (kind, expected) in [(0, Errno::ENOSYS), (1, Errno::ENOSYS), (2, Errno::ENOSYS), (4, Errno::EINVAL)] {
        assert_eq!(errno(call(&mut host, Op::SET_PROCESSOR_PMINFO, &data(kind, BASE))), expected);
    }
    for (words, expected) in [([2u32, 1, 0], Errno::EINVAL), ([1, 0, 0], Errno::EINVAL)] {
        host.memory.put(BASE + 0x400, &words);
        assert_eq!(errno(call(&mut host, Op::SET_PROCESSOR_PMINFO, &data(3, BASE + 0x400))), expected);
    }
    assert_eq!(errno(call(&mut host, Op::SET_PROCESSOR_PMINFO, &data(3, 4))), Errno::EFAULT);
    host.memory.put(BASE + 0x400, &[1u32, 1, 0xFFFF_FFFF]);
    assert_eq!(call(&mut host, Op::SET_PROCESSOR_PMINFO, &data(3, BASE + 0x400)), Ok(0));
    assert_eq!(host.memory.get::<u32>(BASE + 0x408) & 0x300, 0, "no state is entered by MWAIT");
}

#[test]
fn cpus_are_described_and_switched() {
    let mut host = Fake::new();
    for (cpu, flags, apic, acpi) in [(0, 1, 0, 1), (1, 0, 2, 2), (2, 2, 9, 9)] {
        let ask = PcpuInfo { cpu, max_present: 0, flags: PcpuFlags(77), apic_id: 9, acpi_id: 9 };
        assert_eq!(call(&mut host, Op::GET_CPUINFO, &ask), Ok(0));
        let expected = PcpuInfo { cpu, max_present: 1, flags: PcpuFlags(flags), apic_id: apic, acpi_id: acpi };
        assert_eq!(answer::<PcpuInfo>(&host), expected);
    }
    for (cpu, family) in [(0, 25), (1, 0), (2, 0)] {
        assert_eq!(call(&mut host, Op::GET_CPU_VERSION, &PcpuVersion { cpu, ..PcpuVersion::default() }), Ok(0));
        assert_eq!(answer::<PcpuVersion>(&host).family, family);
    }
    let ol = |cpu| CpuOnline { cpu };
    assert_eq!(call(&mut host, Op::CPU_ONLINE, &ol(1)), Ok(0));
    assert_eq!(call(&mut host, Op::CPU_ONLINE, &ol(0)), Ok(0), "it is");
    assert_eq!(call(&mut host, Op::CPU_OFFLINE, &ol(1)), Ok(0), "it is");
    assert_eq!(host.take_effects(), ["cpu start 1"]);
    assert_eq!(errno(call(&mut host, Op::CPU_OFFLINE, &ol(0))), Errno::EOPNOTSUPP);
    assert_eq!(errno(call(&mut host, Op::CPU_ONLINE, &ol(2))), Errno::EINVAL);
    assert_eq!(errno(call(&mut host, Op::CPU_OFFLINE, &ol(u32::MAX))), Errno::EINVAL);
}

#[test]
fn registers_are_read_up_to_the_first_refusal() {
    let mut host = Fake::new();
    let entry =
        |command, reserved, index| ResourceEntry { command: ResourceCommand(command), reserved, index, value: 0 };
    let ask = |entry_count, cpu| ResourceOp { entry_count, cpu, entries: at(0x800) };
    let time = entry(0, 0, 0x10);
    for (refused, expected) in [
        (entry(0, 0, 0x1B), Errno::EPERM),
        (entry(1, 0, 0x10), Errno::EPERM),
        (entry(0, 1, 0x10), Errno::EINVAL),
        (entry(2, 1, 0x10), Errno::EINVAL),
        (entry(0, 0, 1 << 32), Errno::EINVAL),
        (entry(2, 0, 0x10), Errno::EOPNOTSUPP),
    ] {
        host.memory.put(BASE + 0x800, &[time, refused, time]);
        assert_eq!(errno(call(&mut host, Op::RESOURCE_OP, &ask(3, 1))), Errno::ENODEV, "CPU 1 does not run");
        assert_eq!(host.memory.get::<[ResourceEntry; 3]>(BASE + 0x800), [time, refused, time], "nothing is written");
        assert_eq!(call(&mut host, Op::RESOURCE_OP, &ask(3, 0)), Ok(1));
        let [first, second, third]: [ResourceEntry; 3] = host.memory.get(BASE + 0x800);
        assert_eq!((first.value, third.value), (host.now, 0));
        assert_eq!(second.command.0 as i32, -expected.number());
        // A list that is refused from the start needs no CPU.
        host.memory.put(BASE + 0x800, &[refused, refused, time]);
        assert_eq!(call(&mut host, Op::RESOURCE_OP, &ask(3, 1)), Ok(0));
        let [first, second, _]: [ResourceEntry; 3] = host.memory.get(BASE + 0x800);
        assert_eq!((first.command.0 as i32, second), (-expected.number(), refused));
    }
    let nothing = ResourceOp { entries: nowhere(), ..ask(0, 9) };
    assert_eq!(call(&mut host, Op::RESOURCE_OP, &nothing), Ok(0));
    assert_eq!(errno(call(&mut host, Op::RESOURCE_OP, &ask(4, 0))), Errno::EINVAL);
    host.memory.put(BASE + 0x800, &[time]);
    assert_eq!(errno(call(&mut host, Op::RESOURCE_OP, &ask(1, 1))), Errno::ENODEV);
    let lost = ResourceOp { entries: nowhere(), ..ask(1, 1) };
    assert_eq!(errno(call(&mut host, Op::RESOURCE_OP, &lost)), Errno::EFAULT);
}

#[test]
fn symbols_are_listed_to_the_end() {
    let mut host = Fake::new();
    let ask = |symbol, name_len| SymbolData { symbol, name_len, name: at(0x800), ..SymbolData::default() };
    assert_eq!(call(&mut host, Op::GET_SYMBOL, &ask(1, 100)), Ok(0));
    let last: SymbolData = answer(&host);
    assert_eq!((last.symbol, last.name_len, last.kind), (2, 7, b'T'));
    assert_eq!(host.memory.get::<[u8; 7]>(BASE + 0x800), *b"finish\0");
    assert_eq!(call(&mut host, Op::GET_SYMBOL, &ask(0, 3)), Ok(0));
    assert_eq!(host.memory.get::<[u8; 4]>(BASE + 0x800), *b"stai", "cut to the room there is");
    assert_eq!(answer::<SymbolData>(&host).name_len, 6, "the room there should be");
    assert_eq!(call(&mut host, Op::GET_SYMBOL, &ask(2, 100)), Ok(0));
    assert_eq!(answer::<SymbolData>(&host).symbol, 2, "the same number: the end");
    assert_eq!(errno(call(&mut host, Op::GET_SYMBOL, &ask(3, 100))), Errno::ERANGE);
}

#[test]
fn other_operations() {
    let mut host = Fake::new();
    let quirk = PlatformQuirkArgument { quirk: PlatformQuirk::NO_IRQ_BALANCING };
    assert_eq!(call(&mut host, Op::PLATFORM_QUIRK, &quirk), Ok(0));
    assert_eq!(errno(call(&mut host, Op::MICROCODE_UPDATE, &0u8)), Errno::EINVAL);
    let blob = |flags, data| MicrocodeUpdate2 { flags, length: 12, data: GuestHandle::new(data) };
    for (flags, data) in [(0, BASE + 0x800), (MICROCODE_FORCE, BASE + 0x800), (2, BASE + 0x800), (0, 1 << 63)] {
        assert_eq!(
            errno(call(&mut host, Op::MICROCODE_UPDATE2, &blob(flags, data))),
            Errno::EINVAL,
            "{flags} {data:x}"
        );
    }
    for number in [49, 52, 53, 64, 65] {
        assert_eq!(errno(call(&mut host, Op(number), &0u8)), Errno::ENOSYS, "{number}");
    }
}

#[test]
fn toolstack_calls_refuse_in_xens_order() {
    let request = |interface_version, domain, command| Domctl {
        command: DomctlOperation(command),
        interface_version,
        domain: DomainId(domain),
        ..Domctl::default()
    };
    let ask = |mut host: Fake, request: Domctl| {
        host.memory.put(BASE, &request);
        errno(domctl::domctl(&mut host, at(0)))
    };
    assert_eq!(errno(domctl::domctl(&mut Fake::new(), nowhere())), Errno::EFAULT);
    for version in [0, 0x14, 0x19, u32::MAX] {
        assert_eq!(ask(Fake::unprivileged(), request(version, 9, 3)), Errno::EACCES);
    }
    for version in 0x15..=0x18 {
        assert_eq!(ask(Fake::unprivileged(), request(version, 9, 3)), Errno::ESRCH);
        assert_eq!(ask(Fake::unprivileged(), request(version, 0, 3)), Errno::EPERM);
        assert_eq!(ask(Fake::unprivileged(), request(version, 9, 1)), Errno::EPERM, "createdomain names no domain");
        assert_eq!(ask(Fake::new(), request(version, 0, 3)), Errno::EINVAL, "not on itself");
    }
    let ask_machine = |mut host: Fake, interface_version| {
        host.next_call().memory.put(BASE, &Sysctl { interface_version, ..Sysctl::default() });
        errno(sysctl::sysctl(&mut host, at(0)))
    };
    assert_eq!(ask_machine(Fake::new(), 0x14), Errno::EACCES);
    assert_eq!(ask_machine(Fake::new(), 0x17), Errno::EACCES);
    assert_eq!(ask_machine(Fake::unprivileged(), 0x15), Errno::EPERM);
    assert_eq!(ask_machine(Fake::new(), 0x16), Errno::ENOSYS);
    assert_eq!(errno(absent::pmu()), Errno::EOPNOTSUPP);
}

#[test]
fn calls_for_guests_that_are_not_paravirtual_find_none() {
    let host = Fake::new();
    assert_eq!(errno(absent::hvm(&host, HvmOperation::SET_PARAM, nowhere())), Errno::EFAULT);
    assert_eq!(errno(absent::hvm(&host, HvmOperation::FLUSH_TLBS, nowhere())), Errno::ENOSYS);
    for (domain, index, expected) in [(9, 39, Errno::EINVAL), (9, 0, Errno::ESRCH), (0, 0, Errno::EINVAL)] {
        let request =
            HvmParamArgument { domain: DomainId(domain), index: HvmParam(index), ..HvmParamArgument::default() };
        host.next_call().memory.put(BASE, &request);
        assert_eq!(errno(absent::hvm(&host, HvmOperation::GET_PARAM, at(0))), expected, "{domain} {index}");
    }
    let model = |domain, buffers, list| errno(absent::device_model(&host, DomainId(domain), buffers, list));
    assert_eq!(model(0, 3, nowhere()), Errno::E2BIG);
    assert_eq!(model(0, 1, nowhere()), Errno::EFAULT);
    assert_eq!(model(0, 0, nowhere()), Errno::ENODATA);
    for (domain, expected) in [(9, Errno::ESRCH), (0, Errno::EPERM), (5, Errno::EINVAL)] {
        host.next_call();
        assert_eq!(model(domain, 2, at(0)), expected, "{domain}");
    }
}

#[test]
fn machine_checks_and_continuations_look_at_their_argument_first() {
    let host = Fake::new();
    assert_eq!(errno(machine_check::machine_check(&host, nowhere())), Errno::EFAULT);
    assert_eq!(errno(machine_check::machine_check(&Fake::unprivileged(), nowhere())), Errno::EPERM);
    assert_eq!(errno(machine_check::machine_check(&host, at(0))), Errno::EACCES, "version 0");
    assert_eq!(errno(absent::paging_continuation(&host, nowhere())), Errno::EFAULT);
}

#[test]
fn a_machine_without_errors_has_nothing_to_fetch() {
    let call = |host: &Fake, command: McaOperation, words: &[u64]| {
        let mut request = Mca { command, interface_version: MCA_INTERFACE_VERSION, argument: [0; 18] };
        request.argument[..words.len()].copy_from_slice(words);
        host.next_call().memory.put(BASE, &request);
        machine_check::machine_check(host, at(0))
    };
    let host = Fake::new();
    assert_eq!(call(&host, McaOperation::FETCH, &[1, 7, BASE + 512]), Ok(0));
    let answer: Mca = host.memory.get(BASE);
    assert_eq!(answer.argument[..2], [2, 0], "no data");
    for flags in [0, 3, 4, 7, 8] {
        assert_eq!(errno(call(&host, McaOperation::FETCH, &[flags, 0, BASE + 512])), Errno::EINVAL, "{flags}");
    }
    assert_eq!(errno(call(&host, McaOperation::FETCH, &[1, 0, 0])), Errno::EINVAL);
    assert_eq!(call(&host, McaOperation::FETCH, &[5, 0, 0]), Ok(0), "an acknowledgement");
    assert_eq!(call(&host, McaOperation::PHYSCPUINFO, &[9, 0]), Ok(0));
    let answer: Mca = host.memory.get(BASE);
    assert_eq!(answer.argument[0] as u32, 1, "one CPU runs");
    for (room, expected) in [(0, Errno::EINVAL), (0x8000_0000, Errno::ENOMEM)] {
        assert_eq!(errno(call(&host, McaOperation::PHYSCPUINFO, &[room, BASE + 512])), expected, "{room}");
    }
    for command in [McaOperation::NOTIFYDOMAIN, McaOperation::MCEINJECT, McaOperation::INJECT_V2, McaOperation(9)] {
        assert_eq!(errno(call(&host, command, &[0])), Errno::EINVAL, "{command:?}");
    }
    for (count, register, expected) in [(1, 0x10, Errno::EINVAL), (1, 0x400, Errno::EINVAL), (9, 0x401, Errno::EINVAL)]
    {
        assert_eq!(errno(call(&host, McaOperation::MSRINJECT, &[0, count, register])), expected, "{register:#x}");
    }
    assert_eq!(errno(call(&host, McaOperation::MSRINJECT, &[0, 1, 0x401])), Errno::EOPNOTSUPP);
}

#[test]
fn what_was_not_there_at_boot_cannot_be_added() {
    let mut host = Fake::new();
    let add = |apic_id, acpi_id, proximity| CpuHotadd { apic_id, acpi_id, proximity };
    assert_eq!(errno(call(&mut host, Op::CPU_HOTADD, &add(2, 2, 0))), Errno::EEXIST);
    assert_eq!(errno(call(&mut host, Op::CPU_HOTADD, &add(3, 2, 0))), Errno::EINVAL, "another APIC id");
    assert_eq!(errno(call(&mut host, Op::CPU_HOTADD, &add(9, 9, 0))), Errno::ENOSPC);
    for wrong in [add(u32::MAX, 9, 0), add(9, u32::MAX, 0), add(9, 9, 256)] {
        assert_eq!(errno(call(&mut host, Op::CPU_HOTADD, &wrong)), Errno::EINVAL, "{wrong:?}");
    }
    let range = MemHotadd { start: 1 << 20, end: 1 << 21, proximity: 0, flags: 0 };
    assert_eq!(errno(call(&mut host, Op::MEM_HOTADD, &range)), Errno::EINVAL);
    let park = |command, idle_count| CoreParking { command, idle_count };
    assert_eq!(call(&mut host, Op::CORE_PARKING, &park(CoreParkingCommand::SET, 1)), Ok(0));
    assert_eq!(call(&mut host, Op::CORE_PARKING, &park(CoreParkingCommand::GET, 9)), Ok(0));
    assert_eq!(answer::<CoreParking>(&host).idle_count, 0);
    assert_eq!(errno(call(&mut host, Op::CORE_PARKING, &park(CoreParkingCommand(3), 0))), Errno::EINVAL);
}
