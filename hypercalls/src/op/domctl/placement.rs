//! domctl: where vCPUs run, and a domain's share of the CPUs.

use abi::domctl_domain::NodeAffinity;
use abi::domctl_vcpu::{AffinityFlags, SchedulerCommand, SchedulerId, SchedulerOp, VcpuAffinity};
use abi::{Errno, Result, VcpuId};

use super::context::{VcpuPresence, VcpuStateHost};
use super::{LifecycleHost, Request};
use crate::authority::Target;
use crate::bitmap;
use crate::guest::GuestMemory;

/// Which CPUs a vCPU may and should use, one bit a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Affinity {
    /// It runs on no other.
    pub hard: u64,
    /// It runs on these if it can.
    pub soft: u64,
}

/// A domain's share: weight, and cap in per cent of a CPU (0 for none).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Weight.
    pub weight: u16,
    /// Cap.
    pub cap: u16,
}

/// A change of it: a map stays as it is where none is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AffinityWish {
    /// The CPUs that it may use.
    pub hard: Option<u64>,
    /// Those that it should use.
    pub soft: Option<u64>,
    /// Whether it is done though the vCPU is bound.
    pub pin: PinOverride,
}

/// Whether a binding by `SCHEDOP_pin_override` is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PinOverride {
    /// It stays.
    Keep,
    /// It ends.
    End,
}

/// Places of vCPUs. All answer `ESRCH` if the domain went away.
pub trait PlacementHost: VcpuStateHost {
    /// CPUs there can be, and those of the domain's pool.
    fn cpu_limit(&self) -> u32;
    /// CPUs in service in the domain's pool.
    fn pool_cpus(&self, target: Target) -> Result<u64>;
    /// Where a vCPU may run: while it is bound, on that CPU.
    fn affinity(&self, target: Target, vcpu: VcpuId) -> Result<Affinity>;
    /// Changes what it was told, which is what it gives back. Errors: `EBUSY` it is bound, and is to stay so.
    fn set_affinity(&mut self, target: Target, vcpu: VcpuId, wish: AffinityWish) -> Result<Affinity>;
    /// The nodes it was told to take memory from, of those that there can be; there being one, all it does is be told.
    fn nodes(&self, target: Target) -> Result<u64>;
    /// Changes them.
    fn set_nodes(&mut self, target: Target, nodes: u64) -> Result<()>;
    /// The domain's share.
    fn share(&self, target: Target) -> Result<Share>;
    /// Changes it.
    fn set_share(&mut self, target: Target, share: Share) -> Result<()>;
}

/// The only node there is, and a map of all that the interface can name.
const NODES: u64 = 1;
const ALL_NODES: u64 = u64::MAX;

fn existing<H: VcpuStateHost>(host: &H, target: Target, vcpu: VcpuId) -> Result<()> {
    match host.vcpu_presence(target, vcpu)? {
        VcpuPresence::Impossible => Err(Errno::EINVAL),
        VcpuPresence::NotMade => Err(Errno::ESRCH),
        _ => Ok(()),
    }
}

/// Which of the two maps a caller means. Errors: `EINVAL` for no flag at all, and for a map that is not there.
fn wanted(asked: &VcpuAffinity) -> Result<(bool, bool)> {
    let (hard, soft) = (asked.flags.contains(AffinityFlags::HARD), asked.flags.contains(AffinityFlags::SOFT));
    if asked.flags.0 == 0 || hard && asked.hard.bitmap.is_null() || soft && asked.soft.bitmap.is_null() {
        return Err(Errno::EINVAL);
    }
    Ok((hard, soft))
}

/// getvcpuaffinity(25). Errors: `EINVAL` for a vCPU that cannot be, for no flag and for no map, `ESRCH` for a vCPU that was
/// not made, `EFAULT`.
pub(super) fn get_affinity<H: PlacementHost + GuestMemory>(host: &H, request: &Request, target: Target) -> Result<()> {
    let asked: VcpuAffinity = request.argument()?;
    existing(host, target, asked.vcpu)?;
    let affinity = host.affinity(target, asked.vcpu)?;
    let limit = host.cpu_limit();
    let (hard, soft) = wanted(&asked)?;
    if hard {
        bitmap::write(host, &asked.hard, affinity.hard, limit)?;
    }
    if soft {
        bitmap::write(host, &asked.soft, affinity.soft, limit)?;
    }
    Ok(())
}

/// setvcpuaffinity(9); what came of it goes back. Errors: `EINVAL` for a vCPU that cannot be, for no flag, no map or an
/// empty one, and for no CPU of the domain's pool, `ESRCH`, `EBUSY`, `EFAULT`.
pub(super) fn set_affinity<H>(host: &mut H, request: &Request, target: Target) -> Result<()>
where
    H: PlacementHost + GuestMemory,
{
    let asked: VcpuAffinity = request.argument()?;
    existing(host, target, asked.vcpu)?;
    let (hard, soft) = wanted(&asked)?;
    if hard && asked.hard.bits == 0 || soft && asked.soft.bits == 0 {
        return Err(Errno::EINVAL);
    }
    if !hard && !soft {
        return Ok(());
    }
    let (limit, pool) = (host.cpu_limit(), host.pool_cpus(target)?);
    let pin = if asked.flags.contains(AffinityFlags::FORCE) { PinOverride::End } else { PinOverride::Keep };
    let mut wish = AffinityWish { hard: None, soft: None, pin };
    if hard {
        let map = bitmap::read(host, &asked.hard, limit)?;
        if map & pool == 0 {
            return Err(Errno::EINVAL);
        }
        wish.hard = Some(map);
    }
    if soft {
        wish.soft = Some(bitmap::read(host, &asked.soft, limit)?);
    }
    let affinity = host.set_affinity(target, asked.vcpu, wish)?;
    if hard {
        bitmap::write(host, &asked.hard, affinity.hard & pool, limit)?;
    }
    if soft {
        bitmap::write(host, &asked.soft, affinity.soft & affinity.hard & pool, limit)?;
    }
    Ok(())
}

/// setnodeaffinity(68): kept as it is given, but all nodes mean those that are there. Errors: `EINVAL` for none that is
/// there, `EFAULT`.
pub(super) fn set_nodes<H: PlacementHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let NodeAffinity { nodes } = request.argument()?;
    match bitmap::read(host, &nodes, u64::BITS)? {
        ALL_NODES => host.set_nodes(target, NODES),
        map if map & NODES != 0 => host.set_nodes(target, map),
        _ => Err(Errno::EINVAL),
    }
}

/// getnodeaffinity(69). Errors: `EFAULT`.
pub(super) fn get_nodes<H: PlacementHost + GuestMemory>(host: &H, request: &Request, target: Target) -> Result<()> {
    let NodeAffinity { nodes } = request.argument()?;
    bitmap::write(host, &nodes, host.nodes(target)?, u64::BITS)
}

/// scheduler_op(16): weight 0 leaves the weight as it is. Errors: `EINVAL` for another scheduler or command, and for a cap
/// above all that its vCPUs could use, when the weight is changed all the same; `EFAULT`.
pub(super) fn scheduler<H>(host: &mut H, request: &Request, target: Target) -> Result<()>
where
    H: PlacementHost + LifecycleHost + GuestMemory,
{
    const WHOLE_CPU: u32 = 100;
    let mut asked: SchedulerOp = request.argument()?;
    if asked.scheduler != SchedulerId::CREDIT2 {
        return Err(Errno::EINVAL);
    }
    match asked.command {
        SchedulerCommand::PUT_INFO => {
            let mut share = host.share(target)?;
            if asked.share.weight != 0 {
                share.weight = asked.share.weight;
            }
            let is_possible = u32::from(asked.share.cap) <= host.vcpu_maximum(target)?.saturating_mul(WHOLE_CPU);
            if is_possible {
                share.cap = asked.share.cap;
            }
            host.set_share(target, share)?;
            if is_possible { Ok(()) } else { Err(Errno::EINVAL) }
        }
        SchedulerCommand::GET_INFO => {
            let share = host.share(target)?;
            (asked.share.weight, asked.share.cap) = (share.weight, share.cap);
            request.answer(host, &asked)
        }
        _ => Err(Errno::EINVAL),
    }
}
