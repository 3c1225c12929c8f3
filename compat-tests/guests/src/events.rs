//! Event channels as a guest sees them: binding, the 2-level words of shared_info, the upcall and its counters.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::buffer::Buffer;
use crate::hypercall::{call1, call2};
use crate::memory::shared_info;
use crate::number::{self, event};
use crate::trap::{self, Dealt, Saved};

/// Ports whose deliveries are counted.
pub const COUNTED: usize = 4096;

static DELIVERED: [AtomicU32; COUNTED] = [const { AtomicU32::new(0) }; COUNTED];
static UPCALLS: AtomicU32 = AtomicU32::new(0);

/// An event channel operation on an argument block; gives back the call's result.
#[inline(always)]
pub fn operation<const N: usize>(command: u64, argument: &mut Buffer<N>) -> i64 {
    call2(number::EVENT_CHANNEL_OP, command, argument.address())
}

/// Allocates a port bound to nothing yet, for `remote` to bind.
#[inline(always)]
pub fn alloc_unbound(remote: u16) -> Result<u32, i64> {
    let mut argument = Buffer::<8>::new().u16(0, number::DOMID_SELF as u16).u16(2, remote);
    match operation(event::ALLOC_UNBOUND, &mut argument) {
        0 => Ok(argument.get_u32(4)),
        error => Err(error),
    }
}

/// Binds a VIRQ of a vCPU.
pub fn bind_virq(virq: u32, vcpu: u32) -> Result<u32, i64> {
    let mut argument = Buffer::<12>::new().u32(0, virq).u32(4, vcpu);
    match operation(event::BIND_VIRQ, &mut argument) {
        0 => Ok(argument.get_u32(8)),
        error => Err(error),
    }
}

/// Makes an IPI port of a vCPU.
#[inline(always)]
pub fn bind_ipi(vcpu: u32) -> Result<u32, i64> {
    let mut argument = Buffer::<8>::new().u32(0, vcpu);
    match operation(event::BIND_IPI, &mut argument) {
        0 => Ok(argument.get_u32(4)),
        error => Err(error),
    }
}

/// Binds to a domain's unbound port.
pub fn bind_interdomain(domain: u16, port: u32) -> Result<u32, i64> {
    let mut argument = Buffer::<12>::new().u16(0, domain).u32(4, port);
    match operation(event::BIND_INTERDOMAIN, &mut argument) {
        0 => Ok(argument.get_u32(8)),
        error => Err(error),
    }
}

/// Operations whose argument is just a port: close, send, unmask.
#[inline(always)]
pub fn on_port(command: u64, port: u32) -> i64 {
    operation(command, &mut Buffer::<4>::new().u32(0, port))
}

/// A byte of a vCPU's vcpu_info in shared_info.
fn vcpu_byte(vcpu: u64, offset: u64) -> &'static AtomicU8 {
    // SAFETY: shared_info stays mapped; the hypervisor changes the byte atomically.
    unsafe { &*((shared_info() + vcpu * 64 + offset) as *const AtomicU8) }
}

fn word(offset: u64) -> &'static AtomicU64 {
    // SAFETY: shared_info stays mapped; the hypervisor changes the word atomically.
    unsafe { &*((shared_info() + offset) as *const AtomicU64) }
}

/// A vCPU's upcall-pending byte.
pub fn upcall_pending(vcpu: u64) -> &'static AtomicU8 {
    vcpu_byte(vcpu, 0)
}

/// A vCPU's upcall-mask byte.
pub fn upcall_mask(vcpu: u64) -> &'static AtomicU8 {
    vcpu_byte(vcpu, 1)
}

/// A vCPU's selector word.
pub fn selector(vcpu: u64) -> &'static AtomicU64 {
    word(vcpu * 64 + 8)
}

/// The word of pending bits that holds a port.
pub fn pending_word(port: u32) -> &'static AtomicU64 {
    word(2048 + u64::from(port / 64) * 8)
}

/// The word of mask bits that holds a port.
pub fn mask_word(port: u32) -> &'static AtomicU64 {
    word(2560 + u64::from(port / 64) * 8)
}

/// Whether a port's pending bit is set.
pub fn is_pending(port: u32) -> u64 {
    pending_word(port).load(Ordering::SeqCst) >> (port % 64) & 1
}

/// Clears a port's pending bit.
pub fn clear_pending(port: u32) {
    pending_word(port).fetch_and(!(1 << (port % 64)), Ordering::SeqCst);
}

/// Sets a port's mask bit.
pub fn mask(port: u32) {
    mask_word(port).fetch_or(1 << (port % 64), Ordering::SeqCst);
}

/// Clears a port's mask bit by hand, as a guest may while the port is not pending.
pub fn unmask_by_hand(port: u32) {
    mask_word(port).fetch_and(!(1 << (port % 64)), Ordering::SeqCst);
}

/// Upcalls taken so far.
pub fn upcalls() -> u32 {
    UPCALLS.load(Ordering::SeqCst)
}

/// Deliveries of a port so far.
pub fn delivered(port: u32) -> u32 {
    DELIVERED[port as usize].load(Ordering::SeqCst)
}

/// Takes what is pending on a vCPU: selector, then words, counting and clearing.
pub fn drain(vcpu: u64) {
    upcall_pending(vcpu).store(0, Ordering::SeqCst);
    let mut selected = selector(vcpu).swap(0, Ordering::SeqCst);
    while selected != 0 {
        let index = selected.trailing_zeros();
        selected &= selected - 1;
        let first = index * 64;
        let mut ready = pending_word(first).load(Ordering::SeqCst) & !mask_word(first).load(Ordering::SeqCst);
        while ready != 0 {
            let bit = ready.trailing_zeros();
            ready &= ready - 1;
            clear_pending(first + bit);
            DELIVERED[(first + bit) as usize].fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn upcall(_saved: &mut Saved) -> Dealt {
    UPCALLS.fetch_add(1, Ordering::SeqCst);
    drain(0);
    Dealt::Resume
}

/// Takes upcalls on vCPU 0 from now on.
pub fn enable() {
    trap::handle(trap::EVENT, upcall);
    unmask_upcalls();
}

/// Unmasks the upcall of vCPU 0 and takes what came meanwhile.
pub fn unmask_upcalls() {
    upcall_mask(0).store(0, Ordering::SeqCst);
    // Any hypercall's way back delivers what is pending.
    call1(number::XEN_VERSION, 0);
}

/// Masks the upcall of vCPU 0.
pub fn mask_upcalls() {
    upcall_mask(0).store(1, Ordering::SeqCst);
}
