//! The grant operations on tables of version 2, each printing what it answers.

use core::fmt::Arguments;

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call3, update_va_mapping};
use compat_guests::memory;
use compat_guests::number;
use compat_guests::report::{result, value_at};

const MAP: u64 = 0;
const UNMAP: u64 = 1;
const SETUP: u64 = 2;
const TRANSFER: u64 = 4;
const COPY: u64 = 5;
const QUERY: u64 = 6;
const SET_VERSION: u64 = 8;
const STATUS_FRAMES: u64 = 9;
const GET_VERSION: u64 = 10;
const SWAP: u64 = 11;
const SELF: u16 = number::DOMID_SELF as u16;

/// Map for devices.
pub const DEVICE: u32 = 1;
/// Map for the CPU.
pub const HOST: u32 = 2;
/// Map without the right to write.
pub const MAP_READ_ONLY: u32 = 4;

/// An entry that lends a frame.
pub const PERMIT: u16 = 1;
/// An entry that takes a frame.
pub const ACCEPT_TRANSFER: u16 = 2;
/// An entry that passes a grant on.
pub const TRANSITIVE: u16 = 3;
/// Lent for reading only.
pub const ENTRY_READ_ONLY: u16 = 4;
/// Lent in part.
pub const SUB_PAGE: u16 = 0x100;

fn operation<const N: usize>(command: u64, argument: &mut Buffer<N>) -> i64 {
    call3(number::GRANT_TABLE_OP, command, argument.address(), 1)
}

fn show_status(label: Arguments<'_>, status: u16) {
    value_at(format_args!("{label}.status"), status.into());
}

/// An entry of version 2.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Type and flags.
    pub flags: u16,
    /// Whom it is for.
    pub domain: u16,
    /// First byte lent in part.
    pub offset: u16,
    /// Bytes lent in part.
    pub length: u16,
    /// The frame.
    pub frame: u64,
}

impl Entry {
    /// An entry about a whole page.
    pub const fn full(flags: u16, domain: u16, frame: u64) -> Self {
        Entry { flags, domain, offset: 0, length: 0, frame }
    }

    /// An entry that lends part of a page to this domain.
    pub const fn part(flags: u16, frame: u64, offset: u16, length: u16) -> Self {
        Entry { flags: flags | PERMIT | SUB_PAGE, domain: 0, offset, length, frame }
    }
}

/// The mapped table.
pub struct Table {
    /// Its first frame of entries.
    pub entries: u64,
    /// Its first frame of status words.
    pub status: u64,
}

impl Table {
    /// Makes an entry.
    pub fn write(&self, reference: u64, made: Entry) {
        let at = self.entries + reference * 16;
        memory::write(at, 0);
        memory::write(at + 8, made.frame);
        let parts = [made.flags, made.domain, made.offset, made.length];
        memory::write(at, parts.iter().rev().fold(0, |word, &part| word << 16 | u64::from(part)));
    }

    /// Maps the frame of status words that there is now.
    pub fn map_status(&self) {
        let list = memory::page();
        let mut argument = Buffer::<16>::new().u32(0, 1).u16(4, SELF).u64(8, list);
        operation(STATUS_FRAMES, &mut argument);
        update_va_mapping(self.status, memory::entry(memory::read(list), memory::DATA), memory::INVLPG);
    }

    /// The status word of an entry.
    pub fn status(&self, reference: u64) -> u64 {
        let at = self.status + reference * 2;
        memory::read(at & !7) >> ((at & 7) * 8) & 0xffff
    }

    /// Writes the status word of an entry, as a guest should not.
    pub fn write_status(&self, reference: u64, value: u64) {
        let at = self.status + reference * 2;
        let shift = (at & 7) * 8;
        memory::write(at & !7, memory::read(at & !7) & !(0xffff << shift) | value << shift);
    }

    /// Prints both words of an entry that say how it is used.
    pub fn show(&self, label: &str, reference: u64) {
        self.show_at(format_args!("{label}"), reference);
    }

    /// The same, with a label that is put together.
    pub fn show_at(&self, label: Arguments<'_>, reference: u64) {
        value_at(format_args!("{label}.entry"), memory::read(self.entries + reference * 16));
        if memory::l1_entry(self.status) & memory::P != 0 {
            value_at(format_args!("{label}.uses"), self.status(reference));
        }
    }
}

/// set_version.
pub fn set_version(label: Arguments<'_>, version: u32) {
    let mut argument = Buffer::<4>::new().u32(0, version);
    result(format_args!("{label}"), operation(SET_VERSION, &mut argument));
    value_at(format_args!("{label}.value"), argument.get_u32(0).into());
}

/// get_version of this domain.
pub fn get_version(label: Arguments<'_>) {
    let mut argument = Buffer::<8>::new().u16(0, SELF);
    result(format_args!("{label}"), operation(GET_VERSION, &mut argument));
    value_at(format_args!("{label}.value"), argument.get_u32(4).into());
}

/// setup_table of this domain.
pub fn setup(label: Arguments<'_>, count: u32, list: u64) {
    let mut argument = Buffer::<24>::new().u16(0, SELF).u32(4, count).u64(16, list);
    result(format_args!("{label}"), operation(SETUP, &mut argument));
    show_status(label, argument.get_u16(8));
}

/// query_size of this domain.
pub fn query(label: Arguments<'_>) {
    let mut argument = Buffer::<16>::new().u16(0, SELF);
    result(format_args!("{label}"), operation(QUERY, &mut argument));
    value_at(format_args!("{label}.frames"), argument.get_u32(4).into());
    value_at(format_args!("{label}.most"), argument.get_u32(8).into());
}

/// get_status_frames.
pub fn status_frames(label: Arguments<'_>, domain: u16, count: u32, list: u64) {
    let mut argument = Buffer::<16>::new().u32(0, count).u16(4, domain).u64(8, list);
    result(format_args!("{label}"), operation(STATUS_FRAMES, &mut argument));
    show_status(label, argument.get_u16(6));
}

/// map_grant_ref of an entry of this domain's: its status and handle.
pub fn map(label: Arguments<'_>, address: u64, flags: u32, reference: u32) -> (u16, u32) {
    let mut argument = Buffer::<32>::new().u64(0, address).u32(8, flags).u32(12, reference);
    result(format_args!("{label}"), operation(MAP, &mut argument));
    show_status(label, argument.get_u16(18));
    (argument.get_u16(18), argument.get_u32(20))
}

/// unmap_grant_ref.
pub fn unmap(label: Arguments<'_>, address: u64, bus: u64, handle: u32) {
    let mut argument = Buffer::<24>::new().u64(0, address).u64(8, bus).u32(16, handle);
    result(format_args!("{label}"), operation(UNMAP, &mut argument));
    show_status(label, argument.get_u16(20));
}

/// copy between two entries of this domain's, each with an offset.
pub fn copy(label: Arguments<'_>, from: (u64, u16), to: (u64, u16), length: u16) {
    let mut argument =
        Buffer::<40>::new().u64(0, from.0).u16(10, from.1).u64(16, to.0).u16(26, to.1).u16(32, length).u16(34, 3);
    result(format_args!("{label}"), operation(COPY, &mut argument));
    show_status(label, argument.get_u16(36));
}

/// swap_grant_ref.
pub fn swap(first: u32, second: u32) {
    let mut argument = Buffer::<12>::new().u32(0, first).u32(4, second);
    result(format_args!("swap.{first}.{second}"), operation(SWAP, &mut argument));
    show_status(format_args!("swap.{first}.{second}"), argument.get_u16(8));
}

/// transfer of a frame to this domain itself.
pub fn transfer(label: Arguments<'_>, frame: u64, reference: u32) {
    let mut argument = Buffer::<24>::new().u64(0, frame).u32(12, reference);
    result(format_args!("{label}"), operation(TRANSFER, &mut argument));
    show_status(label, argument.get_u16(16));
}
