//! CPU pools: which CPUs are whose. Each domain is in one pool ([`Domain::pool`]), and its vCPUs run there only.
//!
//! What a vCPU was told (its affinities) is kept, also while it is bound to one CPU; the scheduler gets what of it the pool
//! has. A CPU that goes out of service leaves its pool, the first, and comes back to it.
//!
//! Lock: the table's, of [`Level::CpuPools`], around a change and everything that follows from it, so that the last change
//! is what vCPUs are left with. Context: a hypercall, the gate or boot, no lock held.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use abi::{Errno, Result};
use hypercalls::op::domctl::{self, AffinityWish, PinOverride};
use locks::{Level, Lock};
use scheduler::{Affinity, FIRST_POOL, Pool, PoolError, Pools, Population};
use spin::Once;

use super::{queue, wake};
use crate::{
    cpu,
    domain::{self, Domain, Unpublished, Vcpu},
};

fn errno(error: PoolError) -> Errno {
    match error {
        PoolError::Exists => Errno::EEXIST,
        PoolError::Absent => Errno::ENOENT,
        PoolError::Busy => Errno::EBUSY,
        PoolError::NotFree => Errno::ENODEV,
        PoolError::NotMember => Errno::EADDRNOTAVAIL,
        PoolError::Needed => Errno::EINVAL,
        PoolError::Bound => Errno::EADDRINUSE,
        PoolError::NoMemory => Errno::ENOMEM,
    }
}

/// The table; made when it is first needed, of all CPUs in service then.
fn table() -> Result<&'static Lock<Pools>> {
    static TABLE: Once<Lock<Pools>> = Once::new();
    TABLE.try_call_once(|| {
        let cpus = cpu::all().filter(|cpu| cpu.is_online()).fold(0, |map, cpu| map | 1 << cpu.index);
        Pools::new(cpus).map(|pools| Lock::new(Level::CpuPools, pools)).map_err(errno)
    })
}

/// Does something with the table. Errors: `ENOMEM` when it cannot be made, those of `work`.
fn with<T>(work: impl FnOnce(&mut Pools) -> core::result::Result<T, PoolError>) -> Result<T> {
    work(&mut table()?.lock()).map_err(errno)
}

fn members(id: u32) -> impl Iterator<Item = &'static Domain> {
    domain::all().filter(move |domain| domain.pool.load(Acquire) == id && !domain.is_dying())
}

fn population(id: u32) -> Population {
    if members(id).next().is_some() { Population::Inhabited } else { Population::Empty }
}

/// The pool with this number, or the next higher, and how many domains it has.
pub fn find_from(id: u32) -> Option<(Pool, u32)> {
    let pool = table().ok()?.lock().get_from(id)?;
    Some((pool, members(pool.id).count() as u32))
}

/// CPUs of no pool.
pub fn free_cpus() -> u64 {
    table().map_or(0, |table| table.lock().free_cpus())
}

/// Makes a pool. Errors: `EEXIST`, `ENOMEM`.
pub fn create(wanted: Option<u32>) -> Result<u32> {
    with(|pools| pools.create(wanted))
}

/// Ends a pool. Errors: `ENOENT`, `EBUSY`.
pub fn destroy(id: u32) -> Result<()> {
    with(|pools| pools.destroy(id, population(id)))
}

/// Takes a free CPU in. Errors: `ENOENT`, `ENODEV`.
pub fn add_cpu(id: u32, wanted: Option<u32>) -> Result<()> {
    with(|pools| {
        let index = pools.add_cpu(id, wanted)?;
        if let (Some(cpu), Some(pool)) = (cpu::by_index(index as usize), pools.get(id)) {
            cpu.queue.lock().set_rate_limit(pool.rate_limit_ns);
        }
        refresh(pools, id);
        Ok(())
    })
}

/// Sets a CPU free. A vCPU that may use no other may then use all of its pool. Errors: `ENOENT`, `EADDRNOTAVAIL`, `EINVAL`,
/// `EADDRINUSE` for one that a vCPU is bound to.
pub fn remove_cpu(id: u32, wanted: Option<u32>) -> Result<()> {
    with(|pools| {
        pools.remove_cpu(id, wanted, population(id), bound_cpus())?;
        refresh(pools, id);
        Ok(())
    })
}

/// Tells all vCPUs of a pool which CPUs it has.
fn refresh(pools: &Pools, id: u32) {
    let cpus = pools.get(id).map_or(0, |pool| pool.cpus);
    for vcpu in members(id).flat_map(Domain::vcpus) {
        if vcpu.affinity.load(Acquire) & cpus == 0 {
            log::info!("Breaking affinity for {vcpu:?}");
            vcpu.affinity.store(u64::MAX, Release);
        }
        confine(vcpu, cpus);
    }
}

/// Where a vCPU may run: on what it was told of its pool's CPUs, on all of them if that is none, and on any if none of them
/// is in service.
fn within(vcpu: &Vcpu, cpus: u64) -> Affinity {
    let online = queue::board().online();
    let told = vcpu.hard_affinity();
    let hard = [told & cpus, cpus].into_iter().find(|map| map & online != 0).unwrap_or(u64::MAX);
    Affinity { hard, soft: vcpu.soft_affinity.load(Acquire) }
}

fn confine(vcpu: &'static Vcpu, cpus: u64) {
    wake::confine(vcpu, within(vcpu, cpus));
}

/// CPUs of a domain's pool.
fn cpus_for(pools: &Pools, domain: &Domain) -> u64 {
    pools.get(domain.pool.load(Acquire)).map_or(u64::MAX, |pool| pool.cpus)
}

/// CPUs that vCPUs are bound to.
fn bound_cpus() -> u64 {
    domain::all().flat_map(Domain::vcpus).filter_map(Vcpu::bound_cpu).fold(0, |map, cpu| map | 1 << (cpu & 63))
}

/// Changes what a vCPU is told. Errors: `EBUSY` it is bound to a CPU and is to stay so, `ENOMEM`.
pub fn set_affinity(vcpu: &'static Vcpu, wish: AffinityWish) -> Result<domctl::Affinity> {
    let pools = table()?.lock();
    if wish.pin == PinOverride::Keep && vcpu.bound_cpu().is_some() {
        return Err(Errno::EBUSY);
    }
    vcpu.bound_to.store(Vcpu::NOT_BOUND, Release);
    if let Some(hard) = wish.hard {
        vcpu.affinity.store(hard, Release);
    }
    if let Some(soft) = wish.soft {
        vcpu.soft_affinity.store(soft, Release);
    }
    confine(vcpu, cpus_for(&pools, vcpu.domain));
    Ok(domctl::Affinity { hard: vcpu.affinity.load(Acquire), soft: vcpu.soft_affinity.load(Acquire) })
}

/// Binds a vCPU to a CPU of its pool; what it was told does not count until [`end_binding`], or until that is changed by
/// force. Errors: `EINVAL` for a CPU that is not in service or not in the pool, `EBUSY` it is bound, `ENOMEM`.
pub fn bind(vcpu: &'static Vcpu, index: u32) -> Result<()> {
    let pools = table()?.lock();
    cpu::by_index(index as usize).filter(|cpu| cpu.is_online()).ok_or(Errno::EINVAL)?;
    if vcpu.bound_cpu().is_some() {
        return Err(Errno::EBUSY);
    }
    let cpus = cpus_for(&pools, vcpu.domain);
    if cpus >> (index & 63) & 1 == 0 {
        return Err(Errno::EINVAL);
    }
    vcpu.bound_to.store(index, Release);
    confine(vcpu, cpus);
    Ok(())
}

/// Lets a vCPU run again where it was told. Errors: `EINVAL` it is not bound, `ENOMEM`.
pub fn end_binding(vcpu: &'static Vcpu) -> Result<()> {
    let pools = table()?.lock();
    vcpu.bound_cpu().ok_or(Errno::EINVAL)?;
    vcpu.bound_to.store(Vcpu::NOT_BOUND, Release);
    confine(vcpu, cpus_for(&pools, vcpu.domain));
    Ok(())
}

/// Has a new vCPU attached to a queue, and follow its pool's changes from then on. Errors: `ENOMEM`, those of `attach`.
pub fn admit(vcpu: &'static Vcpu, attach: impl FnOnce(Affinity) -> Result<()>) -> Result<()> {
    let pools = table()?.lock();
    attach(within(vcpu, cpus_for(&pools, vcpu.domain)))?;
    vcpu.is_queued.store(true, Release);
    Ok(())
}

/// Makes a new domain known, in a pool. Errors: `ESRCH` for no such pool, `ENOMEM`.
pub fn publish(record: Unpublished, id: u32) -> Result<&'static Domain> {
    let pools = table()?.lock();
    pools.get(id).ok_or(Errno::ESRCH)?;
    record.domain().pool.store(id, Release);
    Ok(record.publish())
}

/// A CPU is to go out of service. Errors: `EBUSY` unless it is in the first pool and not the last one there, `EADDRINUSE`
/// for one that a vCPU is bound to, `ENOMEM`.
pub fn withdraw_cpu(index: u32) -> Result<()> {
    with(|pools| {
        pools.withdraw_cpu(index, bound_cpus())?;
        refresh(pools, FIRST_POOL);
        Ok(())
    })
}

/// A CPU has come back into service.
pub fn restore_cpu(index: u32) {
    let restored = with(|pools| {
        pools.restore_cpu(index);
        refresh(pools, FIRST_POOL);
        Ok(())
    });
    // Without a table there are no pools that it could be in.
    let _ = restored;
}

/// CPUs on which a domain's vCPUs can run.
pub fn cpus_of(domain: &Domain) -> u64 {
    let cpus = table().map_or(u64::MAX, |table| cpus_for(&table.lock(), domain));
    cpus & queue::board().online()
}

/// Puts a domain into a pool; its vCPUs may use all CPUs there. Errors: `ENOENT` for no such pool or one without CPUs.
pub fn move_domain(domain: &'static Domain, id: u32) -> Result<()> {
    with(|pools| {
        let pool = pools.get(id).filter(|pool| pool.cpus != 0).ok_or(PoolError::Absent)?;
        if domain.pool.swap(id, Relaxed) != id {
            for vcpu in domain.vcpus() {
                vcpu.affinity.store(u64::MAX, Release);
                confine(vcpu, pool.cpus);
            }
        }
        Ok(())
    })
}

/// Changes a pool's rate limit. Errors: `ENOENT`.
pub fn set_rate_limit(id: u32, nanoseconds: u64) -> Result<()> {
    with(|pools| {
        let pool = pools.set_rate_limit(id, nanoseconds)?;
        for cpu in cpu::all().filter(|cpu| pool.cpus >> cpu.index & 1 != 0) {
            cpu.queue.lock().set_rate_limit(nanoseconds);
        }
        Ok(())
    })
}

/// The pool that new domains are in unless told otherwise.
pub const DEFAULT: u32 = FIRST_POOL;
