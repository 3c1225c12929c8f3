//! domctl: where vCPUs run, and a domain's share of the CPUs.

use abi::domctl_domain::{Bitmap, NodeAffinity};
use abi::domctl_vcpu::{AffinityFlags, SchedulerCommand, SchedulerId, SchedulerOp, VcpuAffinity};
use abi::{Errno, Result, VcpuId};

use super::Request;
use super::context::{VcpuPresence, VcpuStateHost};
use crate::authority::Target;
use crate::guest::{self, GuestMemory};

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
    /// Where a vCPU may run.
    fn affinity(&self, target: Target, vcpu: VcpuId) -> Result<Affinity>;
    /// Changes it. Errors: `EINVAL` no CPU would be left, `EBUSY` it is bound otherwise.
    fn set_affinity(&mut self, target: Target, vcpu: VcpuId, affinity: Affinity, pin: PinOverride) -> Result<()>;
    /// The domain's share.
    fn share(&self, target: Target) -> Result<Share>;
    /// Changes it.
    fn set_share(&mut self, target: Target, share: Share) -> Result<()>;
}

/// The only node there is.
const NODES: u64 = 1;

/// The CPUs of a caller's bitmap; what is beyond the last CPU is dropped. Errors: `EFAULT`.
pub(crate) fn read_bitmap(host: &impl GuestMemory, map: &Bitmap, limit: u32) -> Result<u64> {
    let mut bytes = [0_u8; 8];
    let length = map.bits.min(limit).div_ceil(8) as usize;
    let part = bytes.get_mut(..length).ok_or(Errno::EINVAL)?;
    guest::copy_in_bytes(host, map.bitmap.address(), part)?;
    let bits = map.bits.min(limit);
    let mask = if bits >= u64::BITS { u64::MAX } else { (1 << bits) - 1 };
    Ok(u64::from_le_bytes(bytes) & mask)
}

/// Writes a bitmap of `limit` bits into the room that a caller has, zeros behind it. Errors: `EFAULT`.
pub(crate) fn write_bitmap(host: &impl GuestMemory, map: &Bitmap, value: u64, limit: u32) -> Result<()> {
    let bits = map.bits.min(limit);
    let mask = if bits >= u64::BITS { u64::MAX } else { (1 << bits) - 1 };
    let bytes = (value & mask).to_le_bytes();
    let room = map.bits.div_ceil(8) as usize;
    let written = (bits.div_ceil(8) as usize).min(room);
    guest::copy_out_bytes(host, map.bitmap.address(), bytes.get(..written).unwrap_or_default())?;
    // Bounded: callers' maps are as large as the largest machine's.
    for offset in written..room.min(MAP_BYTES) {
        guest::write(host, map.bitmap.element(offset as u64), &0_u8)?;
    }
    Ok(())
}

/// Bytes of the largest map that is cleared behind its end.
const MAP_BYTES: usize = 1024;

fn existing<H: VcpuStateHost>(host: &H, target: Target, vcpu: VcpuId) -> Result<()> {
    match host.vcpu_presence(target, vcpu)? {
        VcpuPresence::Impossible => Err(Errno::EINVAL),
        VcpuPresence::NotMade => Err(Errno::ESRCH),
        _ => Ok(()),
    }
}

/// getvcpuaffinity(25). Errors: `EINVAL` for a vCPU that cannot be, `ESRCH` for one that was not made, `EFAULT`.
pub(super) fn get_affinity<H: PlacementHost + GuestMemory>(host: &H, request: &Request, target: Target) -> Result<()> {
    let asked: VcpuAffinity = request.argument()?;
    existing(host, target, asked.vcpu)?;
    let affinity = host.affinity(target, asked.vcpu)?;
    let limit = host.cpu_limit();
    if asked.flags.contains(AffinityFlags::HARD) {
        write_bitmap(host, &asked.hard, affinity.hard, limit)?;
    }
    if asked.flags.contains(AffinityFlags::SOFT) {
        write_bitmap(host, &asked.soft, affinity.soft, limit)?;
    }
    Ok(())
}

/// setvcpuaffinity(9); what came of it goes back. Errors: `EINVAL` for a vCPU that cannot be, for neither kind and for no
/// CPU that is there, `ESRCH`, `EBUSY`, `EFAULT`.
pub(super) fn set_affinity<H>(host: &mut H, request: &Request, target: Target) -> Result<()>
where
    H: PlacementHost + GuestMemory,
{
    let asked: VcpuAffinity = request.argument()?;
    existing(host, target, asked.vcpu)?;
    let (hard, soft) = (asked.flags.contains(AffinityFlags::HARD), asked.flags.contains(AffinityFlags::SOFT));
    if !hard && !soft {
        return Err(Errno::EINVAL);
    }
    let (limit, pool) = (host.cpu_limit(), host.pool_cpus(target)?);
    let mut affinity = host.affinity(target, asked.vcpu)?;
    if hard {
        affinity.hard = read_bitmap(host, &asked.hard, limit)?;
        if affinity.hard & pool == 0 {
            return Err(Errno::EINVAL);
        }
    }
    if soft {
        affinity.soft = read_bitmap(host, &asked.soft, limit)?;
    }
    let pin = if asked.flags.contains(AffinityFlags::FORCE) { PinOverride::End } else { PinOverride::Keep };
    host.set_affinity(target, asked.vcpu, affinity, pin)?;
    if hard {
        write_bitmap(host, &asked.hard, affinity.hard & pool, limit)?;
    }
    if soft {
        write_bitmap(host, &asked.soft, affinity.soft & affinity.hard & pool, limit)?;
    }
    Ok(())
}

/// setnodeaffinity(68): there is one node. Errors: `EINVAL` for none that is there, `EFAULT`.
pub(super) fn set_nodes<H: GuestMemory>(host: &H, request: &Request) -> Result<()> {
    let NodeAffinity { nodes } = request.argument()?;
    if read_bitmap(host, &nodes, u64::BITS)? & NODES == 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// getnodeaffinity(69). Errors: `EFAULT`.
pub(super) fn get_nodes<H: GuestMemory>(host: &H, request: &Request) -> Result<()> {
    let NodeAffinity { nodes } = request.argument()?;
    write_bitmap(host, &nodes, NODES, u64::BITS)
}

/// scheduler_op(16): weight 0 leaves the weight as it is. Errors: `EINVAL` for another scheduler or command, `EFAULT`.
pub(super) fn scheduler<H: PlacementHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Result<()> {
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
            share.cap = asked.share.cap;
            host.set_share(target, share)
        }
        SchedulerCommand::GET_INFO => {
            let share = host.share(target)?;
            (asked.share.weight, asked.share.cap) = (share.weight, share.cap);
            request.answer(host, &asked)
        }
        _ => Err(Errno::EINVAL),
    }
}
