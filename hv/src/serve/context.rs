//! A vCPU's context: giving it the first one, replacing it, reading it, taking it away.
//!
//! The first one is all or nothing: descriptor frames and page tables are typed first and given back when a later one
//! will not do. The vCPU is down and resident nowhere; the domain's control lock is not needed because the claim of
//! initialisation is exclusive. The others work on a vCPU that is held. Source: Xen public header `arch-x86/xen.h` (`vcpu_guest_context`), reference inventory §3.1.

#![expect(unsafe_code, reason = "reaches the state of a vCPU that does not run")]

use core::sync::atomic::Ordering::{AcqRel, Acquire};

use abi::{
    Errno, Mfn, Result,
    xen_x86::{ContextFlags, VcpuGuestContext},
};
use hypercalls::op::{mmu::GDT_FRAMES, vcpu::Progress};
use pv_cpu::{
    control::ControlRegisters,
    debug::DebugRegisters,
    exception::Vector,
    flags,
    registers::Registers,
    trap_table::{Events, Mode, TrapGate},
    vcpu::{Callback, VirtualCpu},
};
use pv_mmu::{Stop, acquire_root, acquire_segment_page, finish_drops, release_root, release_segment_page};

use super::{
    descriptors,
    vcpus::{claim_initialisation, unclaim_initialisation},
};
use crate::{
    cpu::features,
    domain::{Held, RunFlags, Vcpu, VcpuState},
    memory::mmu::{Machine, own_drops, show_machine_to_physical},
    sched::wake,
};

/// Entries in a page of descriptors.
const ENTRIES_PER_FRAME: u64 = 512;

/// Initialises `vcpu`. Errors: `EEXIST`, `EINVAL` for frames that will not do.
pub fn initialise(vcpu: &'static Vcpu, wanted: &VcpuGuestContext) -> Result<Progress> {
    claim_initialisation(vcpu)?;
    let outcome = acquire(vcpu, wanted);
    if !matches!(outcome, Ok(Progress::Done)) {
        unclaim_initialisation(vcpu);
        return outcome;
    }
    if wanted.flags.contains(ContextFlags::ONLINE) {
        wake::release(vcpu, RunFlags::DOWN);
    }
    Ok(Progress::Done)
}

/// Gives an initialised vCPU another context on the same tables. Errors: `EOPNOTSUPP` for other tables.
pub fn replace(held: &mut Held, wanted: &VcpuGuestContext) -> Result<()> {
    let vcpu = held.vcpu();
    let state = held.state();
    let pages = wanted.gdt_entries.div_ceil(ENTRIES_PER_FRAME) as usize;
    let mut frames = [None; GDT_FRAMES];
    for (slot, frame) in frames.iter_mut().zip(wanted.gdt_frames.iter().take(pages)) {
        *slot = Some(*frame);
    }
    let [_, user, _, kernel, ..] = wanted.control;
    let same_tables = state.kernel_root.get() == Some(Mfn(kernel >> 12))
        && state.user_root.get() == (user != 0).then_some(Mfn(user >> 12));
    let same_descriptors = state.descriptor_frames.get() == frames
        && u64::from(state.descriptor_entries.get()) == wanted.gdt_entries
        && state.local_table.get() == (wanted.ldt_base.0, wanted.ldt_entries as u32);
    if !same_tables || !same_descriptors {
        return Err(Errno::EOPNOTSUPP);
    }
    fill_registers(vcpu, state, wanted);
    if wanted.flags.contains(ContextFlags::ONLINE) {
        wake::release(vcpu, RunFlags::DOWN);
    } else {
        wake::stop(vcpu, RunFlags::DOWN);
    }
    Ok(())
}

/// Takes a vCPU's context away, and what it holds; it is down then. To be called again when preempted.
pub fn take_away(held: &mut Held) -> Progress {
    let vcpu = held.vcpu();
    wake::stop(vcpu, RunFlags::DOWN);
    if release_tables(vcpu, held.state()).is_none() {
        return Progress::Preempted;
    }
    held.state().virtual_cpu = VirtualCpu::default();
    unclaim_initialisation(vcpu);
    Progress::Done
}

/// Gives back the roots and descriptor pages of a vCPU that is off all CPUs. `None` to be called again.
pub fn release_tables(vcpu: &'static Vcpu, state: &mut VcpuState) -> Option<()> {
    finish_drops(&Machine).ok()?;
    descriptors::drop_local_table(vcpu);
    for frame in state.descriptor_frames.take().into_iter().flatten() {
        release_segment_page(&Machine, frame);
    }
    for page in 0..GDT_FRAMES {
        vcpu.domain.per_domain.set(vcpu.id, page, None);
    }
    for root in [state.kernel_root.take(), state.user_root.take()].into_iter().flatten() {
        release_root(&Machine, root);
        while finish_drops(&Machine) == Err(Stop::Preempted) {}
    }
    vcpu.drops.give_to(own_drops());
    while finish_drops(&Machine) == Err(Stop::Preempted) {}
    Some(())
}

/// Writes down an initialised vCPU's context.
pub fn describe(held: &mut Held, into: &mut VcpuGuestContext) {
    let vcpu = held.vcpu();
    let state = held.state();
    let cpu = &state.virtual_cpu;
    into.flags = ContextFlags::I387_VALID;
    for (is_set, flag) in [
        (cpu.mode == Mode::Kernel, ContextFlags::IN_KERNEL),
        (vcpu.run_flags().0 & RunFlags::DOWN.0 == 0, ContextFlags::ONLINE),
        (cpu.callbacks.failsafe.events == Events::Masked, ContextFlags::FAILSAFE_DISABLES_EVENTS),
        (cpu.callbacks.syscall.events == Events::Masked, ContextFlags::SYSCALL_DISABLES_EVENTS),
    ] {
        if is_set {
            into.flags = into.flags.with(flag);
        }
    }
    state.extended.legacy(&mut into.fpu);
    describe_registers(state, into);
    for (vector, (trap, number)) in into.traps.iter_mut().zip(0_u8..=255).enumerate() {
        let gate = cpu.traps.gate(Vector(number));
        trap.vector = vector as u8;
        (trap.flags, trap.code_selector, trap.address) = (gate.flags, gate.selector, gate.address);
    }
    let (base, entries) = state.local_table.get();
    (into.ldt_base, into.ldt_entries) = (abi::GuestVirtual(base), u64::from(entries));
    into.gdt_entries = u64::from(state.descriptor_entries.get());
    for (to, frame) in into.gdt_frames.iter_mut().zip(state.descriptor_frames.get()) {
        *to = frame.unwrap_or(Mfn(0));
    }
    into.kernel_ss = u64::from(cpu.kernel_stack_selector);
    into.kernel_sp = cpu.kernel_stack_pointer;
    let root = |root: Option<Mfn>| root.map_or(0, |root| root.0 << 12);
    let host_cr0 = crate::arch::control::read_cr0();
    let [cr0, user, _, kernel, cr4, ..] = &mut into.control;
    *cr0 = cpu.control.cr0(host_cr0);
    *cr4 = cpu.control.cr4();
    (*user, *kernel) = (root(state.user_root.get()), root(state.kernel_root.get()));
    for (index, value) in (0..).zip(&mut into.debug) {
        *value = cpu.debug.get(index, cpu.control.cr4()).unwrap_or(0);
    }
    into.event_callback = abi::GuestVirtual(cpu.callbacks.event);
    into.failsafe_callback = abi::GuestVirtual(cpu.callbacks.failsafe.address);
    into.syscall_callback = abi::GuestVirtual(cpu.callbacks.syscall.address);
    into.vm_assist = vcpu.domain.assists.load(Acquire);
    into.fs_base = cpu.segments.fs_base;
    into.gs_base_kernel = cpu.segments.gs_base_kernel;
    into.gs_base_user = cpu.segments.gs_base_user;
}

fn describe_registers(state: &VcpuState, into: &mut VcpuGuestContext) {
    let from = &state.registers;
    let cpu = &state.virtual_cpu;
    let to = &mut into.registers;
    (to.r15, to.r14, to.r13, to.r12) = (from.r15, from.r14, from.r13, from.r12);
    (to.rbp, to.rbx, to.r11, to.r10) = (from.rbp, from.rbx, from.r11, from.r10);
    (to.r9, to.r8, to.rax, to.rcx) = (from.r9, from.r8, from.rax, from.rcx);
    (to.rdx, to.rsi, to.rdi) = (from.rdx, from.rsi, from.rdi);
    (to.rip, to.rsp) = (from.rip, from.rsp);
    (to.cs, to.ss) = (from.cs as u16, from.ss as u16);
    to.rflags = from.rflags & !(3 << flags::IOPL_SHIFT) | u64::from(cpu.iopl) << flags::IOPL_SHIFT;
    (to.ds, to.es, to.fs, to.gs) = (cpu.segments.ds, cpu.segments.es, cpu.segments.fs, cpu.segments.gs);
}

/// Frames taken so far, given back unless they are kept.
struct Taken {
    descriptor_frames: [Option<Mfn>; GDT_FRAMES],
    roots: [Option<Mfn>; 2],
    kept: bool,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for frame in self.descriptor_frames.iter().flatten() {
            release_segment_page(&Machine, *frame);
        }
        for root in self.roots.iter().flatten() {
            release_root(&Machine, *root);
        }
    }
}

fn acquire(vcpu: &'static Vcpu, wanted: &VcpuGuestContext) -> Result<Progress> {
    let owner = vcpu.domain.id;
    let mut taken = Taken { descriptor_frames: [None; GDT_FRAMES], roots: [None; 2], kept: false };
    let pages = wanted.gdt_entries.div_ceil(ENTRIES_PER_FRAME) as usize;
    for (slot, frame) in taken.descriptor_frames.iter_mut().zip(wanted.gdt_frames.iter().take(pages)) {
        acquire_segment_page(&Machine, *frame, owner)?;
        *slot = Some(*frame);
    }
    let [_, user, _, kernel, ..] = wanted.control;
    for (slot, (root, required)) in taken.roots.iter_mut().zip([(kernel, true), (user, false)]) {
        if root == 0 && !required {
            continue;
        }
        // The user table comes with its low bit as "valid" in the 64-bit form; the address is a machine address.
        match acquire_root(&Machine, Mfn(root >> 12), owner) {
            Ok(()) => *slot = Some(Mfn(root >> 12)),
            Err(Stop::Preempted) => return Ok(Progress::Preempted),
            Err(Stop::Errno(_)) => return Err(Errno::EINVAL),
        }
    }
    taken.kept = true;
    if let [Some(kernel), _] = taken.roots {
        show_machine_to_physical(kernel);
    }
    // SAFETY: 1. the vCPU is down, was never resident, and the claim keeps others away. 2. dropped at the end.
    let state = unsafe { vcpu.state() };
    fill(vcpu, state, wanted, &taken);
    Ok(Progress::Done)
}

fn fill(vcpu: &'static Vcpu, state: &mut VcpuState, wanted: &VcpuGuestContext, taken: &Taken) {
    let [kernel, user] = taken.roots;
    state.kernel_root.set(kernel);
    state.user_root.set(user);
    state.descriptor_frames.set(taken.descriptor_frames);
    state.descriptor_entries.set(wanted.gdt_entries as u32);
    for (page, frame) in taken.descriptor_frames.iter().enumerate() {
        vcpu.domain.per_domain.set(vcpu.id, page, *frame);
    }
    state.local_table.set((wanted.ldt_base.0, wanted.ldt_entries as u32));
    fill_registers(vcpu, state, wanted);
}

fn fill_registers(vcpu: &'static Vcpu, state: &mut VcpuState, wanted: &VcpuGuestContext) {
    state.registers = registers(wanted);
    state.virtual_cpu = virtual_cpu(wanted);
    if wanted.flags.contains(ContextFlags::I387_VALID) {
        state.extended.set_legacy(&wanted.fpu);
    }
    vcpu.domain.assists.fetch_or(wanted.vm_assist, AcqRel);
}

fn registers(wanted: &VcpuGuestContext) -> Registers {
    let from = &wanted.registers;
    Registers {
        r15: from.r15,
        r14: from.r14,
        r13: from.r13,
        r12: from.r12,
        rbp: from.rbp,
        rbx: from.rbx,
        r11: from.r11,
        r10: from.r10,
        r9: from.r9,
        r8: from.r8,
        rax: from.rax,
        rcx: from.rcx,
        rdx: from.rdx,
        rsi: from.rsi,
        rdi: from.rdi,
        error_code: 0,
        entry_vector: if wanted.flags.contains(ContextFlags::IN_SYSCALL) { Registers::SYSCALL } else { 0 },
        rip: from.rip,
        cs: u64::from(from.cs),
        rflags: flags::guest_flags(from.rflags),
        rsp: from.rsp,
        ss: u64::from(from.ss),
    }
}

fn virtual_cpu(wanted: &VcpuGuestContext) -> VirtualCpu {
    let mut cpu = VirtualCpu {
        mode: if wanted.flags.contains(ContextFlags::IN_KERNEL) { Mode::Kernel } else { Mode::User },
        iopl: (wanted.registers.rflags >> flags::IOPL_SHIFT & 3) as u8,
        kernel_stack_selector: wanted.kernel_ss as u16,
        kernel_stack_pointer: wanted.kernel_sp,
        control: control(wanted),
        debug: debug(wanted),
        ..VirtualCpu::default()
    };
    let events = |flag| if wanted.flags.contains(flag) { Events::Masked } else { Events::Unchanged };
    cpu.callbacks.event = wanted.event_callback.0;
    cpu.callbacks.failsafe =
        Callback { address: wanted.failsafe_callback.0, events: events(ContextFlags::FAILSAFE_DISABLES_EVENTS) };
    cpu.callbacks.syscall =
        Callback { address: wanted.syscall_callback.0, events: events(ContextFlags::SYSCALL_DISABLES_EVENTS) };
    let segments = &mut cpu.segments;
    segments.fs_base = wanted.fs_base;
    segments.gs_base_kernel = wanted.gs_base_kernel;
    segments.gs_base_user = wanted.gs_base_user;
    let from = &wanted.registers;
    (segments.ds, segments.es, segments.fs, segments.gs) = (from.ds, from.es, from.fs, from.gs);
    for (vector, trap) in wanted.traps.iter().enumerate() {
        cpu.traps.set(Vector(vector as u8), TrapGate::new(trap.address, trap.code_selector, trap.flags));
    }
    cpu
}

fn control(wanted: &VcpuGuestContext) -> ControlRegisters {
    const TASK_SWITCHED: u64 = 1 << 3;
    let [cr0, _, _, _, cr4, ..] = wanted.control;
    let mut control = ControlRegisters::new(features::host_cr4());
    control.set_task_switched(cr0 & TASK_SWITCHED);
    control.set_cr4(cr4, features::guest_cr4_policy(), features::host_cr4());
    control
}

fn debug(wanted: &VcpuGuestContext) -> DebugRegisters {
    let mut debug = DebugRegisters::default();
    let [_, _, _, _, cr4, ..] = wanted.control;
    for (index, value) in wanted.debug.iter().enumerate() {
        // A register that the guest may not set so stays as after reset, as Xen has it.
        let _ = debug.set(index as u32, *value, cr4);
    }
    debug
}
