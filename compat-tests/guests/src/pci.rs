//! PCI configuration space through the data ports, and the calls about interrupts that go with it.
//!
//! Source: PCI Local Bus 3.0 §3.2.2.3.2 and §6; public header `physdev.h`.

use core::arch::asm;

use crate::buffer::Buffer;
use crate::hypercall::call2;
use crate::number;

/// Kinds of map_pirq.
pub const LINE: u32 = 1;
/// See above: a message, the segment above the bus.
pub const MESSAGE: u32 = 3;

/// Writes a 32-bit port.
pub fn out32(port: u16, value: u32) {
    // SAFETY: port I/O of a dom0 has no effect on this program's memory.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value) };
}

/// Reads a 32-bit port.
pub fn in32(port: u16) -> u32 {
    let value: u32;
    // SAFETY: as in `out32`.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value) };
    value
}

fn select(devfn: u32, offset: u32) -> u16 {
    out32(0xcf8, 1 << 31 | devfn << 8 | offset & !3);
    0xcfc + (offset & 3) as u16
}

/// Reads 1, 2 or 4 bytes of a function on bus 0.
pub fn read(devfn: u32, offset: u32, width: u32) -> u32 {
    let port = select(devfn, offset);
    let value: u32;
    // SAFETY: as in `out32`.
    unsafe {
        match width {
            1 => asm!("in al, dx", in("dx") port, inout("eax") 0 => value),
            2 => asm!("in ax, dx", in("dx") port, inout("eax") 0 => value),
            _ => asm!("in eax, dx", in("dx") port, inout("eax") 0 => value),
        }
    }
    value
}

/// Writes 1, 2 or 4 bytes of a function on bus 0.
pub fn write(devfn: u32, offset: u32, width: u32, value: u32) {
    let port = select(devfn, offset);
    // SAFETY: as in `out32`.
    unsafe {
        match width {
            1 => asm!("out dx, al", in("dx") port, in("eax") value),
            2 => asm!("out dx, ax", in("dx") port, in("eax") value),
            _ => asm!("out dx, eax", in("dx") port, in("eax") value),
        }
    }
}

/// Where a function has a capability.
pub fn capability(devfn: u32, kind: u32) -> Option<u32> {
    if read(devfn, 0, 2) == 0xffff || read(devfn, 6, 2) & 0x10 == 0 {
        return None;
    }
    let mut position = read(devfn, 0x34, 1) & !3;
    for _ in 0..48 {
        if position < 0x40 {
            return None;
        }
        if read(devfn, position, 1) == kind {
            return Some(position);
        }
        position = read(devfn, position + 1, 1) & !3;
    }
    None
}

/// First function of bus 0 with a capability, and where it has it.
pub fn find(kind: u32) -> Option<(u32, u32)> {
    (0..256).find_map(|devfn| capability(devfn, kind).map(|position| (devfn, position)))
}

/// Machine address of a memory BAR.
pub fn base(devfn: u32, bar: u32) -> u64 {
    let low = read(devfn, 0x10 + 4 * bar, 4);
    let high = if low & 6 == 4 { read(devfn, 0x14 + 4 * bar, 4) } else { 0 };
    u64::from(low & !0xf) | u64::from(high) << 32
}

/// A physdev operation on an argument block; gives back the call's result.
pub fn physdev<const N: usize>(command: u64, argument: &mut Buffer<N>) -> i64 {
    call2(number::PHYSDEV_OP, command, argument.address())
}

/// Announces a function of bus 0.
pub fn announce(devfn: u32) -> i64 {
    physdev(25, &mut Buffer::<16>::new().u16(2, (devfn << 8) as u16))
}

/// Says how a line signals: trigger 1 for level, polarity 1 for low.
pub fn setup_line(line: u32, trigger: u8, polarity: u8) -> i64 {
    physdev(21, &mut Buffer::<8>::new().u32(0, line).u16(4, u16::from(trigger) | u16::from(polarity) << 8))
}

/// What map_pirq is asked for.
#[derive(Clone, Copy)]
pub struct Map {
    /// Whose.
    pub domain: u16,
    /// Kind.
    pub kind: u32,
    /// Line, or -1.
    pub index: i32,
    /// Wanted number, or -1.
    pub pirq: i32,
    /// Bus and segment, device and function.
    pub device: (u32, u32),
    /// Entry or count.
    pub entry: i32,
    /// Base of the table's memory.
    pub table: u64,
}

impl Map {
    /// A line under a number.
    pub const fn line(line: i32, pirq: i32) -> Self {
        Map { domain: number::DOMID_SELF as u16, kind: LINE, index: line, pirq, device: (0, 0), entry: 0, table: 0 }
    }

    /// A message of a function, under any number.
    pub const fn message(device: (u32, u32), entry: i32, table: u64) -> Self {
        Map { domain: number::DOMID_SELF as u16, kind: MESSAGE, index: -1, pirq: -1, device, entry, table }
    }

    /// Asks; the result and what the call wrote back.
    pub fn call(self) -> (i64, Buffer<40>) {
        let mut argument = Buffer::<40>::new()
            .u16(0, self.domain)
            .u32(4, self.kind)
            .u32(8, self.index as u32)
            .u32(12, self.pirq as u32)
            .u32(16, self.device.0)
            .u32(20, self.device.1)
            .u32(24, self.entry as u32)
            .u64(32, self.table);
        (physdev(13, &mut argument), argument)
    }
}
