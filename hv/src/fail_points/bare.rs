//! Domains without a kernel image: one page of code, one of data, one of stack, the four tables that map them, and one of
//! descriptors where they are asked for.

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
    cpu::{self, block},
    domain::{self, Domain, Identity, NewDomain, NewId, rights::Extent},
    memory::{frame_table, machine_to_physical, physical, recycle, window},
    serve::context,
};

/// Addresses of the three pages.
pub const CODE: u64 = 0x4000_0000;
/// See [`CODE`].
pub const DATA: u64 = CODE + 0x1000;
const STACK_END: u64 = CODE + 0x3000;
/// An address that nothing is mapped at, but a table is there for.
pub const SPARE: u64 = CODE + 0x4000;
/// Where [`Program::more`] lies.
pub const MORE: u64 = DATA + 0x800;
const FRAMES: usize = 7;
const LEAF: u64 = Entry::PRESENT | Entry::WRITABLE | Entry::USER | Entry::ACCESSED | Entry::DIRTY | Entry::GUEST_KERNEL;
const TABLE: u64 = Entry::PRESENT | Entry::WRITABLE | Entry::USER | Entry::ACCESSED | Entry::DIRTY;

/// What a bare domain runs.
#[derive(Clone, Copy)]
pub struct Program {
    /// Its instructions.
    pub code: &'static [u8],
    /// Start of its data page.
    pub data: &'static [u64],
    /// Words in the middle of its data page.
    pub more: [u64; 8],
    /// Its GDT; none when empty.
    pub descriptors: &'static [u64],
    /// rax, rdi, rsi, rdx, r10, r8.
    pub registers: [u64; 6],
    /// Whether an event waits when it starts.
    pub event: Event,
}

impl Program {
    /// Code that needs nothing but one word of data.
    pub const fn bare(code: &'static [u8]) -> Self {
        Self { code, data: &[0], more: [0; 8], descriptors: &[], registers: [0; 6], event: Event::None }
    }
}

/// A domain and the frame of its data page. By id: the record of one that ended is freed.
#[derive(Clone, Copy)]
pub struct Bare {
    /// The domain.
    pub id: DomainId,
    /// Its data page.
    pub data: Mfn,
}

impl Bare {
    /// Its record, while it has one.
    pub fn record(self) -> Option<&'static Domain> {
        domain::find(self.id)
    }
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
pub fn build(id: DomainId, program: &Program) -> Result<Bare> {
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
    block::with_deep_stack(cpu::this().index, block::MOST_EXTRA_PAGES, || record.domain().make_vcpus())??;
    let domain = record.publish();
    let mut frames = [Mfn(0); FRAMES];
    for (pfn, frame) in (0_u64..).zip(&mut frames) {
        *frame = take(domain, pfn)?;
    }
    let [code, data, stack, level1, level2, level3, level4] = frames;
    window::write_bytes(code, 0, program.code);
    window::write_bytes(data, 0, program.data.as_bytes());
    window::write_bytes(data, (MORE - DATA) as usize, program.more.as_bytes());
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
    let descriptors = if program.descriptors.is_empty() {
        None
    } else {
        let table = take(domain, FRAMES as u64)?;
        window::write_bytes(table, 0, program.descriptors.as_bytes());
        Some(table)
    };
    start(domain, program, level4.address(), descriptors)?;
    Ok(Bare { id, data })
}

/// A frame of the domain's own.
fn take(domain: &'static Domain, pfn: u64) -> Result<Mfn> {
    domain.memory.charge(1)?;
    let frame = recycle::take(Order(0), physical::ANYWHERE)?;
    domain.memory.regions.note(frame, 1);
    frame_table::frames().get(frame).ok_or(Errno::ENOMEM)?.assign(domain.id);
    machine_to_physical::set(frame, pfn);
    Ok(frame)
}

/// Gives its vCPU the first context.
fn start(domain: &'static Domain, program: &Program, root: MachineAddress, descriptors: Option<Mfn>) -> Result<()> {
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
    if let Some(table) = descriptors {
        let [first, ..] = &mut context.gdt_frames;
        *first = table;
        context.gdt_entries = program.descriptors.len() as u64;
    }
    while context::initialise(vcpu, &context)? == Progress::Preempted {}
    if program.event == Event::Pending {
        let info = vcpu.info();
        info.upcall_pending.store(1, Relaxed);
        info.upcall_mask.store(0, Relaxed);
    }
    Ok(())
}
