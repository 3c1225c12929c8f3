//! event_channel_op and its old form. Source: Xen public header `event_channel.h`.
//!
//! Each operation copies its argument in once, checks who may act on whom, and lets the ports do the rest. Operations
//! that allocate write the port back last; if that faults the port stays allocated and the guest gets `EFAULT`, as on Xen:
//! the number is the lowest that was free, and a reset closes it.

use alloc::sync::Arc;

use abi::event_channel::{
    AllocUnbound, BIND_PIRQ_WILL_SHARE, BindInterdomain, BindIpi, BindPirq, BindVcpu, BindVirq, ChannelStatus, Close,
    EventChannelOpCompat, EventChannelOperation, ExpandArray, FIFO_LINK_BITS, InitControl, Reset, Send, SetPriority,
    Status, Unmask,
};
use abi::{DomainId, Errno, Gfn, GuestHandle, Result, Virq};
use event_channels::{PirqControl, PirqSharing, Platform, PortKind, Ports, Progress, ResetStart, Wake};

use crate::authority::{self, Policy, Target};
use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::{Failure, Reply};
use crate::table::{Row, rows};

/// What event_channel_op needs of the host.
pub trait EventHost {
    /// Guards and names of the ports.
    type Platform: Platform;
    /// Physical interrupts of one domain.
    type Pirqs: PirqControl;
    /// The caller's ports.
    fn ports(&self) -> &Arc<Ports<Self::Platform>>;
    /// Another domain's ports, if there is such a domain.
    fn ports_of(&self, domain: DomainId) -> Option<Arc<Ports<Self::Platform>>>;
    /// A domain's physical interrupts.
    fn pirqs_of(&self, domain: DomainId) -> Self::Pirqs;
    /// Whether the toolstack has paused the domain, so that its ports may be reset from outside.
    fn is_paused_by_toolstack(&self, target: Target) -> bool;
    /// Pins a page of the caller as writable and maps it. Errors: `EINVAL` not such a page, `ENOMEM`.
    fn pin_event_page(&self, frame: Gfn) -> Result<<Self::Platform as Platform>::Page>;
    /// The caller has bound a VIRQ and hears of what it stands for from now on.
    fn virq_bound(&self, virq: Virq);
    /// Wakes or kicks whom an event concerns.
    fn wake(&self, wake: Wake<Self::Platform>);
}

/// event_channel_op(32). Errors: `ENOSYS` for an unknown operation, `EFAULT`, else as the operations say.
#[inline(always)]
pub fn event_channel<H>(host: &H, operation: EventChannelOperation, argument: GuestHandle<u8>) -> Reply
where
    H: EventHost + GuestMemory + Preemption + Policy,
{
    let done = match operation {
        EventChannelOperation::SEND => alone(host, argument, |host, argument| {
            let Send { port } = guest::read(host, argument.cast())?;
            host.wake(host.ports().send(port)?);
            Ok(())
        }),
        EventChannelOperation::UNMASK => alone(host, argument, |host, argument| {
            let Unmask { port } = guest::read(host, argument.cast())?;
            host.wake(host.ports().unmask(port)?);
            Ok(())
        }),
        EventChannelOperation::BIND_INTERDOMAIN => alone(host, argument.cast(), bind_interdomain),
        EventChannelOperation::BIND_VIRQ => alone(host, argument.cast(), bind_virq),
        EventChannelOperation::BIND_PIRQ => alone(host, argument.cast(), bind_pirq),
        EventChannelOperation::CLOSE => alone(host, argument, |host, argument| {
            let Close { port } = guest::read(host, argument.cast())?;
            host.ports().close(port, &own_pirqs(host))
        }),
        EventChannelOperation::STATUS => alone(host, argument.cast(), status),
        EventChannelOperation::ALLOC_UNBOUND => alone(host, argument.cast(), alloc_unbound),
        EventChannelOperation::BIND_IPI => alone(host, argument.cast(), bind_ipi),
        EventChannelOperation::BIND_VCPU => alone(host, argument, |host, argument| {
            let BindVcpu { port, vcpu } = guest::read(host, argument.cast())?;
            host.ports().bind_vcpu(port, vcpu, &own_pirqs(host))
        }),
        EventChannelOperation::RESET => return reset(host, argument, ResetStart::Fresh),
        EventChannelOperation::RESET_CONTINUATION => return reset(host, argument, ResetStart::Continued),
        EventChannelOperation::INIT_CONTROL => alone(host, argument.cast(), init_control),
        EventChannelOperation::EXPAND_ARRAY => alone(host, argument, |host, argument| {
            let ExpandArray { array_gfn } = guest::read(host, argument.cast())?;
            host.ports().expand_array(|| host.pin_event_page(array_gfn), |wake| host.wake(wake))
        }),
        EventChannelOperation::SET_PRIORITY => alone(host, argument, |host, argument| {
            let SetPriority { port, priority } = guest::read(host, argument.cast())?;
            host.ports().set_priority(port, priority)
        }),
        _ => Err(Errno::ENOSYS),
    };
    done?;
    Ok(0)
}

/// One operation, out of line: none pays for the stack and the registers that another needs.
#[inline(never)]
fn alone<H, T>(host: &H, argument: GuestHandle<T>, work: impl FnOnce(&H, GuestHandle<T>) -> Result<()>) -> Result<()> {
    work(host, argument)
}

/// event_channel_op_compat(16): operation and argument in one struct, operations up to unmask. Errors: `EFAULT` unless the
/// whole struct can be read, `ENOSYS`, else as [`event_channel`].
pub fn event_channel_compat<H>(host: &H, argument: GuestHandle<EventChannelOpCompat>) -> Reply
where
    H: EventHost + GuestMemory + Preemption + Policy,
{
    let request = guest::read(host, argument)?;
    if request.command.0 > EventChannelOperation::UNMASK.0 {
        return Err(Errno::ENOSYS.into());
    }
    let inner = argument.cast::<u8>().element(core::mem::offset_of!(EventChannelOpCompat, argument) as u64);
    event_channel(host, request.command, inner)
}

fn own_pirqs<H: EventHost + Policy>(host: &H) -> H::Pirqs {
    host.pirqs_of(host.caller())
}

/// Does `work` on the ports of a domain that the caller may act on. Errors: `ESRCH` when it went away.
#[inline]
fn on_ports<H: EventHost, R>(
    host: &H,
    target: Target,
    work: impl FnOnce(&Arc<Ports<H::Platform>>) -> Result<R>,
) -> Result<R> {
    if target.is_caller() { work(host.ports()) } else { work(&host.ports_of(target.id()).ok_or(Errno::ESRCH)?) }
}

/// Errors: `ESRCH`, `EPERM`, then as [`Ports::alloc_unbound`].
fn alloc_unbound<H>(host: &H, argument: GuestHandle<AllocUnbound>) -> Result<()>
where
    H: EventHost + GuestMemory + Policy,
{
    let mut request = guest::read(host, argument)?;
    let target = authority::target(host, request.domain)?;
    let remote = if request.remote_domain == DomainId::SELF { host.caller() } else { request.remote_domain };
    request.port = on_ports(host, target, |ports| ports.alloc_unbound(remote))?;
    guest::write(host, argument, &request)
}

/// Errors: `ESRCH`, then as [`Ports::bind_interdomain`].
fn bind_interdomain<H>(host: &H, argument: GuestHandle<BindInterdomain>) -> Result<()>
where
    H: EventHost + GuestMemory + Policy,
{
    let mut request = guest::read(host, argument)?;
    let remote = authority::find(host, request.remote_domain)?;
    let own = host.ports();
    let (port, wake) = if remote.id() == host.caller() {
        own.bind_interdomain(own, request.remote_port)?
    } else {
        let ports = host.ports_of(remote.id()).ok_or(Errno::ESRCH)?;
        own.bind_interdomain(&ports, request.remote_port)?
    };
    host.wake(wake);
    request.local_port = port;
    guest::write(host, argument, &request)
}

/// Errors: as [`Ports::bind_virq`].
fn bind_virq<H: EventHost + GuestMemory>(host: &H, argument: GuestHandle<BindVirq>) -> Result<()> {
    let mut request = guest::read(host, argument)?;
    request.port = host.ports().bind_virq(request.virq, request.vcpu)?;
    host.virq_bound(request.virq);
    guest::write(host, argument, &request)
}

/// Errors: as [`Ports::bind_ipi`].
fn bind_ipi<H: EventHost + GuestMemory>(host: &H, argument: GuestHandle<BindIpi>) -> Result<()> {
    let mut request = guest::read(host, argument)?;
    request.port = host.ports().bind_ipi(request.vcpu)?;
    guest::write(host, argument, &request)
}

/// Errors: as [`Ports::bind_pirq`].
fn bind_pirq<H>(host: &H, argument: GuestHandle<BindPirq>) -> Result<()>
where
    H: EventHost + GuestMemory + Policy,
{
    let mut request = guest::read(host, argument)?;
    let sharing = if request.flags & BIND_PIRQ_WILL_SHARE != 0 { PirqSharing::Shared } else { PirqSharing::Exclusive };
    request.port = host.ports().bind_pirq(request.pirq, sharing, &own_pirqs(host))?;
    guest::write(host, argument, &request)
}

/// Fields that do not belong to the port's state go back as they came. Errors: `ESRCH`, `EPERM`, then as
/// [`Ports::status`].
fn status<H>(host: &H, argument: GuestHandle<Status>) -> Result<()>
where
    H: EventHost + GuestMemory + Policy,
{
    let mut request = guest::read(host, argument)?;
    let target = authority::target(host, request.domain)?;
    let found = on_ports(host, target, |ports| ports.status(request.port))?;
    request.vcpu = found.vcpu;
    request.status = match found.kind {
        PortKind::Closed => ChannelStatus::CLOSED,
        PortKind::Unbound(remote) => {
            request.target = with_domain(request.target, remote);
            ChannelStatus::UNBOUND
        }
        PortKind::Interdomain(remote, port) => {
            request.target = with_domain(request.target, remote);
            request.remote_port = port;
            ChannelStatus::INTERDOMAIN
        }
        PortKind::Pirq(pirq) => {
            request.target = pirq.0;
            ChannelStatus::PIRQ
        }
        PortKind::Virq(virq) => {
            request.target = virq.0;
            ChannelStatus::VIRQ
        }
        PortKind::Ipi => ChannelStatus::IPI,
    };
    guest::write(host, argument, &request)
}

/// The domain takes the low half of the union's first word; the other half is padding.
fn with_domain(word: u32, domain: DomainId) -> u32 {
    word & 0xFFFF_0000 | u32::from(domain.0)
}

/// Errors: `EFAULT`, `ESRCH`, `EPERM`, `EINVAL` another domain that the toolstack has not paused, then as
/// [`Ports::reset`].
fn reset<H>(host: &H, argument: GuestHandle<u8>, start: ResetStart) -> Reply
where
    H: EventHost + GuestMemory + Preemption + Policy,
{
    let Reset { domain } = guest::read(host, argument.cast())?;
    let target = authority::target(host, domain)?;
    if !target.is_caller() && !host.is_paused_by_toolstack(target) {
        return Err(Errno::EINVAL.into());
    }
    let pirqs = host.pirqs_of(target.id());
    match on_ports(host, target, |ports| ports.reset(start, &pirqs, || host.preempted()))? {
        Progress::Done => Ok(0),
        Progress::Preempted => {
            let operation = u64::from(EventChannelOperation::RESET_CONTINUATION.0);
            Err(Failure::Preempted([operation, argument.address().0, 0, 0, 0, 0]))
        }
    }
}

/// Errors: as [`Ports::init_control`].
fn init_control<H: EventHost + GuestMemory>(host: &H, argument: GuestHandle<InitControl>) -> Result<()> {
    let mut request = guest::read(host, argument)?;
    host.ports().init_control(request.vcpu, request.offset, || host.pin_event_page(request.control_gfn))?;
    request.link_bits = FIFO_LINK_BITS as u8;
    guest::write(host, argument, &request)
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(EventChannelOperation {
    works: BIND_INTERDOMAIN BIND_VIRQ BIND_PIRQ CLOSE SEND STATUS ALLOC_UNBOUND BIND_IPI BIND_VCPU UNMASK RESET
        INIT_CONTROL EXPAND_ARRAY SET_PRIORITY RESET_CONTINUATION;
});

/// What each operation of the old call is here.
pub const COMPAT_ROWS: &[Row] = rows!(EventChannelOperation {
    works: BIND_INTERDOMAIN BIND_VIRQ BIND_PIRQ CLOSE SEND STATUS ALLOC_UNBOUND BIND_IPI BIND_VCPU UNMASK;
});
