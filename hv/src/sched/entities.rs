//! The scheduler's numbers for vCPUs, and vCPUs by number. Numbers ascend and are never used again.

use core::sync::atomic::{AtomicU32, Ordering::AcqRel};

use abi::{Errno, Result};
use scheduler::EntityId;
use spin::Once;

use crate::domain::Vcpu;

/// vCPUs that one boot can know; grows with the toolstack's calls.
pub const CAPACITY: u32 = 1024;

static VCPUS: [Once<&'static Vcpu>; CAPACITY as usize] = [const { Once::new() }; CAPACITY as usize];
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A fresh number. Errors: `ENOSPC`.
pub fn number() -> Result<EntityId> {
    let number = NEXT.fetch_add(1, AcqRel);
    if number < CAPACITY { Ok(EntityId(number)) } else { Err(Errno::ENOSPC) }
}

/// Makes a vCPU findable by its number.
pub fn publish(vcpu: &'static Vcpu) {
    if let Some(slot) = VCPUS.get(vcpu.entity.0 as usize) {
        slot.call_once(|| vcpu);
    }
}

/// The vCPU with a number.
#[inline]
pub fn vcpu(id: EntityId) -> Option<&'static Vcpu> {
    VCPUS.get(id.0 as usize)?.get().copied()
}
