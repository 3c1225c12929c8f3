//! Interrupts of a real device, an e1000e: its line by level, then MSI, then MSI-X. Each is raised by hand, must arrive
//! at its event channel, and must come again or stay away as it is ended and acknowledged.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::e1000e::{Device, LINK, OTHER, VECTORS};
use compat_guests::events;
use compat_guests::pci::{self, Map};
use compat_guests::report::{check, result, value_at};
use compat_guests::{memory, number, time};

compat_guests::guest!(main);

fn main() {
    memory::shared_info();
    pci::physdev(6, &mut Buffer::<8>::new().u32(0, 1));
    let Some(device) = Device::find() else {
        value_at(format_args!("device"), 0);
        return;
    };
    value_at(format_args!("device"), 1);
    pci::announce(device.devfn);
    line(&device);
    message(&device);
    restored(&device);
    rate(&device);
    table(&device);
}

fn bind(pirq: u32) -> Option<u32> {
    let mut argument = Buffer::<12>::new().u32(0, pirq).u32(4, 1);
    (events::operation(2, &mut argument) == 0).then(|| argument.get_u32(8))
}

fn end(pirq: u32) -> i64 {
    pci::physdev(12, &mut Buffer::<8>::new().u32(0, pirq))
}

/// Whether the event comes within a while; it is taken then.
fn comes(port: u32) -> u64 {
    for _ in 0..200_000 {
        if events::is_pending(port) != 0 {
            events::clear_pending(port);
            return 1;
        }
        core::hint::spin_loop();
    }
    0
}

fn line(device: &Device) {
    device.quiet();
    let mut ports = [None; 8];
    for (slot, line) in ports.iter_mut().zip(16..24) {
        pci::setup_line(line, 1, 0);
        let (outcome, _) = Map::line(line as i32, line as i32).call();
        result(format_args!("line.map.{line}"), outcome);
        *slot = bind(line);
    }
    device.raise(LINK);
    for _ in 0..200_000 {
        if ports.iter().flatten().any(|port| events::is_pending(*port) != 0) {
            break;
        }
    }
    let found =
        (16..24).zip(ports).find_map(|(line, port)| port.filter(|port| comes_now(*port)).map(|port| (line, port)));
    value_at(format_args!("line.found"), found.map_or(0, |(line, _)| u64::from(line)));
    if let Some((line, port)) = found {
        // Xen opens a line by itself when its guest takes longer than a millisecond: whether it comes now is not compared.
        let _ = comes(port);
        result(format_args!("line.end"), end(line));
        value_at(format_args!("line.again"), comes(port));
        device.quiet();
        settle(port);
        result(format_args!("line.end2"), end(line));
        value_at(format_args!("line.quiet"), comes(port));
        device.raise(LINK);
        value_at(format_args!("line.new"), comes(port));
        let mut moved = Buffer::<8>::new().u32(0, port).u32(4, 0);
        result(format_args!("line.move"), events::operation(8, &mut moved));
        result(format_args!("line.close"), events::on_port(3, port));
        let port = bind(line);
        value_at(format_args!("line.bound-again"), port.is_some().into());
        if let Some(port) = port {
            value_at(format_args!("line.still-raised"), comes(port));
            device.quiet();
            settle(port);
            end(line);
            value_at(format_args!("line.quiet2"), comes(port));
            device.raise(LINK);
            value_at(format_args!("line.before-unmap"), comes(port));
            let mut gone = Buffer::<8>::new().u16(0, number::DOMID_SELF as u16).u32(4, line);
            result(format_args!("line.unmap"), pci::physdev(14, &mut gone));
            result(format_args!("line.end3"), end(line));
            value_at(format_args!("line.unmapped"), comes(port));
        }
    }
    device.quiet();
    for port in ports.into_iter().flatten() {
        events::on_port(3, port);
    }
}

/// Takes what else comes: the device repeats itself when its timers say so, and a line when its guest took too long.
fn settle(port: u32) {
    for _ in 0..10 {
        if comes(port) == 0 {
            return;
        }
    }
}

fn comes_now(port: u32) -> bool {
    let is_pending = events::is_pending(port) != 0;
    events::clear_pending(port);
    is_pending
}

fn message(device: &Device) {
    let Some(position) = pci::capability(device.devfn, 5) else { return };
    let (outcome, argument) = Map::message((0, device.devfn), 0, 0).call();
    result(format_args!("msi.map"), outcome);
    let pirq = argument.get_u32(12);
    let Some(port) = bind(pirq) else { return };
    pci::write(device.devfn, position + 2, 2, 1);
    value_at(format_args!("msi.before"), comes(port));
    device.raise(LINK);
    value_at(format_args!("msi.first"), comes(port));
    device.quiet();
    settle(port);
    device.raise(LINK);
    value_at(format_args!("msi.second"), comes(port));
    device.quiet();
    settle(port);
    result(format_args!("msi.close"), events::on_port(3, port));
    device.raise(LINK);
    value_at(format_args!("msi.closed"), comes(port));
    device.quiet();
    if let Some(port) = bind(pirq) {
        value_at(format_args!("msi.rebound"), comes(port));
        device.raise(LINK);
        value_at(format_args!("msi.third"), comes(port));
        device.quiet();
        events::on_port(3, port);
    }
    let mut gone = Buffer::<8>::new().u16(0, number::DOMID_SELF as u16).u32(4, pirq);
    result(format_args!("msi.unmap"), pci::physdev(14, &mut gone));
}

/// The device forgets its message, as after a reset; dom0 has it written back.
fn restored(device: &Device) {
    const RESTORE: u64 = 19;
    const RESTORE_EXT: u64 = 27;
    let Some(position) = pci::capability(device.devfn, 5) else { return };
    let (outcome, argument) = Map::message((0, device.devfn), 0, 0).call();
    result(format_args!("restore.map"), outcome);
    let pirq = argument.get_u32(12);
    let Some(port) = bind(pirq) else { return };
    pci::write(device.devfn, position + 2, 2, 1);
    for (label, command) in [("old", RESTORE), ("new", RESTORE_EXT)] {
        device.raise(LINK);
        value_at(format_args!("restore.{label}.before"), comes(port));
        device.quiet();
        settle(port);
        pci::write(device.devfn, position + 2, 2, 0);
        pci::write(device.devfn, position + 4, 4, 0);
        device.raise(LINK);
        value_at(format_args!("restore.{label}.forgotten"), comes(port));
        device.quiet();
        settle(port);
        let mut which = if command == RESTORE {
            Buffer::<8>::new().u16(0, (device.devfn as u16) << 8)
        } else {
            Buffer::<8>::new().u32(4, device.devfn << 8)
        };
        result(format_args!("restore.{label}"), pci::physdev(command, &mut which));
        value_at(format_args!("restore.{label}.control"), pci::read(device.devfn, position + 2, 2) as u64 & 1);
        device.raise(LINK);
        value_at(format_args!("restore.{label}.after"), comes(port));
        device.quiet();
        settle(port);
    }
    let mut nobody = Buffer::<8>::new().u16(0, 0xff00);
    result(format_args!("restore.nobody"), pci::physdev(RESTORE, &mut nobody));
    events::on_port(3, port);
    let mut gone = Buffer::<8>::new().u16(0, number::DOMID_SELF as u16).u32(4, pirq);
    result(format_args!("restore.unmap"), pci::physdev(14, &mut gone));
}

/// A storm: the device is raised without end, and may come so often only as `irq_ratelimit` says (50 in 10 ms here).
fn rate(device: &Device) {
    const SPAN: u64 = 200_000_000;
    const MOST: u32 = 2 * 50 * (SPAN / 10_000_000) as u32;
    let Some(position) = pci::capability(device.devfn, 5) else { return };
    let (_, argument) = Map::message((0, device.devfn), 0, 0).call();
    let pirq = argument.get_u32(12);
    let Some(port) = bind(pirq) else { return };
    pci::write(device.devfn, position + 2, 2, 1);
    let (mut raised, mut came) = (0u32, 0u32);
    let end = time::now() + SPAN;
    while time::now() < end {
        device.raise(LINK);
        raised += 1;
        came += u32::from(comes_now(port));
        device.quiet();
    }
    check("storm", (raised > 2 * MOST).into(), format_args!("{raised} raised"));
    check("held-back", (came > 0 && came <= MOST).into(), format_args!("{came} of {raised} came"));
    time::spin(50_000_000);
    settle(port);
    device.raise(LINK);
    value_at(format_args!("rate.afterwards"), comes(port));
    device.quiet();
    events::on_port(3, port);
    let mut gone = Buffer::<8>::new().u16(0, number::DOMID_SELF as u16).u32(4, pirq);
    result(format_args!("rate.unmap"), pci::physdev(14, &mut gone));
}

fn table(device: &Device) {
    let Some(position) = pci::capability(device.devfn, 0x11) else { return };
    let base = pci::base(device.devfn, pci::read(device.devfn, position + 4, 4) & 7);
    // Enabled and masked first, as Linux does.
    pci::write(device.devfn, position + 2, 2, 0xc000);
    let (outcome, argument) = Map::message((0, device.devfn), 1, base).call();
    result(format_args!("x.map"), outcome);
    let pirq = argument.get_u32(12);
    let Some(port) = bind(pirq) else { return };
    pci::write(device.devfn, position + 2, 2, 0x8000);
    // Cause "other" goes to vector 1 and is valid.
    device.write(VECTORS, 9 << 16);
    device.raise(OTHER | LINK);
    value_at(format_args!("x.first"), comes(port));
    device.quiet();
    settle(port);
    device.raise(OTHER | LINK);
    value_at(format_args!("x.second"), comes(port));
    device.quiet();
    settle(port);
    pci::write(device.devfn, position + 2, 2, 0xc000);
    device.raise(OTHER | LINK);
    value_at(format_args!("x.all-masked"), comes(port));
    pci::write(device.devfn, position + 2, 2, 0x8000);
    value_at(format_args!("x.all-open"), comes(port));
    result(format_args!("x.close"), events::on_port(3, port));
    device.quiet();
    device.raise(OTHER | LINK);
    value_at(format_args!("x.closed"), comes(port));
    let mut gone = Buffer::<8>::new().u16(0, number::DOMID_SELF as u16).u32(4, pirq);
    result(format_args!("x.unmap"), pci::physdev(14, &mut gone));
    device.quiet();
}
