//! vcpu_op: bring-up with a checked context, areas, timers, refusals.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::vcpu::{
    GetPhysid, RegisterRunstateMemoryArea, RegisterTimeMemoryArea, RegisterVcpuInfo, RunstateInfo, SetPeriodicTimer,
    SetSingleshotTimer, VcpuOperation as Op,
};
use abi::xen_x86::VcpuGuestContext;
use abi::{Errno, GuestHandle, GuestVirtual, Mfn, VcpuId};
use common::{BASE, Fake, Vcpu, at, errno, hypervisor, nowhere, preempted};
use hypercalls::op::vcpu::{PhysicalId, vcpu};
use hypercalls::outcome::Reply;
use zerocopy::{FromZeros, Immutable, IntoBytes};

fn call<T: IntoBytes + Immutable>(host: &mut Fake, operation: Op, id: u32, argument: &T) -> Reply {
    host.next_call().memory.put(BASE, argument);
    vcpu(host, operation, VcpuId(id), at(0))
}

fn plain(host: &mut Fake, operation: Op, id: u32) -> Reply {
    host.next_call();
    vcpu(host, operation, VcpuId(id), GuestHandle::new(0))
}

#[test]
fn the_vcpu_is_looked_up_before_the_operation() {
    for operation in (0..20).map(Op) {
        assert_eq!(errno(plain(&mut Fake::new(), operation, 2)), Errno::ENOENT);
    }
    assert_eq!(errno(plain(&mut Fake::new(), Op(14), 0)), Errno::ENOSYS);
    assert_eq!(errno(plain(&mut Fake::new(), Op(99), 0)), Errno::ENOSYS);
}

#[test]
fn a_vcpu_comes_up_once_it_is_initialised() {
    let mut host = Fake::new();
    assert_eq!(errno(plain(&mut host, Op::UP, 1)), Errno::EINVAL);
    assert_eq!(plain(&mut host, Op::IS_UP, 1), Ok(0));
    let mut context = VcpuGuestContext::new_zeroed();
    context.registers.cs = 0x10;
    assert_eq!(call(&mut host, Op::INITIALISE, 1, &context), Ok(0));
    assert_eq!(host.take_effects(), ["initialise (1, 19)"], "its selectors are of ring 3");
    assert_eq!(errno(call(&mut host, Op::INITIALISE, 1, &context)), Errno::EEXIST);
    assert_eq!(plain(&mut host, Op::UP, 1), Ok(0));
    assert_eq!(plain(&mut host, Op::IS_UP, 1), Ok(1));
    assert_eq!(plain(&mut host, Op::DOWN, 0), Ok(0));
    assert_eq!(plain(&mut host, Op::IS_UP, 0), Ok(0));
    assert_eq!(host.take_effects(), [""; 0]);
    assert_eq!(plain(&mut host, Op::DOWN, 1), Ok(0));
    assert_eq!(host.take_effects(), ["shutdown 0"], "the last one down is a power-off");
}

#[test]
fn initialise_can_be_preempted() {
    let mut host = Fake::new();
    host.vcpus.insert(1, Vcpu { preemptions: 2, ..Vcpu::new() });
    host.memory.put(BASE, &VcpuGuestContext::new_zeroed());
    let mut arguments = [0, 1, BASE, 0, 0, 0];
    for _ in 0..2 {
        let [operation, id, pointer, ..] = arguments;
        host.next_call();
        arguments = preempted(vcpu(&mut host, Op(operation as u32), VcpuId(id as u32), GuestHandle::new(pointer)));
        assert_eq!(arguments, [0, 1, BASE, 0, 0, 0]);
    }
    host.next_call();
    assert_eq!(vcpu(&mut host, Op::INITIALISE, VcpuId(1), at(0)), Ok(0));
}

#[test]
fn initialise_refuses_contexts_that_could_hurt() {
    const HOLE: u64 = 1 << 47;
    type Spoil = fn(&mut VcpuGuestContext);
    let spoils: [Spoil; 16] = [
        |context| context.registers.rip = HOLE,
        |context| context.registers.rsp = HOLE,
        |context| context.kernel_sp = HOLE,
        |context| context.fs_base = HOLE,
        |context| context.gs_base_kernel = HOLE,
        |context| context.gs_base_user = HOLE,
        |context| context.event_callback.0 = HOLE,
        |context| context.failsafe_callback.0 = HOLE,
        |context| context.syscall_callback.0 = HOLE,
        |context| context.traps[255].address = HOLE,
        |context| context.ldt_base = GuestVirtual(0x123),
        |context| context.ldt_base = GuestVirtual(abi::frame::HYPERVISOR_START),
        |context| context.ldt_base = GuestVirtual(HOLE),
        |context| context.ldt_entries = 8193,
        |context| context.gdt_entries = 7169,
        |context| context.gdt_entries = u64::MAX,
    ];
    for (index, spoil) in spoils.into_iter().enumerate() {
        let mut host = Fake::new();
        let mut context = VcpuGuestContext::new_zeroed();
        spoil(&mut context);
        assert_eq!(errno(call(&mut host, Op::INITIALISE, 1, &context)), Errno::EINVAL, "spoil {index}");
        assert_eq!(host.take_effects(), [""; 0]);
    }
    let mut host = Fake::new();
    assert_eq!(errno(vcpu(&mut host, Op::INITIALISE, VcpuId(1), nowhere())), Errno::EFAULT);
    assert_eq!(errno(vcpu(&mut host, Op::INITIALISE, VcpuId(40), nowhere())), Errno::EINVAL, "no vcpu_info");
}

#[test]
fn areas_may_lie_anywhere_but_in_the_hypervisor() {
    let mut host = Fake::new();
    let inside = hypervisor::<u8>().address().0;
    let runstate = |address| RegisterRunstateMemoryArea { address };
    let time = |address| RegisterTimeMemoryArea { address };
    assert_eq!(call(&mut host, Op::REGISTER_RUNSTATE_MEMORY_AREA, 1, &runstate(0x7000_0000)), Ok(0));
    assert_eq!(call(&mut host, Op::REGISTER_RUNSTATE_MEMORY_AREA, 1, &runstate(0)), Ok(0));
    assert_eq!(call(&mut host, Op::REGISTER_VCPU_TIME_MEMORY_AREA, 0, &time(0x7000_0000)), Ok(0));
    assert_eq!(host.take_effects(), ["runstate 1 0x70000000", "runstate 1 0x0", "time 0 0x70000000"]);
    assert_eq!(errno(call(&mut host, Op::REGISTER_RUNSTATE_MEMORY_AREA, 0, &runstate(inside))), Errno::EFAULT);
    assert_eq!(errno(call(&mut host, Op::REGISTER_VCPU_TIME_MEMORY_AREA, 0, &time(inside))), Errno::EFAULT);
    assert_eq!(vcpu(&mut host, Op::GET_RUNSTATE_INFO, VcpuId(0), at(64)), Ok(0));
    assert_eq!(host.memory.get::<RunstateInfo>(BASE + 64).state_entry_time, host.now);
}

#[test]
fn timers_have_bounds_and_owners() {
    let mut host = Fake::new();
    for (period, result) in [(999_999, false), (1_000_000, true), (u64::MAX >> 2, true), ((u64::MAX >> 2) + 1, false)] {
        let reply = call(&mut host, Op::SET_PERIODIC_TIMER, 1, &SetPeriodicTimer { period });
        assert_eq!(reply.is_ok(), result, "{period}");
    }
    assert_eq!(plain(&mut host, Op::STOP_PERIODIC_TIMER, 1), Ok(0));
    assert_eq!(host.take_effects().last().map(String::as_str), Some("period 1 None"));
    let at_time = |timeout| SetSingleshotTimer { timeout, ..SetSingleshotTimer::default() };
    assert_eq!(call(&mut host, Op::SET_SINGLESHOT_TIMER, 0, &at_time(5)), Ok(0), "passed: fires at once");
    assert_eq!(call(&mut host, Op::SET_SINGLESHOT_TIMER, 0, &at_time(u64::MAX)), Ok(0));
    assert_eq!(plain(&mut host, Op::STOP_SINGLESHOT_TIMER, 0), Ok(0));
    assert_eq!(host.take_effects(), ["timer 5", "timer 0", "timer off"]);
    assert_eq!(errno(vcpu(&mut host, Op::SET_SINGLESHOT_TIMER, VcpuId(1), nowhere())), Errno::EINVAL);
    assert_eq!(errno(plain(&mut host, Op::STOP_SINGLESHOT_TIMER, 1)), Errno::EINVAL);
}

#[test]
fn vcpu_info_moves_once() {
    let mut host = Fake::new();
    let place = |offset| RegisterVcpuInfo { mfn: Mfn(9), offset, ..RegisterVcpuInfo::default() };
    for offset in [4033, 4040, 4096, u32::MAX, 4, 1] {
        assert_eq!(errno(call(&mut host, Op::REGISTER_VCPU_INFO, 0, &place(offset))), Errno::ENXIO, "{offset}");
    }
    assert_eq!(call(&mut host, Op::REGISTER_VCPU_INFO, 0, &place(4032)), Ok(0));
    assert_eq!(errno(call(&mut host, Op::REGISTER_VCPU_INFO, 0, &place(0))), Errno::EINVAL);
    assert_eq!(call(&mut host, Op::REGISTER_VCPU_INFO, 1, &place(8)), Ok(0), "another one that is down");
    host.vcpus.insert(1, Vcpu::running());
    assert_eq!(errno(call(&mut host, Op::REGISTER_VCPU_INFO, 1, &place(8))), Errno::EINVAL, "another one that is up");
}

#[test]
fn nmi_and_physical_id() {
    let mut host = Fake::new();
    assert_eq!(plain(&mut host, Op::SEND_NMI, 1), Ok(0));
    assert_eq!(errno(vcpu(&mut host, Op::SEND_NMI, VcpuId(1), at(0))), Errno::EINVAL);
    assert_eq!(errno(vcpu(&mut host, Op::GET_PHYSID, VcpuId(0), nowhere())), Errno::EINVAL);
    host.vcpus.get_mut(&0).expect("there").physical = Some(PhysicalId { apic: 4, acpi: 7 });
    assert_eq!(errno(vcpu(&mut host, Op::GET_PHYSID, VcpuId(0), nowhere())), Errno::EFAULT);
    assert_eq!(vcpu(&mut host, Op::GET_PHYSID, VcpuId(0), at(0)), Ok(0));
    assert_eq!(host.memory.get::<GetPhysid>(BASE).physical_id, 7 << 32 | 4);
}
