//! This CPU's local APIC, through MSRs (x2APIC) or memory (xAPIC), one mode for the whole machine.
//!
//! Registers are named by their xAPIC offset; x2APIC has them at MSR 0x800 + offset / 16. Source: Intel SDM volume 3,
//! chapter 11; AMD64 manual, volume 2, chapter 16.

#![expect(unsafe_code, reason = "writes the APIC's MSRs")]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::Result;
use raw_cpuid::CpuId;
use spin::Once;

use super::vector::Vector;
use crate::{arch::control, memory::device::Registers};

const APIC_BASE: u32 = 0x1B;
const ENABLE: u64 = 1 << 11;
const X2_ENABLE: u64 = 1 << 10;

/// Register offsets.
mod register {
    pub const ID: u32 = 0x20;
    pub const TASK_PRIORITY: u32 = 0x80;
    pub const END_OF_INTERRUPT: u32 = 0xB0;
    pub const LOGICAL_DESTINATION: u32 = 0xD0;
    pub const DESTINATION_FORMAT: u32 = 0xE0;
    pub const SPURIOUS: u32 = 0xF0;
    pub const IN_SERVICE: u32 = 0x100;
    pub const ERROR_STATUS: u32 = 0x280;
    pub const COMMAND: u32 = 0x300;
    pub const COMMAND_HIGH: u32 = 0x310;
    pub const TIMER: u32 = 0x320;
    pub const THERMAL: u32 = 0x330;
    pub const PERFORMANCE: u32 = 0x340;
    pub const LINT0: u32 = 0x350;
    pub const LINT1: u32 = 0x360;
    pub const ERROR: u32 = 0x370;
    pub const INITIAL_COUNT: u32 = 0x380;
    pub const CURRENT_COUNT: u32 = 0x390;
    pub const DIVIDE: u32 = 0x3E0;
}

const MASKED: u32 = 1 << 16;
const DELIVER_NMI: u32 = 4 << 8;
const SOFTWARE_ENABLE: u32 = 1 << 8;
const DIVIDE_BY_ONE: u32 = 0xB;
const DIVIDE_BY_16: u32 = 0x3;
const COMMAND_PENDING: u32 = 1 << 12;
const LEVEL_ASSERT: u32 = 1 << 14;

/// How the registers are reached.
enum Access {
    X2,
    Memory(Registers),
}

static ACCESS: Once<Access> = Once::new();
/// Timer ticks a second after the divider.
static TIMER_HZ: AtomicU64 = AtomicU64::new(0);

/// Whether x2APIC may be used (`x2apic` on the command line).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum X2Apic {
    /// If the CPU has it.
    Allowed,
    /// Never.
    Forbidden,
}

/// Chooses the mode. Context: boot CPU, once. Errors: `ENOMEM`.
pub fn choose(physical: u64, x2apic: X2Apic) -> Result<()> {
    let has = CpuId::new().get_feature_info().is_some_and(|features| features.has_x2apic());
    let firmware_did = control::read_msr(APIC_BASE) & X2_ENABLE != 0;
    if firmware_did || (has && x2apic == X2Apic::Allowed) {
        ACCESS.call_once(|| Access::X2);
    } else {
        let registers = Registers::map(physical, 4096)?;
        ACCESS.call_once(|| Access::Memory(registers));
    }
    Ok(())
}

/// Whether the machine runs in x2APIC mode.
pub fn is_x2() -> bool {
    matches!(ACCESS.get(), Some(Access::X2))
}

fn read(offset: u32) -> u32 {
    match ACCESS.get() {
        Some(Access::Memory(registers)) => registers.read(u64::from(offset)),
        _ => control::read_msr(0x800 + (offset >> 4)) as u32,
    }
}

#[inline]
fn write(offset: u32, value: u32) {
    match ACCESS.get() {
        Some(Access::Memory(registers)) => registers.write(u64::from(offset), value),
        // SAFETY: 1. APIC registers change interrupt delivery only.
        _ => unsafe { control::write_msr(0x800 + (offset >> 4), u64::from(value)) },
    }
}

/// Sets up this CPU's APIC: all local sources masked but NMI, spurious vector, lowest priority.
pub fn enable() {
    let base = control::read_msr(APIC_BASE) | ENABLE;
    let value = if is_x2() { base | X2_ENABLE } else { base };
    // SAFETY: 1. enables the APIC in the chosen mode; its address stays.
    unsafe { control::write_msr(APIC_BASE, value) };
    if !is_x2() {
        write(register::DESTINATION_FORMAT, u32::MAX);
        write(register::LOGICAL_DESTINATION, 0);
    }
    write(register::TASK_PRIORITY, 0);
    write(register::TIMER, MASKED | u32::from(Vector::TIMER.0));
    write(register::THERMAL, MASKED);
    write(register::PERFORMANCE, MASKED);
    write(register::LINT0, MASKED);
    write(register::LINT1, DELIVER_NMI);
    write(register::ERROR, u32::from(Vector::APIC_ERROR.0));
    write(register::SPURIOUS, SOFTWARE_ENABLE | u32::from(Vector::SPURIOUS.0));
    write(register::ERROR_STATUS, 0);
}

/// This CPU's APIC id.
pub fn id() -> u32 {
    let raw = read(register::ID);
    if is_x2() { raw } else { raw >> 24 }
}

/// Ends the interrupt in service.
#[inline]
pub fn end_of_interrupt() {
    write(register::END_OF_INTERRUPT, 0);
}

/// Whether the vector is in service.
pub fn in_service(vector: Vector) -> bool {
    read(register::IN_SERVICE + u32::from(vector.0 / 32) * 0x10) >> (vector.0 % 32) & 1 != 0
}

fn command(apic_id: u32, low: u32) {
    if is_x2() {
        // Unlike a write to memory, this one may overtake what the interrupt is about (SDM volume 3, 11.12.3).
        control::finish_writes();
        // SAFETY: 1. sends an interrupt.
        unsafe { control::write_msr(0x800 + (register::COMMAND >> 4), u64::from(apic_id) << 32 | u64::from(low)) };
        return;
    }
    write(register::COMMAND_HIGH, apic_id << 24);
    write(register::COMMAND, low);
    while read(register::COMMAND) & COMMAND_PENDING != 0 {
        core::hint::spin_loop();
    }
}

/// Sends a vector to another CPU.
#[inline]
pub fn send(apic_id: u32, vector: Vector) {
    command(apic_id, LEVEL_ASSERT | u32::from(vector.0));
}

/// Sends a non-maskable interrupt to another CPU.
pub fn send_nmi(apic_id: u32) {
    command(apic_id, LEVEL_ASSERT | DELIVER_NMI);
}

/// Puts another CPU into its wait-for-start state.
pub fn send_init(apic_id: u32) {
    command(apic_id, LEVEL_ASSERT | 5 << 8);
}

/// Starts another CPU at physical address `page` * 4096, in real mode.
pub fn send_startup(apic_id: u32, page: u8) {
    command(apic_id, LEVEL_ASSERT | 6 << 8 | u32::from(page));
}

/// Lets the timer count down from the top, for calibration.
pub fn start_counting() {
    write(register::DIVIDE, DIVIDE_BY_ONE);
    write(register::TIMER, MASKED | u32::from(Vector::TIMER.0));
    write(register::INITIAL_COUNT, u32::MAX);
}

/// What the timer has come down to.
pub fn counter() -> u32 {
    read(register::CURRENT_COUNT)
}

/// Takes over the measured frequency.
pub fn set_timer_frequency(hz: u64) {
    TIMER_HZ.store(hz / 16, Relaxed);
}

/// Readies this CPU's timer for [`set_timer`].
pub fn enable_timer() {
    write(register::DIVIDE, DIVIDE_BY_16);
    write(register::INITIAL_COUNT, 0);
    write(register::TIMER, u32::from(Vector::TIMER.0));
}

/// Lets the timer interrupt once after `nanoseconds`, or at its longest span; 0 stops it.
#[inline]
pub fn set_timer(nanoseconds: u64) {
    let ticks = u128::from(nanoseconds) * u128::from(TIMER_HZ.load(Relaxed)) / 1_000_000_000;
    let count = if nanoseconds == 0 { 0 } else { ticks.clamp(1, u128::from(u32::MAX)) as u32 };
    write(register::INITIAL_COUNT, count);
}
