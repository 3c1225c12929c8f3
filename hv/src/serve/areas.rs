//! What the hypervisor mirrors into guest memory: the clock in `vcpu_info`, secondary clock and runstate areas.
//!
//! The areas' addresses are the guest kernel's; while its user mode runs they may be unmapped, so the update waits for
//! the gate's next pass in kernel mode. A fault is nobody's error. Source: Xen public headers `xen.h`, `vcpu.h`.

use core::sync::atomic::{
    Ordering::{Relaxed, SeqCst},
    fence,
};

use pv_cpu::trap_table::Mode;

use super::Caller;
use crate::{
    arch::control,
    domain::{PendingWork, Vcpu},
    entry::stubs,
    time::clock,
};

/// The vCPU has just become resident: its clock is brought up to date.
pub fn switched_in(vcpu: &'static Vcpu) {
    update_clock(vcpu);
    let time = vcpu.time.lock();
    if time.runstate_area.is_some() || time.time_area.is_some() {
        vcpu.note(PendingWork::AREAS);
    }
}

/// Writes the clock parameters into `vcpu_info`: version odd, values, version even.
pub fn update_clock(vcpu: &Vcpu) {
    let [version, tsc_word, time_word, scale_word] = &vcpu.info().time;
    let tsc = control::read_tsc();
    let scale = clock::scale();
    let before = version.load(Relaxed) & 0xFFFF_FFFF;
    let odd = before | 1;
    version.store(odd, SeqCst);
    tsc_word.store(tsc, Relaxed);
    time_word.store(clock::at(tsc), Relaxed);
    scale_word
        .store(u64::from(scale.multiplier) | u64::from(scale.shift as u8) << 32 | clock::stable_flag() << 40, Relaxed);
    fence(SeqCst);
    version.store(odd.wrapping_add(1) & 0xFFFF_FFFF, SeqCst);
}

/// Writes the areas the vCPU has registered, now or at a pass of the gate in kernel mode.
pub fn update(caller: &mut Caller<'_>) {
    if caller.state.virtual_cpu.mode == Mode::User {
        caller.vcpu.note(PendingWork::AREAS);
        return;
    }
    let (runstate, secondary, info) = {
        let time = caller.vcpu.time.lock();
        (time.runstate_area, time.time_area, time.info(clock::now()))
    };
    if let Some(address) = runstate {
        write_runstate(caller, address, &info);
    }
    // An area that begins at the very end of the address space has no second word: nothing of it can be written.
    if let Some((address, second)) = secondary.and_then(|address| Some((address, address.checked_add(8)?))) {
        let words = caller.vcpu.info().time.each_ref().map(|word| word.load(Relaxed));
        // The version word goes last, as the reader's protocol wants it.
        let bytes = zerocopy::IntoBytes::as_bytes(&words);
        let (first, rest) = bytes.split_at(8);
        let _ = stubs::copy_to_guest(second, rest) && stubs::copy_to_guest(address, first);
    }
}

/// `vm_assist` type that announces runstate updates.
const UPDATE_FLAG_ASSIST: u32 = 5;
const UPDATE_FLAG: u64 = 1 << 63;

fn write_runstate(caller: &Caller<'_>, address: u64, info: &abi::vcpu::RunstateInfo) {
    let bytes = zerocopy::IntoBytes::as_bytes(info);
    if !caller.domain.has_assist(UPDATE_FLAG_ASSIST) {
        let _ = stubs::copy_to_guest(address, bytes);
        return;
    }
    // Flag on, content, flag off; the entry time is the word at offset 8.
    let Some(entry_time) = address.checked_add(8) else { return };
    let flagged = info.state_entry_time | UPDATE_FLAG;
    let mut content = [0; size_of::<abi::vcpu::RunstateInfo>()];
    content.copy_from_slice(bytes);
    if let Some(word) = content.get_mut(8..16) {
        word.copy_from_slice(&flagged.to_le_bytes());
    }
    let _ = stubs::copy_to_guest(entry_time, &flagged.to_le_bytes())
        && stubs::copy_to_guest(address, &content)
        && stubs::copy_to_guest(entry_time, &info.state_entry_time.to_le_bytes());
}

/// Writes the first copy of another vCPU's runstate through the caller's tables.
pub fn write_offline(address: u64, info: &abi::vcpu::RunstateInfo) {
    let _ = stubs::copy_to_guest(address, zerocopy::IntoBytes::as_bytes(info));
}
