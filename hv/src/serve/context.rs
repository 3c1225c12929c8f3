//! Giving a vCPU its first context.
//!
//! All or nothing: descriptor frames and page tables are typed first and given back when a later one will not do. The
//! vCPU is down and resident nowhere; the domain's control lock is not needed because the claim of initialisation is
//! exclusive. Source: Xen public header `arch-x86/xen.h` (`vcpu_guest_context`), reference inventory §3.1.

#![expect(unsafe_code, reason = "reaches the state of a vCPU that does not run")]

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
use pv_mmu::{Stop, acquire_root, acquire_segment_page, release_root, release_segment_page};

use super::vcpus::{claim_initialisation, unclaim_initialisation};
use crate::{
    cpu::features,
    domain::{Vcpu, VcpuState},
    memory::mmu::{Machine, show_machine_to_physical},
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
        wake::release(vcpu, crate::domain::RunFlags::DOWN);
    }
    Ok(Progress::Done)
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
    state.registers = registers(wanted);
    state.virtual_cpu = virtual_cpu(wanted);
    if wanted.flags.contains(ContextFlags::I387_VALID) {
        state.extended.set_legacy(&wanted.fpu);
    }
    vcpu.domain.assists.fetch_or(wanted.vm_assist, core::sync::atomic::Ordering::AcqRel);
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
