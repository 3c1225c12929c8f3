//! Emulated instructions: for every port of a set, CPUID leaf and MSR, the value or the fault.
//!
//! Values that are the machine's (time stamp, APIC identity, microcode) are shown only as there or not.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::call2;
use compat_guests::report::{result, value_at};
use compat_guests::trap::{self, Caught};
use compat_guests::{memory, number, user};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

compat_guests::guest!(main);

static A: AtomicU64 = AtomicU64::new(0);
static B: AtomicU64 = AtomicU64::new(0);
static C: AtomicU64 = AtomicU64::new(0);
static D: AtomicU64 = AtomicU64::new(0);

fn main() {
    memory::shared_info();
    set_iopl(1);
    cpuid();
    msr_reads();
    msr_writes();
    control_registers();
    debug_registers();
    ports();
    permissions();
    others();
}

fn set_iopl(level: u32) -> i64 {
    let mut argument = Buffer::<8>::new().u32(0, level);
    call2(number::PHYSDEV_OP, 6, argument.address())
}

/// The fault as vector and error code, or none.
fn fault(caught: Option<Caught>) -> u64 {
    caught.map_or(0, |caught| 1 << 32 | caught.vector << 16 | caught.error & 0xffff)
}

extern "C" fn forced_cpuid(_: u64) {
    let (mut a, mut c) = (A.load(Ordering::SeqCst), C.load(Ordering::SeqCst));
    let (b, d): (u64, u64);
    // SAFETY: the prefix makes the hypervisor answer; without one it is #UD, which is caught.
    unsafe {
        asm!("mov {save}, rbx", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2", "xchg {save}, rbx",
            save = out(reg) b, inout("rax") a, inout("rcx") c, out("rdx") d)
    };
    A.store(a, Ordering::SeqCst);
    B.store(b, Ordering::SeqCst);
    C.store(c, Ordering::SeqCst);
    D.store(d, Ordering::SeqCst);
    let _ = (&mut a, &mut c);
}

fn cpuid() {
    for (leaf, subleaves) in [
        (0u64, 1u64),
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 5),
        (5, 1),
        (6, 1),
        (7, 3),
        (8, 1),
        (9, 1),
        (0xa, 1),
        (0xb, 3),
        (0xd, 10),
        (0xe, 1),
        (0xf, 2),
        (0x10, 2),
        (0x14, 1),
        (0x15, 1),
        (0x16, 1),
        (0x17, 1),
        (0x1f, 1),
        (0x24, 1),
        (0x4000_0000, 1),
        (0x4000_0001, 1),
        (0x4000_0002, 1),
        (0x4000_0003, 3),
        (0x4000_0004, 1),
        (0x4000_0005, 1),
        (0x4000_0006, 1),
        (0x4000_0100, 1),
        (0x8000_0000, 1),
        (0x8000_0001, 1),
        (0x8000_0002, 1),
        (0x8000_0005, 1),
        (0x8000_0006, 1),
        (0x8000_0007, 1),
        (0x8000_0008, 1),
        (0x8000_000a, 1),
        (0x8000_0019, 1),
        (0x8000_001a, 1),
        (0x8000_001b, 1),
        (0x8000_001c, 1),
        (0x8000_001d, 2),
        (0x8000_001e, 1),
        (0x8000_001f, 1),
        (0x8000_0021, 1),
        (0x8000_0022, 1),
        (0xc000_0000, 1),
        (0xffff_ffff, 1),
    ] {
        for subleaf in 0..subleaves {
            A.store(leaf, Ordering::SeqCst);
            C.store(subleaf, Ordering::SeqCst);
            let caught = trap::catch(forced_cpuid, 0);
            value_at(format_args!("cpuid.{leaf:x}.{subleaf}.fault"), fault(caught));
            // Time-dependent: the guest's clock scale. The APIC identity and the brand string are the machine's.
            if leaf == 0x4000_0003 {
                continue;
            }
            for (name, register) in [("a", &A), ("b", &B), ("c", &C), ("d", &D)] {
                value_at(
                    format_args!("cpuid.{leaf:x}.{subleaf}.{name}"),
                    register.load(Ordering::SeqCst) & 0xffff_ffff,
                );
            }
        }
    }
}

extern "C" fn read_msr(index: u64) {
    let (low, high): (u32, u32);
    // SAFETY: reads, or faults and is caught.
    unsafe { asm!("rdmsr", in("ecx") index as u32, out("eax") low, out("edx") high) };
    A.store(u64::from(high) << 32 | u64::from(low), Ordering::SeqCst);
}

extern "C" fn write_msr(index: u64) {
    let value = A.load(Ordering::SeqCst);
    // SAFETY: writes what the test wants, or faults and is caught.
    unsafe { asm!("wrmsr", in("ecx") index as u32, in("eax") value as u32, in("edx") (value >> 32) as u32) };
}

/// Ranges of MSRs worth asking for, inclusive.
const MSRS: [(u32, u32); 46] = [
    (0, 1),
    (0x6, 0x6),
    (0x10, 0x10),
    (0x17, 0x17),
    (0x1b, 0x1b),
    (0x2a, 0x2a),
    (0x34, 0x34),
    (0x3a, 0x3b),
    (0x48, 0x4f),
    (0x79, 0x79),
    (0x8b, 0x8b),
    (0xc1, 0xc2),
    (0xce, 0xce),
    (0xcd, 0xcd),
    (0xe2, 0xe2),
    (0xe7, 0xe8),
    (0xfe, 0xfe),
    (0x10a, 0x10b),
    (0x122, 0x123),
    (0x140, 0x140),
    (0x174, 0x17b),
    (0x186, 0x187),
    (0x198, 0x19c),
    (0x1a0, 0x1a4),
    (0x1b0, 0x1b2),
    (0x1d9, 0x1de),
    (0x200, 0x20f),
    (0x250, 0x250),
    (0x258, 0x259),
    (0x268, 0x26f),
    (0x277, 0x277),
    (0x280, 0x283),
    (0x2ff, 0x2ff),
    (0x309, 0x30c),
    (0x345, 0x345),
    (0x38d, 0x390),
    (0x400, 0x413),
    (0x480, 0x491),
    (0x4d0, 0x4d0),
    (0x600, 0x606),
    (0x800, 0x80f),
    (0xda0, 0xda0),
    (0x4000_0000, 0x4000_0004),
    (0x4000_0020, 0x4000_0021),
    (0xc000_0080, 0xc000_0084),
    (0xc000_0100, 0xc000_0104),
];
const AMD_MSRS: [(u32, u32); 8] = [
    (0xc000_00e7, 0xc000_00e9),
    (0xc001_0000, 0xc001_0007),
    (0xc001_0010, 0xc001_001f),
    (0xc001_0041, 0xc001_0042),
    (0xc001_0055, 0xc001_0071),
    (0xc001_0111, 0xc001_011f),
    (0xc001_0200, 0xc001_0201),
    (0xc001_1000, 0xc001_1040),
];

/// MSRs whose value is the machine's or moves.
fn is_volatile(index: u32) -> bool {
    matches!(index, 0x10 | 0x8b | 0xe7 | 0xe8 | 0xc000_0100..=0xc000_0103 | 0xc001_0010..=0xc001_001e)
}

fn msr_reads() {
    for (first, last) in MSRS.into_iter().chain(AMD_MSRS) {
        for index in first..=last {
            A.store(0, Ordering::SeqCst);
            let caught = trap::catch(read_msr, index.into());
            value_at(format_args!("rdmsr.{index:x}.fault"), fault(caught));
            if caught.is_none() && !is_volatile(index) {
                value_at(format_args!("rdmsr.{index:x}"), A.load(Ordering::SeqCst));
            }
        }
    }
}

/// Writes: zero, ones, and back what was read. Not the segment bases (this code runs on them) nor the hypercall page.
fn msr_writes() {
    for (first, last) in MSRS.into_iter().chain(AMD_MSRS) {
        for index in first..=last {
            if matches!(index, 0xc000_0100..=0xc000_0102 | 0x4000_0000) {
                continue;
            }
            A.store(0, Ordering::SeqCst);
            let readable = trap::catch(read_msr, index.into()).is_none();
            let old = A.load(Ordering::SeqCst);
            if readable {
                value_at(format_args!("wrmsr.{index:x}.same.fault"), fault(trap::catch(write_msr, index.into())));
            }
            for (label, value) in [("zero", 0), ("ones", u64::MAX), ("one", 1)] {
                A.store(value, Ordering::SeqCst);
                value_at(format_args!("wrmsr.{index:x}.{label}.fault"), fault(trap::catch(write_msr, index.into())));
            }
            A.store(old, Ordering::SeqCst);
            if readable {
                trap::catch(write_msr, index.into());
            }
        }
    }
    for (label, value) in
        [("noncanonical", 0x8000_0000_0000u64), ("hypervisor", 0xffff_8300_0000_0000), ("user", 0x1000), ("null", 0)]
    {
        for index in [0xc000_0100u32, 0xc000_0101, 0xc000_0102] {
            A.store(value, Ordering::SeqCst);
            value_at(format_args!("wrmsr.{index:x}.{label}.fault"), fault(trap::catch(write_msr, index.into())));
            trap::catch(read_msr, index.into());
            value_at(format_args!("wrmsr.{index:x}.{label}.reads"), A.load(Ordering::SeqCst));
        }
    }
    hypercall_page();
}

/// WRMSR 0x40000000 fills a page with 32-byte stubs.
fn hypercall_page() {
    let page = memory::page();
    let frame = memory::mfn_of(page) << 12;
    for (label, value) in [("low-bits", frame | 1), ("no-frame", 0xff_ffff_ffff_f000), ("zero", 0), ("good", frame)] {
        A.store(value, Ordering::SeqCst);
        value_at(format_args!("hypercall-page.{label}.fault"), fault(trap::catch(write_msr, 0x4000_0000)));
    }
    for (slot, word) in [0u64, 17, 23, 127].into_iter().flat_map(|slot| (0..4).map(move |word| (slot, word))) {
        value_at(format_args!("hypercall-page.slot{slot}.{word}"), memory::read(page + slot * 32 + word * 8));
    }
}

macro_rules! probe {
    ($name:literal, $($code:expr),+) => {{
        extern "C" fn run(argument: u64) {
            let mut a = argument;
            // SAFETY: executes, is emulated, or faults and is caught; memory operands lie on this stack.
            unsafe { asm!("sub rsp, 64", $($code,)+ "add rsp, 64", inout("rax") a, out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _) };
            A.store(a, Ordering::SeqCst);
        }
        ($name, run as extern "C" fn(u64))
    }};
}

fn control_registers() {
    let reads = [
        probe!("cr0", "mov rax, cr0"),
        probe!("cr2", "mov rax, cr2"),
        probe!("cr4", "mov rax, cr4"),
        probe!("cr8", "mov rax, cr8"),
        probe!("smsw", "smsw eax"),
        probe!("xgetbv", "xor ecx, ecx", "xgetbv"),
        probe!("xgetbv1", "mov ecx, 1", "xgetbv"),
    ];
    for (name, run) in reads {
        A.store(0, Ordering::SeqCst);
        value_at(format_args!("read.{name}.fault"), fault(trap::catch(run, 0)));
        value_at(format_args!("read.{name}"), A.load(Ordering::SeqCst));
    }
    let (_, read_cr0) = probe!("", "mov rax, cr0");
    let (_, read_cr4) = probe!("", "mov rax, cr4");
    let (_, write_cr0) = probe!("", "mov cr0, rax");
    let (_, write_cr4) = probe!("", "mov cr4, rax");
    let (_, write_cr3) = probe!("", "mov cr3, rax");
    trap::catch(read_cr0, 0);
    let cr0 = A.load(Ordering::SeqCst);
    for bit in (0..32).chain([63]) {
        value_at(format_args!("cr0.bit{bit}.fault"), fault(trap::catch(write_cr0, cr0 ^ 1 << bit)));
        trap::catch(write_cr0, cr0);
    }
    trap::catch(read_cr4, 0);
    let cr4 = A.load(Ordering::SeqCst);
    for bit in (0..24).chain([63]) {
        value_at(format_args!("cr4.bit{bit}.fault"), fault(trap::catch(write_cr4, cr4 ^ 1 << bit)));
        trap::catch(read_cr4, 0);
        value_at(format_args!("cr4.bit{bit}.reads"), A.load(Ordering::SeqCst));
        trap::catch(write_cr4, cr4);
    }
    let base = memory::mfn_of(compat_guests::start::pt_base()) << 12;
    for (label, value) in [
        ("same", base),
        ("data", memory::mfn_of(memory::page()) << 12),
        ("none", 0xff_ffff_f000),
        ("flag", base | 0x18),
    ] {
        value_at(format_args!("cr3.{label}.fault"), fault(trap::catch(write_cr3, value)));
    }
    let (_, read_cr3) = probe!("", "mov rax, cr3");
    trap::catch(read_cr3, 0);
    value_at(format_args!("cr3.reads"), A.load(Ordering::SeqCst) ^ base);
    let (_, set_xcr0) = probe!("", "mov edx, 0", "xor ecx, ecx", "xsetbv");
    for value in [0u64, 1, 2, 3, 5, 7, 0xff, 0x207] {
        value_at(format_args!("xsetbv.{value:x}.fault"), fault(trap::catch(set_xcr0, value)));
    }
}

fn debug_registers() {
    macro_rules! register {
        ($($number:literal)*) => { [$((
            probe!($number, concat!("mov rax, dr", $number)).1,
            probe!($number, concat!("mov dr", $number, ", rax")).1,
        )),*] };
    }
    for (number, (read, write)) in register!("0" "1" "2" "3" "4" "5" "6" "7").into_iter().enumerate() {
        for value in [0u64, 0x1000, 0xffff_8300_0000_0000, 0x8000_0000_0000, 0x2000, 0xffff_0ff0, 0x1_0000_0000] {
            value_at(format_args!("dr{number}.{value:x}.fault"), fault(trap::catch(write, value)));
            A.store(0, Ordering::SeqCst);
            value_at(format_args!("dr{number}.{value:x}.read-fault"), fault(trap::catch(read, 0)));
            value_at(format_args!("dr{number}.{value:x}.reads"), A.load(Ordering::SeqCst));
            trap::catch(write, if number == 7 { 0x400 } else { 0 });
        }
    }
}

extern "C" fn input(argument: u64) {
    let (port, size) = (argument as u16, argument >> 16);
    let mut value: u32 = 0x5555_5555;
    // SAFETY: reads a port that the hypervisor passes, emulates or refuses.
    unsafe {
        match size {
            1 => asm!("in al, dx", in("dx") port, inout("eax") value),
            2 => asm!("in ax, dx", in("dx") port, inout("eax") value),
            _ => asm!("in eax, dx", in("dx") port, inout("eax") value),
        }
    }
    A.store(value.into(), Ordering::SeqCst);
}

/// Reads of ports that answer the same at every boot.
fn ports() {
    for port in [
        0x20u16, 0x21, 0x22, 0x2e, 0x42, 0x43, 0x4e, 0x61, 0x70, 0x80, 0xa0, 0xa1, 0x3f8, 0x402, 0x4d0, 0xcf8, 0xcfb,
        0xb2, 0x510, 0x600, 0x1234, 0xffff,
    ] {
        for size in [1u64, 2, 4] {
            A.store(0, Ordering::SeqCst);
            value_at(format_args!("in.{port:x}.{size}.fault"), fault(trap::catch(input, u64::from(port) | size << 16)));
            // Parts of 0xcf8 show what the hypervisor itself last looked at.
            let part_of_latch = matches!(port, 0xcf8 | 0xcfb) && (port, size) != (0xcf8, 4);
            if !part_of_latch && !matches!(port, 0x42 | 0x61 | 0x70 | 0x402 | 0x600 | 0x3f8) {
                value_at(format_args!("in.{port:x}.{size}"), A.load(Ordering::SeqCst));
            }
        }
    }
    let (_, select) = probe!("", "mov edx, 0xcf8", "out dx, eax");
    let (_, select_byte) = probe!("", "mov edx, 0xcf8", "out dx, al");
    for address in [0x8000_0000u64, 0x8000_0008, 0x8000_f800, 0x8000_f804, 0x80ff_ff00, 0x0000_0000] {
        trap::catch(select, address);
        trap::catch(input, 0xcf8 | 4 << 16);
        value_at(format_args!("pci.{address:x}.latch"), A.load(Ordering::SeqCst));
        for (offset, size) in [(0u64, 4u64), (0, 2), (2, 2), (1, 1), (3, 1)] {
            trap::catch(input, (0xcfc + offset) | (size << 16));
            let mask = if address == 0x8000_f804 { 0 } else { u64::MAX };
            value_at(format_args!("pci.{address:x}.{offset}.{size}"), A.load(Ordering::SeqCst) & mask);
        }
    }
    trap::catch(select, 0x8000_0000);
    value_at(format_args!("pci.byte-write.fault"), fault(trap::catch(select_byte, 0x12)));
    trap::catch(input, 0xcf8 | 4 << 16);
    value_at(format_args!("pci.byte-write.latch"), A.load(Ordering::SeqCst));
}

/// Virtual IOPL and the I/O bitmap decide, in kernel and in user mode.
fn permissions() {
    extern "C" fn from_user() {
        // SAFETY: runs in user mode under `user::run_function`; the fault, or the int after it, ends it.
        unsafe { asm!("in al, 0x80", "int 0x40", out("al") _) };
    }
    if let Err(error) = user::prepare() {
        result(format_args!("user.prepare"), error);
        return;
    }
    let bitmap = memory::pages(3);
    for level in 0..4 {
        result(format_args!("iopl{level}.set"), set_iopl(level));
        value_at(format_args!("iopl{level}.kernel"), fault(trap::catch(input, 0x80 | 1 << 16)));
        value_at(format_args!("iopl{level}.user"), fault(user::run_function(from_user)));
    }
    set_iopl(0);
    for (label, denied, count) in
        [("allowed", 0u64, 65536u32), ("denied", u64::MAX, 65536), ("short", 0, 0x80), ("exact", 0, 0x81)]
    {
        for at in 0..1024 {
            memory::write(bitmap + at * 8, denied);
        }
        let mut argument = Buffer::<16>::new().u64(0, bitmap).u32(8, count);
        result(format_args!("bitmap.{label}.set"), call2(number::PHYSDEV_OP, 7, argument.address()));
        value_at(format_args!("bitmap.{label}.kernel"), fault(trap::catch(input, 0x80 | 1 << 16)));
        value_at(format_args!("bitmap.{label}.kernel-dword"), fault(trap::catch(input, 0x80 | 4 << 16)));
        value_at(format_args!("bitmap.{label}.user"), fault(user::run_function(from_user)));
    }
    let mut none = Buffer::<16>::new();
    call2(number::PHYSDEV_OP, 7, none.address());
    set_iopl(1);
}

/// Instructions that are emulated without a result, or not at all.
fn others() {
    let all = [
        probe!("clts", "clts"),
        probe!("wbinvd", "wbinvd"),
        probe!("invd", "invd"),
        probe!("rdtsc", "rdtsc"),
        probe!("rdtscp", "rdtscp"),
        probe!("rdpmc", "xor ecx, ecx", "rdpmc"),
        probe!("sti", "sti"),
        probe!("cli", "cli"),
        probe!("hlt", "hlt"),
        probe!("invlpg", "invlpg [rsp]"),
        probe!("lmsw", "lmsw ax"),
        probe!("rdrand", "rdrand rax", "xor eax, eax"),
        probe!("rdfsbase", "rdfsbase rax", "xor eax, eax"),
        probe!("wrfsbase", "wrfsbase rax"),
        probe!("rdpid", "rdpid rax", "xor eax, eax"),
        probe!("rdpkru", "xor ecx, ecx", "rdpkru"),
        probe!("lock-in", ".byte 0xf0", "in al, dx"),
        probe!("insb", "mov edx, 0x80", "mov ecx, 4", "mov rdi, rsp", "rep insb"),
        probe!("insb-bad", "mov edx, 0x80", "mov ecx, 4", "mov edi, 0x1000", "rep insb"),
        probe!("outsb", "mov edx, 0x80", "mov ecx, 4", "mov rsi, rsp", "rep outsb"),
        probe!("outsb-none", "mov edx, 0x80", "xor ecx, ecx", "mov rsi, rsp", "rep outsb"),
        probe!("outsd", "mov edx, 0x80", "mov rsi, rsp", "outsd"),
        probe!("in-imm", "in al, 0x80"),
        probe!("out-imm", "out 0x80, al"),
        probe!("in-66", "in ax, 0x80"),
        probe!("in-rex", ".byte 0x48, 0xed"),
        probe!("cpuid", "push rbx", "xor eax, eax", "cpuid", "pop rbx", "xor eax, eax"),
        probe!("stac", "stac"),
        probe!("clac", "clac"),
        probe!("xsaves", "lea rsi, [rsp - 8192]", "and rsi, -64", ".byte 0x0f, 0xc7, 0x2e"),
        probe!("swapgs", "swapgs"),
        probe!("sysret", "sysretq"),
        probe!("monitor", "mov rax, rsp", "xor ecx, ecx", "xor edx, edx", "monitor"),
        probe!("mwait", "xor eax, eax", "xor ecx, ecx", "mwait"),
    ];
    for (name, run) in all {
        A.store(0, Ordering::SeqCst);
        value_at(format_args!("other.{name}.fault"), fault(trap::catch(run, 0)));
    }
}
