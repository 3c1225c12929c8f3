//! Places where the build with the feature `fail-points` can be told to break. In any other build there are none.
//!
//! A place breaks for test victims only, and once: it panics, or reads an address that is never mapped, as a bug would.

#![cfg_attr(feature = "fail-points", expect(unsafe_code, reason = "reads an unmapped address"))]

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
    /// A data breakpoint of the guest's met by the hypervisor: nothing breaks there.
    pub const BREAKPOINT: Point = Point(0x506);
}

/// Breaks here, if the test has asked for it.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub fn hit(_point: Point) {}

/// Breaks here, if the test has asked for it.
#[cfg(feature = "fail-points")]
#[inline(always)]
pub fn hit(point: Point) {
    use crate::{cpu::block, fail_points::armed};
    match armed::takes(point) {
        None => {}
        Some(armed::Break::Panic) => panic!("fail point {:#x}", point.0),
        Some(armed::Break::Fault) => {
            let guard_page = block::base(0) + 2 * 4096;
            // SAFETY: none is needed: the page is never mapped, so the read faults, which is the test.
            let value = unsafe { core::ptr::read_volatile(guard_page as *const u64) };
            panic!("a guard page holds {value:#x}");
        }
    }
}
