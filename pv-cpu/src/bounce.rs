//! Entering the guest's handlers: exceptions, event upcalls, NMI, failsafe, SYSCALL and SYSENTER.
//!
//! A bounce writes one frame to the guest kernel's stack and points the registers at the handler. Frames, lowest address
//! first: rcx, r11, [error code], rip, cs, rflags, rsp, ss; the failsafe frame has ds, es, fs, gs after r11. rcx and r11
//! are saved because the way back may be SYSRET. Whatever keeps a frame from being written crashes the guest: there is
//! nobody left to tell. Hot path: straight-line, no allocation. Context: the vCPU's own CPU, no lock held.
//! Source: inventory of the PV contract; Xen public headers `arch-x86/xen.h`, `arch-x86/xen-x86_64.h`, `callback.h`.

use crate::address::is_guest_span;
use crate::asynchronous::AsyncException;
use crate::debug::DR6_SINGLE_STEP;
use crate::exception::{Exception, Vector, page_fault};
use crate::flags;
use crate::registers::Registers;
use crate::selector::{FLAT_CODE_32, FLAT_CODE_64, FLAT_STACK};
use crate::trap_table::{Events, Mode, TrapGate};
use crate::vcpu::{GuestContext, IoplView, VirtualCpu};

/// Why a guest cannot go on.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The handler is at address 0, that is, none is registered.
    NoHandler(Vector),
    /// An upcall is due and no event callback is registered.
    NoEventCallback,
    /// Segment registers could not be restored and no failsafe callback is registered.
    NoFailsafeCallback,
    /// The frame would lie in the hypervisor's addresses or outside the canonical ones; its start.
    StackOutOfRange(u64),
    /// The frame could not be written; its start.
    StackUnwritable(u64),
    /// The frame of an iret hypercall could not be read; its start.
    IretFrameUnreadable(u64),
    /// An iret hypercall returns to user mode, and there is no user page table.
    NoUserPageTable,
}

impl Crash {
    /// The reason in words, for the console.
    pub const fn reason(self) -> &'static str {
        match self {
            Crash::NoHandler(_) => "exception without a guest handler",
            Crash::NoEventCallback => "event upcall without a registered callback",
            Crash::NoFailsafeCallback => "segment reload failed without a registered failsafe callback",
            Crash::StackOutOfRange(_) => "guest kernel stack outside guest addresses",
            Crash::StackUnwritable(_) => "fault while writing a trap frame to the guest kernel stack",
            Crash::IretFrameUnreadable(_) => "fault while reading the iret frame from the guest kernel stack",
            Crash::NoUserPageTable => "iret to user mode without a user page table",
        }
    }
}

/// The words of the interrupted state that every frame ends in.
struct Interrupted {
    rcx: u64,
    r11: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Raises an exception in the guest. For a page fault the caller has stored CR2 in the vcpu_info block; the user bit of
/// its error code is recomputed here, because the guest kernel is user code to the CPU.
///
/// Errors: the guest must be crashed.
#[inline(always)]
pub fn exception<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    vector: Vector,
    error_code: u32,
) -> Result<(), Crash> {
    let gate = *cpu.traps.gate(vector);
    if gate.address == 0 {
        return Err(Crash::NoHandler(vector));
    }
    if !vector.has_error_code() {
        return gate_without_code(cpu, registers, context, &gate);
    }
    let code = match vector {
        Vector::PAGE_FAULT => u64::from(error_code & !page_fault::USER | user_bit(cpu.mode)),
        _ => u64::from(error_code),
    };
    enter(cpu, registers, context, gate.address, gate.events(), |at| {
        [at.rcx, at.r11, code, at.rip, at.cs, at.rflags, at.rsp, at.ss]
    })
}

/// Raises what an emulated instruction ended in. The caller has stored the address of a page fault in vcpu_info.
///
/// Errors: the guest must be crashed.
#[inline]
pub fn raise<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    what: Exception,
) -> Result<(), Crash> {
    exception(cpu, registers, context, what.vector, what.error_code)
}

/// Raises a debug exception and notes its causes (DR6 bits, such as [`DR6_SINGLE_STEP`]) in the guest's DR6.
///
/// Errors: the guest must be crashed.
pub fn debug<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    causes: u64,
) -> Result<(), Crash> {
    cpu.debug.raise(causes);
    exception(cpu, registers, context, Vector::DEBUG, 0)
}

/// DR6 causes after an instruction was emulated: single step, if the guest runs with TF.
#[inline(always)]
pub const fn step_causes(registers: &Registers) -> u64 {
    if registers.rflags & flags::TRAP != 0 { DR6_SINGLE_STEP } else { 0 }
}

/// Delivers an event upcall and masks further ones. The caller saw `pending != 0 && mask == 0` just now.
///
/// Errors: the guest must be crashed.
#[inline]
pub fn event<C: GuestContext>(cpu: &mut VirtualCpu, registers: &mut Registers, context: &mut C) -> Result<(), Crash> {
    let handler = cpu.callbacks.event;
    if handler == 0 {
        return Err(Crash::NoEventCallback);
    }
    enter(cpu, registers, context, handler, Events::Masked, plain_frame)
}

/// Whether NMI or machine check found a handler.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// The handler was entered.
    Entered,
    /// There is no handler, and the exception is gone.
    Dropped,
    /// Its kind is being handled; keep it pending.
    Blocked,
}

/// Delivers an NMI or machine check, unless one of its kind is being handled.
///
/// Errors: the guest must be crashed.
pub fn asynchronous<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    which: AsyncException,
) -> Result<Delivery, Crash> {
    if cpu.async_mask.blocks(which) {
        return Ok(Delivery::Blocked);
    }
    let gate = *cpu.traps.gate(match which {
        AsyncException::Nmi => Vector::NMI,
        AsyncException::MachineCheck => Vector::MACHINE_CHECK,
    });
    if gate.address == 0 {
        return Ok(Delivery::Dropped);
    }
    gate_without_code(cpu, registers, context, &gate)?;
    cpu.async_mask.enter(which);
    Ok(Delivery::Entered)
}

/// A data segment selector of each register that the failsafe frame shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DataSelectors {
    /// DS.
    pub ds: u16,
    /// ES.
    pub es: u16,
    /// FS.
    pub fs: u16,
    /// GS.
    pub gs: u16,
}

/// Tells the guest that segment registers could not be loaded; `selectors` are those it had.
///
/// Errors: the guest must be crashed.
pub fn failsafe<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    selectors: DataSelectors,
) -> Result<(), Crash> {
    let callback = cpu.callbacks.failsafe;
    if callback.address == 0 {
        return Err(Crash::NoFailsafeCallback);
    }
    let DataSelectors { ds, es, fs, gs } = selectors;
    enter(cpu, registers, context, callback.address, callback.events, |at| {
        let [ds, es, fs, gs] = [ds, es, fs, gs].map(u64::from);
        [at.rcx, at.r11, ds, es, fs, gs, at.rip, at.cs, at.rflags, at.rsp, at.ss]
    })
}

/// Which instruction brought user code in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SystemCall {
    /// SYSCALL in 64-bit code.
    Syscall,
    /// SYSCALL in 32-bit code.
    Syscall32,
    /// SYSENTER. The CPU lost where it came from: the frame shows rip 0, rsp 0 and a null code selector.
    Sysenter,
}

/// Passes a system call instruction on to the guest's kernel. SYSCALL in guest kernel mode is a hypercall and does not
/// come here. `registers.rip` is the instruction after it; the selectors are set here.
///
/// Errors: the guest must be crashed.
#[inline(always)]
pub fn system_call<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    call: SystemCall,
) -> Result<(), Crash> {
    registers.ss = u64::from(FLAT_STACK);
    let callback = match call {
        SystemCall::Syscall => {
            registers.cs = u64::from(FLAT_CODE_64);
            cpu.callbacks.syscall
        }
        SystemCall::Syscall32 => {
            registers.cs = u64::from(FLAT_CODE_32);
            cpu.callbacks.syscall32
        }
        SystemCall::Sysenter => {
            (registers.cs, registers.rip, registers.rsp) = (3, 0, 0);
            cpu.callbacks.sysenter
        }
    };
    if callback.address == 0 {
        return unhandled_system_call(cpu, registers, context, call);
    }
    enter(cpu, registers, context, callback.address, callback.events, plain_frame)?;
    registers.rflags &= !flags::DIRECTION;
    Ok(())
}

#[cold]
fn unhandled_system_call<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    call: SystemCall,
) -> Result<(), Crash> {
    if call == SystemCall::Sysenter {
        return raise(cpu, registers, context, Exception::GENERAL_PROTECTION);
    }
    registers.rip = registers.rip.wrapping_sub(2);
    raise(cpu, registers, context, Exception::INVALID_OPCODE)
}

/// `int 0x80`: straight to the guest's handler whatever its level, as Linux's old system call wants it; without a
/// handler it is an ordinary `int n`. `registers.rip` is the instruction after it.
///
/// Errors: the guest must be crashed.
pub fn int_80<C: GuestContext>(cpu: &mut VirtualCpu, registers: &mut Registers, context: &mut C) -> Result<(), Crash> {
    let gate = *cpu.traps.gate(Vector::SYSCALL_80);
    if gate.address != 0 {
        return gate_without_code(cpu, registers, context, &gate);
    }
    registers.rip = registers.rip.wrapping_sub(2);
    exception(cpu, registers, context, Vector::GENERAL_PROTECTION, software_interrupt_code(Vector::SYSCALL_80))
}

/// Error code bit of a #GP that says its selector part is a vector of the IDT.
const CODE_IDT: u32 = 2;

/// The error code with which `int n` of `vector` faults on a gate that it may not enter.
pub const fn software_interrupt_code(vector: Vector) -> u32 {
    (vector.0 as u32) << 3 | CODE_IDT
}

/// Handles a #GP with an IDT error code, which is how `int n` of guest code arrives: enters the guest's handler with rip
/// past the two-byte instruction if the entry's level allows, else raises the #GP in the guest.
///
/// Errors: the guest must be crashed.
pub fn software_interrupt<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    error_code: u32,
) -> Result<(), Crash> {
    let vector = Vector((error_code >> 3) as u8);
    let gate = *cpu.traps.gate(vector);
    if error_code & CODE_IDT == 0 || !gate.permits_software_interrupt(cpu.mode) {
        return exception(cpu, registers, context, Vector::GENERAL_PROTECTION, error_code);
    }
    if gate.address == 0 {
        return Err(Crash::NoHandler(vector));
    }
    registers.rip = registers.rip.wrapping_add(2);
    gate_without_code(cpu, registers, context, &gate)
}

#[inline]
fn gate_without_code<C: GuestContext>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    gate: &TrapGate,
) -> Result<(), Crash> {
    enter(cpu, registers, context, gate.address, gate.events(), plain_frame)
}

#[inline(always)]
fn plain_frame(at: Interrupted) -> [u64; 7] {
    [at.rcx, at.r11, at.rip, at.cs, at.rflags, at.rsp, at.ss]
}

#[inline(always)]
const fn user_bit(mode: Mode) -> u32 {
    match mode {
        Mode::Kernel => 0,
        Mode::User => page_fault::USER,
    }
}

/// Writes the frame that `frame` makes of the interrupted state, and starts the handler.
#[inline(always)]
fn enter<C: GuestContext, const WORDS: usize>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    context: &mut C,
    handler: u64,
    events: Events,
    frame: impl FnOnce(Interrupted) -> [u64; WORDS],
) -> Result<(), Crash> {
    let (top, selector) = match cpu.mode {
        Mode::Kernel => (registers.rsp, registers.cs & 0xFFFC),
        Mode::User => {
            context.switch_to_kernel();
            cpu.mode = Mode::Kernel;
            (cpu.kernel_stack_pointer, registers.cs & 0xFFFF)
        }
    };
    let mask = context.upcall_mask();
    let mut rflags = registers.rflags & !(flags::INTERRUPT | flags::IOPL);
    if mask == 0 {
        rflags |= flags::INTERRUPT;
    }
    if context.iopl_view() == IoplView::Architectural {
        core::hint::cold_path();
        rflags |= cpu.iopl_flags();
    }
    let words = frame(Interrupted {
        rcx: registers.rcx,
        r11: registers.r11,
        rip: registers.rip,
        cs: selector | u64::from(mask) << 32,
        rflags,
        rsp: registers.rsp,
        ss: registers.ss & 0xFFFF,
    });
    let size = const { 8 * WORDS as u64 };
    let start = (top & !15).wrapping_sub(size);
    if !is_guest_span(start, size) {
        return Err(Crash::StackOutOfRange(start));
    }
    if context.write_stack(start, &words).is_err() {
        return Err(Crash::StackUnwritable(start));
    }
    if events == Events::Masked {
        context.set_upcall_mask(mask | 1);
    }
    registers.rip = handler;
    registers.cs = u64::from(FLAT_CODE_64);
    registers.rflags &= !flags::CLEARED_ON_ENTRY;
    registers.rsp = start;
    registers.ss = u64::from(FLAT_STACK);
    registers.entry_vector |= Registers::SYSCALL;
    Ok(())
}
