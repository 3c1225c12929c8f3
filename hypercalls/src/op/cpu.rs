//! The calls that set up how a PV vCPU is entered and what its CPU looks like.
//!
//! State changes are made on the calling vCPU only, by the CPU that runs it; vm_assist alone is the domain's and atomic.
//! Descriptors are `op::mmu`'s. Source: Xen public headers `arch-x86/xen.h`, `arch-x86/xen-x86_64.h`, `callback.h`,
//! `nmi.h`, `xen.h` (`vm_assist`).

use abi::callback::{CALLBACK_MASK_EVENTS, CallbackOperation, CallbackRegister, CallbackType, CallbackUnregister};
use abi::nmi::{NmiCallback, NmiOperation};
use abi::vm_assist::{Assist, AssistCommand};
use abi::xen_x86::{SegmentBase, TrapInfo};
use abi::{Errno, GuestHandle, GuestVirtual};
use pv_cpu::VirtualCpu;
use pv_cpu::bounce::Crash;
use pv_cpu::control::CR0_TASK_SWITCHED;
use pv_cpu::debug::Reload;
use pv_cpu::exception::Vector;
use pv_cpu::selector::{guest_selector, user_gs_selector};
use pv_cpu::trap_table::{Events, TrapGate};
use pv_cpu::vcpu::Callback;

use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::{Failure, Outcome, Reply};
use crate::table::{Row, rows};

/// The calling vCPU and the CPU under it.
pub trait CpuHost {
    /// Its state.
    fn virtual_cpu(&mut self) -> &mut VirtualCpu;
    /// Brings the CPU's CR0.TS and CR4 in line with it.
    fn load_control(&mut self);
    /// Brings the CPU's debug registers in line with it.
    fn load_debug(&mut self);
    /// Sets a base that lives in the CPU while the vCPU runs; the address is canonical.
    fn set_base(&mut self, which: Base, address: u64);
    /// Loads the GS selector of user mode and with it that mode's base; a selector that leads nowhere becomes null.
    fn load_user_gs(&mut self, selector: u16);
    /// Sets or clears bits of the domain's vm_assist word, atomically.
    fn change_assist(&mut self, change: AssistChange, bits: u64);
    /// Makes an NMI pending if the domain has been given a reason for one already.
    fn retry_nmi(&mut self);
    /// Replaces the registers by the frame on the guest's stack, [`pv_cpu::iret::iret`].
    fn return_from_trap(&mut self) -> Result<(), Crash>;
}

/// A segment base of the running vCPU, in guest kernel mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// FS.
    Fs,
    /// GS of the kernel, which runs.
    GsKernel,
    /// GS of user mode, which does not.
    GsUser,
}

/// What happens to vm_assist bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AssistChange {
    /// They are set.
    Enable,
    /// They are cleared.
    Disable,
}

/// set_trap_table(0): entries up to one with address 0; a null handle clears the table. Entries before a bad one stay.
/// Preemptible after every entry. Errors: `EFAULT`, `EINVAL` for a non-canonical handler.
pub fn set_trap_table<H: CpuHost + GuestMemory + Preemption>(host: &mut H, table: GuestHandle<TrapInfo>) -> Reply {
    if table.is_null() {
        host.virtual_cpu().traps.clear();
        return Ok(0);
    }
    let mut next = table;
    loop {
        let entry = guest::read(host, next)?;
        if entry.address == 0 {
            return Ok(0);
        }
        if !GuestVirtual(entry.address).is_canonical() {
            return Err(Errno::EINVAL.into());
        }
        let gate = TrapGate::new(entry.address, entry.code_selector, entry.flags);
        host.virtual_cpu().traps.set(Vector(entry.vector), gate);
        next = next.element(1);
        if host.preempted() {
            return Err(Failure::Preempted([next.address().0, 0, 0, 0, 0, 0]));
        }
    }
}

/// stack_switch(3): where traps from user mode put their frames. The selector is kept for context reads only.
#[inline]
pub fn stack_switch(host: &mut impl CpuHost, selector: u64, pointer: u64) -> Reply {
    let cpu = host.virtual_cpu();
    cpu.kernel_stack_selector = guest_selector(selector as u16);
    cpu.kernel_stack_pointer = pointer;
    Ok(0)
}

/// set_callbacks(4): event, failsafe and syscall entry points, none masking events but the first. An address that is
/// refused leaves its callback as it was, and is not reported.
pub fn set_callbacks(
    host: &mut impl CpuHost,
    event: GuestVirtual,
    failsafe: GuestVirtual,
    syscall: GuestVirtual,
) -> Reply {
    for (kind, address) in
        [(CallbackType::EVENT, event), (CallbackType::FAILSAFE, failsafe), (CallbackType::SYSCALL, syscall)]
    {
        let _unreported = register(host, kind, address, Events::Unchanged);
    }
    Ok(0)
}

/// callback_op(30). Errors: `EFAULT`; `EINVAL` for a non-canonical address or a callback that cannot be unregistered;
/// `ENOSYS` for other types and operations.
pub fn callback<H: CpuHost + GuestMemory>(
    host: &mut H,
    operation: CallbackOperation,
    argument: GuestHandle<u8>,
) -> Reply {
    match operation {
        CallbackOperation::REGISTER => {
            let request: CallbackRegister = guest::read(host, argument.cast())?;
            let events = if request.flags & CALLBACK_MASK_EVENTS != 0 { Events::Masked } else { Events::Unchanged };
            register(host, request.kind, request.address, events)
        }
        CallbackOperation::UNREGISTER => {
            let request: CallbackUnregister = guest::read(host, argument.cast())?;
            unregister(host, request.kind)
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn register(host: &mut impl CpuHost, kind: CallbackType, address: GuestVirtual, events: Events) -> Reply {
    if !address.is_canonical() {
        return Err(Errno::EINVAL.into());
    }
    let callback = Callback { address: address.0, events };
    let callbacks = &mut host.virtual_cpu().callbacks;
    match kind {
        CallbackType::EVENT => callbacks.event = address.0,
        CallbackType::FAILSAFE => callbacks.failsafe = callback,
        CallbackType::SYSCALL => callbacks.syscall = callback,
        CallbackType::SYSCALL32 => callbacks.syscall32 = callback,
        CallbackType::SYSENTER => callbacks.sysenter = callback,
        CallbackType::NMI => return register_nmi(host, address),
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

fn unregister(host: &mut impl CpuHost, kind: CallbackType) -> Reply {
    match kind {
        CallbackType::NMI => unregister_nmi(host),
        CallbackType::EVENT
        | CallbackType::FAILSAFE
        | CallbackType::SYSCALL
        | CallbackType::SYSCALL32
        | CallbackType::SYSENTER => Err(Errno::EINVAL.into()),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// nmi_op(28): the handler in vector 2 of the trap table. Errors: `EFAULT`, `EINVAL` for a non-canonical address,
/// `ENOSYS`.
pub fn nmi<H: CpuHost + GuestMemory>(
    host: &mut H,
    operation: NmiOperation,
    argument: GuestHandle<NmiCallback>,
) -> Reply {
    match operation {
        NmiOperation::REGISTER_CALLBACK => {
            let request = guest::read(host, argument)?;
            register_nmi(host, request.handler)
        }
        NmiOperation::UNREGISTER_CALLBACK => unregister_nmi(host),
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn register_nmi(host: &mut impl CpuHost, address: GuestVirtual) -> Reply {
    if !address.is_canonical() {
        return Err(Errno::EINVAL.into());
    }
    host.virtual_cpu().traps.set(Vector::NMI, TrapGate::nmi(address.0));
    // An NMI that came before there was a handler was dropped; its reason was not.
    host.retry_nmi();
    Ok(0)
}

fn unregister_nmi(host: &mut impl CpuHost) -> Reply {
    host.virtual_cpu().traps.set(Vector::NMI, TrapGate::default());
    Ok(0)
}

/// fpu_taskswitch(5): sets (argument not 0) or clears CR0.TS.
#[inline]
pub fn fpu_taskswitch(host: &mut impl CpuHost, set: u32) -> Reply {
    let wanted = if set != 0 { CR0_TASK_SWITCHED } else { 0 };
    let control = &mut host.virtual_cpu().control;
    if control.is_task_switched() != (set != 0) {
        control.set_task_switched(wanted);
        host.load_control();
    }
    Ok(0)
}

/// set_debugreg(8). Errors: `ENODEV`, `EPERM`, see [`pv_cpu::debug::DebugRegisters::set`].
pub fn set_debugreg(host: &mut impl CpuHost, index: u32, value: u64) -> Reply {
    let cpu = host.virtual_cpu();
    let reload = cpu.debug.set(index, value, cpu.control.cr4())?;
    if reload == Reload::All {
        host.load_debug();
    }
    Ok(0)
}

/// get_debugreg(9): the register's value. Errors: `ENODEV`, which the guest cannot tell from a value.
pub fn get_debugreg(host: &mut impl CpuHost, index: u32) -> Reply {
    let cpu = host.virtual_cpu();
    Ok(cpu.debug.get(index, cpu.control.cr4())?)
}

/// vm_assist(21). Errors: `EINVAL` for a type a 64-bit PV guest does not have, then `ENOSYS` for the command.
pub fn vm_assist(host: &mut impl CpuHost, command: AssistCommand, kind: Assist) -> Reply {
    let known = matches!(
        kind,
        Assist::SEGMENTS_4GB
            | Assist::SEGMENTS_4GB_NOTIFY
            | Assist::WRITABLE_PAGETABLES
            | Assist::PAE_EXTENDED_CR3
            | Assist::ARCHITECTURAL_IOPL
            | Assist::RUNSTATE_UPDATE_FLAG
            | Assist::M2P_STRICT
    );
    if !known {
        return Err(Errno::EINVAL.into());
    }
    let change = match command {
        AssistCommand::ENABLE => AssistChange::Enable,
        AssistCommand::DISABLE => AssistChange::Disable,
        _ => return Err(Errno::ENOSYS.into()),
    };
    host.change_assist(change, kind.mask());
    Ok(0)
}

/// iret(23): the registers come from the guest's stack; a multicall ends with it.
#[inline(always)]
pub fn iret(host: &mut impl CpuHost) -> Outcome {
    match host.return_from_trap() {
        Ok(()) => Outcome::RegistersReplaced,
        Err(crash) => Outcome::CrashGuest(crash.reason()),
    }
}

/// What each register of set_segment_base is here.
pub const SEGMENT_ROWS: &[Row] = rows!(SegmentBase { works: FS GS_USER GS_KERNEL GS_USER_SELECTOR; });

/// set_segment_base(25). Errors: `EINVAL` for a non-canonical base or an unknown register; a selector never fails.
#[inline(always)]
pub fn set_segment_base(host: &mut impl CpuHost, which: SegmentBase, value: u64) -> Reply {
    if which == SegmentBase::GS_USER_SELECTOR {
        host.load_user_gs(user_gs_selector(value as u16));
        return Ok(0);
    }
    if !GuestVirtual(value).is_canonical() {
        return Err(Errno::EINVAL.into());
    }
    let base = match which {
        SegmentBase::FS => Base::Fs,
        SegmentBase::GS_USER => Base::GsUser,
        SegmentBase::GS_KERNEL => Base::GsKernel,
        _ => return Err(Errno::EINVAL.into()),
    };
    host.set_base(base, value);
    Ok(0)
}

/// What the sub-operations of callback_op are here.
pub const CALLBACK_ROWS: &[Row] = rows!(CallbackOperation { works: REGISTER UNREGISTER; });

/// What the sub-operations of nmi_op are here.
pub const NMI_ROWS: &[Row] = rows!(NmiOperation { works: REGISTER_CALLBACK UNREGISTER_CALLBACK; });

/// What the types of vm_assist are here.
pub const ASSIST_ROWS: &[Row] = rows!(
    Assist {
        works: SEGMENTS_4GB SEGMENTS_4GB_NOTIFY WRITABLE_PAGETABLES PAE_EXTENDED_CR3 ARCHITECTURAL_IOPL
            RUNSTATE_UPDATE_FLAG M2P_STRICT;
    }
);
