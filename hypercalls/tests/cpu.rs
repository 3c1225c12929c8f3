//! The PV CPU calls: results as Xen 4.17.7 gives them, and what they leave in the vCPU.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::callback::{CallbackOperation, CallbackRegister, CallbackType, CallbackUnregister};
use abi::nmi::{NmiCallback, NmiOperation};
use abi::vm_assist::{Assist, AssistCommand};
use abi::xen_x86::{SegmentBase, TrapInfo};
use abi::{Errno, GuestHandle, GuestVirtual, Result};
use common::{BASE, Memory, at, hypervisor, nowhere};
use hypercalls::guest::{GuestMemory, Preemption};
use hypercalls::op::cpu::{
    self, AssistChange, Base, CpuHost, callback, fpu_taskswitch, get_debugreg, iret, nmi, set_callbacks, set_debugreg,
    set_segment_base, set_trap_table, stack_switch, vm_assist,
};
use hypercalls::outcome::{Failure, Outcome, Reply};
use pv_cpu::VirtualCpu;
use pv_cpu::bounce::Crash;
use pv_cpu::exception::Vector;
use pv_cpu::trap_table::Events;

/// A vCPU, its memory, and what was asked of the CPU.
struct Host {
    memory: Memory,
    cpu: VirtualCpu,
    log: Vec<String>,
    assist: u64,
    preempted: bool,
    crash: Option<Crash>,
}

impl Host {
    fn new() -> Self {
        Host {
            memory: Memory::new(),
            cpu: VirtualCpu::default(),
            log: Vec::new(),
            assist: 0,
            preempted: false,
            crash: None,
        }
    }
}

impl GuestMemory for Host {
    fn copy_in(&self, from: GuestVirtual, to: &mut [u8]) -> Result<()> {
        self.memory.copy_in(from, to)
    }
    fn copy_out(&self, to: GuestVirtual, from: &[u8]) -> Result<()> {
        self.memory.copy_out(to, from)
    }
}

impl Preemption for Host {
    fn preempted(&self) -> bool {
        self.preempted
    }
}

impl CpuHost for Host {
    fn virtual_cpu(&mut self) -> &mut VirtualCpu {
        &mut self.cpu
    }
    fn load_control(&mut self) {
        self.log.push(format!("ts={}", self.cpu.control.is_task_switched()));
    }
    fn load_debug(&mut self) {
        self.log.push(format!("dr7={:#x}", self.cpu.debug.hardware_dr7()));
    }
    fn set_base(&mut self, which: Base, address: u64) {
        self.log.push(format!("{which:?}={address:#x}"));
    }
    fn load_user_gs(&mut self, selector: u16) {
        self.log.push(format!("gs {selector:#x}"));
    }
    fn change_assist(&mut self, change: AssistChange, bits: u64) {
        match change {
            AssistChange::Enable => self.assist |= bits,
            AssistChange::Disable => self.assist &= !bits,
        }
    }
    fn retry_nmi(&mut self) {
        self.log.push("retry nmi".into());
    }
    fn return_from_trap(&mut self) -> core::result::Result<(), Crash> {
        self.crash.map_or(Ok(()), Err)
    }
}

fn error(errno: Errno) -> Reply {
    Err(Failure::Errno(errno))
}

const EFAULT: Errno = Errno::EFAULT;

/// A new argument for the next call.
fn put<T: zerocopy::IntoBytes + zerocopy::Immutable>(host: &Host, offset: u64, value: &T) {
    host.memory.forget_reads();
    host.memory.copy_out(GuestVirtual(BASE + offset), value.as_bytes()).unwrap();
}

fn trap(vector: u8, flags: u8, code_selector: u16, address: u64) -> TrapInfo {
    TrapInfo { vector, flags, code_selector, address, ..TrapInfo::default() }
}

#[test]
fn trap_table_entries_up_to_the_sentinel() {
    let mut host = Host::new();
    put(&host, 0, &trap(14, 4, 0x10, 0x1000));
    put(&host, 16, &trap(3, 3, 0xE033, 0xFFFF_8300_0000_0000));
    put(&host, 32, &trap(5, 0, 0, 0));
    put(&host, 48, &trap(6, 0, 0, 0x2000));
    assert_eq!(set_trap_table(&mut host, at(0)), Ok(0));
    let fault = host.cpu.traps.gate(Vector(14));
    assert_eq!((fault.address, fault.selector, fault.events()), (0x1000, 0x13, Events::Masked));
    assert_eq!(host.cpu.traps.gate(Vector(3)).address, 0xFFFF_8300_0000_0000);
    assert_eq!(host.cpu.traps.gate(Vector(6)).address, 0, "behind the sentinel");
    assert_eq!(set_trap_table(&mut host, GuestHandle::new(0)), Ok(0));
    assert_eq!(host.cpu.traps, VirtualCpu::default().traps);
}

#[test]
fn trap_table_errors_keep_earlier_entries() {
    let mut host = Host::new();
    put(&host, 0, &trap(1, 0, 0, 0x1000));
    put(&host, 16, &trap(2, 0, 0, 0x8000_0000_0000));
    assert_eq!(set_trap_table(&mut host, at(0)), error(Errno::EINVAL));
    assert_eq!(host.cpu.traps.gate(Vector(1)).address, 0x1000);
    assert_eq!(host.cpu.traps.gate(Vector(2)).address, 0);
    for bad in [nowhere(), hypervisor()] {
        assert_eq!(set_trap_table(&mut host, bad), error(EFAULT));
    }
}

#[test]
fn trap_table_continues_after_every_entry() {
    let mut host = Host::new();
    host.preempted = true;
    put(&host, 0, &trap(1, 0, 0, 0x1000));
    put(&host, 16, &trap(2, 0, 0, 0x2000));
    put(&host, 32, &TrapInfo::default());
    let mut table = at(0);
    for step in 1..=2 {
        let Err(Failure::Preempted([next, ..])) = set_trap_table(&mut host, table) else { panic!() };
        assert_eq!(next, BASE + 16 * step);
        table = GuestHandle::new(next);
    }
    assert_eq!(set_trap_table(&mut host, table), Ok(0));
    assert_eq!(host.cpu.traps.gate(Vector(2)).address, 0x2000);
}

#[test]
fn stack_switch_takes_anything() {
    let mut host = Host::new();
    assert_eq!(stack_switch(&mut host, 0xFFFF_0018, 0x8000_0000_0000), Ok(0));
    assert_eq!((host.cpu.kernel_stack_selector, host.cpu.kernel_stack_pointer), (0x1B, 0x8000_0000_0000));
}

#[test]
fn old_callbacks_report_nothing() {
    let mut host = Host::new();
    let bad = GuestVirtual(0x8000_0000_0000);
    assert_eq!(set_callbacks(&mut host, GuestVirtual(0x1000), bad, GuestVirtual(0x3000)), Ok(0));
    assert_eq!(host.cpu.callbacks.event, 0x1000);
    assert_eq!(host.cpu.callbacks.failsafe.address, 0);
    assert_eq!(host.cpu.callbacks.syscall.address, 0x3000);
}

#[test]
fn callbacks_by_type() {
    let mut host = Host::new();
    let register = |host: &mut Host, kind: u16, flags: u16, address: u64| {
        let address = GuestVirtual(address);
        put(host, 0, &CallbackRegister { kind: CallbackType(kind), flags, address, ..CallbackRegister::default() });
        callback(host, CallbackOperation::REGISTER, at(0))
    };
    let unregister = |host: &mut Host, kind: u16| {
        put(host, 0, &CallbackUnregister { kind: CallbackType(kind), ..CallbackUnregister::default() });
        callback(host, CallbackOperation::UNREGISTER, at(0))
    };
    for kind in 0..10u16 {
        let known = matches!(kind, 0 | 1 | 2 | 4 | 5 | 7);
        assert_eq!(register(&mut host, kind, 1, 0x8000_0000_0000), error(Errno::EINVAL), "{kind}");
        let expected = if known { Ok(0) } else { error(Errno::ENOSYS) };
        assert_eq!(register(&mut host, kind, 1, 0x1000 + u64::from(kind)), expected, "{kind}");
    }
    let callbacks = host.cpu.callbacks;
    assert_eq!(callbacks.event, 0x1000);
    for (found, address) in [
        (callbacks.failsafe, 0x1001),
        (callbacks.syscall, 0x1002),
        (callbacks.sysenter, 0x1005),
        (callbacks.syscall32, 0x1007),
    ] {
        assert_eq!((found.address, found.events), (address, Events::Masked));
    }
    assert_eq!(host.cpu.traps.gate(Vector::NMI).address, 0x1004);
    assert_eq!(host.log, ["retry nmi"]);
    assert_eq!(register(&mut host, 2, 0, 0x9000), Ok(0));
    assert_eq!(host.cpu.callbacks.syscall.events, Events::Unchanged);
    for kind in 0..10u16 {
        let expected = match kind {
            4 => Ok(0),
            0 | 1 | 2 | 5 | 7 => error(Errno::EINVAL),
            _ => error(Errno::ENOSYS),
        };
        assert_eq!(unregister(&mut host, kind), expected, "{kind}");
    }
    assert_eq!(host.cpu.traps.gate(Vector::NMI).address, 0);
    assert_eq!(callback(&mut host, CallbackOperation(2), nowhere()), error(Errno::ENOSYS));
    for operation in [CallbackOperation::REGISTER, CallbackOperation::UNREGISTER] {
        assert_eq!(callback(&mut host, operation, nowhere()), error(EFAULT));
    }
}

#[test]
fn nmi_handler_is_vector_two() {
    let mut host = Host::new();
    put(&host, 0, &NmiCallback { handler: GuestVirtual(0x7000), reserved: 0 });
    assert_eq!(nmi(&mut host, NmiOperation::REGISTER_CALLBACK, at(0)), Ok(0));
    let gate = *host.cpu.traps.gate(Vector::NMI);
    assert_eq!((gate.address, gate.events()), (0x7000, Events::Masked));
    put(&host, 0, &NmiCallback { handler: GuestVirtual(1 << 63), reserved: 0 });
    assert_eq!(nmi(&mut host, NmiOperation::REGISTER_CALLBACK, at(0)), error(Errno::EINVAL));
    assert_eq!(nmi(&mut host, NmiOperation::REGISTER_CALLBACK, nowhere()), error(EFAULT));
    assert_eq!(nmi(&mut host, NmiOperation::UNREGISTER_CALLBACK, nowhere()), Ok(0));
    assert_eq!(host.cpu.traps.gate(Vector::NMI).address, 0);
    assert_eq!(nmi(&mut host, NmiOperation(2), at(0)), error(Errno::ENOSYS));
}

#[test]
fn task_switched_bit() {
    let mut host = Host::new();
    for (set, log) in [(0, 0), (1, 1), (7, 1), (0, 2), (0, 2)] {
        assert_eq!(fpu_taskswitch(&mut host, set), Ok(0));
        assert_eq!((host.cpu.control.is_task_switched(), host.log.len()), (set != 0, log));
    }
}

#[test]
fn debug_registers() {
    let mut host = Host::new();
    assert_eq!(set_debugreg(&mut host, 0, 0xFFFF_8300_0000_0000), error(Errno::EPERM));
    assert_eq!(set_debugreg(&mut host, 6, 1 << 32), error(Errno::EINVAL));
    assert_eq!(set_debugreg(&mut host, 7, 1 << 13), error(Errno::EPERM));
    assert_eq!(set_debugreg(&mut host, 8, 0), error(Errno::ENODEV));
    assert_eq!(set_debugreg(&mut host, 3, 0x1000), Ok(0));
    assert_eq!(set_debugreg(&mut host, 7, 0x401), Ok(0));
    assert_eq!(host.log, ["dr7=0x401"]);
    let values: Vec<Reply> = (0..9).map(|index| get_debugreg(&mut host, index)).collect();
    let dr6 = Ok(0xFFFF_0FF0);
    assert_eq!(values, [Ok(0), Ok(0), Ok(0), Ok(0x1000), dr6, Ok(0x401), dr6, Ok(0x401), error(Errno::ENODEV)]);
}

#[test]
fn assists() {
    for kind in (0..70).chain([u32::MAX]) {
        let mut host = Host::new();
        let known = matches!(kind, 0..=5 | 32);
        let refused = error(Errno::EINVAL);
        let kind = Assist(kind);
        assert_eq!(vm_assist(&mut host, AssistCommand(0), kind), if known { Ok(0) } else { refused });
        assert_eq!(host.assist, if known { 1 << kind.0 } else { 0 });
        assert_eq!(vm_assist(&mut host, AssistCommand(2), kind), if known { error(Errno::ENOSYS) } else { refused });
        assert_eq!(vm_assist(&mut host, AssistCommand(1), kind), if known { Ok(0) } else { refused });
        assert_eq!(host.assist, 0);
    }
}

#[test]
fn segment_bases() {
    let mut host = Host::new();
    for (which, name) in [(0, "Fs"), (1, "GsUser"), (2, "GsKernel")] {
        let which = SegmentBase(which);
        assert_eq!(set_segment_base(&mut host, which, 0xFFFF_8300_0000_0000), Ok(0));
        assert_eq!(host.log.pop(), Some(format!("{name}=0xffff830000000000")));
        for bad in [0x8000_0000_0000, 0xFFFF_7FFF_FFFF_FFFF] {
            assert_eq!(set_segment_base(&mut host, which, bad), error(Errno::EINVAL));
        }
    }
    for (selector, loaded) in [(0, 0), (3, 3), (0x1_0018, 0x1B), (0xFFFF_FFFF_FFFF_0004, 7)] {
        assert_eq!(set_segment_base(&mut host, SegmentBase::GS_USER_SELECTOR, selector), Ok(0));
        assert_eq!(host.log.pop(), Some(format!("gs {loaded:#x}")));
    }
    assert_eq!(set_segment_base(&mut host, SegmentBase(4), 0), error(Errno::EINVAL));
    assert!(host.log.is_empty());
}

#[test]
fn iret_replaces_or_crashes() {
    let mut host = Host::new();
    assert_eq!(iret(&mut host), Outcome::RegistersReplaced);
    host.crash = Some(Crash::NoUserPageTable);
    assert_eq!(iret(&mut host), Outcome::CrashGuest(Crash::NoUserPageTable.reason()));
}

#[test]
fn rows_name_every_sub_operation() {
    assert_eq!(cpu::CALLBACK_ROWS.len(), CallbackOperation::NAMED.len());
    assert_eq!(cpu::NMI_ROWS.len(), NmiOperation::NAMED.len());
    assert_eq!(cpu::ASSIST_ROWS.len(), Assist::NAMED.len());
}

#[test]
fn every_segment_register_has_a_row() {
    assert_eq!(cpu::SEGMENT_ROWS.len(), abi::xen_x86::SegmentBase::NAMED.len());
}
