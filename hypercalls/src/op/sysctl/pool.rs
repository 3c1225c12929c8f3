//! sysctl: CPU pools, and what their schedulers can be told.

use abi::domctl_vcpu::SchedulerId;
use abi::sysctl_scheduler::{
    CPUPOOL_ANY, CpupoolCommand, CpupoolOp, RATE_LIMIT_MAX, RATE_LIMIT_MIN, SystemSchedulerCommand, SystemSchedulerOp,
};
use abi::{DomainId, Errno, Result};

use super::{MachineHost, Request};
use crate::authority::{self, ControlDomain, Policy, Target};
use crate::bitmap;
use crate::guest::GuestMemory;

/// A CPU pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolFacts {
    /// Its number.
    pub id: u32,
    /// Its CPUs, one bit each.
    pub cpus: u64,
    /// Domains in it.
    pub domains: u32,
    /// How long who has just got one of its CPUs keeps it, microseconds.
    pub rate_limit: u32,
}

/// CPU pools, each with a credit2 scheduler. Every change but a move is refused with `ENOENT` if there is no such pool.
pub trait PoolHost {
    /// The pool with this number, or the next higher.
    fn pool_from(&self, id: u32) -> Option<PoolFacts>;
    /// CPUs that are in no pool.
    fn free_cpus(&self) -> u64;
    /// Makes a pool, of this number or one behind all others; its number. Errors: `EEXIST`, `ENOMEM`.
    fn pool_create(&mut self, authority: ControlDomain, wanted: Option<u32>) -> Result<u32>;
    /// Ends a pool. Errors: `EBUSY` for one with CPUs or domains, and the first.
    fn pool_destroy(&mut self, authority: ControlDomain, id: u32) -> Result<()>;
    /// Takes a free CPU in, or any. Errors: `ENODEV` it is not free.
    fn pool_add_cpu(&mut self, authority: ControlDomain, id: u32, cpu: Option<u32>) -> Result<()>;
    /// Sets a CPU free, or any. Errors: `EADDRNOTAVAIL` it is not in the pool, `EINVAL` its domains need it.
    fn pool_remove_cpu(&mut self, authority: ControlDomain, id: u32, cpu: Option<u32>) -> Result<()>;
    /// Moves a domain to a pool; its vCPUs may use all CPUs there. Errors: `ESRCH`, `ENOENT` for no such pool or one
    /// without CPUs.
    fn pool_move_domain(&mut self, target: Target, id: u32) -> Result<()>;
    /// Changes a pool's rate limit, microseconds.
    fn pool_set_rate_limit(&mut self, authority: ControlDomain, id: u32, limit: u32) -> Result<()>;
}

/// cpupool_op(18). Errors: `ENOENT` for no such pool or scheduler, `EINVAL` for no such CPU, `ESRCH` for no such domain,
/// `EPERM` for the caller's own, `ENOSYS`, `EFAULT`, else as the host says.
pub(super) fn operate<H>(host: &mut H, request: &Request) -> Result<()>
where
    H: Policy + GuestMemory + MachineHost + PoolHost,
{
    let mut asked: CpupoolOp = request.argument()?;
    let authority = request.authority;
    match asked.command {
        CpupoolCommand::CREATE if asked.scheduler != SchedulerId::CREDIT2 => return Err(Errno::ENOENT),
        CpupoolCommand::CREATE => asked.pool = host.pool_create(authority, named(asked.pool))?,
        CpupoolCommand::DESTROY => return host.pool_destroy(authority, asked.pool),
        CpupoolCommand::INFO => describe(host, &mut asked)?,
        CpupoolCommand::ADD_CPU => return host.pool_add_cpu(authority, asked.pool, cpu(host, &asked)?),
        CpupoolCommand::REMOVE_CPU => return host.pool_remove_cpu(authority, asked.pool, cpu(host, &asked)?),
        CpupoolCommand::MOVE_DOMAIN => return move_domain(host, request, &asked),
        CpupoolCommand::FREE_INFO => bitmap::write(host, &asked.cpus, host.free_cpus(), host.cpu_numbers())?,
        _ => return Err(Errno::ENOSYS),
    }
    request.answer(host, &asked)
}

/// A pool or CPU by number, or any.
fn named(number: u32) -> Option<u32> {
    (number != CPUPOOL_ANY).then_some(number)
}

/// Errors: `EINVAL` for a CPU that is not there.
fn cpu(host: &impl MachineHost, asked: &CpupoolOp) -> Result<Option<u32>> {
    let cpu = named(asked.cpu);
    if cpu.is_some_and(|cpu| cpu >= host.cpu_numbers()) { Err(Errno::EINVAL) } else { Ok(cpu) }
}

fn describe<H: GuestMemory + MachineHost + PoolHost>(host: &H, asked: &mut CpupoolOp) -> Result<()> {
    let found = host.pool_from(asked.pool).ok_or(Errno::ENOENT)?;
    (asked.pool, asked.domains, asked.scheduler) = (found.id, found.domains, SchedulerId::CREDIT2);
    bitmap::write(host, &asked.cpus, found.cpus, host.cpu_numbers())
}

/// A caller cannot move itself.
fn move_domain<H: Policy + PoolHost>(host: &mut H, request: &Request, asked: &CpupoolOp) -> Result<()> {
    // As on Xen, what is beyond 16 bits of the number does not count.
    let found = authority::find_by_number(host, DomainId(asked.domain as u16))?;
    let target = found.controlled(request.authority);
    if target.is_caller() {
        return Err(Errno::EPERM);
    }
    host.pool_move_domain(target, asked.pool)
}

/// scheduler_op(19). Errors: `EINVAL` for an unknown command, another scheduler or an impossible limit, `ESRCH` for no
/// such pool, `EFAULT`.
pub(super) fn scheduler<H: GuestMemory + PoolHost>(host: &mut H, request: &Request) -> Result<()> {
    let mut asked: SystemSchedulerOp = request.argument()?;
    if asked.command != SystemSchedulerCommand::PUT_INFO && asked.command != SystemSchedulerCommand::GET_INFO {
        return Err(Errno::EINVAL);
    }
    let pool = host.pool_from(asked.pool).filter(|pool| pool.id == asked.pool).ok_or(Errno::ESRCH)?;
    if asked.scheduler != SchedulerId::CREDIT2 {
        return Err(Errno::EINVAL);
    }
    if asked.command == SystemSchedulerCommand::PUT_INFO {
        let is_possible = asked.rate_limit == 0 || (RATE_LIMIT_MIN..=RATE_LIMIT_MAX).contains(&asked.rate_limit);
        if !is_possible {
            return Err(Errno::EINVAL);
        }
        host.pool_set_rate_limit(request.authority, pool.id, asked.rate_limit)?;
    } else {
        asked.rate_limit = pool.rate_limit;
    }
    request.answer(host, &asked)
}
