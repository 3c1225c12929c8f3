//! Crashing a domain: what is printed, and that only this domain stops.
//!
//! The layout of the lines follows Xen's, so that people and scripts who know those find their way.

use abi::sched::ShutdownReason;

use super::Caller;
use crate::{arch::control, cpu, entry::stubs, memory::window, time::clock};

/// Words of the guest's stack that are shown.
const STACK_WORDS: u64 = 20;

/// Crashes the caller's domain.
pub fn domain(caller: &mut Caller<'_>, why: &str) {
    if crate::console::log::guest_may_log(log::Level::Error, clock::now()) {
        print(caller, why);
    }
    crate::domain::shut_down(caller.domain, ShutdownReason::CRASH);
}

fn print(caller: &Caller<'_>, why: &str) {
    log::error!("domain_crash called: {why}");
    log::error!("Domain {} (vcpu#{}) crashed on cpu#{}:", caller.domain.id, caller.vcpu.id, cpu::this().index);
    print_registers(caller, log::Level::Error);
    print_walk(caller, control::read_cr3(), control::read_cr2());
    print_stack(caller.registers.rsp);
}

/// The guest's registers and the CPU's fault address.
pub fn print_registers(caller: &Caller<'_>, level: log::Level) {
    let registers = &*caller.registers;
    log::log!(level, "RIP:    {:04x}:[<{:016x}>]", registers.cs as u16, registers.rip);
    log::log!(
        level,
        "RFLAGS: {:016x}   EM: 0   CONTEXT: pv guest (d{}v{})",
        registers.rflags,
        caller.domain.id,
        caller.vcpu.id
    );
    log::log!(level, "rax: {:016x}   rbx: {:016x}   rcx: {:016x}", registers.rax, registers.rbx, registers.rcx);
    log::log!(level, "rdx: {:016x}   rsi: {:016x}   rdi: {:016x}", registers.rdx, registers.rsi, registers.rdi);
    log::log!(level, "rbp: {:016x}   rsp: {:016x}   r8:  {:016x}", registers.rbp, registers.rsp, registers.r8);
    log::log!(level, "r9:  {:016x}   r10: {:016x}   r11: {:016x}", registers.r9, registers.r10, registers.r11);
    log::log!(level, "r12: {:016x}   r13: {:016x}   r14: {:016x}", registers.r12, registers.r13, registers.r14);
    let (root, address) = (control::read_cr3(), control::read_cr2());
    log::log!(level, "r15: {:016x}   cr3: {root:016x}   cr2: {address:016x}", registers.r15);
}

/// The page walk of the last fault's address, level by level.
fn print_walk(caller: &Caller<'_>, root: u64, address: u64) {
    log::error!("Pagetable walk from {address:016x}:");
    let mut table = abi::MachineAddress(root).frame();
    for level in (1..=4).rev() {
        let index = (address >> (12 + 9 * (level - 1))) as usize & 511;
        let Some(slot) = window::words(table).get(index) else { return };
        let entry = slot.load(core::sync::atomic::Ordering::Relaxed);
        log::error!(" L{level}[0x{index:03x}] = {entry:016x}");
        let next = crate::memory::entry::frame(entry);
        // Nothing but the domain's own frames: other vCPUs may still be changing these tables.
        let owner = crate::memory::frame_table::frames().get(next).map(|info| info.reference().owner());
        if entry & 1 == 0 || entry & 0x80 != 0 || owner != Some(caller.domain.id) {
            return;
        }
        table = next;
    }
}

fn print_stack(from: u64) {
    log::error!("Guest stack trace from rsp={from:016x}:");
    for index in 0..STACK_WORDS / 4 {
        let mut words = [[0_u8; 8]; 4];
        for (offset, word) in words.iter_mut().enumerate() {
            let address = from.wrapping_add(32 * index + 8 * offset as u64);
            let readable = abi::GuestVirtual(address).is_guest_range(8) && stubs::copy_from_guest(word, address);
            if !readable {
                log::error!("  Fault while accessing guest memory.");
                return;
            }
        }
        let [a, b, c, d] = words.map(u64::from_le_bytes);
        log::error!("  {a:016x} {b:016x} {c:016x} {d:016x}");
    }
}
