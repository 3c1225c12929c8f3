//! Global descriptors, task state and interrupt gates of one CPU.
//!
//! Selectors below 0xE000 are the guest's; ours start there, at the numbers that Xen's public header
//! `arch-x86/xen-x86_64.h` promises to guests (0xE023, 0xE02B, 0xE033). Source: AMD64 manual, volume 2, §4 and §8.

#![expect(unsafe_code, reason = "loads descriptor-table registers")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::Mfn;

use crate::{cpu::block, entry::stubs, memory::window};

/// Selectors of the hypervisor's part.
pub mod selector {
    /// Hypervisor code.
    pub const CODE: u16 = 0xE008;
    /// Hypervisor data.
    pub const DATA: u16 = 0xE010;
    /// Guest 32-bit code.
    pub const GUEST_CODE_32: u16 = 0xE023;
    /// Guest data and stack.
    pub const GUEST_DATA: u16 = 0xE02B;
    /// Guest 64-bit code.
    pub const GUEST_CODE_64: u16 = 0xE033;
    /// Task state.
    pub const TASK: u16 = 0xE040;
    /// The guest's LDT.
    pub const LOCAL_TABLE: u16 = 0xE050;
}

/// Selectors below this are the guest's own.
const FIRST_RESERVED: u16 = 0xE000;
/// Limit of the whole table: 14 guest pages and ours.
const TABLE_LIMIT: u16 = 0xEFFF;

/// The 64-bit task state segment: stacks only.
#[repr(C, packed(4))]
pub struct TaskState {
    reserved0: u32,
    stacks: [u64; 3],
    reserved1: u64,
    own_stacks: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_bitmap: u16,
}

const _: () = assert!(size_of::<TaskState>() == 104);

impl TaskState {
    /// The stacks of `cpu`; port access from user mode always faults.
    pub fn new(cpu: usize) -> Self {
        let mut own_stacks = [0; 7];
        for (stack, which) in own_stacks.iter_mut().zip(0..block::OWN_STACKS) {
            *stack = block::own_stack(cpu, which);
        }
        Self {
            reserved0: 0,
            stacks: [block::entry_stack(cpu), 0, 0],
            reserved1: 0,
            own_stacks,
            reserved2: 0,
            reserved3: 0,
            io_bitmap: 104,
        }
    }
}

fn slot(frame: Mfn, selector: u16) -> Option<&'static AtomicU64> {
    window::words(frame).get(usize::from(selector - FIRST_RESERVED) / 8)
}

fn set(frame: Mfn, selector: u16, value: u64) {
    if let Some(slot) = slot(frame, selector & !7) {
        slot.store(value, Relaxed);
    }
}

/// The two halves of a 64-bit system descriptor.
fn system_descriptor(address: u64, limit: u64, kind: u64) -> (u64, u64) {
    let low = limit & 0xFFFF
        | (address & 0xFF_FFFF) << 16
        | kind << 40
        | 1 << 47
        | (limit >> 16 & 0xF) << 48
        | (address >> 24 & 0xFF) << 56;
    (low, address >> 32)
}

/// Fills a CPU's descriptor page.
pub fn fill(frame: Mfn, task_state: &'static TaskState) {
    const AVAILABLE_TASK: u64 = 9;
    set(frame, selector::CODE, 0x00AF_9B00_0000_FFFF);
    set(frame, selector::DATA, 0x00CF_9300_0000_FFFF);
    set(frame, selector::GUEST_CODE_32, 0x00CF_FB00_0000_FFFF);
    set(frame, selector::GUEST_DATA, 0x00CF_F300_0000_FFFF);
    set(frame, selector::GUEST_CODE_64, 0x00AF_FB00_0000_FFFF);
    let (low, high) = system_descriptor(task_state as *const TaskState as u64, 103, AVAILABLE_TASK);
    set(frame, selector::TASK, low);
    set(frame, selector::TASK + 8, high);
}

/// Sets the LDT descriptor of a CPU: `entries` descriptors at `address`; none when 0.
pub fn set_local_table(frame: Mfn, address: u64, entries: u32) {
    const LOCAL_TABLE: u64 = 2;
    let limit = u64::from(entries) * 8;
    let (low, high) = if entries == 0 { (0, 0) } else { system_descriptor(address, limit - 1, LOCAL_TABLE) };
    set(frame, selector::LOCAL_TABLE, low);
    set(frame, selector::LOCAL_TABLE + 8, high);
    let loaded = if entries == 0 { 0 } else { selector::LOCAL_TABLE };
    // SAFETY: the descriptor is either null or describes 64 KiB of the vCPU's own window, mapped or faulting.
    unsafe { asm!("lldt {:x}", in(reg) loaded, options(nostack, preserves_flags)) };
}

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

/// Loads the descriptor table whose hypervisor page is seen at `descriptors`, the guest's 14 pages lying before it.
///
/// # Safety
/// 1. A page filled by [`fill`] for this CPU is mapped at `descriptors`, and stays so while the table is loaded.
#[inline]
pub unsafe fn load_table(descriptors: u64) {
    let pointer = TablePointer { limit: TABLE_LIMIT, base: descriptors.wrapping_sub(u64::from(FIRST_RESERVED)) };
    // SAFETY: duty 1 is passed on to the caller.
    unsafe { asm!("lgdt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags)) };
}

/// Loads all descriptor-table registers of this CPU, which runs on the boot tables until now.
pub fn load(cpu: usize) {
    // SAFETY: 1. `cpu::start` has filled and mapped this CPU's page.
    unsafe { load_table(block::descriptors(cpu)) };
    let idt = TablePointer { limit: 4095, base: GATES.as_ptr() as u64 };
    // SAFETY: the selectors exist in the table just loaded; the gates are filled by `fill_gates` before any CPU gets here.
    unsafe {
        asm!(
            "push {code}", "lea {scratch}, [rip + 2f]", "push {scratch}", "retfq", "2:",
            "mov ss, {data:x}", "mov ds, {zero:x}", "mov es, {zero:x}", "mov fs, {zero:x}", "mov gs, {zero:x}",
            "lidt [{idt}]", "ltr {task:x}", "lldt {zero:x}",
            code = in(reg) u64::from(selector::CODE), scratch = out(reg) _, data = in(reg) selector::DATA,
            zero = in(reg) 0_u32, idt = in(reg) &raw const idt, task = in(reg) selector::TASK,
        );
    }
}

static GATES: [AtomicU64; 512] = [const { AtomicU64::new(0) }; 512];

/// Fills the interrupt gates, one table for all CPUs. Breakpoint, overflow and vector 0x80 may be raised by guests.
pub fn fill_gates() {
    const INTERRUPT_GATE: u64 = 0x8E00 << 32;
    const FROM_USER: u64 = 0x6000 << 32;
    let entries = GATES.chunks_exact(2).enumerate();
    for (vector, gate) in entries {
        let [low, high] = gate else { continue };
        let target = stubs::vector_entry(vector);
        let own_stack = match vector {
            8 => 1,
            2 => 2,
            18 => 3,
            1 => 4,
            _ => 0,
        };
        let level = if matches!(vector, 3 | 4 | 0x80) { FROM_USER } else { 0 };
        let address = target & 0xFFFF | (target >> 16 & 0xFFFF) << 48;
        low.store(address | u64::from(selector::CODE) << 16 | own_stack << 32 | INTERRUPT_GATE | level, Relaxed);
        high.store(target >> 32, Relaxed);
    }
}
