//! User mode in the same address space: a second L4 with the kernel's entries, and a way down.
//!
//! PV kernel pages carry the user bit anyway (both modes run in ring 3), so one set of lower tables serves both.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::hypercall::{call2, mmuext};
use crate::memory::{self, make_read_only, mfn_of, page, pages, read, write};
use crate::number::{self, mmuext as ext};
use crate::start;
use crate::trap::{self, Caught};

static USER_STACK: AtomicU64 = AtomicU64::new(0);
static KERNEL_STACK: AtomicU64 = AtomicU64::new(0);

/// Makes the user L4, pins it, sets it as user base, and gives the kernel a stack for traps from user mode.
pub fn prepare() -> Result<(), i64> {
    let table = page();
    for slot in (0..256).chain(272..512) {
        write(table + slot * 8, read(start::pt_base() + slot * 8));
    }
    for result in
        [make_read_only(table), mmuext(ext::PIN_L4, mfn_of(table), 0), mmuext(ext::NEW_USER_BASEPTR, mfn_of(table), 0)]
    {
        if result != 0 {
            return Err(result);
        }
    }
    let kernel = pages(4) + 4 * memory::PAGE;
    KERNEL_STACK.store(kernel, Ordering::Relaxed);
    USER_STACK.store(pages(4) + 4 * memory::PAGE, Ordering::Relaxed);
    match call2(number::STACK_SWITCH, 0xe02b, kernel) {
        0 => Ok(()),
        error => Err(error),
    }
}

/// Top of the stack that traps from user mode use.
pub fn kernel_stack() -> u64 {
    KERNEL_STACK.load(Ordering::Relaxed)
}

/// Top of the user stack.
pub fn user_stack() -> u64 {
    USER_STACK.load(Ordering::Relaxed)
}

core::arch::global_asm!(
    ".pushsection .text, \"ax\"",
    // rdi: function, rsi: user stack pointer, rdx: rflags, rcx: cs.
    ".globl user_enter",
    "user_enter:",
    "    mov rax, rcx",
    "    push 0xe02b",
    "    push rsi",
    "    push rdx",
    "    push rax",
    "    push rdi",
    "    push 0; push 0; push 0; push 0",
    "    mov eax, 23",
    "    syscall",
    "    ud2",
    ".popsection",
);

unsafe extern "C" {
    fn user_enter(function: u64, stack: u64, flags: u64, selector: u64) -> !;
}

/// What to run in user mode.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub flags: u64,
    /// Code selector.
    pub selector: u64,
}

/// Runs code in user mode until it traps, which it must (its last resort is `ud2` or `syscall`).
pub fn run(entry: Entry) -> Option<Caught> {
    extern "C" fn go(argument: u64) {
        // SAFETY: the caller passes a reference that outlives the run; the rest of the way is the hypervisor's.
        unsafe {
            let entry = *(argument as *const Entry);
            user_enter(entry.rip, user_stack() - 8, entry.flags, entry.selector)
        }
    }
    trap::catch(go, &raw const entry as u64)
}

/// Runs a function in 64-bit user mode with interrupts on.
pub fn run_function(function: extern "C" fn()) -> Option<Caught> {
    run(Entry { rip: function as *const () as u64, flags: 0x202, selector: 0xe033 })
}
