//! vcpu_op: bring-up, state and timers of the caller's own vCPUs. Source: Xen public header `vcpu.h`.
//!
//! Several vCPUs of a domain may run these on the same victim at once: every host method is one atomic step, and
//! those that decide (`vcpu_take_down`, `vcpu_initialise`, `vcpu_info_register`) check again under the host's lock.

use abi::sched::ShutdownReason;
use abi::shared_info::{VcpuInfo, VcpuTimeInfo};
use abi::vcpu::{
    GetPhysid, RegisterRunstateMemoryArea, RegisterTimeMemoryArea, RegisterVcpuInfo, RunstateInfo, SetPeriodicTimer,
    SetSingleshotTimer, VcpuOperation,
};
use abi::xen_x86::VcpuGuestContext;
use abi::{Errno, GuestHandle, Mfn, Result, VcpuId};
use zerocopy::FromZeros;

use super::sched::SchedulerHost;
use super::timer::{self, TimerHost};
use super::vcpu_context::{self, CheckedContext};
use crate::guest::{self, GuestMemory};
use crate::outcome::{Failure, Reply};
use crate::table::{Row, rows};

/// Whether a long step came to its end.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It is done.
    Done,
    /// Out of budget: call again with the same arguments; what was done is remembered or undone.
    Preempted,
}

/// What became of a vCPU that should go down.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TakenDown {
    /// It is down (or was).
    Down,
    /// It is the last one up, and still is.
    LastOne,
}

/// Identity of the CPU under a pinned vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PhysicalId {
    /// Local APIC id.
    pub apic: u32,
    /// ACPI processor id.
    pub acpi: u32,
}

/// The caller's domain's vCPUs.
pub trait VcpuHost: TimerHost {
    /// The calling vCPU.
    fn caller_vcpu(&self) -> VcpuId;
    /// Whether the domain has this vCPU, initialised or not. All other methods are called with such only.
    fn vcpu_exists(&self, vcpu: VcpuId) -> bool;
    /// Whether it has a `vcpu_info` of its own (a legacy slot or a registered one).
    fn vcpu_has_info(&self, vcpu: VcpuId) -> bool;
    /// Whether it was given its first context.
    fn vcpu_is_initialised(&self, vcpu: VcpuId) -> bool;
    /// Gives it its first context: types the descriptor-table frames and page tables, all or nothing.
    /// Errors: `EEXIST` if it has one, `EINVAL` for frames that will not do.
    fn vcpu_initialise(&mut self, vcpu: VcpuId, context: CheckedContext<'_>) -> Result<Progress>;
    /// Whether it is up.
    fn vcpu_is_up(&self, vcpu: VcpuId) -> bool;
    /// Lets it run.
    fn vcpu_bring_up(&mut self, vcpu: VcpuId);
    /// Takes it down unless it is the last one up.
    fn vcpu_take_down(&mut self, vcpu: VcpuId) -> TakenDown;
    /// Where its time went, up to now.
    fn vcpu_runstate(&self, vcpu: VcpuId) -> RunstateInfo;
    /// From now on keeps a copy of its runstate there (null: nowhere), and writes the first one now; a fault while
    /// writing is not an error, then or later.
    fn vcpu_runstate_area(&mut self, vcpu: VcpuId, area: GuestHandle<RunstateInfo>);
    /// The same for its clock parameters.
    fn vcpu_time_area(&mut self, vcpu: VcpuId, area: GuestHandle<VcpuTimeInfo>);
    /// Sets or ends its periodic timer.
    fn vcpu_periodic_timer(&mut self, vcpu: VcpuId, period: Option<u64>);
    /// Whether its `vcpu_info` was moved before.
    fn vcpu_info_registered(&self, vcpu: VcpuId) -> bool;
    /// Moves its `vcpu_info` into this frame of the domain (offset checked), keeping the content, and makes all events
    /// look pending. Errors: `EINVAL` if the frame is not the domain's or not writable, or if it was moved before.
    fn vcpu_info_register(&mut self, vcpu: VcpuId, frame: Mfn, offset: u32) -> Result<()>;
    /// Makes an NMI pending for it; one that waits already stands for both.
    fn vcpu_send_nmi(&mut self, vcpu: VcpuId);
    /// The CPU below, if this is the hardware domain and its vCPUs are pinned.
    fn vcpu_physical_id(&self, vcpu: VcpuId) -> Option<PhysicalId>;
}

/// Shortest period of a periodic timer, nanoseconds.
const PERIOD_MIN: u64 = 1_000_000;
/// Longest time span the clock counts with, nanoseconds.
const PERIOD_MAX: u64 = u64::MAX >> 2;

/// vcpu_op(24). Errors: `ENOENT` for a vCPU the domain does not have, `ENOSYS` for an unknown operation, `EFAULT`,
/// else as the operations say.
#[inline(always)]
pub fn vcpu<H>(host: &mut H, operation: VcpuOperation, vcpu: VcpuId, argument: GuestHandle<u8>) -> Reply
where
    H: VcpuHost + SchedulerHost + GuestMemory,
{
    if !host.vcpu_exists(vcpu) {
        return Err(Errno::ENOENT.into());
    }
    if operation == VcpuOperation::IS_UP {
        return Ok(u64::from(host.vcpu_is_up(vcpu)));
    }
    operate(host, operation, vcpu, argument)
}

/// The operations that do more than look, on a vCPU that exists.
#[inline(never)]
fn operate<H>(host: &mut H, operation: VcpuOperation, vcpu: VcpuId, argument: GuestHandle<u8>) -> Reply
where
    H: VcpuHost + SchedulerHost + GuestMemory,
{
    match operation {
        VcpuOperation::INITIALISE => return initialise(host, vcpu, argument),
        VcpuOperation::UP if !host.vcpu_is_initialised(vcpu) => return Err(Errno::EINVAL.into()),
        VcpuOperation::UP => host.vcpu_bring_up(vcpu),
        VcpuOperation::DOWN => {
            if host.vcpu_take_down(vcpu) == TakenDown::LastOne {
                host.shutdown(ShutdownReason::POWEROFF);
            }
        }
        VcpuOperation::GET_RUNSTATE_INFO => guest::write(host, argument.cast(), &host.vcpu_runstate(vcpu))?,
        VcpuOperation::REGISTER_RUNSTATE_MEMORY_AREA => {
            let request: RegisterRunstateMemoryArea = guest::read(host, argument.cast())?;
            let area = GuestHandle::new(request.address);
            guest::check_array(area, 1)?;
            host.vcpu_runstate_area(vcpu, area);
        }
        VcpuOperation::SET_PERIODIC_TIMER => {
            let request: SetPeriodicTimer = guest::read(host, argument.cast())?;
            if !(PERIOD_MIN..=PERIOD_MAX).contains(&request.period) {
                return Err(Errno::EINVAL.into());
            }
            host.vcpu_periodic_timer(vcpu, Some(request.period));
        }
        VcpuOperation::STOP_PERIODIC_TIMER => host.vcpu_periodic_timer(vcpu, None),
        VcpuOperation::SET_SINGLESHOT_TIMER => set_singleshot_timer(host, vcpu, argument)?,
        VcpuOperation::STOP_SINGLESHOT_TIMER => {
            only_caller(host, vcpu)?;
            host.singleshot_timer_stop();
        }
        VcpuOperation::REGISTER_VCPU_INFO => {
            let request = guest::read(host, argument.cast())?;
            register_info(host, vcpu, request)?;
        }
        VcpuOperation::SEND_NMI if !argument.is_null() => return Err(Errno::EINVAL.into()),
        VcpuOperation::SEND_NMI => host.vcpu_send_nmi(vcpu),
        VcpuOperation::GET_PHYSID => {
            let id = host.vcpu_physical_id(vcpu).ok_or(Errno::EINVAL)?;
            let answer = GetPhysid { physical_id: u64::from(id.acpi) << 32 | u64::from(id.apic) };
            guest::write(host, argument.cast(), &answer)?;
        }
        VcpuOperation::REGISTER_VCPU_TIME_MEMORY_AREA => {
            let request: RegisterTimeMemoryArea = guest::read(host, argument.cast())?;
            let area = GuestHandle::new(request.address);
            guest::check_array(area, 1)?;
            host.vcpu_time_area(vcpu, area);
        }
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// Errors: `EINVAL` unless the operation names the calling vCPU.
fn only_caller<H: VcpuHost>(host: &H, vcpu: VcpuId) -> Result<()> {
    if vcpu == host.caller_vcpu() { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Errors: `EINVAL` for a vCPU without `vcpu_info` or a context that will not do, `EEXIST`, `EFAULT`.
#[inline(never)]
fn initialise<H: VcpuHost + GuestMemory>(host: &mut H, vcpu: VcpuId, argument: GuestHandle<u8>) -> Reply {
    if !host.vcpu_has_info(vcpu) {
        return Err(Errno::EINVAL.into());
    }
    // Five kilobytes: read in place, so that the stack holds it once.
    let mut context = VcpuGuestContext::new_zeroed();
    guest::read_into(host, argument.cast(), &mut context)?;
    if host.vcpu_is_initialised(vcpu) {
        return Err(Errno::EEXIST.into());
    }
    let checked = vcpu_context::check(&mut context)?;
    match host.vcpu_initialise(vcpu, checked)? {
        Progress::Done => Ok(0),
        Progress::Preempted => {
            let operation = u64::from(VcpuOperation::INITIALISE.0);
            Err(Failure::Preempted([operation, u64::from(vcpu.0), argument.address().0, 0, 0, 0]))
        }
    }
}

/// A deadline that has passed fires at once and is no error. Errors: `EINVAL` for another vCPU's timer, `EFAULT`.
fn set_singleshot_timer<H: VcpuHost + GuestMemory>(
    host: &mut H,
    vcpu: VcpuId,
    argument: GuestHandle<u8>,
) -> Result<()> {
    only_caller(host, vcpu)?;
    let request: SetSingleshotTimer = guest::read(host, argument.cast())?;
    host.singleshot_timer_set(timer::deadline(request.timeout));
    Ok(())
}

/// Errors: `ENXIO` for an offset at which the block would be unaligned or leave its page, `EINVAL` if it was moved
/// before, for another vCPU that is up, or for a frame that will not do.
fn register_info<H: VcpuHost>(host: &mut H, vcpu: VcpuId, request: RegisterVcpuInfo) -> Result<()> {
    let last = abi::frame::PAGE_SIZE - size_of::<VcpuInfo>();
    if request.offset as usize > last || !(request.offset as usize).is_multiple_of(align_of::<VcpuInfo>()) {
        return Err(Errno::ENXIO);
    }
    let in_use = vcpu != host.caller_vcpu() && host.vcpu_is_up(vcpu);
    if host.vcpu_info_registered(vcpu) || in_use {
        return Err(Errno::EINVAL);
    }
    host.vcpu_info_register(vcpu, request.mfn, request.offset)
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(VcpuOperation {
    works: INITIALISE UP DOWN IS_UP GET_RUNSTATE_INFO REGISTER_RUNSTATE_MEMORY_AREA SET_PERIODIC_TIMER
        STOP_PERIODIC_TIMER SET_SINGLESHOT_TIMER STOP_SINGLESHOT_TIMER REGISTER_VCPU_INFO SEND_NMI GET_PHYSID
        REGISTER_VCPU_TIME_MEMORY_AREA;
    (absent "not in Xen 4.17"): REGISTER_RUNSTATE_PHYS_AREA REGISTER_VCPU_TIME_PHYS_AREA;
});
