//! The snippets that trap: each sets rcx and r11 to known values first, and has a label at the instruction that traps.

/// A snippet: where it starts and which instruction should trap.
#[derive(Clone, Copy)]
pub struct Case {
    /// Name in the report.
    pub name: &'static str,
    /// Entry address.
    pub start: u64,
    /// Address of the trapping instruction.
    pub at: u64,
}

macro_rules! cases {
    ($($name:ident: $before:literal, $trap:literal;)*) => {
        $(core::arch::global_asm!(
            ".pushsection .text, \"ax\"",
            ".balign 16",
            concat!(".globl case_", stringify!($name)),
            concat!("case_", stringify!($name), ":"),
            "mov ecx, 0x11111111",
            "mov r11d, 0x22222222",
            $before,
            concat!(".globl at_", stringify!($name)),
            concat!("at_", stringify!($name), ":"),
            $trap,
            "ud2",
            ".popsection",
        );)*

        /// All snippets, in order.
        pub fn all() -> impl Iterator<Item = Case> {
            [$({
                unsafe extern "C" {
                    #[link_name = concat!("case_", stringify!($name))]
                    static START: u8;
                    #[link_name = concat!("at_", stringify!($name))]
                    static AT: u8;
                }
                Case { name: stringify!($name), start: &raw const START as u64, at: &raw const AT as u64 }
            },)*].into_iter()
        }
    };
}

cases! {
    divide: "xor edx, edx; xor r9d, r9d", "div r9";
    single_step: "pushfq; or dword ptr [rsp], 0x100; popfq", "nop; nop";
    icebp: "", ".byte 0xf1";
    int3: "", "int3";
    int3_long: "", ".byte 0xcd, 3";
    int4: "", "int 4";
    undefined: "", "ud2";
    into: "", ".byte 0xce";
    halt: "", "hlt";
    cli: "", "cli; ud2";
    noncanonical: "mov r9, 0x800000000000", "mov rax, [r9]";
    noncanonical_stack: "mov rbp, 0x800000000000", "mov rax, [rbp]";
    noncanonical_jump: "mov r9, 0x800000000000", "jmp r9";
    selector_null_stack: "xor eax, eax", "mov ss, eax";
    selector_beyond: "mov eax, 0x1234", "mov ds, eax";
    selector_hypervisor: "mov eax, 0xe008", "mov ds, eax";
    selector_ldt: "mov eax, 0x0c", "mov ds, eax";
    fault_read: "mov r9d, 0x1000", "mov rax, [r9]";
    fault_write: "mov r9d, 0x1000", "mov [r9], rax";
    fault_execute: "mov r9d, 0x1000", "jmp r9";
    fault_hypervisor_read: "mov r9, 0xffff830000000000", "mov rax, [r9]";
    fault_hypervisor_write: "mov r9, 0xffff830000000000", "mov [r9], rax";
    fault_m2p_write: "mov r9, 0xffff800000000000", "mov [r9], rax";
    fault_m2p_hole: "mov r9, 0xffff803ffffff000", "mov rax, [r9]";
    int_user: "", "int 0x40";
    int_kernel: "", "int 0x41";
    int_masking: "", "int 0x42";
    int_unset: "", "int 0x50";
    int_80: "", "int 0x80";
    int_82: "", "int 0x82";
    int_ff: "", "int 0xff";
    int_page_fault: "", "int 14";
    int_nmi: "", "int 2";
    flags: "push 0x244ed7; popfq", "ud2";
    direction: "std", "ud2";
    nested_task: "pushfq; or dword ptr [rsp], 0x4000; popfq", "ud2";
    alignment: "pushfq; or dword ptr [rsp], 0x40000; popfq; lea r9, [rsp - 63]", "mov rax, [r9]";
    x87: "sub rsp, 16; fninit; mov word ptr [rsp], 0x360; fldcw [rsp]; fld1; fldz; fdivp", "fwait";
    simd: "sub rsp, 16; mov dword ptr [rsp], 0x1d80; ldmxcsr [rsp]; xorps xmm0, xmm0; mov dword ptr [rsp], 0x3f800000; movss xmm1, [rsp]", "divss xmm1, xmm0";
    sysenter: "", "sysenter";
    sysret: "", "sysretq";
    swapgs: "", "swapgs";
    load_gdt: "sub rsp, 16", "lgdt [rsp]";
    load_task: "xor eax, eax", "ltr ax";
    load_status: "mov eax, 1", "lmsw ax";
    invalidate: "", "invd";
    invalidate_page: "", "invlpg [rsp]";
    vmcall: "", "vmcall";
    vmmcall: "", "vmmcall";
    clear_global: "", "clgi";
    monitor: "lea rax, [rsp]; xor edx, edx", "monitor";
    read_user_cr: "", "mov rax, cr8";
    write_cr8: "xor eax, eax", "mov cr8, rax";
    store_gdt: "sub rsp, 16", "sgdt [rsp]";
    store_idt: "sub rsp, 16", "sidt [rsp]";
    store_ldt: "", "sldt eax";
    store_task: "", "str eax";
    store_status: "", "smsw eax";
}
