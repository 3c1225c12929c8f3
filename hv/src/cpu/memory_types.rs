//! The machine's variable memory type ranges (MTRRs): what the control domain sets is set on all CPUs at once.
//!
//! Which changes are allowed is `pv_cpu::memory_types`; here they reach the registers. All CPUs change them in step with
//! their caches off, as the manual asks. Lock: [`Level::DomainControl`], around the plan alone. Source: Intel SDM volume
//! 3, §12.11.7 and §12.11.8.

#![expect(unsafe_code, reason = "writes MTRRs and switches caches off meanwhile")]

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use abi::{Errno, Result};
use locks::{Level, Lock};
use pv_cpu::memory_types::{Kind, MOST, Range, Ranges};
use raw_cpuid::CpuId;

use super::rendezvous;
use crate::{arch::control, entry::stubs, interrupt::flush};

const CAPABILITIES: u32 = 0xFE;
const COUNT: u64 = 0xFF;
const FIRST_BASE: u32 = 0x200;
const DEFAULT: u32 = 0x2FF;
const ENABLE: u64 = 1 << 11;
const VALID: u64 = 1 << 11;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const KIND: u64 = 0xFF;

/// The registers as they should be on every CPU: base and mask of each. Filled with the plan.
static WANTED: [[AtomicU64; 2]; MOST] = [const { [const { AtomicU64::new(0) }; 2] }; MOST];
/// Not 0 once the plan is made and [`WANTED`] filled.
static PLAN_KNOWN: AtomicU64 = AtomicU64::new(0);
static PLAN: Lock<Option<Ranges>> = Lock::new(Level::DomainControl, None);

/// How many registers there are.
fn count() -> usize {
    let has_them = CpuId::new().get_feature_info().is_some_and(|features| features.has_mtrr());
    let capabilities = if has_them { stubs::try_read_msr(CAPABILITIES) } else { None };
    capabilities.map_or(0, |value| ((value & COUNT) as usize).min(MOST))
}

fn frame_limit() -> u64 {
    let bits = CpuId::new().get_processor_capacity_feature_info().map_or(36, |info| info.physical_address_bits());
    1 << (bits.clamp(32, 52) - 12)
}

fn registers(index: usize) -> (u32, u32) {
    let base = FIRST_BASE + 2 * index as u32;
    (base, base + 1)
}

/// A register of this CPU's.
fn read(index: usize) -> Option<Range> {
    let (base, mask) = registers(index);
    let (base, mask) = (stubs::try_read_msr(base)?, stubs::try_read_msr(mask)?);
    let frames = (mask & ADDRESS) >> 12;
    if mask & VALID == 0 || frames == 0 {
        return Some(Range::UNUSED);
    }
    // The lowest bit that is compared is the size of the range.
    let count = 1 << frames.trailing_zeros();
    Some(Range { first: (base & ADDRESS) >> 12, count, kind: Kind((base & KIND) as u8) })
}

fn with_plan<R>(work: impl FnOnce(&mut Ranges) -> R) -> R {
    let mut plan = PLAN.lock();
    work(plan.get_or_insert_with(|| {
        for index in 0..count() {
            let (base, mask) = registers(index);
            let values = [base, mask].map(|register| stubs::try_read_msr(register).unwrap_or(0));
            publish(index, values);
        }
        PLAN_KNOWN.store(1, Release);
        Ranges::new((0..count()).map_while(read), frame_limit())
    }))
}

fn publish(index: usize, values: [u64; 2]) {
    for (slot, value) in WANTED.get(index).into_iter().flatten().zip(values) {
        slot.store(value, Release);
    }
}

fn publish_range(index: usize, range: Range) {
    let mask = (frame_limit() - 1) & !(range.count.max(1) - 1);
    let is_used = range.count != 0;
    let base = range.first << 12 | u64::from(range.kind.0);
    publish(index, if is_used { [base, mask << 12 | VALID] } else { [0, 0] });
}

/// Adds a use of a range; the register. Errors: `ENODEV` without registers, and those of the plan.
pub fn add(first: u64, frames: u64, kind: u32) -> Result<u32> {
    if count() == 0 {
        return Err(Errno::ENODEV);
    }
    let register = with_plan(|plan| {
        let register = plan.add(first, frames, kind)?;
        publish_range(register, plan.get(register).unwrap_or(Range::UNUSED));
        Ok(register)
    })?;
    rendezvous::hold(load);
    Ok(register as u32)
}

/// Takes a use of a register back. Errors: as for [`add`].
pub fn remove(register: u32) -> Result<()> {
    if count() == 0 {
        return Err(Errno::ENODEV);
    }
    with_plan(|plan| {
        plan.remove(register as usize)?;
        publish_range(register as usize, plan.get(register as usize).unwrap_or(Range::UNUSED));
        Ok(())
    })?;
    rendezvous::hold(load);
    Ok(())
}

/// What a register says; `None` beyond the last.
pub fn get(register: u32) -> Option<Range> {
    with_plan(|plan| plan.get(register as usize))
}

/// Makes this CPU's registers say what is wanted, if anything was ever changed. Context: interrupts off; all CPUs in
/// service at once, or one that comes into service.
pub fn load() {
    let differs = |index: usize, wanted: &[AtomicU64; 2]| {
        let (base, mask) = registers(index);
        let [wanted_base, wanted_mask] = wanted.each_ref().map(|word| word.load(Acquire));
        stubs::try_read_msr(base) != Some(wanted_base) || stubs::try_read_msr(mask) != Some(wanted_mask)
    };
    let is_known = PLAN_KNOWN.load(Acquire) != 0;
    if !is_known || !WANTED.iter().take(count()).enumerate().any(|(index, wanted)| differs(index, wanted)) {
        return;
    }
    let cr0 = control::read_cr0();
    let default = control::read_msr(DEFAULT);
    const CACHE_DISABLE: u64 = 1 << 30;
    const NOT_WRITE_THROUGH: u64 = 1 << 29;
    // SAFETY: 1. caching changes, and comes back.
    unsafe { control::write_cr0((cr0 | CACHE_DISABLE) & !NOT_WRITE_THROUGH) };
    control::write_back_caches();
    flush::local();
    // SAFETY: 1. memory types are off while their ranges change: everything is uncached.
    unsafe { control::write_msr(DEFAULT, default & !ENABLE) };
    for (index, wanted) in WANTED.iter().take(count()).enumerate() {
        let (base, mask) = registers(index);
        let [wanted_base, wanted_mask] = wanted.each_ref().map(|word| word.load(Acquire));
        // SAFETY: 1. memory types change caching, never what memory holds; a value the CPU refuses is left out.
        let _ =
            unsafe { stubs::try_write_msr(base, wanted_base) } && unsafe { stubs::try_write_msr(mask, wanted_mask) };
    }
    // SAFETY: 1. restores what was read.
    unsafe { control::write_msr(DEFAULT, default) };
    control::write_back_caches();
    flush::local();
    // SAFETY: 1. restores what was read.
    unsafe { control::write_cr0(cr0) };
}
