//! Start of day: ELF notes, the first instructions, `start_info`, and the panic handler.
//!
//! Source: public headers `elfnote.h` and `xen.h` (struct start_info).

use core::sync::atomic::{AtomicU64, Ordering};

use crate::{report, trap};

/// Where pseudo-physical page 0 is mapped.
pub const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;

core::arch::global_asm!(
    // One note: namesz 4, descsz, type, "Xen\0", then the padded description.
    ".macro note_text number, text",
    "    .pushsection .note.Xen, \"a\", @note",
    "    .balign 4",
    "    .long 4, 772f - 771f, \\number",
    "    .asciz \"Xen\"",
    "771: .asciz \"\\text\"",
    "772: .balign 4",
    "    .popsection",
    ".endm",
    ".macro note_quad number, quad",
    "    .pushsection .note.Xen, \"a\", @note",
    "    .balign 4",
    "    .long 4, 8, \\number",
    "    .asciz \"Xen\"",
    "    .quad \\quad",
    "    .popsection",
    ".endm",
    "note_quad 1, _start",
    "note_quad 3, {virt_base}",
    "note_quad 4, 0",
    "note_text 5, \"xen-3.0\"",
    "note_text 6, \"xenolith-test\"",
    "note_text 8, \"generic\"",
    "note_text 9, \"yes\"",
    "note_text 10, \"!writable_page_tables|pae_pgdir_above_4gb\"",
    "note_quad 17, 0x800", // dom0
    ".pushsection .text.start, \"ax\"",
    ".globl _start",
    "_start:",
    "    cld",
    "    lea rsp, [rip + boot_stack + {stack_size}]",
    "    xor ebp, ebp",
    "    mov rdi, rsi",
    "    call {main}",
    "    ud2",
    ".popsection",
    ".pushsection .bss, \"aw\", @nobits",
    ".balign 4096",
    "boot_stack: .skip {stack_size}",
    ".popsection",
    virt_base = const VIRT_BASE,
    stack_size = const 65536,
    main = sym rust_start,
);

unsafe extern "Rust" {
    fn guest_main();
}

static START_INFO: AtomicU64 = AtomicU64::new(0);

extern "C" fn rust_start(start_info: u64) -> ! {
    START_INFO.store(start_info, Ordering::Relaxed);
    trap::install();
    // SAFETY: every test defines it with `guest!`.
    unsafe { guest_main() };
    report::finish()
}

/// A 64-bit field of start_info by its byte offset.
pub fn info_u64(offset: u64) -> u64 {
    // SAFETY: start_info is mapped by the builder for the life of the guest and offsets are those of the header.
    unsafe { core::ptr::read_volatile((START_INFO.load(Ordering::Relaxed) + offset) as *const u64) }
}

/// The address of start_info.
pub fn info_address() -> u64 {
    START_INFO.load(Ordering::Relaxed)
}

/// Number of pages the guest was given.
pub fn nr_pages() -> u64 {
    info_u64(32)
}

/// Virtual address of the L4 table.
pub fn pt_base() -> u64 {
    info_u64(88)
}

/// The command line, without its NUL.
pub fn command_line() -> &'static str {
    // SAFETY: 1024 bytes of start_info, never written after start.
    let bytes = unsafe { core::slice::from_raw_parts((info_address() + 128) as *const u8, 1024) };
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).unwrap_or("")
}

/// The value of `key=value` on the command line, as a number in decimal or with 0x.
pub fn parameter(key: &str) -> Option<u64> {
    let text = command_line().split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    report::give_up(format_args!("panic: {info}"))
}
