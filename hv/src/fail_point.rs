//! Places where the build with the feature `fail-points` can be told to break. In any other build there are none.
//!
//! A place breaks for test victims only, and once: it panics, or reads an address that is never mapped, as a bug would.

#![cfg_attr(feature = "fail-points", expect(unsafe_code, reason = "reads an unmapped address"))]

/// The last step of a teardown.
const FRAMES: u64 = 4;

/// A place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point(pub u32);

#[cfg_attr(not(feature = "fail-points"), allow(dead_code))]
impl Point {
    /// Before a hypercall is looked at.
    pub const fn before_call(number: u64) -> Self {
        Point(0x100 | number as u32 & 0xFF)
    }
    /// After a hypercall's handler has returned, before its result is stored.
    pub const fn after_call(number: u64) -> Self {
        Point(0x200 | number as u32 & 0xFF)
    }
    /// Inside a hypercall's handler, where it copies from or to its guest.
    pub const fn inside_call(number: u64) -> Self {
        Point(0x300 | number as u32 & 0xFF)
    }
    /// At an exception of this vector.
    pub const fn exception(vector: u32) -> Self {
        Point(0x400 | vector & 0xFF)
    }
    /// While an instruction is emulated.
    pub const EMULATION: Point = Point(0x501);
    /// In the page-fault handler.
    pub const PAGE_FAULT: Point = Point(0x502);
    /// In the gate, where an event upcall is delivered.
    pub const UPCALL: Point = Point(0x503);
    /// While a frame is written to the guest's stack.
    pub const BOUNCE: Point = Point(0x504);
    /// While a frame is read from the guest's stack (iret).
    pub const IRET: Point = Point(0x505);
    /// Where a call begins to work on behalf of another than its caller.
    pub const BEHALF_BEGINS: Point = Point(0x601);
    /// Where it has done so.
    pub const BEHALF_ENDS: Point = Point(0x602);
    /// In a handler that has found the domain its call names.
    pub const NAMED: Point = Point(0x603);
    /// In a handler that holds a vCPU of another domain.
    pub const HOLDING: Point = Point(0x604);
    /// Where a domain has been made and nobody knows it yet.
    pub const CREATING: Point = Point(0x605);
    /// Where a vCPU is marked as held, and no guard would let it go.
    pub const TAKING_HOLD: Point = Point(0x606);
    /// Where a teardown is claimed, and no guard would give it back.
    pub const CLAIMING: Point = Point(0x607);

    /// At the beginning of a step of a domain's teardown; the frames are one step.
    pub const fn teardown(step: u64) -> Self {
        Point(0x700 | if step > FRAMES { FRAMES } else { step } as u32)
    }
    /// In the middle of that step.
    pub const fn within_teardown(step: u64) -> Self {
        Point(0x710 | step as u32)
    }
    /// A breakpoint met by the hypervisor: nothing breaks there.
    pub const BREAKPOINT: Point = Point(0x506);
}

/// Breaks here, if the test has asked for it.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub fn hit(_point: Point) {}

/// Breaks here, if the test has asked for it.
#[cfg(feature = "fail-points")]
#[inline(always)]
#[expect(clippy::panic, reason = "breaking is what it is for")]
pub fn hit(point: Point) {
    use crate::{cpu::block, fail_points::armed};
    match armed::takes(point) {
        None => {}
        Some(armed::Break::Watch) => crate::fail_points::watch_entry(),
        Some(armed::Break::Panic) => panic!("fail point {:#x}", point.0),
        Some(armed::Break::Fault) => {
            let guard_page = block::base(0) + 2 * 4096;
            // SAFETY: none is needed: the page is never mapped, so the read faults, which is the test.
            let value = unsafe { core::ptr::read_volatile(guard_page as *const u64) };
            panic!("a guard page holds {value:#x}");
        }
    }
}
