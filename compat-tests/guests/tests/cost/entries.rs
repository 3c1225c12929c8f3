//! The shortest possible handlers, so that the figures are the hypervisor's: page fault, event upcall, user syscall.

use core::sync::atomic::AtomicU64;

/// Address of the vCPU's pending byte, for the upcall handler.
pub static PENDING_BYTE: AtomicU64 = AtomicU64::new(0);
/// Address of the word of pending bits of the measured port.
pub static PENDING_WORD: AtomicU64 = AtomicU64::new(0);

core::arch::global_asm!(
    ".pushsection .text, \"ax\"",
    // Page fault of a 3-byte instruction: skip it.
    ".globl entry_fault",
    "entry_fault:",
    "    pop rcx; pop r11; add rsp, 8",
    "    add qword ptr [rsp], 3",
    "    push 0; push rcx; push r11; push rax",
    "    mov eax, 23",
    "    syscall",
    // rdi: rounds. Gives back nothing; faults that often.
    ".globl fault_loop",
    "fault_loop:",
    "    mov esi, 0x1000",
    "2:  mov rax, [rsi]",
    "    dec rdi",
    "    jnz 2b",
    "    ret",
    ".globl entry_upcall",
    "entry_upcall:",
    "    pop rcx; pop r11",
    "    push 0; push rcx; push r11; push rax",
    "    mov rax, [rip + {byte}]",
    "    mov byte ptr [rax], 0",
    "    mov qword ptr [rax + 8], 0",
    "    mov rax, [rip + {word}]",
    "    mov qword ptr [rax], 0",
    "    mov eax, 23",
    "    syscall",
    ".globl entry_syscall",
    "entry_syscall:",
    "    pop rcx; pop r11",
    "    push 0x100; push rcx; push r11; push rax",
    "    mov eax, 23",
    "    syscall",
    // User code: 100 syscalls between two time stamps, difference in rax at the closing int.
    ".globl user_loop",
    "user_loop:",
    "    syscall",
    "    rdtsc",
    "    shl rdx, 32",
    "    or rax, rdx",
    "    mov r12, rax",
    "    mov r13d, 100",
    "2:  syscall",
    "    dec r13",
    "    jnz 2b",
    "    rdtsc",
    "    shl rdx, 32",
    "    or rax, rdx",
    "    sub rax, r12",
    "    int 0x40",
    "    ud2",
    ".popsection",
    byte = sym PENDING_BYTE,
    word = sym PENDING_WORD,
);

unsafe extern "C" {
    /// The page-fault handler.
    pub safe static entry_fault: u8;
    /// The upcall handler.
    pub safe static entry_upcall: u8;
    /// The syscall handler.
    pub safe static entry_syscall: u8;
    /// User code.
    pub safe static user_loop: u8;
    /// Faults `rounds` times; needs the handler above.
    pub safe fn fault_loop(rounds: u64);
}
