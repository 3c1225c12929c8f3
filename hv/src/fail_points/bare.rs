//! Domains without a kernel image: one page of code, one of data, one of stack, and the four tables that map them.

use abi::{
    DomainId, Errno, GuestVirtual, MachineAddress, Mfn, Result, VcpuId,
    xen_x86::{ContextFlags, VcpuGuestContext},
};
use core::sync::atomic::Ordering::Relaxed;
use frame_allocator::Order;
use hypercalls::op::vcpu::Progress;
use pv_cpu::selector::{FLAT_CODE_64, FLAT_STACK};
use pv_mmu::Entry;
use zerocopy::{FromZeros, IntoBytes};

use crate::{
    domain::{Domain, Identity, NewDomain, NewId, rights::Extent},
    memory::{frame_table, machine_to_physical, physical, recycle, window},
    serve::context,
};

/// Addresses of the three pages.
pub const CODE: u64 = 0x4000_0000;
/// See [`CODE`].
pub const DATA: u64 = CODE + 0x1000;
const STACK_END: u64 = CODE + 0x3000;
const FRAMES: u64 = 7;
const LEAF: u64 = Entry::PRESENT | Entry::WRITABLE | Entry::USER | Entry::ACCESSED | Entry::DIRTY | Entry::GUEST_KERNEL;
const TABLE: u64 = Entry::PRESENT | Entry::WRITABLE | Entry::USER | Entry::ACCESSED | Entry::DIRTY;

/// What a bare domain runs.
#[derive(Clone, Copy)]
pub struct Program {
    /// Its instructions.
    pub code: &'static [u8],
    /// Start of its data page.
    pub data: &'static [u64],
    /// rax, rdi, rsi, rdx, r10, r8.
    pub registers: [u64; 6],
    /// Whether an event waits when it starts.
    pub event: Event,
}

/// Whether an event waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It does, unmasked.
    Pending,
    /// None does.
    None,
}

/// Makes the domain; it does not run yet. Errors: `ENOMEM` and what its parts say.
pub fn build(id: DomainId, program: &Program) -> Result<&'static Domain> {
    let wanted = NewDomain {
        identity: Identity::default(),
        extent: Extent::Hardware,
        is_control: true,
        vcpus: 1,
        maximum_frames: 64,
        grants: grant_tables::Limits { frames: 4, maptrack_frames: 4, ..Default::default() },
        max_port: u32::MAX,
        pirqs: 32,
    };
    let record = Domain::create(NewId::chosen(id)?, wanted)?;
    record.domain().make_vcpus()?;
    let domain = record.publish();
    domain.memory.charge(FRAMES)?;
    let mut frames = [Mfn(0); FRAMES as usize];
    for (pfn, frame) in (0_u64..).zip(&mut frames) {
        *frame = recycle::take(Order(0), physical::ANYWHERE)?;
        frame_table::frames().get(*frame).ok_or(Errno::ENOMEM)?.assign(id);
        machine_to_physical::set(*frame, pfn);
    }
    let [code, data, stack, level1, level2, level3, level4] = frames;
    window::write_bytes(code, 0, program.code);
    window::write_bytes(data, 0, program.data.as_bytes());
    let [l1, l2, l3, l4] = [level1, level2, level3, level4].map(window::words);
    for (slot, frame) in l1.iter().zip([code, data, stack]) {
        slot.store(frame.address().0 | LEAF, Relaxed);
    }
    let [first, ..] = l2;
    first.store(level1.address().0 | TABLE, Relaxed);
    let [_, second, ..] = l3;
    second.store(level2.address().0 | TABLE, Relaxed);
    let [first, ..] = l4;
    first.store(level3.address().0 | TABLE, Relaxed);
    start(domain, program, level4.address())
}

/// Gives its vCPU the first context.
fn start(domain: &'static Domain, program: &Program, root: MachineAddress) -> Result<&'static Domain> {
    const UNDEFINED: usize = 6;
    let vcpu = domain.vcpu(VcpuId(0)).ok_or(Errno::ENOENT)?;
    let mut context = VcpuGuestContext::new_zeroed();
    context.flags = ContextFlags::IN_KERNEL;
    let registers = &mut context.registers;
    [registers.rax, registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8] = program.registers;
    (registers.rip, registers.cs) = (CODE, FLAT_CODE_64);
    (registers.rsp, registers.ss) = (STACK_END, FLAT_STACK);
    let [_, _, _, table, ..] = &mut context.control;
    *table = root.0;
    context.kernel_ss = u64::from(FLAT_STACK);
    context.kernel_sp = STACK_END;
    context.event_callback = GuestVirtual(CODE);
    if let Some(gate) = context.traps.get_mut(UNDEFINED) {
        (gate.vector, gate.code_selector, gate.address) = (UNDEFINED as u8, FLAT_CODE_64, CODE);
    }
    while context::initialise(vcpu, &context)? == Progress::Preempted {}
    if program.event == Event::Pending {
        let info = vcpu.info();
        info.upcall_pending.store(1, Relaxed);
        info.upcall_mask.store(0, Relaxed);
    }
    Ok(domain)
}
