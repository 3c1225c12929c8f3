//! set_timer_op: the caller's single-shot timer by its oldest name. Source: Xen public header `xen.h`.
//!
//! Called on the vCPU whose timer it is; takes no lock itself. Hot path: guests without the newer call re-arm here.

use crate::outcome::Reply;

/// The calling vCPU's single-shot timer and the clock it runs on.
pub trait TimerHost {
    /// Nanoseconds since the host booted.
    fn system_time(&self) -> u64;
    /// Raises `VIRQ_TIMER` on the caller once system time reaches `deadline`, at once if it has passed.
    fn singleshot_timer_set(&mut self, deadline: u64);
    /// Forgets the deadline, if there is one.
    fn singleshot_timer_stop(&mut self);
}

/// How long an implausible deadline waits: Linux once passed wild values for "soon".
const IMPLAUSIBLE_WAIT: u64 = 100_000_000;
/// log2 of the nanoseconds ahead (some 13 days) from which a deadline is implausible.
const IMPLAUSIBLE_SHIFT: u32 = 50;

/// set_timer_op(15): `timeout` is absolute system time in nanoseconds, 0 to cancel. Never fails.
#[inline]
pub fn set_timer<H: TimerHost>(host: &mut H, timeout: u64) -> Reply {
    if timeout == 0 {
        host.singleshot_timer_stop();
        return Ok(0);
    }
    let now = host.system_time();
    let negative = (timeout as i64) < 0;
    // The distance is looked at as Xen does: 32 bits of it above bit 50, so that it is exact for all plausible clocks.
    let far = timeout > now && (timeout - now) >> IMPLAUSIBLE_SHIFT != 0;
    host.singleshot_timer_set(if negative || far { now.saturating_add(IMPLAUSIBLE_WAIT) } else { timeout });
    Ok(0)
}

/// A deadline a guest states as a signed count: what lies before boot has passed.
pub(crate) fn deadline(timeout: u64) -> u64 {
    if (timeout as i64) < 0 { 0 } else { timeout }
}
