//! sched_op and its old form: yield, block, poll, shutdown, watchdog. Source: Xen public header `sched.h`.
//!
//! The host is told that the vCPU sleeps or its domain stops; it acts on the way out, after the result is in its
//! register. What must not be lost meanwhile is the host's to order: [`SchedulerHost::block`] looks for pending events
//! after opening the upcall mask, and polling is announced before the ports are looked at.

use abi::sched::{
    POLL_PORTS_MAX, SchedOperation, SchedPinOverride, SchedPoll, SchedRemoteShutdown, SchedShutdown, SchedWatchdog,
    ShutdownReason, WATCHDOG_TIMERS,
};
use abi::{Errno, GuestHandle, Port, Result};

use crate::authority::{self, HardwareDomain, Policy, Target};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;
use crate::table::{Row, rows};

/// What the calling vCPU and its domain can ask of the scheduler.
pub trait SchedulerHost {
    /// Lets others run; the caller stays runnable.
    fn yield_now(&mut self);
    /// Opens the caller's upcall mask, then sleeps unless an event is pending.
    fn block(&mut self);
    /// Says that the caller is about to poll: from here on an event on any of its ports wakes it.
    fn poll_prepare(&mut self);
    /// Takes [`SchedulerHost::poll_prepare`] back.
    fn poll_cancel(&mut self);
    /// Sleeps until woken or until `deadline` (system time in nanoseconds), unless woken since the preparation.
    /// `only` names the port if there is exactly one, so that the host may ignore the others.
    fn poll_wait(&mut self, only: Option<Port>, deadline: Option<u64>);
    /// Whether an event waits and the caller's mask lets it in.
    fn upcall_deliverable(&self) -> bool;
    /// Whether an event waits at this port of the caller's domain. Errors: `EINVAL` if there is no such port.
    fn port_is_pending(&self, port: Port) -> Result<bool>;
    /// Stops all vCPUs of the caller's domain. For the hardware domain the reason becomes the host's fate.
    fn shutdown(&mut self, reason: ShutdownReason);
    /// Stops another domain. Errors: `ESRCH` if it went away.
    fn shutdown_other(&mut self, target: Target, reason: ShutdownReason) -> Result<()>;
    /// Keeps the code for a later shutdown of the caller's domain; the first one wins.
    fn latch_shutdown_code(&mut self, reason: ShutdownReason);
    /// Takes a free watchdog of the caller's domain and winds it up; its index, or none if all are taken.
    fn watchdog_start(&mut self, seconds: u32) -> Option<u32>;
    /// Winds up a watchdog that is in use; false if it is not.
    fn watchdog_rewind(&mut self, index: u32, seconds: u32) -> bool;
    /// Gives a watchdog back; false if it was not in use.
    fn watchdog_stop(&mut self, index: u32) -> bool;
    /// Pins the caller to a physical CPU, or ends that. Errors: `EINVAL` for an absent CPU or when nothing was pinned,
    /// `EBUSY` if pinned already.
    fn pin_override(&mut self, authority: HardwareDomain, cpu: Option<u32>) -> Result<()>;
}

/// sched_op(29). Errors: `ENOSYS` for an unknown operation, else as the operations say.
#[inline]
pub fn sched<H>(host: &mut H, operation: SchedOperation, argument: GuestHandle<u8>) -> Reply
where
    H: SchedulerHost + GuestMemory + Policy,
{
    match operation {
        SchedOperation::YIELD => host.yield_now(),
        SchedOperation::BLOCK => host.block(),
        SchedOperation::SHUTDOWN => {
            let request: SchedShutdown = guest::read(host, argument.cast())?;
            host.shutdown(narrowed(request.reason));
        }
        SchedOperation::POLL => poll(host, guest::read(host, argument.cast())?)?,
        SchedOperation::REMOTE_SHUTDOWN => remote_shutdown(host, guest::read(host, argument.cast())?)?,
        SchedOperation::SHUTDOWN_CODE => {
            let request: SchedShutdown = guest::read(host, argument.cast())?;
            host.latch_shutdown_code(narrowed(request.reason));
        }
        SchedOperation::WATCHDOG => return watchdog(host, guest::read(host, argument.cast())?),
        SchedOperation::PIN_OVERRIDE => {
            // Privilege comes before the pointer here, unlike elsewhere.
            let authority = authority::hardware_domain(host)?;
            let request: SchedPinOverride = guest::read(host, argument.cast())?;
            host.pin_override(authority, u32::try_from(request.pcpu).ok())?;
        }
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// sched_op_compat(6): yield, block, and shutdown with the reason in place of the pointer. Errors: `ENOSYS`.
pub fn sched_compat<H: SchedulerHost>(host: &mut H, operation: SchedOperation, argument: u64) -> Reply {
    match operation {
        SchedOperation::YIELD => host.yield_now(),
        SchedOperation::BLOCK => host.block(),
        SchedOperation::SHUTDOWN => host.shutdown(narrowed(ShutdownReason(argument as u32))),
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// A shutdown code is one byte wide behind the interface.
fn narrowed(reason: ShutdownReason) -> ShutdownReason {
    ShutdownReason(reason.0 & 0xFF)
}

/// An announced poll; unless it ends in sleep, dropping it takes the announcement back.
struct Polling<'a, H: SchedulerHost> {
    host: &'a mut H,
    sleeps: bool,
}

impl<'a, H: SchedulerHost> Polling<'a, H> {
    fn announce(host: &'a mut H) -> Self {
        host.poll_prepare();
        Self { host, sleeps: false }
    }

    fn sleep(mut self, only: Option<Port>, deadline: Option<u64>) {
        self.sleeps = true;
        self.host.poll_wait(only, deadline);
    }
}

impl<H: SchedulerHost> Drop for Polling<'_, H> {
    fn drop(&mut self) {
        if !self.sleeps {
            self.host.poll_cancel();
        }
    }
}

/// Returns at once if an upcall or one of the ports is pending, else sleeps. Errors: `EINVAL` for more than 128 ports
/// or a port that is not there, `EFAULT`.
fn poll<H: SchedulerHost + GuestMemory>(host: &mut H, request: SchedPoll) -> Result<()> {
    if request.port_count > POLL_PORTS_MAX {
        return Err(Errno::EINVAL);
    }
    guest::check_array(request.ports, u64::from(request.port_count))?;
    let polling = Polling::announce(host);
    if polling.host.upcall_deliverable() {
        return Ok(());
    }
    let mut last = None;
    for index in 0..u64::from(request.port_count) {
        let port = guest::read(polling.host, request.ports.element(index))?;
        if polling.host.port_is_pending(port)? {
            return Ok(());
        }
        last = Some(port);
    }
    let only = if request.port_count == 1 { last } else { None };
    polling.sleep(only, (request.timeout != 0).then_some(super::timer::deadline(request.timeout)));
    Ok(())
}

/// Errors: `ESRCH`, `EPERM`.
fn remote_shutdown<H: SchedulerHost + Policy>(host: &mut H, request: SchedRemoteShutdown) -> Result<()> {
    let target = authority::find_by_number(host, request.domain)?.device_model(host)?;
    host.shutdown_other(target, narrowed(request.reason))
}

/// Id 0 starts one and returns its id; a timeout of 0 stops. Errors: `EINVAL` for an id not in use, `ENOSPC`.
fn watchdog<H: SchedulerHost>(host: &mut H, request: SchedWatchdog) -> Reply {
    if request.id as usize > WATCHDOG_TIMERS {
        return Err(Errno::EINVAL.into());
    }
    let Some(index) = request.id.checked_sub(1) else {
        // The id is 32 bits wide, and so is the error in its place: it is not sign-extended.
        let full = u64::from(Errno::ENOSPC.to_register() as u32);
        return Ok(host.watchdog_start(request.timeout).map_or(full, |index| u64::from(index) + 1));
    };
    let known =
        if request.timeout == 0 { host.watchdog_stop(index) } else { host.watchdog_rewind(index, request.timeout) };
    if known { Ok(0) } else { Err(Errno::EINVAL.into()) }
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(SchedOperation {
    works: YIELD BLOCK SHUTDOWN POLL REMOTE_SHUTDOWN SHUTDOWN_CODE WATCHDOG PIN_OVERRIDE;
});

/// What each operation of the old call is here.
pub const COMPAT_ROWS: &[Row] = rows!(SchedOperation { works: YIELD BLOCK SHUTDOWN; });
