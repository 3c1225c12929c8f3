//! The calls that are not (command, pointer): tables, mappings, descriptors, registers, callbacks, multicalls, console.

use compat_guests::buffer::Buffer;
use compat_guests::memory::{self, DATA, READ_ONLY, entry, mfn_of};
use compat_guests::number::{self, DOMID_SELF};
use compat_guests::report;
use compat_guests::start;
use compat_guests::sweep::{bad_pointers, one};
use compat_guests::trap::{self, TrapInfo};

const HOLE: u64 = 0x0000_8000_0000_0000;
const HYPERVISOR: u64 = 0xffff_8300_0000_0000;

/// Frames that are not ours to use, by label.
fn bad_frames() -> [(&'static str, u64); 6] {
    [
        ("zero", 0),
        ("rom", 0xf0),
        ("beyond", 0x00ff_ffff_f000),
        ("widest", 0x000f_ffff_ffff),
        ("over", 1 << 40),
        ("ones", u64::MAX),
    ]
}

/// set_trap_table, set_callbacks, callback_op, nmi_op.
pub fn traps_and_callbacks() {
    for (label, address) in bad_pointers() {
        one(format_args!("{label}"), number::SET_TRAP_TABLE, [address, 0, 0, 0, 0]);
        one(format_args!("0.{label}"), number::NMI_OP, [0, address, 0, 0, 0]);
    }
    let mut table = [TrapInfo::new(14, 0), TrapInfo::new(13, 0), TrapInfo::default()];
    for address in [HOLE, HYPERVISOR, 0x1000, 0xffff_7fff_ffff_ffff] {
        table[1].address = address;
        one(format_args!("address{address:x}"), number::SET_TRAP_TABLE, [table.as_ptr() as u64, 0, 0, 0, 0]);
    }
    for selector in [0u16, 8, 0xe008, 0xe02b, 0xe033, 0xffff] {
        table[1] = TrapInfo::new(13, 0);
        table[1].selector = selector;
        one(format_args!("selector{selector:x}"), number::SET_TRAP_TABLE, [table.as_ptr() as u64, 0, 0, 0, 0]);
    }
    for command in [2u64, 3, 0xffff_ffff] {
        one(format_args!("{command}"), number::NMI_OP, [command, 0, 0, 0, 0]);
        one(format_args!("{command}"), number::CALLBACK_OP, [command, table.as_ptr() as u64, 0, 0, 0]);
    }
    for (label, address) in bad_pointers() {
        one(format_args!("0.{label}"), number::CALLBACK_OP, [0, address, 0, 0, 0]);
        one(format_args!("1.{label}"), number::CALLBACK_OP, [1, address, 0, 0, 0]);
    }
    for kind in (0u16..10).chain([0xffff]) {
        for address in [HOLE, HYPERVISOR] {
            let result = trap::register_callback(kind, 0, address);
            report::result(format_args!("30.0.type{kind}.{address:x}"), result);
        }
        report::result(
            format_args!("30.0.type{kind}.flags"),
            trap::register_callback(kind, 0xffff, trap::stub(trap::NMI)),
        );
        let argument = [u64::from(kind), 0];
        one(format_args!("1.type{kind}"), number::CALLBACK_OP, [1, argument.as_ptr() as u64, 0, 0, 0]);
    }
    one(format_args!("hole"), number::SET_CALLBACKS, [HOLE, HOLE, HOLE, 0, 0]);
    trap::install();
}

/// mmu_update and mmuext_op on frames that are not ours, and their counts and domains.
pub fn tables() {
    let domains = [0, DOMID_SELF, 1, 0x7ff1, 0x7ff2, 0x7ff3, 0x7ff4, 0x7fff, 0x1_0000, 0x2_0000 | DOMID_SELF];
    for (label, address) in bad_pointers() {
        one(format_args!("{label}"), number::MMU_UPDATE, [address, 1, 0, DOMID_SELF, 0]);
        one(format_args!("{label}"), number::MMUEXT_OP, [address, 1, 0, DOMID_SELF, 0]);
        let update = [0u64; 3];
        one(format_args!("done.{label}"), number::MMU_UPDATE, [update.as_ptr() as u64, 1, address, DOMID_SELF, 0]);
        one(format_args!("done.{label}"), number::MMUEXT_OP, [update.as_ptr() as u64, 0, address, DOMID_SELF, 0]);
    }
    for domain in domains {
        let update = [0u64; 3];
        one(format_args!("domain{domain:x}"), number::MMU_UPDATE, [update.as_ptr() as u64, 0, 0, domain, 0]);
        one(format_args!("domain{domain:x}.one"), number::MMU_UPDATE, [update.as_ptr() as u64, 1, 0, domain, 0]);
        let flush = [6u64, 0, 0];
        one(format_args!("domain{domain:x}"), number::MMUEXT_OP, [flush.as_ptr() as u64, 1, 0, domain, 0]);
        one(format_args!("continued{domain:x}"), number::MMU_UPDATE, [0, 0x8000_0000, 0, domain, 0]);
        one(format_args!("continued{domain:x}"), number::MMUEXT_OP, [0, 0x8000_0000, 0, domain, 0]);
    }
    for command in 0..4u64 {
        for (label, frame) in bad_frames() {
            let update = [frame << 12 | command, 0];
            one(format_args!("{command}.{label}"), number::MMU_UPDATE, [update.as_ptr() as u64, 1, 0, DOMID_SELF, 0]);
        }
        let misaligned = [memory::entry_address(memory::page(), 1) + 4 + command, 0];
        one(
            format_args!("{command}.misaligned"),
            number::MMU_UPDATE,
            [misaligned.as_ptr() as u64, 1, 0, DOMID_SELF, 0],
        );
    }
    for command in (0..24u64).chain([0xffff_ffff]) {
        for (label, frame) in bad_frames() {
            // A whole-cache flush or a flush of an odd address is legal and says nothing.
            let operation = [command, frame, 0];
            one(format_args!("{command}.{label}"), number::MMUEXT_OP, [operation.as_ptr() as u64, 1, 0, DOMID_SELF, 0]);
        }
    }
    for (label, base, entries) in [
        ("none", 0u64, 0u64),
        ("misaligned", 0x1008, 1),
        ("too-many", 0x1000, 8193),
        ("hypervisor", HYPERVISOR, 1),
        ("hole", HOLE, 1),
        ("unmapped", 0x1000, 8192),
        ("reset", 0, 0),
    ] {
        let operation = [13u64, base, entries];
        one(format_args!("13.ldt-{label}"), number::MMUEXT_OP, [operation.as_ptr() as u64, 1, 0, DOMID_SELF, 0]);
    }
    for command in [8u64, 9] {
        for (label, address) in bad_pointers() {
            let operation = [command, 0x1000, address];
            one(
                format_args!("{command}.mask.{label}"),
                number::MMUEXT_OP,
                [operation.as_ptr() as u64, 1, 0, DOMID_SELF, 0],
            );
        }
    }
}

/// update_va_mapping in places and with flags that are wrong.
pub fn mappings() {
    let page = memory::page();
    let good = entry(mfn_of(page), DATA);
    for (label, address) in [("low", 0x1000), ("hole", HOLE), ("hypervisor", HYPERVISOR), ("top", !0xfff)] {
        one(format_args!("at.{label}"), number::UPDATE_VA_MAPPING, [address, good, 0, 0, 0]);
        one(format_args!("at.{label}"), number::UPDATE_VA_MAPPING_OTHERDOMAIN, [address, good, 0, DOMID_SELF, 0]);
    }
    for flags in [0u64, 1, 2, 3, 4, 5, 6, 7, 8] {
        one(format_args!("flags{flags}"), number::UPDATE_VA_MAPPING, [page, good, flags, 0, 0]);
    }
    for (label, address) in bad_pointers() {
        if address != 0 {
            one(format_args!("bitmap.{label}"), number::UPDATE_VA_MAPPING, [page, good, address & !7 | 1, 0, 0]);
        }
    }
    for (label, frame) in bad_frames() {
        one(format_args!("frame.{label}"), number::UPDATE_VA_MAPPING, [page, frame << 12 | READ_ONLY, 2, 0, 0]);
        memory::make_writable(page);
    }
    for domain in [0, 1, DOMID_SELF, 0x7ff1, 0x7ff2, 0x7ff4] {
        one(format_args!("domain{domain:x}"), number::UPDATE_VA_MAPPING_OTHERDOMAIN, [page, good, 2, domain, 0]);
    }
    memory::make_writable(page);
}

/// set_gdt and update_descriptor.
pub fn descriptors() {
    for entries in [0u64, 1, 512, 7168, 7169, 0xffff_ffff] {
        for (label, address) in bad_pointers() {
            if entries != 0 {
                one(format_args!("{label}.{entries}"), number::SET_GDT, [address, entries, 0, 0, 0]);
            }
        }
    }
    for (label, frame) in bad_frames() {
        let frames = [frame];
        one(format_args!("frame.{label}"), number::SET_GDT, [frames.as_ptr() as u64, 1, 0, 0, 0]);
        one(format_args!("frame.{label}"), number::UPDATE_DESCRIPTOR, [frame << 12, 0, 0, 0, 0]);
    }
    let page = memory::page();
    let writable = [mfn_of(page)];
    one(format_args!("frame.writable"), number::SET_GDT, [writable.as_ptr() as u64, 1, 0, 0, 0]);
    let table = [mfn_of(start::pt_base())];
    one(format_args!("frame.table"), number::SET_GDT, [table.as_ptr() as u64, 1, 0, 0, 0]);
    for offset in [0u64, 1, 4, 7, 8, 0xff8] {
        let address = mfn_of(page) * 4096 + offset;
        one(format_args!("offset{offset}"), number::UPDATE_DESCRIPTOR, [address, 0, 0, 0, 0]);
        one(format_args!("table{offset}"), number::UPDATE_DESCRIPTOR, [table[0] * 4096 + offset, 0, 0, 0, 0]);
    }
}

/// Debug registers, segment bases, assists, timer.
pub fn registers() {
    for register in (0..10u64).chain([u64::MAX]) {
        for value in [0, 0x1000, HYPERVISOR, HOLE, u64::MAX, 0x2000, 0x400] {
            if ![6, 7].contains(&register) || [0, 0x2000, 0x400, u64::MAX].contains(&value) {
                one(format_args!("{register}.{value:x}"), number::SET_DEBUGREG, [register, value, 0, 0, 0]);
            }
        }
        one(format_args!("{register}"), number::GET_DEBUGREG, [register, 0, 0, 0, 0]);
        one(format_args!("{register}.clear"), number::SET_DEBUGREG, [register, 0, 0, 0, 0]);
    }
    for which in (0..6u64).chain([u64::MAX]) {
        for base in [0, 0x1000, HOLE, HYPERVISOR, 0xffff_7fff_ffff_ffff, 0xe033, 0x1b] {
            one(format_args!("{which}.{base:x}"), number::SET_SEGMENT_BASE, [which, base, 0, 0, 0]);
        }
    }
    for base in 0..3u64 {
        one(format_args!("{base}.restored"), number::SET_SEGMENT_BASE, [base, 0, 0, 0, 0]);
    }
    for command in (0..3u64).chain([u64::MAX]) {
        for kind in (0..8u64).chain([31, 32, 33, 63, 64, u64::MAX]) {
            one(format_args!("{command}.{kind}"), number::VM_ASSIST, [command, kind, 0, 0, 0]);
        }
    }
    for value in [0, 1, u64::MAX, 1 << 62] {
        one(format_args!("{value:x}"), number::SET_TIMER_OP, [value, 0, 0, 0, 0]);
    }
    one(format_args!("off"), number::SET_TIMER_OP, [0; 5]);
    for set in [0u64, 1, 2, 0] {
        one(format_args!("{set}"), number::FPU_TASKSWITCH, [set, 0, 0, 0, 0]);
    }
    for (selector, pointer) in [(0u64, 0u64), (0xe02b, HYPERVISOR), (8, HOLE), (0xe02b, 0)] {
        one(format_args!("{selector:x}.{pointer:x}"), number::STACK_SWITCH, [selector, pointer, 0, 0, 0]);
    }
}

/// Multicalls: bad lists, nesting, unknown numbers, results in place.
pub fn multicalls() {
    for (label, address) in bad_pointers() {
        for count in [0u64, 1, 1 << 32] {
            one(format_args!("{label}.{count:x}"), number::MULTICALL, [address, count, 0, 0, 0]);
        }
    }
    let mut list = Buffer::<256>::new()
        .u64(0, number::XEN_VERSION)
        .u64(64, number::MULTICALL)
        .u64(128, 63)
        .u64(192, number::CONSOLE_IO)
        .u64(208, 99);
    one(format_args!("four"), number::MULTICALL, [list.address(), 4, 0, 0, 0]);
    for index in 0..4 {
        report::result(format_args!("13.four.result{index}"), list.get_u64(index * 64 + 8) as i64);
    }
    let read_only = memory::page();
    memory::write(read_only, number::XEN_VERSION);
    memory::make_read_only(read_only);
    one(format_args!("read-only"), number::MULTICALL, [read_only, 1, 0, 0, 0]);
}

/// console_io: commands, lengths, pointers.
pub fn console() {
    for command in (0..4u64).chain([u64::MAX]) {
        for (label, address) in bad_pointers() {
            for count in [0u64, 1, 0x8000_0000, 0xffff_ffff] {
                one(format_args!("{command}.{label}.{count:x}"), number::CONSOLE_IO, [command, count, address, 0, 0]);
            }
        }
    }
}
