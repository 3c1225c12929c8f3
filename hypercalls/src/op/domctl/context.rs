//! domctl: the state of a vCPU, as a domain's builder, saver and restorer set and get it.

use abi::domctl_vcpu::{ExtendedContext, SendTrigger, Trigger, VcpuContext};
use abi::xen_x86::VcpuGuestContext;
use abi::{Errno, Result, VcpuId};
use pv_cpu::trap_table::Events;
use pv_cpu::vcpu::Callback;
use zerocopy::FromZeros;

use super::Request;
use super::lifecycle::others_only;
use crate::authority::Target;
use crate::guest::{self, GuestMemory};
use crate::op::vcpu::Progress;
use crate::op::vcpu_context::{self, CheckedContext};
use crate::outcome::Reply;

/// What is known of a vCPU that an operation names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VcpuPresence {
    /// The domain may not have it.
    Impossible,
    /// It has not been made yet.
    NotMade,
    /// It is the one that calls.
    Caller,
    /// It has no context yet.
    Uninitialised,
    /// It has one.
    Initialised,
}

/// The callbacks that a context has no room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryCallbacks {
    /// 32-bit SYSCALL.
    pub syscall32: Callback,
    /// SYSENTER.
    pub sysenter: Callback,
}

/// State of vCPUs. Those that take hold of a vCPU may answer that it cannot be had just now.
pub trait VcpuStateHost {
    /// What there is of a vCPU. Errors: `ESRCH`.
    fn vcpu_presence(&self, target: Target, vcpu: VcpuId) -> Result<VcpuPresence>;
    /// Takes its context away; it is down then. Errors: `ESRCH`.
    fn vcpu_reset(&mut self, target: Target, vcpu: VcpuId) -> Result<Progress>;
    /// Gives it a context: the first one, or another with the same tables. Errors: `EINVAL` for frames that will not do,
    /// `EOPNOTSUPP` for other tables, `ESRCH`.
    fn vcpu_set_context(&mut self, target: Target, vcpu: VcpuId, context: CheckedContext<'_>) -> Result<Progress>;
    /// Its context. Errors: `ESRCH`.
    fn vcpu_get_context(&mut self, target: Target, vcpu: VcpuId, into: &mut VcpuGuestContext) -> Result<Progress>;
    /// Its further callbacks; `None` to try again. Errors: `ESRCH`.
    fn vcpu_callbacks(&mut self, target: Target, vcpu: VcpuId) -> Result<Option<EntryCallbacks>>;
    /// Sets them. Errors: `ESRCH`.
    fn vcpu_set_callbacks(&mut self, target: Target, vcpu: VcpuId, callbacks: EntryCallbacks) -> Result<Progress>;
    /// Machine-check capabilities that vCPUs have.
    fn machine_check_capabilities(&self) -> u64;
    /// Makes an NMI pending for it. Errors: `ESRCH`.
    fn vcpu_trigger_nmi(&mut self, target: Target, vcpu: VcpuId) -> Result<()>;
}

fn finish(request: &Request, progress: Progress) -> Reply {
    match progress {
        Progress::Done => Ok(0),
        Progress::Preempted => Err(request.again()),
    }
}

/// setvcpucontext(12); a null context takes the vCPU's away. Errors: `EINVAL` for the caller's own domain, a vCPU that is
/// not there and a context that will not do, `EOPNOTSUPP`, `EFAULT`.
#[inline(never)]
pub(super) fn set<H: VcpuStateHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Reply {
    let asked: VcpuContext = request.argument()?;
    let target = others_only(target)?;
    if matches!(host.vcpu_presence(target, asked.vcpu)?, VcpuPresence::Impossible | VcpuPresence::NotMade) {
        return Err(Errno::EINVAL.into());
    }
    let progress = if asked.context.is_null() {
        host.vcpu_reset(target, asked.vcpu)?
    } else {
        let mut context = VcpuGuestContext::new_zeroed();
        guest::read_into(host, asked.context, &mut context)?;
        let checked = vcpu_context::check(&mut context)?;
        host.vcpu_set_context(target, asked.vcpu, checked)?
    };
    finish(request, progress)
}

/// getvcpucontext(13). Errors: `EINVAL` for a vCPU that is not there and for the calling one, `ENODATA` without a context,
/// `EFAULT`.
#[inline(never)]
pub(super) fn get<H: VcpuStateHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Reply {
    let asked: VcpuContext = request.argument()?;
    match host.vcpu_presence(target, asked.vcpu)? {
        VcpuPresence::Impossible | VcpuPresence::NotMade | VcpuPresence::Caller => return Err(Errno::EINVAL.into()),
        VcpuPresence::Uninitialised => return Err(Errno::ENODATA.into()),
        VcpuPresence::Initialised => {}
    }
    let mut context = VcpuGuestContext::new_zeroed();
    let progress = host.vcpu_get_context(target, asked.vcpu, &mut context)?;
    if progress == Progress::Done {
        guest::write(host, asked.context, &context)?;
    }
    finish(request, progress)
}

/// A vCPU that an operation needs. Errors: `ESRCH` where there is none, and for the calling one.
fn other_vcpu<H: VcpuStateHost>(host: &H, target: Target, vcpu: VcpuId) -> Result<()> {
    match host.vcpu_presence(target, vcpu)? {
        VcpuPresence::Impossible | VcpuPresence::NotMade | VcpuPresence::Caller => Err(Errno::ESRCH),
        VcpuPresence::Uninitialised | VcpuPresence::Initialised => Ok(()),
    }
}

/// Bytes of the structure that mean something.
const EXTENDED_SIZE: u32 = size_of::<ExtendedContext>() as u32;
/// Bytes without machine-check state, and with its first part.
const OLDER_SIZES: [u32; 2] = [32, 48];

/// get_ext_vcpucontext(43). Errors: `ESRCH`, also for the calling vCPU, `EFAULT`.
pub(super) fn get_extended<H: VcpuStateHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Reply {
    let asked: ExtendedContext = request.argument()?;
    other_vcpu(host, target, asked.vcpu)?;
    let Some(callbacks) = host.vcpu_callbacks(target, asked.vcpu)? else { return Err(request.again()) };
    let masks = |callback: Callback| u8::from(callback.events == Events::Masked);
    let answer = ExtendedContext {
        vcpu: asked.vcpu,
        size: EXTENDED_SIZE,
        syscall32_address: callbacks.syscall32.address,
        sysenter_address: callbacks.sysenter.address,
        syscall32_masks: masks(callbacks.syscall32),
        sysenter_masks: masks(callbacks.sysenter),
        mcg_cap: host.machine_check_capabilities(),
        ..ExtendedContext::default()
    };
    request.answer(host, &answer)?;
    Ok(0)
}

/// set_ext_vcpucontext(42). Errors: `ESRCH`, also for the calling vCPU, `EINVAL` for another size and an address that is
/// not canonical, `EPERM` for capabilities that vCPUs have not.
pub(super) fn set_extended<H: VcpuStateHost>(host: &mut H, request: &Request, target: Target) -> Reply {
    let asked: ExtendedContext = request.argument()?;
    other_vcpu(host, target, asked.vcpu)?;
    let is_older = OLDER_SIZES.contains(&asked.size);
    let addresses = [asked.syscall32_address, asked.sysenter_address].map(abi::GuestVirtual);
    if !(is_older || asked.size == EXTENDED_SIZE) || !addresses.iter().all(|address| address.is_canonical()) {
        return Err(Errno::EINVAL.into());
    }
    if asked.size != 32 && asked.mcg_cap & !host.machine_check_capabilities() != 0 {
        return Err(Errno::EPERM.into());
    }
    let callback =
        |address, masks| Callback { address, events: if masks != 0 { Events::Masked } else { Events::Unchanged } };
    let callbacks = EntryCallbacks {
        syscall32: callback(asked.syscall32_address, asked.syscall32_masks),
        sysenter: callback(asked.sysenter_address, asked.sysenter_masks),
    };
    let progress = host.vcpu_set_callbacks(target, asked.vcpu, callbacks)?;
    finish(request, progress)
}

/// sendtrigger(28): an NMI; what else there is is for translated domains. Errors: `ESRCH` for a vCPU that is not there,
/// `EINVAL`, `ENOSYS`.
pub(super) fn send_trigger<H: VcpuStateHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let asked: SendTrigger = request.argument()?;
    if matches!(host.vcpu_presence(target, asked.vcpu)?, VcpuPresence::Impossible | VcpuPresence::NotMade) {
        return Err(Errno::ESRCH);
    }
    match asked.trigger {
        Trigger::NMI => host.vcpu_trigger_nmi(target, asked.vcpu),
        Trigger::POWER | Trigger::SLEEP => Err(Errno::EINVAL),
        _ => Err(Errno::ENOSYS),
    }
}
