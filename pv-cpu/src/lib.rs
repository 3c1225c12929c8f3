//! A 64-bit PV vCPU as pure logic: trap frames, the way back, descriptors, instruction emulation, CPUID and MSR policy.
//!
//! Nothing here touches hardware; `hv` supplies guest memory and devices through small traits.
#![no_std]
#![forbid(unsafe_code)]

pub mod address;
pub mod arithmetic;
pub mod asynchronous;
pub mod bounce;
pub mod control;
pub mod cpuid;
pub mod cpuid_host;
mod cpuid_list;
pub mod debug;
pub mod decode;
pub mod descriptor;
pub mod exception;
pub mod exit;
pub mod features;
pub mod flags;
pub mod iret;
pub mod machine_check;
pub mod memory_types;
pub mod msr;
pub mod opcode;
pub mod ports;
pub mod privileged;
pub mod registers;
pub mod selector;
pub mod store;
mod string_io;
pub mod time;
pub mod trap_table;
pub mod vcpu;
pub mod xen_leaves;
pub mod xstate;

pub use registers::Registers;
pub use vcpu::{GuestContext, VirtualCpu};
