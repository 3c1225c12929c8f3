//! The shortest possible handlers, so that the figures are the hypervisor's: exceptions, event upcalls, user code.

use core::sync::atomic::AtomicU64;

/// Traps between the two time stamps of user code.
pub const USER_ROUNDS: u64 = 100;

/// Address of each vCPU's vcpu_info.
pub static INFO: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// Address of the word of pending bits of each vCPU's port, or of its word in the array of FIFO events.
pub static WORD: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// Address of the word of ready queues in each vCPU's FIFO control block.
pub static READY: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// The bits of that word that stay when the event is taken.
pub static KEEP: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// Events taken by each vCPU.
pub static TAKEN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// Time stamp at the start of the last upcall that [`entry_stamped`] took.
pub static STAMP: AtomicU64 = AtomicU64::new(0);

core::arch::global_asm!(
    // After it, rcx and r11 are free: the iret hypercall takes theirs from the frame.
    ".macro start_iret flags",
    "    pop rcx; pop r11",
    "    push \\flags; push rcx; push r11; push rax",
    ".endm",
    ".macro finish_iret",
    "    mov eax, 23",
    "    syscall",
    ".endm",
    ".macro take_event vcpu",
    "    mov rax, [rip + {info} + 8 * \\vcpu]",
    "    mov byte ptr [rax], 0",
    "    mov qword ptr [rax + 8], 0",
    "    mov rax, [rip + {word} + 8 * \\vcpu]",
    "    mov rcx, [rip + {keep} + 8 * \\vcpu]",
    "    lock and qword ptr [rax], rcx",
    "    inc qword ptr [rip + {taken} + 8 * \\vcpu]",
    ".endm",
    // The queue has this one event: taking it is to clear its word and the word of ready queues.
    ".macro take_fifo vcpu",
    "    mov rax, [rip + {info} + 8 * \\vcpu]",
    "    mov byte ptr [rax], 0",
    "    mov rax, [rip + {word} + 8 * \\vcpu]",
    "    mov dword ptr [rax], 0",
    "    mov rax, [rip + {ready} + 8 * \\vcpu]",
    "    mov dword ptr [rax], 0",
    ".endm",
    ".pushsection .text, \"ax\"",
    // Page fault of a 3-byte instruction: skip it.
    ".globl entry_fault",
    "entry_fault:",
    "    pop rcx; pop r11; add rsp, 8",
    "    add qword ptr [rsp], 3",
    "    push 0; push rcx; push r11; push rax",
    "    finish_iret",
    // An exception without error code of a 2-byte instruction: skip it.
    ".globl entry_skip",
    "entry_skip:",
    "    add qword ptr [rsp + 16], 2",
    "    start_iret 0",
    "    finish_iret",
    // A trap: just go on.
    ".globl entry_resume",
    "entry_resume:",
    "    start_iret 0",
    "    finish_iret",
    // A write to the write-protected page at rbx: the entry that r12 points at makes it writable.
    ".globl entry_copy",
    "entry_copy:",
    "    pop rcx; pop r11; add rsp, 8",
    "    push 0; push rcx; push r11; push rax",
    "    mov rdi, rbx",
    "    mov rsi, [r12]",
    "    mov edx, 2",
    "    mov eax, 14",
    "    syscall",
    "    finish_iret",
    ".globl entry_upcall",
    "entry_upcall:",
    "    start_iret 0",
    "    take_event 0",
    "    finish_iret",
    ".globl entry_second_upcall",
    "entry_second_upcall:",
    "    start_iret 0",
    "    take_event 1",
    "    finish_iret",
    ".globl entry_stamped",
    "entry_stamped:",
    "    start_iret 0",
    "    mov r11, rdx",
    "    rdtsc",
    "    shl rdx, 32",
    "    or rax, rdx",
    "    mov rdx, r11",
    "    mov [rip + {stamp}], rax",
    "    take_event 0",
    "    finish_iret",
    ".globl entry_fifo",
    "entry_fifo:",
    "    start_iret 0",
    "    take_fifo 0",
    "    finish_iret",
    ".globl entry_first_fifo",
    "entry_first_fifo:",
    "    start_iret 0",
    "    take_fifo 0",
    "    inc qword ptr [rip + {taken}]",
    "    finish_iret",
    ".globl entry_second_fifo",
    "entry_second_fifo:",
    "    start_iret 0",
    "    take_fifo 1",
    "    inc qword ptr [rip + {taken} + 8]",
    "    finish_iret",
    ".globl entry_syscall",
    "entry_syscall:",
    "    start_iret 0x100",
    "    finish_iret",
    // rdi: rounds. Each of these traps that often and gives back nothing.
    ".globl fault_loop",
    "fault_loop:",
    "    mov esi, 0x1000",
    "2:  mov rax, [rsi]",
    "    dec rdi",
    "    jnz 2b",
    "    ret",
    ".globl breakpoint_loop",
    "breakpoint_loop:",
    "    int3",
    "    dec rdi",
    "    jnz breakpoint_loop",
    "    ret",
    ".globl undefined_loop",
    "undefined_loop:",
    "    ud2",
    "    dec rdi",
    "    jnz undefined_loop",
    "    ret",
    // rdi: first page, rsi: entries for its pages, rdx: how many. Writes to each page.
    ".globl copy_loop",
    "copy_loop:",
    "    push rbx; push r12; push r13",
    "    mov rbx, rdi",
    "    mov r12, rsi",
    "    mov r13, rdx",
    "2:  mov [rbx], eax",
    "    add rbx, 4096",
    "    add r12, 8",
    "    dec r13",
    "    jnz 2b",
    "    pop r13; pop r12; pop rbx",
    "    ret",
    // User code: traps between two time stamps, difference in rax at the closing int.
    ".macro user_code instruction",
    "    mov esi, 0x1000",
    "    \\instruction",
    "    rdtsc",
    "    shl rdx, 32",
    "    or rax, rdx",
    "    mov r12, rax",
    "    mov r13d, {rounds}",
    "2:  \\instruction",
    "    dec r13",
    "    jnz 2b",
    "    rdtsc",
    "    shl rdx, 32",
    "    or rax, rdx",
    "    sub rax, r12",
    "    int 0x40",
    "    ud2",
    ".endm",
    ".globl user_syscalls",
    "user_syscalls:",
    "    user_code syscall",
    ".globl user_faults",
    "user_faults:",
    "    user_code \"mov rax, [rsi]\"",
    ".popsection",
    info = sym INFO,
    word = sym WORD,
    ready = sym READY,
    keep = sym KEEP,
    taken = sym TAKEN,
    stamp = sym STAMP,
    rounds = const USER_ROUNDS,
);

unsafe extern "C" {
    /// Page fault: skips the instruction.
    pub safe static entry_fault: u8;
    /// Undefined instruction: skips it.
    pub safe static entry_skip: u8;
    /// Trap: goes on.
    pub safe static entry_resume: u8;
    /// Page fault of [`copy_loop`].
    pub safe static entry_copy: u8;
    /// Upcall of vCPU 0.
    pub safe static entry_upcall: u8;
    /// Upcall of vCPU 1.
    pub safe static entry_second_upcall: u8;
    /// Upcall of vCPU 0 that notes when it came.
    pub safe static entry_stamped: u8;
    /// Upcall of vCPU 0 with FIFO queues.
    pub safe static entry_fifo: u8;
    /// The same, counted.
    pub safe static entry_first_fifo: u8;
    /// Upcall of vCPU 1 with FIFO queues, counted.
    pub safe static entry_second_fifo: u8;
    /// System call of user mode.
    pub safe static entry_syscall: u8;
    /// User code: system calls.
    pub safe static user_syscalls: u8;
    /// User code: page faults.
    pub safe static user_faults: u8;
    /// Faults `rounds` times.
    pub safe fn fault_loop(rounds: u64);
    /// Breakpoints `rounds` times.
    pub safe fn breakpoint_loop(rounds: u64);
    /// Undefined instructions `rounds` times.
    pub safe fn undefined_loop(rounds: u64);
    /// Writes to `count` pages from an address on; the entries are what makes each writable.
    pub safe fn copy_loop(address: u64, entries: u64, count: u64);
}
