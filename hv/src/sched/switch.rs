//! The context switch: everything of the vCPU that leaves is stored, everything of the one that comes is loaded.
//!
//! Context: interrupts off; `store` runs under the CPU's run-queue lock, `load` under none. A vCPU is resident on at most one CPU; it becomes resident elsewhere only
//! after its CPU has stored it. Nothing of the old vCPU is left in registers the new one can read.

#![expect(unsafe_code, reason = "moves register state between vCPUs and the CPU")]

use core::sync::atomic::Ordering::{Relaxed, Release};

use abi::Mfn;

use crate::{
    arch::{descriptors, segments},
    cpu::{self, block},
    domain::{
        PendingWork, Vcpu, VcpuState,
        per_domain::{self, LOCAL_TABLE, OWN_DESCRIPTORS},
    },
    entry::stubs,
    interrupt::flush,
    memory::physical,
    serve::areas,
};
use pv_cpu::trap_table::Mode;

/// Stores everything of the vCPU that is resident on this CPU; it may be loaded elsewhere then.
pub fn store(vcpu: &'static Vcpu) {
    // SAFETY: 1. resident here, and the gate holds no reference while it schedules. 2. dropped at the end.
    let state = unsafe { vcpu.state() };
    // SAFETY: 1. likewise, of the register file.
    state.registers = unsafe { *block::registers() };
    let segments = &mut state.virtual_cpu.segments;
    (segments.ds, segments.es, segments.fs, segments.gs) = segments::selectors();
    let (kernel, user) = match state.virtual_cpu.mode {
        Mode::Kernel => (segments::gs_base(), segments::kernel_gs_base()),
        Mode::User => (segments::kernel_gs_base(), segments::gs_base()),
    };
    segments.fs_base = segments::fs_base();
    segments.gs_base_kernel = kernel;
    segments.gs_base_user = user;
    state.extended.save();
}

/// Loads `next`; `previous` was resident and has been stored.
pub fn load(previous: Option<&'static Vcpu>, next: &'static Vcpu) {
    let cpu = cpu::this();
    // SAFETY: 1. `next` runs nowhere else: the scheduler gave it to this CPU. 2. dropped at the end.
    let state = unsafe { next.state() };
    let mode = state.virtual_cpu.mode;
    let root = match mode {
        Mode::Kernel => state.kernel_root.get(),
        Mode::User => state.user_root.get(),
    };
    next.resident.store(true, Release);
    next.domain.mark_dirty(cpu.index);
    next.domain.per_domain.set(next.id, OWN_DESCRIPTORS, Some(cpu.descriptor_frame));
    block::this_info().set_current(Some(next));
    load_root(root.unwrap_or(physical::root()));
    if let Some(previous) = previous
        && !core::ptr::eq(previous.domain, next.domain)
    {
        previous.domain.clear_dirty(cpu.index);
    }
    if let Some(previous) = previous {
        previous.resident.store(false, Release);
    }
    load_descriptors(next, state);
    load_segments(next, state, mode);
    // Before CR0.TS may be set, which the restore heeds.
    state.extended.restore();
    load_control(state);
    // SAFETY: 1. the gate takes its reference after this.
    *unsafe { block::registers() } = state.registers;
    areas::switched_in(next);
}

/// Leaves this CPU without a vCPU; `previous` was resident, has been stored, and may be loaded elsewhere afterwards.
pub fn unload(previous: &'static Vcpu) {
    let cpu = cpu::this();
    load_root(physical::root());
    // SAFETY: 1. mapped in the hypervisor's own table for good, filled at this CPU's start.
    unsafe { descriptors::load_table(block::descriptors(cpu.index)) };
    descriptors::set_local_table(cpu.descriptor_frame, 0, 0);
    block::this_info().set_current(None);
    previous.domain.clear_dirty(cpu.index);
    previous.resident.store(false, Release);
}

fn load_root(root: Mfn) {
    // SAFETY: 1. a validated level-4 table (or the hypervisor's own root), whose hypervisor slots are filled.
    unsafe { flush::switch_root(root.address().0) };
    cpu::this().root.store(root.0, Relaxed);
}

fn load_descriptors(next: &'static Vcpu, state: &VcpuState) {
    // SAFETY: 1. the page was just shown at this position of the vCPU's window, and the flush came after.
    unsafe { descriptors::load_table(per_domain::address(next.id, OWN_DESCRIPTORS)) };
    let (_, entries) = state.local_table.get();
    descriptors::set_local_table(cpu::this().descriptor_frame, per_domain::address(next.id, LOCAL_TABLE), entries);
}

fn load_segments(next: &'static Vcpu, state: &VcpuState, mode: Mode) {
    let segments = state.virtual_cpu.segments;
    let selectors = [segments.ds, segments.es, segments.fs, segments.gs];
    crate::serve::descriptors::show_selectors(next.domain, next.id, state, &selectors);
    let refused = stubs::load_selectors(segments.ds, segments.es, segments.fs, segments.gs);
    if refused != 0 {
        next.note(PendingWork::FAILSAFE);
    }
    segments::set_fs_base(segments.fs_base);
    match mode {
        Mode::Kernel => segments::set_gs_bases(segments.gs_base_kernel, segments.gs_base_user),
        Mode::User => segments::set_gs_bases(segments.gs_base_user, segments.gs_base_kernel),
    }
}

fn load_control(state: &VcpuState) {
    crate::serve::instructions::load_control(&state.virtual_cpu);
    crate::arch::debug::load(&state.virtual_cpu.debug);
}
