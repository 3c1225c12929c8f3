//! Device interrupts as a dom0 sets them up: lines, pirqs, messages, PCI functions, configuration space.
//!
//! Every answer is compared with Xen's. Devices are found by their capabilities, so that the test says little about the
//! machine; what a machine lacks is not asked.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::events;
use compat_guests::hypercall::call2;
use compat_guests::pci::{Map, base, find, physdev, read, setup_line, write};
use compat_guests::report::{result, value_at};
use compat_guests::{memory, number};

mod configuration;

compat_guests::guest!(main);

const SELF: u16 = number::DOMID_SELF as u16;

fn main() {
    memory::shared_info();
    physdev(6, &mut Buffer::<8>::new().u32(0, 1));
    io_apics();
    lines();
    free_numbers();
    eoi_page();
    functions();
    messages();
    configuration::space();
    configuration::windows();
}

fn io_apics() {
    for (base, register) in [
        (0xfec0_0000u64, 0u32),
        (0xfec0_0000, 1),
        (0xfec0_0000, 2),
        (0xfec0_0000, 5),
        (0xfec0_0000, 0x10),
        (0xfec0_0000, 0x11),
        (0xfec0_0000, 0x14),
        (0xfec0_0000, 0x15),
        (0xfec0_0000, 0x22),
        (0xfec0_0000, 0x30),
        (0xfec0_0000, 0x3e),
        (0xfec0_0000, 0x3f),
        (0xfec0_0000, 0x40),
        (0xfec0_0000, 0x101),
        (0xfec0_0000, u32::MAX),
        (0xfec0_0004, 1),
        (0, 1),
    ] {
        let mut argument = Buffer::<16>::new().u64(0, base).u32(8, register).u32(12, 0x5555);
        result(format_args!("apic_read.{base:x}.{register:x}"), physdev(8, &mut argument));
        // What an entry in use holds is the hypervisor's choice.
        if ![0x14, 0x15, 0x22].contains(&register) {
            value_at(format_args!("apic_read.{base:x}.{register:x}.value"), argument.get_u32(12).into());
        }
    }
    for (base, register, value) in [
        (0xfec0_0000u64, 0u32, 0u32),
        (0xfec0_0000, 1, 0),
        (0xfec0_0000, 0x11, 0),
        (0xfec0_0000, 0x28, 0x1_0000),
        (0xfec0_0000, 0x18, 0x1_00ff),
        (0xfec0_1000, 0x10, 0x1_0000),
    ] {
        let mut argument = Buffer::<16>::new().u64(0, base).u32(8, register).u32(12, value);
        result(format_args!("apic_write.{base:x}.{register:x}.{value:x}"), physdev(9, &mut argument));
    }
}

fn map(domain: u16, kind: u32, index: i32, pirq: i32, device: (u32, u32), entry: i32, table: u64) -> (i64, Buffer<40>) {
    Map { domain, kind, index, pirq, device, entry, table }.call()
}

fn map_and_tell(label: core::fmt::Arguments<'_>, call: (i64, Buffer<40>)) -> u32 {
    let (outcome, argument) = call;
    result(format_args!("{label}"), outcome);
    value_at(format_args!("{label}.pirq"), argument.get_u32(12).into());
    value_at(format_args!("{label}.kind"), argument.get_u32(4).into());
    value_at(format_args!("{label}.entry"), argument.get_u32(24).into());
    argument.get_u32(12)
}

fn map_line(label: &str, gsi: i32, pirq: i32) -> u32 {
    map_and_tell(format_args!("map.{label}.{gsi}.{pirq}"), map(SELF, 1, gsi, pirq, (0, 0), 0, 0))
}

fn unmap(label: &str, domain: u16, pirq: i32) {
    let mut argument = Buffer::<8>::new().u16(0, domain).u32(4, pirq as u32);
    result(format_args!("unmap.{label}.{pirq}"), physdev(14, &mut argument));
}

fn status(label: &str, pirq: u32) {
    let mut argument = Buffer::<8>::new().u32(0, pirq).u32(4, 0x5555);
    result(format_args!("status.{label}.{pirq}"), physdev(5, &mut argument));
    value_at(format_args!("status.{label}.{pirq}.flags"), argument.get_u32(4).into());
}

fn eoi(label: &str, pirq: u32) {
    result(format_args!("eoi.{label}.{pirq}"), physdev(12, &mut Buffer::<8>::new().u32(0, pirq)));
}

fn bind(label: &str, pirq: u32, flags: u32) -> Option<u32> {
    let mut argument = Buffer::<12>::new().u32(0, pirq).u32(4, flags);
    let outcome = events::operation(2, &mut argument);
    result(format_args!("bind.{label}.{pirq}"), outcome);
    (outcome == 0).then(|| argument.get_u32(8))
}

fn close(port: u32) {
    result(format_args!("close"), events::on_port(3, port));
}

fn lines() {
    for gsi in [0u32, 1, 2, 4, 8, 9, 10, 15, 16, 17, 23, 24, 100, u32::MAX] {
        result(format_args!("setup.{gsi}"), setup_line(gsi, 1, 1));
        result(format_args!("setup.{gsi}.again"), setup_line(gsi, 1, 1));
        result(format_args!("setup.{gsi}.else"), setup_line(gsi, 0, 0));
    }
    result(format_args!("setup.22.odd"), setup_line(22, 7, 9));
    for gsi in [-1, 0, 1, 2, 4, 9, 16, 17, 18, 23, 24, 200, i32::MIN] {
        map_line("own", gsi, gsi);
        map_line("again", gsi, gsi);
        map_line("any", gsi, -1);
    }
    for (gsi, pirq) in [(16, 17), (19, 16), (20, 30), (21, 5), (22, 100_000), (22, i32::MAX), (22, -7), (11, 200)] {
        map_line("other", gsi, pirq);
    }
    map_and_tell(format_args!("map.no-domain"), map(99, 1, 10, 10, (0, 0), 0, 0));
    map_and_tell(format_args!("map.self-id"), map(0, 1, 10, 10, (0, 0), 0, 0));
    map_and_tell(format_args!("map.kind9"), map(SELF, 9, 10, 10, (0, 0), 0, 0));
    map_and_tell(format_args!("map.kind9.no-domain"), map(99, 9, 10, 10, (0, 0), 0, 0));
    for pirq in [-1, 0, 1, 4, 9, 16, 17, 30, 5, 100_000] {
        status("mapped", pirq as u32);
        eoi("unbound", pirq as u32);
    }
    bound();
    for pirq in [-1, 0, 1, 4, 9, 16, 17, 18, 30, 5, 23, 24, 10, 200, 100_000] {
        unmap("mapped", SELF, pirq);
        unmap("again", SELF, pirq);
    }
    unmap("no-domain", 99, 16);
    result(format_args!("notify"), call2(number::PHYSDEV_OP, 4, 0));
    result(format_args!("free-vector"), physdev(11, &mut Buffer::<8>::new()));
    for operation in [0u32, 1, 2, 3] {
        for bus in [0u32, 1, 2] {
            let mut argument = Buffer::<8>::new().u32(0, operation | bus << 8);
            result(format_args!("dbgp.{operation}.{bus}"), physdev(29, &mut argument));
        }
    }
}

fn bound() {
    for pirq in [0, 3, 4, 9, 16, 17, 24, 50, 100_000, u32::MAX] {
        if let Some(port) = bind("first", pirq, 0) {
            bind("second", pirq, 0);
            bind("second-sharing", pirq, 1);
            status("bound", pirq);
            eoi("bound", pirq);
            eoi("bound-again", pirq);
            let mut about = Buffer::<24>::new().u16(0, SELF).u32(4, port);
            result(format_args!("port.{pirq}"), events::operation(5, &mut about));
            value_at(format_args!("port.{pirq}.status"), about.get_u32(8).into());
            value_at(format_args!("port.{pirq}.pirq"), about.get_u32(16).into());
            result(format_args!("port.{pirq}.send"), events::on_port(4, port));
            close(port);
            if let Some(port) = bind("sharing", pirq, 1) {
                status("sharing", pirq);
                if pirq == 17 {
                    unmap("bound", SELF, 17);
                    unmap("bound-again", SELF, 17);
                    status("forced", 17);
                    eoi("forced", 17);
                    bind("forced", 17, 0);
                    map_line("forced", 17, 17);
                    map_line("forced-any", 17, -1);
                    map_line("forced-other", 17, 31);
                }
                close(port);
                if pirq == 17 {
                    bind("after", 17, 0);
                    map_line("after", 17, 17);
                }
            }
        }
    }
}

fn free_numbers() {
    for kind in [0u32, 1, 1, 2, 3, 4, 9, u32::MAX] {
        let mut argument = Buffer::<8>::new().u32(0, kind);
        result(format_args!("free.{kind}"), physdev(23, &mut argument));
        value_at(format_args!("free.{kind}.pirq"), argument.get_u32(4).into());
        let pirq = argument.get_u32(4);
        status("reserved", pirq);
        bind("reserved", pirq, 0);
        eoi("reserved", pirq);
        if kind == 4 {
            unmap("reserved", SELF, pirq as i32);
            map_line("reserved", 14, pirq as i32);
            unmap("reserved-mapped", SELF, pirq as i32);
        }
    }
}

fn eoi_page() {
    for (label, gfn) in [
        ("none", u64::MAX),
        ("huge", 1 << 40),
        ("not-memory", 0xfec00),
        ("table", memory::mfn_of(compat_guests::start::pt_base())),
    ] {
        result(format_args!("eoi_page.{label}"), physdev(28, &mut Buffer::<8>::new().u64(0, gfn)));
    }
    setup_line(6, 1, 1);
    setup_line(13, 1, 1);
    map_line("page", 12, 12);
    map_line("page", 6, 6);
    let port = bind("page", 12, 0);
    let level = bind("page", 6, 0);
    let page = memory::page();
    let frame2 = memory::mfn_of(page);
    result(format_args!("eoi_page.good"), physdev(28, &mut Buffer::<8>::new().u64(0, frame2)));
    value_at(format_args!("eoi_page.words"), memory::read(page));
    value_at(format_args!("eoi_page.words1"), memory::read(page + 8));
    result(format_args!("eoi_page.again"), physdev(28, &mut Buffer::<8>::new().u64(0, frame2)));
    result(format_args!("eoi_page.v1"), physdev(17, &mut Buffer::<8>::new().u64(0, frame2)));
    status("page", 12);
    map_line("page", 13, 40);
    value_at(format_args!("eoi_page.map"), memory::read(page));
    let other = bind("page", 40, 0);
    value_at(format_args!("eoi_page.bind"), memory::read(page));
    status("page", 40);
    if let Some(port) = port {
        close(port);
    }
    value_at(format_args!("eoi_page.close"), memory::read(page));
    if let Some(port) = other {
        close(port);
    }
    value_at(format_args!("eoi_page.close2"), memory::read(page));
    if let Some(port) = level {
        close(port);
    }
    unmap("page", SELF, 6);
    unmap("page", SELF, 12);
    unmap("page", SELF, 40);
    eoi("unmapped", 40);
    value_at(format_args!("eoi_page.unmap"), memory::read(page));
}

fn device(command: u64, address: (u16, u32, u32)) -> i64 {
    let (segment, bus, devfn) = address;
    physdev(command, &mut Buffer::<8>::new().u16(0, segment).u16(2, (bus | devfn << 8) as u16))
}

fn functions() {
    for (segment, bus, devfn) in [(0u16, 0u32, 0u32), (0, 0, 0xfa), (0, 0, 0x90), (0, 7, 8), (1, 0, 0), (0, 255, 255)] {
        let label = format_args!("{segment}.{bus}.{devfn:x}");
        for command in [27u64, 30, 31] {
            result(format_args!("pci.{command}.{label}"), device(command, (segment, bus, devfn)));
        }
        let mut add = Buffer::<16>::new().u16(0, segment).u16(2, (bus | devfn << 8) as u16);
        result(format_args!("pci.add.{label}"), physdev(25, &mut add));
        result(format_args!("pci.add-again.{label}"), physdev(25, &mut add));
        for flags in [1u32, 2, 4, 8, 7] {
            let mut add = Buffer::<16>::new().u16(0, segment).u16(2, (bus | devfn << 8) as u16).u32(4, flags);
            result(format_args!("pci.add-flags{flags}.{label}"), physdev(25, &mut add));
        }
        // Not 30 and 31: Xen itself falls over a function without MSI-X.
        result(format_args!("pci.27.added.{label}"), device(27, (segment, bus, devfn)));
        if devfn != 0xfa {
            result(format_args!("pci.remove.{label}"), device(26, (segment, bus, devfn)));
            result(format_args!("pci.remove-again.{label}"), device(26, (segment, bus, devfn)));
            result(format_args!("pci.27.removed.{label}"), device(27, (segment, bus, devfn)));
        }
        let mut old = Buffer::<8>::new().u16(0, (bus | devfn << 8) as u16);
        result(format_args!("pci.old-add.{label}"), physdev(15, &mut old));
        result(format_args!("pci.old-restore.{label}"), physdev(19, &mut old));
        if devfn != 0xfa {
            result(format_args!("pci.old-remove.{label}"), physdev(16, &mut old));
        }
        result(format_args!("pci.add-last.{label}"), physdev(25, &mut add));
    }
}

fn messages() {
    map_and_tell(format_args!("msi.no-device"), map(SELF, 3, -1, -1, (5, 8), 0, 0));
    map_and_tell(format_args!("msi.no-device.multi"), map(SELF, 4, -1, -1, (5, 8), 1, 0));
    map_and_tell(format_args!("msi.no-device.x"), map(SELF, 3, -1, -1, (5, 8), 0, 0xfee0_0000));
    map_and_tell(format_args!("msi.no-capability"), map(SELF, 3, -1, -1, (0, 0), 0, 0));
    map_and_tell(format_args!("msi.no-capability.x"), map(SELF, 3, -1, -1, (0, 0), 0, 0x1000));
    for index in [0, 5, 16, 24, 30, 5000] {
        map_and_tell(format_args!("msi.index{index}"), map(SELF, 0, index, -1, (0, 0xfa), 0, 0));
    }
    for count in [-1, 0, 1, 2, 3, 4, 32, 33] {
        let pirq = map_and_tell(format_args!("msi.multi{count}"), map(SELF, 4, -1, -1, (0, 0), count, 0));
        unmap("multi", SELF, pirq as i32);
        map_and_tell(format_args!("msi.multi{count}.7"), map(SELF, 4, -1, 7, (0, 0), count, 0));
    }
    map_and_tell(format_args!("msi.multi-table"), map(99, 4, -1, -1, (0, 0), 1, 0x1000));
    if let Some((devfn, position)) = find(5) {
        plain(devfn, position);
    }
    if let Some((devfn, position)) = find(0x11) {
        table(devfn, position);
    }
}

fn show(label: core::fmt::Arguments<'_>, devfn: u32, position: u32, words: u32) {
    for word in 0..words {
        value_at(format_args!("{label}.{word}"), read(devfn, position + 4 * word, 4).into());
    }
}

fn plain(devfn: u32, position: u32) {
    let device = (0, devfn);
    let mut add = Buffer::<16>::new().u16(2, (devfn << 8) as u16);
    physdev(25, &mut add);
    value_at(format_args!("msi.control"), (read(devfn, position, 4) >> 16).into());
    let pirq = map_and_tell(format_args!("msi.map"), map(SELF, 3, -1, -1, device, 0, 0));
    value_at(format_args!("msi.mapped.control"), (read(devfn, position, 4) >> 16).into());
    value_at(format_args!("msi.mapped.address"), (read(devfn, position + 4, 4) & 0xfff0_0000).into());
    map_and_tell(format_args!("msi.map-again"), map(SELF, 3, -1, -1, device, 0, 0));
    map_and_tell(format_args!("msi.map-again-same"), map(SELF, 3, -1, pirq as i32, device, 0, 0));
    status("msi", pirq);
    if let Some(port) = bind("msi", pirq, 0) {
        value_at(format_args!("msi.bound.control"), (read(devfn, position, 4) >> 16).into());
        status("msi-bound", pirq);
        eoi("msi", pirq);
        for (width, value) in [(1, 0u32), (2, 0), (4, 0), (2, 1), (2, 0x71), (4, 0x71_0000), (2, 0xffff)] {
            let at = if width == 4 { position } else { position + 2 };
            write(devfn, at, width, value);
            value_at(format_args!("msi.write.{width}.{value:x}"), (read(devfn, position, 4) >> 16).into());
        }
        write(devfn, position + 4, 4, 0xfee0_1000);
        value_at(format_args!("msi.write.address"), (read(devfn, position + 4, 4)).into());
        write(devfn, position, 1, 0x55);
        value_at(format_args!("msi.write.id"), read(devfn, position, 2).into());
        result(format_args!("msi.restore"), self::device(27, (0, 0, devfn)));
        value_at(format_args!("msi.restored.control"), (read(devfn, position, 4) >> 16).into());
        value_at(format_args!("msi.restored.address"), (read(devfn, position + 4, 4) & 0xfff0_0000).into());
        close(port);
        value_at(format_args!("msi.closed.control"), (read(devfn, position, 4) >> 16).into());
    }
    unmap("msi", SELF, pirq as i32);
    value_at(format_args!("msi.unmapped.control"), (read(devfn, position, 4) >> 16).into());
    write(devfn, position + 2, 2, 1);
    value_at(format_args!("msi.unmapped.enabled"), (read(devfn, position, 4) >> 16).into());
    write(devfn, position + 2, 2, 0);
    value_at(format_args!("msi.unmapped.disabled"), (read(devfn, position, 4) >> 16).into());
    for (label, kind, index, entry) in [("plain", 0, -1, 0), ("entry7", 3, -1, 7), ("multi1", 4, -1, 1)] {
        let pirq = map_and_tell(format_args!("msi.{label}"), map(SELF, kind, index, -1, device, entry, 0));
        if (pirq as i32) > 0 {
            unmap(label, SELF, pirq as i32);
        }
    }
    let pirq = map_and_tell(format_args!("msi.as-x"), map(SELF, 3, -1, -1, device, 0, 0x1000));
    if (pirq as i32) > 0 {
        unmap("as-x", SELF, pirq as i32);
    }
}

fn table(devfn: u32, position: u32) {
    let device = (0, devfn);
    let mut add = Buffer::<16>::new().u16(2, (devfn << 8) as u16);
    physdev(25, &mut add);
    show(format_args!("x.capability"), devfn, position, 3);
    let at = read(devfn, position + 4, 4);
    let base = base(devfn, at & 7);
    value_at(format_args!("x.base-is-set"), (base != 0).into());
    let address = base + u64::from(at & !7);
    let count = (read(devfn, position + 2, 2) & 0x7ff) + 1;
    write(devfn, 4, 2, 0);
    map_and_tell(format_args!("x.no-decode"), map(SELF, 3, -1, -1, device, 0, base));
    write(devfn, 4, 2, 2);
    map_and_tell(format_args!("x.wrong-table"), map(SELF, 3, -1, -1, device, 0, base + 0x10_0000));
    map_and_tell(format_args!("x.beyond"), map(SELF, 3, -1, -1, device, count as i32, base));
    map_and_tell(format_args!("x.negative"), map(SELF, 3, -1, -1, device, -1, base));
    // As Linux does: a capability that is off when a vector is opened stays masked in Xen.
    write(devfn, position + 2, 2, 0xc000);
    let page = memory::window(address >> 12);
    value_at(format_args!("x.window-before"), page.is_some().into());
    if let Some(page) = page {
        value_at(format_args!("x.entry-before"), memory::l1_entry(page) & 0xfff);
    }
    let pirq = map_and_tell(format_args!("x.map0"), map(SELF, 3, -1, -1, device, 0, base));
    show(format_args!("x.mapped"), devfn, position, 1);
    map_and_tell(format_args!("x.map0-again"), map(SELF, 3, -1, -1, device, 0, base));
    let second = map_and_tell(format_args!("x.map1"), map(SELF, 3, -1, -1, device, 1, base));
    if let Some(page) = page {
        value_at(format_args!("x.window.vector-data"), memory::read(page + (at as u64 & 0xff8) + 8) >> 32);
    }
    let page = memory::window(address >> 12);
    if let Some(page) = page {
        value_at(format_args!("x.entry-after"), memory::l1_entry(page) & 0xfff);
        let outcome = compat_guests::trap::try_write(page, 0x1234);
        value_at(format_args!("x.table-write-faults"), outcome.is_err().into());
    }
    for command in [30u64, 31] {
        result(format_args!("x.busy.{command}"), self::device(command, (0, 0, devfn)));
    }
    let port = bind("x", pirq, 0);
    show(format_args!("x.bound"), devfn, position, 1);
    for (width, value) in [(2, 0u32), (2, 0xc000), (2, 0x8000), (4, 0), (1, 0), (2, 0x4000), (2, 0x8000)] {
        let at = if width == 4 { position } else { position + 2 };
        write(devfn, at, width, value);
        show(format_args!("x.write.{width}.{value:x}"), devfn, position, 1);
    }
    for offset in [4, 8] {
        write(devfn, position + offset, 4, 0xfff8);
        value_at(format_args!("x.write.{offset}"), read(devfn, position + offset, 4).into());
    }
    result(format_args!("x.restore"), self::device(27, (0, 0, devfn)));
    show(format_args!("x.restored"), devfn, position, 1);
    if let Some(port) = port {
        close(port);
    }
    // Highest first, so that no later number is given out twice meanwhile.
    for number in ((second as i32)..=pirq as i32 + 1).rev() {
        unmap("x", SELF, number);
        show(format_args!("x.unmapped{number}"), devfn, position, 1);
    }
    write(devfn, position + 2, 2, 0x8000);
    show(format_args!("x.idle-write"), devfn, position, 1);
    write(devfn, position + 2, 2, 0);
    show(format_args!("x.idle-off"), devfn, position, 1);
    for (step, command) in [31u64, 30, 30, 31, 31, 30].into_iter().enumerate() {
        result(format_args!("x.idle{step}.{command}"), self::device(command, (0, 0, devfn)));
    }
    show(format_args!("x.idle"), devfn, position, 1);
    let first = map_and_tell(format_args!("x.prepared-map"), map(SELF, 3, -1, -1, device, 0, base));
    map_and_tell(format_args!("x.prepared-map-beyond"), map(SELF, 3, -1, -1, device, count as i32, base));
    result(format_args!("x.release-busy"), self::device(31, (0, 0, devfn)));
    unmap("x-prepared", SELF, first as i32);
    result(format_args!("x.release"), self::device(31, (0, 0, devfn)));
    let again = map_and_tell(format_args!("x.last"), map(SELF, 0, -1, -1, device, count as i32 - 1, base));
    result(format_args!("x.remove-busy"), self::device(26, (0, 0, devfn)));
    unmap("last", SELF, again as i32);
}
