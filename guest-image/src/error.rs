//! Why an image is refused: one enum, one line each, always with the offending value.

use crate::unpack::Format;
use core::fmt;

/// A reason to refuse a kernel module. `Display` is one line fit for the console.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageError {
    /// The file ends before something that its headers promise.
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes that the file would have to have.
        need: u64,
        /// Bytes that it has.
        have: u64,
    },
    /// A bzImage whose boot protocol has no payload fields (before 2.08).
    OldBootProtocol(u16),
    /// The first bytes belong to no format that is known.
    UnknownFormat([u8; 4]),
    /// The unpacked size is larger than the caller allows.
    TooLarge {
        /// Size in bytes that the image asks for.
        size: u64,
        /// Largest size in bytes that the caller allows.
        limit: u64,
    },
    /// The heap cannot hold the unpacked kernel of this many bytes.
    OutOfMemory(u64),
    /// The payload does not unpack.
    Unpack(Format, UnpackError),
    /// The payload unpacked to fewer bytes than its size field says.
    ShortOutput {
        /// Bytes that came out.
        got: u64,
        /// Bytes that its size field says.
        expected: u64,
    },
    /// ELF class other than 64-bit (the value is `e_ident[EI_CLASS]`).
    NotElf64(u8),
    /// ELF data encoding other than little-endian (the value is `e_ident[EI_DATA]`).
    NotLittleEndian(u8),
    /// ELF machine other than x86-64.
    WrongMachine(u16),
    /// An ELF header field that cannot be.
    BadElf(&'static str, u64),
    /// No PT_LOAD segment with bytes in memory.
    NothingToLoad,
    /// A note that runs over the end of its segment; the value is its offset there.
    BadNote(u64),
    /// A note whose descriptor has an impossible size.
    BadNoteSize {
        /// Note type.
        kind: u32,
        /// Descriptor size in bytes.
        size: u64,
    },
    /// Neither Xen notes nor a `__xen_guest` section.
    NotXen,
    /// XEN_VERSION is absent or does not start with "xen-3.0".
    XenVersion(Text),
    /// Neither LOADER "generic" nor GUEST_OS "linux".
    Loader {
        /// The LOADER note.
        loader: Text,
        /// The GUEST_OS note.
        guest_os: Text,
    },
    /// PADDR_OFFSET without VIRT_BASE.
    PaddrOffsetAlone(u64),
    /// A number in the legacy section cannot be read.
    BadNumber(Text),
    /// A feature is required that nobody knows.
    UnknownFeature(Text),
    /// A feature is required that cannot be given to this guest.
    RequiredFeature(&'static str),
    /// SUPPORTED_FEATURES lacks the dom0 bit.
    NotDom0Capable(u32),
    /// VIRT_BASE is not page aligned.
    UnalignedBase(u64),
    /// The image's addresses wrap or are not canonical; the value is the segment's physical address.
    AddressOverflow(u64),
    /// The image starts below VIRT_BASE.
    BelowBase {
        /// Lowest virtual address of the image.
        start: u64,
        /// VIRT_BASE.
        base: u64,
    },
    /// The entry point lies outside the image.
    EntryOutside {
        /// Entry point.
        entry: u64,
        /// Lowest virtual address of the image.
        start: u64,
        /// First virtual address above it.
        end: u64,
    },
    /// INIT_P2M lies inside the image.
    P2mInKernel(u64),
    /// The image overlaps the hypervisor's virtual range; the value is its lowest address.
    OverlapsHypervisor(u64),
}

impl fmt::Display for ImageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { .. }
            | Self::OldBootProtocol(_)
            | Self::UnknownFormat(_)
            | Self::TooLarge { .. }
            | Self::OutOfMemory(_)
            | Self::Unpack(..)
            | Self::ShortOutput { .. } => self.fmt_container(formatter),
            Self::NotElf64(_)
            | Self::NotLittleEndian(_)
            | Self::WrongMachine(_)
            | Self::BadElf(..)
            | Self::NothingToLoad
            | Self::AddressOverflow(_)
            | Self::BelowBase { .. }
            | Self::EntryOutside { .. }
            | Self::P2mInKernel(_)
            | Self::OverlapsHypervisor(_)
            | Self::UnalignedBase(_) => self.fmt_elf(formatter),
            _ => self.fmt_notes(formatter),
        }
    }
}

impl ImageError {
    /// Errors of the outer file.
    fn fmt_container(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { what, need, have } => {
                write!(formatter, "kernel image truncated: {what} needs {need} bytes, file has {have}")
            }
            Self::OldBootProtocol(version) => {
                write!(formatter, "bzImage boot protocol {}.{:02} is older than 2.08", version >> 8, version & 0xff)
            }
            Self::UnknownFormat([a, b, c, d]) => {
                write!(formatter, "kernel image starts with {a:02x} {b:02x} {c:02x} {d:02x}: no known format")
            }
            Self::TooLarge { size, limit } => {
                write!(formatter, "kernel unpacks to {size} bytes, more than the {limit} allowed")
            }
            Self::OutOfMemory(size) => write!(formatter, "no memory for a kernel of {size} bytes"),
            Self::Unpack(format, error) => write!(formatter, "{format} payload does not unpack: {error}"),
            Self::ShortOutput { got, expected } => {
                write!(formatter, "kernel payload unpacked to {got} bytes instead of {expected}")
            }
            _ => Ok(()),
        }
    }

    /// Errors of the ELF file and its addresses.
    fn fmt_elf(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf64(1) => write!(formatter, "32-bit ELF kernel (class 1): only 64-bit PV kernels are supported"),
            Self::NotElf64(class) => write!(formatter, "ELF class {class} is not 64-bit"),
            Self::NotLittleEndian(data) => write!(formatter, "ELF data encoding {data} is not little-endian"),
            Self::WrongMachine(machine) => write!(formatter, "ELF machine {machine} is not x86-64 (62)"),
            Self::BadElf(what, value) => write!(formatter, "bad ELF file: {what} ({value:#x})"),
            Self::NothingToLoad => write!(formatter, "ELF file has 0 loadable segments"),
            Self::UnalignedBase(base) => write!(formatter, "VIRT_BASE {base:#x} is not page aligned"),
            Self::AddressOverflow(address) => {
                write!(formatter, "segment at physical {address:#x} maps to no valid virtual address")
            }
            Self::BelowBase { start, base } => {
                write!(formatter, "kernel starts at {start:#x}, below VIRT_BASE {base:#x}")
            }
            Self::EntryOutside { entry, start, end } => {
                write!(formatter, "entry point {entry:#x} is outside the kernel ({start:#x}-{end:#x})")
            }
            Self::P2mInKernel(base) => write!(formatter, "INIT_P2M {base:#x} lies inside the kernel"),
            Self::OverlapsHypervisor(start) => {
                write!(formatter, "kernel at {start:#x} overlaps the hypervisor's range")
            }
            _ => Ok(()),
        }
    }

    /// Errors of the Xen notes.
    fn fmt_notes(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadNote(offset) => write!(formatter, "ELF note at offset {offset:#x} runs over its segment"),
            Self::BadNoteSize { kind, size } => write!(formatter, "Xen ELF note {kind} has a value of {size} bytes"),
            Self::NotXen => write!(formatter, "not a Xen kernel: 0 Xen ELF notes and no __xen_guest section"),
            Self::XenVersion(text) => write!(formatter, "XEN_VERSION is {text}, not \"xen-3.0\""),
            Self::Loader { loader, guest_os } => {
                write!(formatter, "LOADER is {loader} and GUEST_OS is {guest_os}: need \"generic\" or \"linux\"")
            }
            Self::PaddrOffsetAlone(offset) => write!(formatter, "PADDR_OFFSET {offset:#x} without VIRT_BASE"),
            Self::BadNumber(text) => write!(formatter, "__xen_guest: {text} is not a number"),
            Self::UnknownFeature(name) => write!(formatter, "kernel requires the unknown feature {name}"),
            Self::RequiredFeature(name) => {
                write!(formatter, "kernel requires the feature \"{name}\", which is not there")
            }
            Self::NotDom0Capable(features) => {
                write!(formatter, "kernel is not built as dom0 (supported features {features:#x} lack bit 11)")
            }
            _ => Ok(()),
        }
    }
}

/// Why a payload does not unpack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnpackError {
    /// The compressed data ends early.
    InputEnded,
    /// More comes out than the size field says.
    OutputOverrun,
    /// A header field that is not supported or cannot be.
    Header(&'static str, u64),
    /// The compressed data is corrupt; the text says where.
    Corrupt(&'static str),
    /// A checksum does not match.
    Checksum {
        /// What the file says.
        stored: u32,
        /// What the data has.
        computed: u32,
    },
    /// The decoder's window needs this many bytes, more than is allowed.
    Window(u64),
    /// The heap cannot give the decoder what it needs.
    OutOfMemory,
}

impl fmt::Display for UnpackError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputEnded => write!(formatter, "compressed data ends early"),
            Self::OutputOverrun => write!(formatter, "more data than the size field says"),
            Self::Header(what, value) => write!(formatter, "{what} {value:#x}"),
            Self::Corrupt(what) => write!(formatter, "{what}"),
            Self::Checksum { stored, computed } => {
                write!(formatter, "checksum {computed:#010x} is not the stored {stored:#010x}")
            }
            Self::Window(size) => write!(formatter, "window of {size} bytes"),
            Self::OutOfMemory => write!(formatter, "no memory for the decoder"),
        }
    }
}

/// Up to 40 bytes of a string from the image, kept for a message and printed in quotes without control characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; Text::CAPACITY],
    length: u8,
}

impl Text {
    const CAPACITY: usize = 40;

    /// Keeps the head of `source`.
    pub(crate) fn new(source: &[u8]) -> Self {
        let mut bytes = [0; Self::CAPACITY];
        for (to, from) in bytes.iter_mut().zip(source) {
            *to = *from;
        }
        Self { bytes, length: source.len().min(Self::CAPACITY) as u8 }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        write!(formatter, "\"{}\"", kept.escape_ascii())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
