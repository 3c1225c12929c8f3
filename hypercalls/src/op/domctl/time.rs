//! domctl: a domain's time of day and time stamp counter.

use abi::domctl_domain::{SetTimeOffset, TscInfo};
use abi::{Errno, Result};

use super::Request;
use super::lifecycle::others_only;
use crate::authority::Target;
use crate::guest::GuestMemory;

/// How a domain's counter came to be what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TscState {
    /// 0 default, 1 always emulated, 2 never emulated.
    pub mode: u32,
    /// The guest's frequency.
    pub kilohertz: u32,
    /// How often it was restored.
    pub incarnation: u32,
    /// Nanoseconds on the guest's clock.
    pub elapsed: u64,
}

/// Clocks of domains. All answer `ESRCH` if the domain went away.
pub trait DomainTimeHost {
    /// Sets how far the domain's time of day is from the host's.
    fn set_time_offset(&mut self, target: Target, seconds: i64) -> Result<()>;
    /// Its counter.
    fn tsc_state(&self, target: Target) -> Result<TscState>;
    /// Sets what a restored domain had.
    fn set_tsc_state(&mut self, target: Target, state: TscState) -> Result<()>;
}

/// Highest mode there is.
const MODE_MAX: u32 = 2;

/// settimeoffset(24).
pub(super) fn set_offset<H: DomainTimeHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let SetTimeOffset { seconds } = request.argument()?;
    host.set_time_offset(target, seconds)
}

/// gettscinfo(59). Errors: `EINVAL` for the caller itself, `EFAULT`.
pub(super) fn get_tsc<H: DomainTimeHost + GuestMemory>(host: &H, request: &Request, target: Target) -> Result<()> {
    let state = host.tsc_state(others_only(target)?)?;
    let answer = TscInfo {
        mode: state.mode,
        kilohertz: state.kilohertz,
        incarnation: state.incarnation,
        elapsed: state.elapsed,
        ..request.argument()?
    };
    request.answer(host, &answer)
}

/// settscinfo(60). Errors: `EINVAL` for the caller itself, and for a mode there is not.
pub(super) fn set_tsc<H: DomainTimeHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let asked: TscInfo = request.argument()?;
    let target = others_only(target)?;
    if asked.mode > MODE_MAX {
        return Err(Errno::EINVAL);
    }
    let state = TscState {
        mode: asked.mode,
        kilohertz: asked.kilohertz,
        incarnation: asked.incarnation,
        elapsed: asked.elapsed,
    };
    host.set_tsc_state(target, state)
}
