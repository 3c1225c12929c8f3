//! The scheduler's numbers for vCPUs, and vCPUs by number. A number is used again when its vCPU's record is gone.

#![expect(unsafe_code, reason = "finds vCPUs by address")]

use core::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Release},
};

use abi::{Errno, Result};
use scheduler::EntityId;

use crate::domain::Vcpu;

/// vCPUs that there can be at a time.
pub const CAPACITY: u32 = 4096;

static VCPUS: [AtomicPtr<Vcpu>; CAPACITY as usize] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; CAPACITY as usize];
/// A bit for each number in use.
static USED: [AtomicU64; CAPACITY as usize / 64] = [const { AtomicU64::new(0) }; CAPACITY as usize / 64];

/// A vCPU's number; free again when dropped.
pub struct Number(EntityId);

impl Number {
    /// The lowest free number. Errors: `ENOSPC`.
    pub fn take() -> Result<Self> {
        for (index, word) in (0_u32..).zip(&USED) {
            let mut seen = word.load(Acquire);
            while seen != u64::MAX {
                let bit = seen.trailing_ones();
                match word.compare_exchange(seen, seen | 1 << bit, AcqRel, Acquire) {
                    Ok(_) => return Ok(Self(EntityId(64 * index + bit))),
                    Err(now) => seen = now,
                }
            }
        }
        Err(Errno::ENOSPC)
    }

    /// The number.
    pub fn id(&self) -> EntityId {
        self.0
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let Self(EntityId(number)) = *self;
        if let Some(slot) = VCPUS.get(number as usize) {
            slot.store(core::ptr::null_mut(), Release);
        }
        if let Some(word) = USED.get(number as usize / 64) {
            word.fetch_and(!(1 << (number % 64)), AcqRel);
        }
    }
}

/// Makes a vCPU findable by its number.
pub fn publish(vcpu: &'static Vcpu) {
    if let Some(slot) = VCPUS.get(vcpu.entity.0 as usize) {
        slot.store(core::ptr::from_ref(vcpu).cast_mut(), Release);
    }
}

/// The vCPU with a number.
#[inline]
pub fn vcpu(id: EntityId) -> Option<&'static Vcpu> {
    let pointer = VCPUS.get(id.0 as usize)?.load(Acquire);
    // SAFETY: null, or a vCPU of a domain whose record stays until this CPU has passed its gate (`domain::retired`).
    unsafe { pointer.as_ref() }
}
