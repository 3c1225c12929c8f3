//! CPU pools: which CPUs belong together. A CPU is in one pool, or free and idle; a domain is in one pool and runs on that
//! pool's CPUs only. Pool 0 is there from the start and stays.
//!
//! Domains are counted by the caller, who keeps this under one lock together with what follows from it.

use alloc::vec::Vec;

use crate::entity::bit;

/// The pool that is always there.
pub const FIRST_POOL: u32 = 0;

/// Why a pool will not change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolError {
    /// There is one with that number.
    Exists,
    /// There is none with that number.
    Absent,
    /// It has CPUs or domains, or is the first.
    Busy,
    /// The CPU is in a pool, or none is free.
    NotFree,
    /// The CPU is not in this pool.
    NotMember,
    /// The pool has no CPU to take, or none that its domains could do without.
    Needed,
    /// A vCPU is bound to the CPU.
    Bound,
    /// The heap has no room.
    NoMemory,
}

/// A pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Its number.
    pub id: u32,
    /// Its CPUs, one bit each.
    pub cpus: u64,
    /// How long who has just got one of its CPUs keeps it, nanoseconds.
    pub rate_limit_ns: u64,
}

/// Whether a pool has domains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Population {
    /// It has none.
    Empty,
    /// It has some.
    Inhabited,
}

/// All pools, ascending.
#[derive(Debug, Default)]
pub struct Pools {
    list: Vec<Pool>,
    /// CPUs of no pool.
    free: u64,
}

impl Pools {
    /// The first pool alone, with these CPUs.
    ///
    /// # Errors
    /// If the heap has no room.
    pub fn new(cpus: u64) -> Result<Self, PoolError> {
        let mut pools = Self::default();
        pools.create(Some(FIRST_POOL))?;
        if let Some(first) = pools.list.first_mut() {
            first.cpus = cpus;
        }
        Ok(pools)
    }

    /// The pool with this number.
    pub fn get(&self, id: u32) -> Option<Pool> {
        self.list.iter().find(|pool| pool.id == id).copied()
    }

    /// The pool with this number, or the next higher.
    pub fn get_from(&self, id: u32) -> Option<Pool> {
        self.list.iter().find(|pool| pool.id >= id).copied()
    }

    /// CPUs of no pool.
    pub fn free_cpus(&self) -> u64 {
        self.free
    }

    /// Makes a pool without CPUs: the one that is asked for, or one behind all others. Its number.
    ///
    /// # Errors
    /// If there is one with that number, no number left, or the heap has no room.
    pub fn create(&mut self, wanted: Option<u32>) -> Result<u32, PoolError> {
        let behind = self.list.last().map_or(Some(FIRST_POOL), |last| last.id.checked_add(1));
        let id = wanted.or(behind).filter(|&id| id != u32::MAX).ok_or(PoolError::Exists)?;
        let Err(place) = self.list.binary_search_by_key(&id, |pool| pool.id) else {
            return Err(PoolError::Exists);
        };
        self.list.try_reserve(1).map_err(|_| PoolError::NoMemory)?;
        self.list.insert(place, Pool { id, cpus: 0, rate_limit_ns: crate::limits::RATE_LIMIT_NS });
        Ok(id)
    }

    /// Ends a pool.
    ///
    /// # Errors
    /// If it is the first, has domains or CPUs, or is not there.
    pub fn destroy(&mut self, id: u32, population: Population) -> Result<(), PoolError> {
        let pool = self.get(id).ok_or(PoolError::Absent)?;
        if id == FIRST_POOL || pool.cpus != 0 || population == Population::Inhabited {
            return Err(PoolError::Busy);
        }
        self.list.retain(|pool| pool.id != id);
        Ok(())
    }

    /// Takes a free CPU in: this one, or the first that is free. Which.
    ///
    /// # Errors
    /// If there is no such pool, the CPU is not free, or none is.
    pub fn add_cpu(&mut self, id: u32, wanted: Option<u32>) -> Result<u32, PoolError> {
        let free = self.free;
        let pool = self.list.iter_mut().find(|pool| pool.id == id).ok_or(PoolError::Absent)?;
        let cpu = wanted.unwrap_or(free.trailing_zeros());
        if free & bit(cpu) == 0 {
            return Err(PoolError::NotFree);
        }
        pool.cpus |= bit(cpu);
        self.free &= !bit(cpu);
        Ok(cpu)
    }

    /// Sets a CPU free: this one, or the pool's last. Which. `bound` are CPUs that vCPUs are bound to for a while.
    ///
    /// # Errors
    /// If there is no such pool, the CPU is not in it, its domains need it, or a vCPU is bound to it.
    pub fn remove_cpu(
        &mut self,
        id: u32,
        wanted: Option<u32>,
        population: Population,
        bound: u64,
    ) -> Result<u32, PoolError> {
        let pool = self.list.iter_mut().find(|pool| pool.id == id).ok_or(PoolError::Absent)?;
        let cpu = wanted.or(pool.cpus.checked_ilog2()).ok_or(PoolError::Needed)?;
        if pool.cpus & bit(cpu) == 0 {
            return Err(PoolError::NotMember);
        }
        if pool.cpus == bit(cpu) && population == Population::Inhabited {
            return Err(PoolError::Needed);
        }
        if bound & bit(cpu) != 0 {
            return Err(PoolError::Bound);
        }
        pool.cpus &= !bit(cpu);
        self.free |= bit(cpu);
        Ok(cpu)
    }

    /// A CPU goes out of service: it is in no pool until it comes back. `bound` are CPUs that vCPUs are bound to for a
    /// while.
    ///
    /// # Errors
    /// If it is not in the first pool, or the last one there, or a vCPU is bound to it.
    pub fn withdraw_cpu(&mut self, cpu: u32, bound: u64) -> Result<(), PoolError> {
        let first = self.list.iter_mut().find(|pool| pool.id == FIRST_POOL).ok_or(PoolError::Absent)?;
        if first.cpus & bit(cpu) == 0 || first.cpus == bit(cpu) {
            return Err(PoolError::Busy);
        }
        if bound & bit(cpu) != 0 {
            return Err(PoolError::Bound);
        }
        first.cpus &= !bit(cpu);
        Ok(())
    }

    /// A CPU that was withdrawn is in service again, in the first pool.
    pub fn restore_cpu(&mut self, cpu: u32) {
        let is_known = self.free & bit(cpu) != 0 || self.list.iter().any(|pool| pool.cpus & bit(cpu) != 0);
        if let Some(first) = self.list.iter_mut().find(|pool| pool.id == FIRST_POOL).filter(|_| !is_known) {
            first.cpus |= bit(cpu);
        }
    }

    /// Changes the rate limit of a pool.
    ///
    /// # Errors
    /// If there is no such pool.
    pub fn set_rate_limit(&mut self, id: u32, nanoseconds: u64) -> Result<Pool, PoolError> {
        let pool = self.list.iter_mut().find(|pool| pool.id == id).ok_or(PoolError::Absent)?;
        pool.rate_limit_ns = nanoseconds;
        Ok(*pool)
    }
}
