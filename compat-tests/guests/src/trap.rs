//! Traps: one stub per vector, the frame the hypervisor builds kept as it came, and a way to survive a fault on purpose.
//!
//! Frame, lowest address first: rcx, r11, [error code], rip, cs|mask<<32, rflags, rsp, ss. Callbacks (event, failsafe,
//! syscall) come in by the same road under numbers above 255. Return is always the iret hypercall.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::hypercall::call1;
use crate::{number, report, say};

/// Event upcall.
pub const EVENT: u64 = 256;
/// A segment could not be loaded.
pub const FAILSAFE: u64 = 257;
/// `syscall` from user mode, 64-bit.
pub const SYSCALL: u64 = 258;
/// `syscall` from user mode, 32-bit.
pub const SYSCALL32: u64 = 259;
/// `sysenter` from user mode.
pub const SYSENTER: u64 = 260;
/// `nmi_op` or callback NMI.
pub const NMI: u64 = 261;

const ERROR_CODES: u64 =
    1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30;

/// What the stub saved; `words` below it is the frame as the hypervisor built it.
#[repr(C)]
pub struct Saved {
    /// r15 r14 r13 r12 rbp rbx r10 r9 r8 rdi rsi rdx r11 rcx rax, as they were at the handler's entry.
    pub registers: [u64; 15],
    /// Vector, or one of the callback numbers.
    pub vector: u64,
    words: [u64; 12],
}

impl Saved {
    /// Words between the frame's start and rip.
    fn before_rip(&self) -> usize {
        match self.vector {
            FAILSAFE => 6,
            vector if vector < 64 && ERROR_CODES & (1 << vector) != 0 => 3,
            _ => 2,
        }
    }

    /// The frame's words in memory order.
    pub fn frame(&self) -> &[u64] {
        &self.words[..self.before_rip() + 5]
    }

    /// The error code, if the vector has one.
    pub fn error_code(&self) -> Option<u64> {
        (self.before_rip() == 3).then(|| self.words[2])
    }

    /// The saved instruction pointer.
    pub fn rip(&self) -> u64 {
        self.words[self.before_rip()]
    }

    /// The word with code selector and upcall mask.
    pub fn cs(&self) -> u64 {
        self.words[self.before_rip() + 1]
    }

    /// The saved flags.
    pub fn flags(&self) -> u64 {
        self.words[self.before_rip() + 2]
    }

    /// The saved stack pointer.
    pub fn rsp(&self) -> u64 {
        self.words[self.before_rip() + 3]
    }

    /// Continue elsewhere.
    pub fn set_rip(&mut self, rip: u64) {
        let at = self.before_rip();
        self.words[at] = rip;
    }

    /// Continue with other flags (IF = 1 means the upcall is unmasked on return).
    pub fn set_flags(&mut self, flags: u64) {
        let at = self.before_rip() + 2;
        self.words[at] = flags;
    }

    /// Continue in kernel mode on another stack.
    pub fn set_kernel(&mut self, rip: u64, rsp: u64) {
        let at = self.before_rip();
        self.words[at] = rip;
        self.words[at + 1] = 0xe030;
        self.words[at + 3] = rsp;
        self.words[at + 4] = 0xe02b;
    }

    /// Where the frame lies: the stack pointer at the handler's entry.
    pub fn frame_address(&self) -> u64 {
        self.words.as_ptr() as u64
    }
}

/// A trap that [`catch`] caught, copied out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caught {
    /// Vector or callback number.
    pub vector: u64,
    /// Number of frame words.
    pub length: usize,
    /// The frame's words in memory order.
    pub frame: [u64; 12],
    /// Stack pointer at the handler's entry.
    pub address: u64,
    /// Error code or 0.
    pub error: u64,
    /// Saved instruction pointer.
    pub rip: u64,
    /// Code selector and upcall mask.
    pub cs: u64,
    /// Saved flags.
    pub flags: u64,
    /// Saved stack pointer.
    pub rsp: u64,
    /// The handler's registers rax, rcx, r11 at entry.
    pub entry_registers: [u64; 3],
    /// `RFLAGS` in the handler.
    pub handler_flags: u64,
    /// The upcall mask byte in the handler, if shared_info is mapped.
    pub mask: u64,
    /// The fault address slot of vcpu_info, if shared_info is mapped.
    pub cr2: u64,
    /// Code and stack selectors in the handler.
    pub selectors: [u64; 2],
}

/// A handler for one vector; gives back whether it dealt with the trap.
pub type Handler = fn(&mut Saved) -> Dealt;

/// What a handler did.
#[derive(PartialEq, Eq)]
pub enum Dealt {
    /// Return to the frame as it is now.
    Resume,
    /// Not mine: go on as if there were no handler.
    NotMine,
}

static HANDLERS: [AtomicU64; 262] = [const { AtomicU64::new(0) }; 262];

/// Sets the handler of a vector or callback number.
pub fn handle(vector: u64, handler: Handler) {
    HANDLERS[vector as usize].store(handler as *const () as u64, Ordering::SeqCst);
}

#[repr(C)]
struct Recovery {
    rsp: u64,
    armed: u64,
}

static mut RECOVERY: Recovery = Recovery { rsp: 0, armed: 0 };
static mut CAUGHT: Option<Caught> = None;

core::arch::global_asm!(
    ".pushsection .text, \"ax\"",
    ".macro trap_stub number",
    "    .balign 16",
    "    push \\number",
    "    jmp trap_common",
    ".endm",
    ".balign 16",
    ".globl trap_stubs",
    "trap_stubs:",
    ".set vector_number, 0",
    ".rept 262",
    "    trap_stub vector_number",
    "    .set vector_number, vector_number + 1",
    ".endr",
    "trap_common:",
    "    push rax; push rcx; push r11; push rdx; push rsi; push rdi; push r8; push r9; push r10",
    "    push rbx; push rbp; push r12; push r13; push r14; push r15",
    "    mov rdi, rsp",
    "    mov rbp, rsp",
    "    pushfq",
    "    pop rsi",
    "    and rsp, -16",
    "    cld",
    "    call {handler}",
    "    mov rsp, rbp",
    "    mov rcx, rax", // words before rip
    "    pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx; pop r10; pop r9; pop r8",
    "    pop rdi; pop rsi; pop rdx",
    "    add rsp, 16", // entry r11, rcx: replaced by the frame's
    "    pop rax",
    "    add rsp, 8", // vector
    "    cmp ecx, 2",
    "    je 2f",
    "    cmp ecx, 3",
    "    je 3f",
    "    pop rcx; pop r11; add rsp, 32", // failsafe: four selectors
    "    jmp 4f",
    "3:  pop rcx; pop r11; add rsp, 8",
    "    jmp 4f",
    "2:  pop rcx; pop r11",
    "4:  push 0",
    "    push rcx; push r11; push rax",
    "    mov eax, 23",
    "    syscall",
    "    ud2",
    // rdi: function, rsi: its argument. Returns 0, or 1 when a trap unwound to here.
    ".globl trap_catch",
    "trap_catch:",
    "    push rbx; push rbp; push r12; push r13; push r14; push r15; pushfq",
    "    lea rax, [rip + {recovery}]",
    "    mov [rax], rsp",
    "    mov qword ptr [rax + 8], 1",
    "    mov rax, rdi",
    "    mov rdi, rsi",
    "    sub rsp, 8",
    "    and rsp, -16",
    "    call rax",
    "    lea rax, [rip + {recovery}]",
    "    mov rsp, [rax]",
    "    mov qword ptr [rax + 8], 0",
    "    popfq; pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx",
    "    xor eax, eax",
    "    ret",
    ".globl trap_recover",
    "trap_recover:",
    "    popfq; pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx",
    "    mov eax, 1",
    "    ret",
    ".popsection",
    handler = sym rust_trap,
    recovery = sym RECOVERY,
);

unsafe extern "C" {
    static trap_stubs: u8;
    static trap_recover: u8;
    fn trap_catch(function: extern "C" fn(u64), argument: u64) -> u64;
}

/// The entry address for a vector or callback number.
pub fn stub(vector: u64) -> u64 {
    &raw const trap_stubs as u64 + vector * 16
}

/// One trap_info: vector, flags (DPL in bits 1:0, bit 2 masks upcalls), selector, address.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct TrapInfo {
    /// Vector.
    pub vector: u8,
    /// DPL and mask flag.
    pub flags: u8,
    /// Code selector.
    pub selector: u16,
    padding: u32,
    /// Handler; 0 ends the table.
    pub address: u64,
}

impl TrapInfo {
    /// An entry for a vector that leads to the library's stub.
    pub fn new(vector: u8, flags: u8) -> Self {
        Self { vector, flags, selector: 0xe033, padding: 0, address: stub(vector.into()) }
    }
}

/// Installs the library's table: all exceptions; int 3 and int 4 from anywhere, vectors 0x40 and 0x41 with DPL 3 and 0.
pub fn install() {
    let mut table = [TrapInfo::default(); 36];
    for vector in 0..32u8 {
        let dpl = if vector == 3 || vector == 4 { 3 } else { 0 };
        table[usize::from(vector)] = TrapInfo::new(vector, dpl);
    }
    table[32] = TrapInfo::new(0x40, 3);
    table[33] = TrapInfo::new(0x41, 0);
    table[34] = TrapInfo::new(0x42, 3 | 4);
    let result = call1(number::SET_TRAP_TABLE, table.as_ptr() as u64);
    if result != 0 {
        report::give_up(format_args!("set_trap_table gave {result}"));
    }
    for (kind, stub_number) in [(0u16, EVENT), (1, FAILSAFE), (2, SYSCALL)] {
        register_callback(kind, 0, stub(stub_number));
    }
}

/// `callback_op` register: type 0 event, 1 failsafe, 2 syscall, 4 NMI, 5 sysenter, 7 syscall32.
pub fn register_callback(kind: u16, flags: u16, address: u64) -> i64 {
    let argument = [u64::from(kind) | u64::from(flags) << 16, address];
    crate::hypercall::call2(number::CALLBACK_OP, 0, argument.as_ptr() as u64)
}

extern "C" fn rust_trap(saved: &mut Saved, handler_flags: u64) -> u64 {
    let handler = HANDLERS[saved.vector as usize].load(Ordering::SeqCst);
    if handler != 0 {
        // SAFETY: only `handle` stores here, and it stores a `Handler`.
        let handler: Handler = unsafe { core::mem::transmute(handler) };
        if handler(saved) == Dealt::Resume {
            return saved.before_rip() as u64;
        }
    }
    recover(saved, handler_flags);
    saved.before_rip() as u64
}

/// Ends the innermost [`catch`] with this trap, or the guest if there is none.
pub fn recover(saved: &mut Saved, handler_flags: u64) {
    // SAFETY: only vCPU 0 arms and takes this, and traps do not nest between arming and taking.
    let recovery = unsafe { (&raw const RECOVERY).read_volatile() };
    if recovery.armed == 0 {
        unexpected(saved);
    }
    let mut caught = Caught {
        vector: saved.vector,
        length: saved.frame().len(),
        address: saved.frame_address(),
        error: saved.error_code().unwrap_or(0),
        rip: saved.rip(),
        cs: saved.cs(),
        flags: saved.flags(),
        rsp: saved.rsp(),
        entry_registers: [saved.registers[14], saved.registers[13], saved.registers[12]],
        handler_flags,
        ..Caught::default()
    };
    let [cs, .., ss] = crate::segment::selectors();
    caught.selectors = [cs, ss];
    if let Some(shared) = crate::memory::mapped_shared_info() {
        caught.mask = crate::memory::read(shared) >> 8 & 0xff;
        caught.cr2 = crate::memory::read(shared + 16);
    }
    caught.frame[..saved.frame().len()].copy_from_slice(saved.frame());
    saved.set_kernel(&raw const trap_recover as u64, recovery.rsp);
    saved.set_flags(saved.flags() & !0x4_4700); // no AC, NT, DF, TF; upcalls stay masked until `catch` is done
    // SAFETY: as above.
    unsafe {
        (&raw mut CAUGHT).write_volatile(Some(caught));
        (&raw mut RECOVERY).write_volatile(Recovery { rsp: 0, armed: 0 });
    }
}

fn unexpected(saved: &Saved) -> ! {
    say!("unexpected trap, vector {}, frame at {:#x}:", saved.vector, saved.frame_address());
    for word in saved.frame() {
        say!("  {word:#018x}");
    }
    report::give_up(format_args!("vector {} at rip {:#x}", saved.vector, saved.rip()))
}

/// Runs `function(argument)`; gives back the trap that ended it, if one did. The upcall mask is afterwards what it was.
pub fn catch(function: extern "C" fn(u64), argument: u64) -> Option<Caught> {
    let mask = crate::memory::mapped_shared_info().map(|_| crate::events::upcall_mask(0).load(Ordering::SeqCst));
    // SAFETY: the assembly keeps the callee-saved registers and the stack; the function's locals are simply dropped.
    let trapped = unsafe {
        (&raw mut CAUGHT).write_volatile(None);
        trap_catch(function, argument)
    };
    if trapped == 0 {
        return None;
    }
    if let Some(mask) = mask {
        crate::events::upcall_mask(0).store(mask, Ordering::SeqCst);
    }
    // SAFETY: written by `recover` on this vCPU.
    unsafe { (&raw const CAUGHT).read_volatile() }
}

/// Reads memory that may fault.
pub fn try_read(address: u64) -> Result<u64, Caught> {
    static VALUE: AtomicU64 = AtomicU64::new(0);
    extern "C" fn attempt(address: u64) {
        VALUE.store(crate::memory::read(address), Ordering::SeqCst);
    }
    match catch(attempt, address) {
        Some(caught) => Err(caught),
        None => Ok(VALUE.load(Ordering::SeqCst)),
    }
}

/// Writes memory that may fault.
pub fn try_write(address: u64, value: u64) -> Result<(), Caught> {
    static VALUE: AtomicU64 = AtomicU64::new(0);
    extern "C" fn attempt(address: u64) {
        crate::memory::write(address, VALUE.load(Ordering::SeqCst));
    }
    VALUE.store(value, Ordering::SeqCst);
    catch(attempt, address).map_or(Ok(()), Err)
}
