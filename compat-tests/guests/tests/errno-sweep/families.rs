//! The multiplexed calls: (command, pointer).

use compat_guests::buffer::Buffer;
use compat_guests::number::{self, DOMID_SELF};
use compat_guests::sweep::{Output, bad_command_pointers, bad_pointers, filled, one, read_only_page};

const BIG: [u64; 4] = [63, 64, 0x7fff_ffff, 0xffff_ffff];

/// xen_version: every command on every kind of pointer.
pub fn version() {
    bad_command_pointers(number::XEN_VERSION, (0..16).chain(BIG));
    for command in 0..16 {
        one(format_args!("{command}.read-only"), number::XEN_VERSION, [command, read_only_page(), 0, 0, 0]);
        let mut buffer = Buffer::<2048>::new();
        one(format_args!("{command}.good"), number::XEN_VERSION, [command, buffer.address(), 0, 0, 0]);
    }
}

/// memory_op without the commands whose zeroed argument would change this guest's memory.
pub fn memory() {
    let commands = || (0..=40u64).chain(BIG);
    bad_command_pointers(number::MEMORY_OP, commands().filter(|&command| command != 2));
    filled(number::MEMORY_OP, commands().filter(|command| ![2, 11, 12].contains(command)), 0, Output::Hide);
    filled(number::MEMORY_OP, commands().filter(|&command| command != 2), 0xff, Output::Hide);
    reservations();
    for domain in [0, DOMID_SELF, 1, 0x7ff1, 0x7ff2, 0x7ff4, 0xffff] {
        for command in [3u64, 4, 14] {
            let mut argument = Buffer::<8>::new().u16(0, domain as u16);
            let result = compat_guests::hypercall::call2(number::MEMORY_OP, command, argument.address());
            // A size depends on the machine; that there is one does not.
            compat_guests::report::result(format_args!("12.{command}.domain{domain:x}"), result.min(1));
        }
    }
}

/// struct xen_memory_reservation: extents, number, order, flags, domain.
fn reservations() {
    for command in [0u64, 1, 6] {
        for (label, extents, count, order, domain) in [
            ("no-list", 0u64, 1u64, 0u32, DOMID_SELF),
            ("bad-list", 0x8000_0000_0000, 1, 0, DOMID_SELF),
            ("hypervisor-list", 0xffff_8300_0000_0000, 1, 0, DOMID_SELF),
            ("none", 0, 0, 0, DOMID_SELF),
            ("huge-count", 0, 1 << 60, 0, DOMID_SELF),
            ("order-10", 0, 1, 10, DOMID_SELF),
            ("order-19", 0, 1, 19, DOMID_SELF),
            ("order-64", 0, 1, 64, DOMID_SELF),
            ("no-domain", 0, 1, 0, 1),
            ("io-domain", 0, 1, 0, 0x7ff1),
        ] {
            if command == 0 && label == "no-list" {
                continue; // legal there: the frames are simply not told
            }
            let mut argument = Buffer::<32>::new().u64(0, extents).u64(8, count).u32(16, order).u16(24, domain as u16);
            one(format_args!("{command}.{label}"), number::MEMORY_OP, [command, argument.address(), 0, 0, 0]);
            let started = command | 5 << 6;
            one(format_args!("{command}.{label}.start5"), number::MEMORY_OP, [started, argument.address(), 0, 0, 0]);
        }
    }
}

/// event_channel_op and its old form.
pub fn events() {
    let number = number::EVENT_CHANNEL_OP;
    bad_command_pointers(number, (0..16).chain(BIG));
    filled(number, (0..16).filter(|&command| command != 10), 0, Output::Show);
    filled(number, 0..16, 0xff, Output::Show);
    for port in [0u32, 1, 2, 100, 1023, 1024, 4095, 4096, 131_071, 131_072, u32::MAX] {
        for command in [3u64, 4, 9] {
            let mut argument = Buffer::<8>::new().u32(0, port);
            one(format_args!("{command}.port{port}"), number, [command, argument.address(), 0, 0, 0]);
        }
        let mut status = Buffer::<24>::new().u16(0, DOMID_SELF as u16).u32(4, port);
        one(format_args!("5.port{port}"), number, [5, status.address(), 0, 0, 0]);
        let mut vcpu = Buffer::<8>::new().u32(0, port).u32(4, 0);
        one(format_args!("8.port{port}"), number, [8, vcpu.address(), 0, 0, 0]);
        let mut priority = Buffer::<8>::new().u32(0, port).u32(4, 0);
        one(format_args!("13.port{port}"), number, [13, priority.address(), 0, 0, 0]);
    }
    for virq in (0..26).chain([u32::MAX]) {
        for vcpu in [0u32, 1, u32::MAX] {
            let mut argument = Buffer::<12>::new().u32(0, virq).u32(4, vcpu);
            one(format_args!("1.virq{virq}.vcpu{vcpu}"), number, [1, argument.address(), 0, 0, 0]);
        }
    }
    for (domain, remote) in [(1u16, 0u16), (DOMID_SELF as u16, 1), (0, 1), (DOMID_SELF as u16, 0xffff), (0x7ff1, 0)] {
        let mut argument = Buffer::<8>::new().u16(0, domain).u16(2, remote);
        one(format_args!("6.{domain:x}.{remote:x}"), number, [6, argument.address(), 0, 0, 0]);
    }
    bad_command_pointers(number::EVENT_CHANNEL_OP_COMPAT, 0..1);
}

/// grant_table_op: (command, array, count).
pub fn grants() {
    let number = number::GRANT_TABLE_OP;
    for command in (0..15u64).chain(BIG) {
        for count in [0u64, 1, 0x8000_0000, 0xffff_ffff] {
            for (label, address) in bad_pointers() {
                one(format_args!("{command}.{label}.count{count:x}"), number, [command, address, count, 0, 0]);
            }
        }
        for byte in [0u8, 0xff] {
            let mut buffer = Buffer::<64>::filled(byte);
            one(format_args!("{command}.fill{byte:x}"), number, [command, buffer.address(), 1, 0, 0]);
            for offset in (0..64).step_by(8) {
                let word = buffer.get_u64(offset);
                if word != u64::from_le_bytes([byte; 8]) {
                    compat_guests::report::value_at(format_args!("20.{command}.fill{byte:x}.at{offset}"), word);
                }
            }
        }
    }
}

/// sched_op: 1 would block, 2 ends the machine and so does 4 (remote shutdown) of domain 0, 3 with zeros would wait for
/// ever, 5 latches a shutdown code, 6 with zeros fires a watchdog at once.
pub fn scheduling() {
    let number = number::SCHED_OP;
    bad_command_pointers(number, (0..10).filter(|&command| command != 1).chain(BIG));
    filled(number, [8u64, 9].into_iter(), 0, Output::Hide);
    filled(number, [3u64, 4, 6, 7].into_iter(), 0xff, Output::Hide);
    for (label, ports, count, timeout) in [
        ("bad-ports", 0x8000_0000_0000u64, 1u32, 1u64),
        ("null-ports", 0, 1, 1),
        ("none-past", 0, 0, 1),
        ("too-many", 0, 129, 1),
    ] {
        let mut argument = Buffer::<24>::new().u64(0, ports).u32(8, count).u64(16, timeout);
        one(format_args!("3.{label}"), number, [3, argument.address(), 0, 0, 0]);
    }
    for port in [0u32, 60, 4095, 4096, 131_072, u32::MAX] {
        let ports = [port];
        let mut argument = Buffer::<24>::new().u64(0, ports.as_ptr() as u64).u32(8, 1).u64(16, 1);
        one(format_args!("3.port{port}"), number, [3, argument.address(), 0, 0, 0]);
    }
    for (id, timeout) in
        [(1u32, 1000u32), (1, 0), (2, 1000), (3, 1000), (0, 1000), (0, 1001), (0, 1002), (1, 0), (2, 0), (1, 0)]
    {
        let mut argument = Buffer::<8>::new().u32(0, id).u32(4, timeout);
        one(format_args!("6.id{id}.timeout{timeout}"), number, [6, argument.address(), 0, 0, 0]);
    }
    for command in (2..8).chain([u64::MAX]) {
        one(format_args!("{command}"), number::SCHED_OP_COMPAT, [command + 1, 0, 0, 0, 0]);
    }
}

/// vcpu_op: everything on vCPUs that are not there, harmless things on vCPU 0.
pub fn vcpus() {
    let number = number::VCPU_OP;
    for vcpu in [1u64, 31, 32, 127, 8191, 8192, 0xffff_ffff] {
        for command in (0..18).chain(BIG) {
            one(format_args!("{command}.vcpu{vcpu}"), number, [command, vcpu, 0, 0, 0]);
        }
    }
    for command in (0..18u64).chain(BIG).filter(|command| ![2, 11].contains(command)) {
        for (label, address) in bad_pointers() {
            one(format_args!("{command}.self.{label}"), number, [command, 0, address, 0, 0]);
        }
        let mut zero = Buffer::<256>::new();
        if ![5, 13].contains(&command) {
            one(format_args!("{command}.self.zero"), number, [command, 0, zero.address(), 0, 0]);
        }
        let mut ones = Buffer::<256>::filled(0xff);
        if ![5, 6, 8, 13].contains(&command) {
            one(format_args!("{command}.self.ones"), number, [command, 0, ones.address(), 0, 0]);
        }
    }
    for period in [0u64, 1, 999_999, 1_000_000, 1 << 62, u64::MAX] {
        let mut argument = Buffer::<8>::new().u64(0, period);
        one(format_args!("6.period{period}"), number, [6, 0, argument.address(), 0, 0]);
        one(format_args!("7.period{period}"), number, [7, 0, 0, 0, 0]);
    }
}

/// physdev_op: not with zeros where that would touch a real device or line.
pub fn physdev() {
    let number = number::PHYSDEV_OP;
    bad_command_pointers(number, (0..34).chain(BIG));
    let harmless = |command: &u64| ![9, 10, 13, 15, 16, 20, 21, 24, 25, 26, 29, 30, 31].contains(command);
    filled(number, (0..34).filter(harmless), 0, Output::Hide);
    filled(number, (0..34).filter(|command| ![9, 15, 16, 20, 24, 25, 26, 29].contains(command)), 0xff, Output::Hide);
    for level in 0..6u32 {
        let mut argument = Buffer::<8>::new().u32(0, level);
        one(format_args!("6.iopl{level}"), number, [6, argument.address(), 0, 0, 0]);
    }
    for (pointer, ports) in
        [(0u64, 0u32), (0, 65536), (0, 65537), (0x8000_0000_0000, 65536), (0xffff_8300_0000_0000, 1)]
    {
        let mut argument = Buffer::<16>::new().u64(0, pointer).u32(8, ports);
        one(format_args!("7.{pointer:x}.{ports}"), number, [7, argument.address(), 0, 0, 0]);
    }
    for irq in [0u32, 1, 15, 16, 207, 208, 1024, 0x7fff_ffff, u32::MAX] {
        let mut argument = Buffer::<8>::new().u32(0, irq);
        one(format_args!("5.irq{irq}"), number, [5, argument.address(), 0, 0, 0]);
        one(format_args!("12.irq{irq}"), number, [12, argument.address(), 0, 0, 0]);
        let mut unmap = Buffer::<8>::new().u16(0, DOMID_SELF as u16).u32(4, irq);
        one(format_args!("14.irq{irq}"), number, [14, unmap.address(), 0, 0, 0]);
    }
    for (label, domain, kind, index, pirq) in [
        ("no-domain", 1u16, 1u32, 1u32, u32::MAX),
        ("bad-type", DOMID_SELF as u16, 9, 0, u32::MAX),
        ("bad-gsi", DOMID_SELF as u16, 1, 5000, u32::MAX),
        ("negative-gsi", DOMID_SELF as u16, 1, u32::MAX, u32::MAX),
        ("no-device", DOMID_SELF as u16, 0, 0, u32::MAX),
        ("unknown", DOMID_SELF as u16, 2, 0, u32::MAX),
    ] {
        let mut map = Buffer::<40>::new().u16(0, domain).u32(4, kind).u32(8, index).u32(12, pirq).u32(16, 0xff);
        one(format_args!("13.{label}"), number, [13, map.address(), 0, 0, 0]);
    }
    bad_command_pointers(number::PHYSDEV_OP_COMPAT, 0..1);
}

/// platform_op: version first, then what a zeroed body gives.
pub fn platform() {
    let number = number::PLATFORM_OP;
    for (label, address) in bad_pointers() {
        one(format_args!("{label}"), number, [address, 0, 0, 0, 0]);
    }
    for version in [0u32, 0x0300_0000, 0x0300_0002, u32::MAX] {
        let mut argument = Buffer::<136>::new().u32(0, 50).u32(4, version);
        one(format_args!("version{version:x}"), number, [argument.address(), 0, 0, 0, 0]);
    }
    let harmless =
        |command: &u32| ![17, 31, 32, 33, 35, 48, 51, 52, 53, 55, 56, 57, 58, 59, 60, 62, 64, 66].contains(command);
    for command in (0..70u32).filter(harmless).chain([u32::MAX]) {
        let mut argument = Buffer::<136>::new().u32(0, command).u32(4, 0x0300_0001);
        one(format_args!("{command}.zero"), number, [argument.address(), 0, 0, 0, 0]);
    }
    for (kind, index) in [(1u32, 0u32), (1, 200), (2, 200), (3, 0), (4, 0), (4, 1), (4, 7), (5, 0), (6, 0), (99, 0)] {
        let mut argument = Buffer::<136>::new().u32(0, 50).u32(4, 0x0300_0001).u32(8, kind).u32(12, index);
        one(format_args!("50.type{kind}.index{index}"), number, [argument.address(), 0, 0, 0, 0]);
    }
    let mut time = Buffer::<136>::new().u32(0, 62).u32(4, 0x0300_0001).u64(8, 1_000_000_000).u32(16, 5).u32(20, 1);
    one(format_args!("62.mbz"), number, [time.address(), 0, 0, 0, 0]);
}

/// Families of which only the gate is tried: copy, interface version, privilege.
pub fn others() {
    for number in [number::SYSCTL, number::DOMCTL] {
        for (label, address) in bad_pointers() {
            one(format_args!("{label}"), number, [address, 0, 0, 0, 0]);
        }
        for version in [0u32, 0x14, u32::MAX] {
            let mut argument = Buffer::<144>::new().u32(0, 5).u32(4, version).u16(8, 1);
            one(format_args!("version{version:x}"), number, [argument.address(), 0, 0, 0, 0]);
        }
    }
    bad_command_pointers(number::HVM_OP, 0..2);
    filled(number::HVM_OP, [0u64, 1].into_iter(), 0xff, Output::Hide);
    bad_command_pointers(number::KEXEC_OP, 1..2);
    bad_command_pointers(number::XENPMU_OP, 0..9);
    one(format_args!("1"), number::XSM_OP, [0xffff_8300_0000_0000, 0, 0, 0, 0]);
}
