//! Interrupts of an emulated device (QEMU's "edu"), from the write that raises one to dom0's handler and back.

use super::{entries, upcalls};
use compat_guests::buffer::Buffer;
use compat_guests::cost::row_told;
use compat_guests::events;
use compat_guests::number::{self, event};
use compat_guests::pci::{self, Map};
use compat_guests::{memory, time};
use core::sync::atomic::Ordering;

/// The device's identity, and its registers: causes are raised and acknowledged by writing them.
const IDENTITY: u32 = 0x11e8_1234;
const RAISE: u64 = 0x60;
const ACKNOWLEDGE: u64 = 0x64;
/// `PHYSDEVOP_eoi`, `PHYSDEVOP_unmap_pirq`.
const END: u64 = 12;
const UNMAP: u64 = 14;
/// Lines that a PCI function may be wired to.
const LINES: core::ops::Range<u32> = 16..24;
/// Message signalled interrupts among the capabilities.
const MESSAGES: u32 = 5;

/// All rows of this family.
pub fn measure() {
    let Some(devfn) = (0..256).find(|devfn| pci::read(*devfn, 0, 4) == IDENTITY) else { return };
    pci::write(devfn, 4, 2, 6);
    let Some(registers) = memory::window(pci::base(devfn, 0) >> 12) else { return };
    pci::announce(devfn);
    line(registers);
    let (outcome, argument) = Map::message((0, devfn), 0, 0).call();
    if let (0, Some(position)) = (outcome, pci::capability(devfn, MESSAGES)) {
        let pirq = argument.get_u32(12);
        if let Some(port) = bind(pirq) {
            let control = pci::read(devfn, position + 2, 2);
            pci::write(devfn, position + 2, 2, control | 1);
            rows(
                ["device interrupt by message, to the handler", "device interrupt by message, handled and ended"],
                registers,
                pirq,
                port,
            );
            events::on_port(event::CLOSE, port);
        }
        pci::physdev(UNMAP, &mut Buffer::<8>::new().u16(0, number::DOMID_SELF as u16).u32(4, pirq));
    }
}

fn bind(pirq: u32) -> Option<u32> {
    let mut argument = Buffer::<12>::new().u32(0, pirq).u32(4, 1);
    (events::operation(event::BIND_PIRQ, &mut argument) == 0).then(|| argument.get_u32(8))
}

fn write(register: u64, value: u32) {
    // SAFETY: a mapped page of device registers.
    unsafe { (register as *mut u32).write_volatile(value) };
}

fn end(pirq: u32) {
    pci::physdev(END, &mut Buffer::<8>::new().u32(0, pirq));
}

/// Finds the device's line by raising it.
fn line(registers: u64) {
    let mut ports = [None; LINES.end as usize - LINES.start as usize];
    for (slot, line) in ports.iter_mut().zip(LINES) {
        pci::setup_line(line, 1, 0);
        Map::line(line as i32, line as i32).call();
        *slot = bind(line);
    }
    write(registers + RAISE, 1);
    let is_raised = |port: &u32| events::is_pending(*port) != 0;
    for _ in 0..1000 {
        if ports.iter().flatten().any(is_raised) {
            break;
        }
    }
    write(registers + ACKNOWLEDGE, 1);
    if let Some((line, port)) = LINES.zip(ports).find_map(|(line, port)| Some((line, port.filter(is_raised)?))) {
        events::clear_pending(port);
        end(line);
        rows(
            ["device interrupt by line, to the handler", "device interrupt by line, handled and ended"],
            registers,
            line,
            port,
        );
    }
    for port in ports.into_iter().flatten() {
        events::on_port(event::CLOSE, port);
    }
}

fn rows([to_handler, to_end]: [&str; 2], registers: u64, pirq: u32, port: u32) {
    upcalls::watch(0, port);
    events::drain(0);
    upcalls::with_upcalls(&entries::entry_stamped, || {
        let interrupt = || {
            let taken = entries::TAKEN[0].load(Ordering::SeqCst);
            let before = time::tsc();
            write(registers + RAISE, 1);
            while entries::TAKEN[0].load(Ordering::SeqCst) == taken {
                core::hint::spin_loop();
            }
            let handled = entries::STAMP.load(Ordering::SeqCst);
            write(registers + ACKNOWLEDGE, 1);
            end(pirq);
            (handled - before, time::tsc() - before)
        };
        row_told(to_handler, |_| interrupt().0);
        row_told(to_end, |_| interrupt().1);
    });
}
