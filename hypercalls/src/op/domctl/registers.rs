//! domctl: registers that a context has no room for: extended state and MSRs, for saving and restoring a vCPU.

use alloc::vec::Vec;

use abi::domctl_vcpu::{ExtendedState, VcpuMsr, VcpuMsrs};
use abi::{Errno, Result, VcpuId};

use super::Request;
use super::context::{VcpuPresence, VcpuStateHost};
use super::lifecycle::others_only;
use crate::authority::Target;
use crate::guest::{self, GuestMemory};
use crate::op::vcpu::Progress;
use crate::outcome::Reply;

/// Which components of the extended state a vCPU has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Components {
    /// XCR0.
    pub enabled: u64,
    /// All that ever were enabled, so that the state may have them; XCR0's among them.
    pub ever: u64,
}

/// Registers of vCPUs. Those that take hold of a vCPU may answer that it cannot be had just now.
pub trait VcpuRegistersHost: VcpuStateHost {
    /// Components that vCPUs can have, and the bytes of their saved state in the CPU's standard format; nothing without
    /// XSAVE.
    fn extended_state_format(&self) -> Option<(u64, usize)>;
    /// Bytes of a saved state in that format that has no other components than these.
    fn extended_state_size(&self, components: u64) -> usize;
    /// Reads the state and says what of it there is; the buffer has the format's size. Errors: `ESRCH`.
    fn extended_state(&mut self, target: Target, vcpu: VcpuId, into: &mut [u8]) -> Result<(Components, Progress)>;
    /// Sets both; the rest of the state is as after reset. Errors: `EINVAL` for what the domain cannot have, `ESRCH`.
    fn set_extended_state(&mut self, target: Target, vcpu: VcpuId, has: Components, state: &[u8]) -> Result<Progress>;
    /// An MSR of a vCPU by position in the list of those that are saved; `None` behind the last one. Errors: `ESRCH`.
    fn saved_msr(&mut self, target: Target, vcpu: VcpuId, position: u32) -> Result<(Option<VcpuMsr>, Progress)>;
    /// Sets one of them. Errors: `EINVAL` for another MSR or a value it cannot have, `ESRCH`.
    fn set_saved_msr(&mut self, target: Target, vcpu: VcpuId, msr: VcpuMsr) -> Result<Progress>;
}

/// XCR0 and all components that were ever enabled stand before the state.
const HEADER: usize = 16;
/// More MSRs than anybody saves.
const MSRS_MAX: u32 = 64;

fn existing<H: VcpuStateHost>(host: &H, target: Target, vcpu: VcpuId) -> Result<()> {
    match host.vcpu_presence(target, vcpu)? {
        VcpuPresence::Impossible | VcpuPresence::NotMade => Err(Errno::ESRCH),
        VcpuPresence::Caller => Err(Errno::EINVAL),
        VcpuPresence::Uninitialised | VcpuPresence::Initialised => Ok(()),
    }
}

fn buffer(length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| Errno::ENOMEM)?;
    bytes.resize(length, 0);
    Ok(bytes)
}

/// getvcpuextstate(63): without a buffer, how much there is: no more than the components that were ever enabled need, as
/// another machine that has fewer takes no more. Errors: `ESRCH`, `EINVAL` for the calling vCPU and for another format,
/// `ENOMEM`, `EFAULT`.
pub(super) fn get_state<H: VcpuRegistersHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Reply {
    let mut asked: ExtendedState = request.argument()?;
    existing(host, target, asked.vcpu)?;
    let (features, most) = host.extended_state_format().map_or((0, 0), |(features, size)| (features, size + HEADER));
    let mut bytes = buffer(most)?;
    let mut size = 0;
    if let Some((header, state)) = bytes.split_at_mut_checked(HEADER) {
        let (has, progress) = host.extended_state(target, asked.vcpu, state)?;
        if progress == Progress::Preempted {
            return Err(request.again());
        }
        for (half, components) in header.chunks_exact_mut(8).zip([has.enabled, has.ever]) {
            half.copy_from_slice(&components.to_le_bytes());
        }
        size = most.min(host.extended_state_size(has.ever) + HEADER);
    }
    if asked.buffer.is_null() || (asked.size == 0 && asked.features == 0) {
        (asked.features, asked.size) = (features, size as u64);
        request.answer(host, &asked)?;
        return Ok(0);
    }
    if (asked.features, asked.size) != (features, size as u64) || size == 0 {
        return Err(Errno::EINVAL.into());
    }
    guest::copy_out_bytes(host, asked.buffer.address(), bytes.get(..size).unwrap_or_default())?;
    request.answer(host, &asked)?;
    Ok(0)
}

/// setvcpuextstate(62). Errors: `ESRCH`, `EINVAL` for the caller's own domain, a size that cannot be and a state that the
/// domain cannot have, `ENOMEM`, `EFAULT`.
pub(super) fn set_state<H: VcpuRegistersHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Reply {
    let asked: ExtendedState = request.argument()?;
    existing(host, target, asked.vcpu)?;
    let target = others_only(target)?;
    let (_, size) = host.extended_state_format().ok_or(Errno::EINVAL)?;
    let length = usize::try_from(asked.size).map_err(|_| Errno::EINVAL)?;
    if !(HEADER..=HEADER + size).contains(&length) {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = buffer(length)?;
    guest::copy_in_bytes(host, asked.buffer.address(), &mut bytes)?;
    let (Some((enabled, rest)), Some(state)) = (bytes.split_first_chunk::<8>(), bytes.get(HEADER..)) else {
        return Err(Errno::EINVAL.into());
    };
    let ever = rest.first_chunk::<8>().map_or(0, |ever| u64::from_le_bytes(*ever));
    let enabled = u64::from_le_bytes(*enabled);
    if enabled & !ever != 0 {
        return Err(Errno::EINVAL.into());
    }
    match host.set_extended_state(target, asked.vcpu, Components { enabled, ever }, state)? {
        Progress::Done => Ok(0),
        Progress::Preempted => Err(request.again()),
    }
}

/// get_vcpu_msrs(72): those that are not 0; without a list, how many there can be. Errors: `ESRCH`, `EINVAL` for the calling
/// vCPU, `ENOBUFS`, `EFAULT`.
pub(super) fn get_msrs<H: VcpuRegistersHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Reply {
    let mut asked: VcpuMsrs = request.argument()?;
    existing(host, target, asked.vcpu)?;
    let (room, mut count) = (asked.count, 0);
    let mut possible = 0;
    for position in 0..MSRS_MAX {
        let (msr, progress) = host.saved_msr(target, asked.vcpu, position)?;
        if progress == Progress::Preempted {
            return Err(request.again());
        }
        let Some(msr) = msr else { break };
        possible += 1;
        if asked.msrs.is_null() || msr.value == 0 {
            continue;
        }
        if count == room {
            return Err(Errno::ENOBUFS.into());
        }
        guest::write(host, asked.msrs.element(u64::from(count)), &msr)?;
        count += 1;
    }
    asked.count = if asked.msrs.is_null() { possible } else { count };
    request.answer(host, &asked)?;
    Ok(0)
}

/// set_vcpu_msrs(73). Errors: `ESRCH`, `EINVAL` for the caller's own domain, an unknown MSR, a value it cannot have or
/// padding, `EFAULT`; how many were set goes back.
pub(super) fn set_msrs<H: VcpuRegistersHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Reply {
    let mut asked: VcpuMsrs = request.argument()?;
    existing(host, target, asked.vcpu)?;
    let target = others_only(target)?;
    for position in 0..asked.count.min(MSRS_MAX) {
        let msr: VcpuMsr = guest::read(host, asked.msrs.element(u64::from(position)))?;
        let outcome = if msr.reserved == 0 { host.set_saved_msr(target, asked.vcpu, msr) } else { Err(Errno::EINVAL) };
        match outcome {
            Ok(Progress::Done) => {}
            // Setting the first ones again changes nothing.
            Ok(Progress::Preempted) => return Err(request.again()),
            Err(errno) => {
                asked.count = position;
                request.answer(host, &asked)?;
                return Err(errno.into());
            }
        }
    }
    Ok(0)
}
