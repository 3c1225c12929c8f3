//! A 64-bit PV vCPU as pure logic: trap frames, the way back, descriptors, instruction emulation, CPUID and MSR policy.
//!
//! Nothing here touches hardware; `hv` supplies guest memory and devices through small traits.
#![no_std]
#![forbid(unsafe_code)]

pub mod registers;

pub use registers::Registers;
