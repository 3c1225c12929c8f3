//! Emulating instructions for the guest's kernel: privileged ones, stores to pages it may only read.

use abi::{GuestVirtual, Mfn};
use pv_cpu::{
    decode::Segment,
    privileged::{self, Emulation},
    store::{self, Store},
};

use super::{Caller, instructions};
use crate::{
    arch::segments,
    fail_point::{Point, hit},
    platform::pci,
};

/// The instruction that raised #GP(0).
pub fn privileged(caller: &mut Caller<'_>) -> Emulation {
    hit(Point::EMULATION);
    instructions::with(caller, |cpu, registers, host| privileged::emulate(cpu, registers, host))
}

/// The instruction that raised #UD, if it is CPUID behind its prefix.
pub fn forced(caller: &mut Caller<'_>) -> Option<Emulation> {
    instructions::with(caller, |cpu, registers, host| privileged::forced_emulation(cpu, registers, host))
}

/// Clears the guest's TS, which goes with the delivery of #NM.
pub fn clear_task_switched(caller: &mut Caller<'_>) {
    caller.state.virtual_cpu.control.set_task_switched(0);
    instructions::load_control(&caller.state.virtual_cpu);
}

/// The store at rip; `None` when it is no store that is known, or cannot be fetched.
pub fn decode_store(caller: &mut Caller<'_>) -> Option<Store> {
    let base = |segment| match segment {
        Segment::Fs => segments::fs_base(),
        Segment::Gs => segments::gs_base(),
        _ => 0,
    };
    instructions::with(caller, |_, registers, host| store::decode_at(registers, host, base).ok().flatten())
}

/// A store to a device page that dom0 may only read: configuration space goes through the intercept, all else is
/// dropped. True when the instruction is over.
pub fn write_read_only_page(caller: &mut Caller<'_>, frame: Mfn, address: GuestVirtual) -> bool {
    if !crate::domain::rights::is_read_only_device(caller.domain, frame) {
        return false;
    }
    let Some(store) = decode_store(caller) else { return false };
    if store.address != address.0
        || store.width > pci::widest_store(frame)
        || !store.address.is_multiple_of(u64::from(store.width))
    {
        return false;
    }
    let Some(value) = store.apply(caller.registers, 0) else { return false };
    pci::guest_window_write(frame, (address.0 & 0xFFF) as u16, store.width, value as u32);
    store.retire(caller.registers, 0);
    true
}
