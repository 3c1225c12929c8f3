//! Dropping stale translations, here and on other CPUs.
//!
//! Guest user pages are global so that they survive the change between a guest's two top-level tables; a full flush
//! therefore turns CR4.PGE off and on. A CPU that waits for others answers their requests meanwhile, so two CPUs may
//! flush each other; a CPU that spins on a lock answers through the lock's hook. Requests never need a lock.
//!
//! The flush clock counts full flushes. A frame whose stamp is at or above a CPU's last flush may still be translated
//! there. When the clock wraps, every CPU flushes once, so that old stamps can only cause a flush too many.

#![expect(unsafe_code, reason = "writes CR3 and CR4")]

use core::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Release},
};

use super::{local_apic, vector::Vector};
use crate::{
    arch::control,
    cpu::{self, Cpu, features, record::MAX_CPUS},
};

static CLOCK: AtomicU32 = AtomicU32::new(1);

/// A set of CPUs, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuMask(pub u64);

impl CpuMask {
    /// Whether the CPU is in the set.
    pub const fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 != 0
    }

    /// Members, ascending.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = usize> {
        bits(self.0).map(|bit| bit as usize)
    }

    /// Those of its members that exist.
    fn present(self) -> Self {
        Self(self.0 & u64::MAX.checked_shr((MAX_CPUS - cpu::count()) as u32).unwrap_or(0))
    }
}

/// The bits that are set, ascending.
#[inline]
pub fn bits(mask: u64) -> impl Iterator<Item = u32> {
    let mut rest = mask;
    core::iter::from_fn(move || {
        let next = (rest != 0).then_some(rest.trailing_zeros());
        rest &= rest.wrapping_sub(1);
        next
    })
}

/// The flush clock now.
#[inline]
pub fn clock() -> u32 {
    CLOCK.load(Acquire)
}

/// Counts a full flush of this CPU that is about to happen.
#[inline]
fn tick() -> u32 {
    let now = CLOCK.fetch_add(1, AcqRel).wrapping_add(1);
    if now == 0 {
        clock_wrapped();
    }
    now
}

#[cold]
fn clock_wrapped() {
    for other in cpu::all().filter(|other| other.is_online() && other.index != cpu::this().index) {
        request(other);
    }
}

/// Drops all translations of this CPU, global ones too.
#[inline]
pub fn local() {
    let now = tick();
    let cr4 = features::cr4::PGE;
    let value = control::read_cr4();
    // SAFETY: 1. only PGE changes, and comes back.
    unsafe { control::write_cr4(value & !cr4) };
    // SAFETY: 1. restores what was read.
    unsafe { control::write_cr4(value) };
    cpu::this().flushed_at.store(now, Release);
}

/// Loads a top-level table and drops all translations, global ones too.
///
/// # Safety
/// 1. As for `control::write_cr3`.
#[inline]
pub unsafe fn switch_root(root: u64) {
    let now = tick();
    let value = control::read_cr4();
    // SAFETY: 1. only PGE changes, and comes back.
    unsafe { control::write_cr4(value & !features::cr4::PGE) };
    // SAFETY: 1. duty 1 is passed on.
    unsafe { control::write_cr3(root) };
    // SAFETY: 1. restores what was read.
    unsafe { control::write_cr4(value) };
    cpu::this().flushed_at.store(now, Release);
}

/// Asks another CPU to flush.
fn request(other: &Cpu) {
    other.flush_requests.fetch_add(1, AcqRel);
    local_apic::send(other.apic_id, Vector::FLUSH);
}

/// Answers the requests that other CPUs made of this one. Runs in the interrupt, and in every waiting loop.
#[inline]
pub fn answer() {
    let this = cpu::this();
    let requested = this.flush_requests.load(Acquire);
    if this.flush_answers.load(Acquire) != requested {
        local();
        this.flush_answers.store(requested, Release);
    }
}

/// Whether a CPU has answered all requests up to this one, or takes part no more.
fn has_answered(other: &Cpu, request: u32) -> bool {
    other.flush_answers.load(Acquire).wrapping_sub(request) as i32 >= 0 || !other.is_online()
}

/// Has every CPU of the set drop all its translations; returns when they are gone. This CPU may be in the set.
pub fn on(set: CpuMask) {
    let this = cpu::this();
    let mut asked = CpuMask(0);
    for index in set.present().iter().filter(|&index| index != this.index) {
        if let Some(other) = cpu::by_index(index).filter(|other| other.is_online()) {
            request(other);
            asked.0 |= 1 << index;
        }
    }
    if set.contains(this.index) {
        local();
    }
    // They all work at once, so it does not matter who is waited for first.
    for other in asked.iter().filter_map(cpu::by_index) {
        // Ours or a later one, read once: others may go on asking for as long as they like.
        let ours = other.flush_requests.load(Acquire);
        while !has_answered(other, ours) {
            answer();
            core::hint::spin_loop();
        }
    }
}

/// The CPUs of the set that have not flushed since the clock stood at `stamp`.
pub fn stale_since(set: CpuMask, stamp: u32) -> CpuMask {
    let stale = set.present().iter().filter(|&index| {
        cpu::by_index(index).is_some_and(|cpu| cpu.is_online() && cpu.flushed_at.load(Acquire) <= stamp)
    });
    CpuMask(stale.fold(0, |mask, index| mask | 1 << index))
}
