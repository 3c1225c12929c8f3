//! The load plan of a kernel: its segments, its addresses, and what it asks of its builder; all checks are made here.
//!
//! Addresses: a segment's virtual address is its ELF physical address less PADDR_OFFSET plus VIRT_BASE.
//! Source: Xen public header `elfnote.h`; the checks are those Xen makes for a PV dom0.

use crate::error::ImageError;
use crate::features::{DOM0, Features, SUPERVISOR_MODE_KERNEL};
use crate::notes::Notes;
use crate::segments::{ElfKernel, Segments};
use abi::GuestVirtual;
use abi::frame::{HYPERVISOR_END, HYPERVISOR_START, PAGE_SIZE};

/// What the PAE_MODE note says. A 64-bit guest sees it only as the "p" at the end of `start_info.magic`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PaeMode {
    /// "no", anything unknown, or no note.
    #[default]
    No,
    /// Legacy "yes": PAE with the top-level table below 4 GiB.
    Yes,
    /// "yes": PAE with the top-level table anywhere.
    ExtendedCr3,
    /// "bimodal".
    Bimodal,
}

impl PaeMode {
    pub(crate) fn from_note(text: &[u8]) -> Self {
        match text {
            b"yes" => Self::ExtendedCr3,
            b"bimodal" => Self::Bimodal,
            _ => Self::No,
        }
    }

    pub(crate) fn from_legacy(text: &[u8]) -> Self {
        match text {
            b"yes[extended-cr3]" => Self::ExtendedCr3,
            _ if text.starts_with(b"yes") => Self::Yes,
            b"bimodal" => Self::Bimodal,
            _ => Self::No,
        }
    }

    /// Whether `start_info.magic` ends in "p".
    pub fn is_present(self) -> bool {
        self != Self::No
    }
}

/// A kernel that has passed every check that needs no knowledge of the domain.
#[derive(Clone, Debug)]
pub struct KernelImage<'a> {
    segments: Segments<'a>,
    /// Virtual address of pseudo-physical page 0; page aligned.
    pub virt_base: u64,
    /// Lowest virtual address of a segment.
    pub virt_start: u64,
    /// First virtual address above all segments.
    pub virt_end: u64,
    /// Where vCPU 0 starts.
    pub entry: u64,
    /// Where to write the hypercall page, if the kernel wants one; checked by the layout.
    pub hypercall_page: Option<u64>,
    /// Where the p2m list is to be mapped, if the kernel has a wish.
    pub init_p2m: Option<u64>,
    /// Whether the initrd may stay unmapped and be handed over as a frame number.
    pub mod_start_pfn: bool,
    /// The PAE_MODE note.
    pub pae: PaeMode,
    /// What the kernel can do and cannot do without.
    pub features: Features,
}

impl<'a> KernelImage<'a> {
    /// Reads the unpacked kernel `file`.
    ///
    /// # Errors
    /// Every way in which an ELF file cannot be a 64-bit PV dom0 kernel; see [`ImageError`].
    pub fn parse(file: &'a [u8]) -> Result<Self, ImageError> {
        let elf = ElfKernel::parse(file)?;
        let notes = collect_notes(&elf)?;
        notes.check_identity()?;
        check_features(&notes)?;
        let virt_base = match (notes.virt_base, notes.paddr_offset) {
            (None, Some(offset)) => return Err(ImageError::PaddrOffsetAlone(offset)),
            (base, _) => base.unwrap_or(0),
        };
        let shift = virt_base.wrapping_sub(notes.paddr_offset.unwrap_or(0));
        let image = Self {
            segments: elf.segments(shift),
            virt_base,
            virt_start: elf.start.wrapping_add(shift),
            virt_end: elf.end.wrapping_add(shift),
            entry: notes.entry.unwrap_or(elf.entry),
            hypercall_page: notes.hypercall_page,
            init_p2m: notes.init_p2m,
            mod_start_pfn: notes.mod_start_pfn,
            pae: notes.pae,
            features: notes.features,
        };
        image.check_addresses(elf.start)?;
        Ok(image)
    }

    /// What to load, in file order.
    pub fn segments(&self) -> Segments<'a> {
        self.segments.clone()
    }

    /// Checks on virtual addresses; `physical_start` is for the message.
    fn check_addresses(&self, physical_start: u64) -> Result<(), ImageError> {
        let (start, end) = (self.virt_start, self.virt_end);
        if !self.virt_base.is_multiple_of(PAGE_SIZE as u64) {
            return Err(ImageError::UnalignedBase(self.virt_base));
        }
        // An image that ends with the last byte of the address space has `end` 0; nothing would fit above it.
        if start >= end {
            return Err(ImageError::AddressOverflow(physical_start));
        }
        if start < self.virt_base {
            return Err(ImageError::BelowBase { start, base: self.virt_base });
        }
        if start < HYPERVISOR_END && end > HYPERVISOR_START {
            return Err(ImageError::OverlapsHypervisor(start));
        }
        if !GuestVirtual(start).is_guest_range(end - start) {
            return Err(ImageError::AddressOverflow(physical_start));
        }
        if self.entry < start || self.entry > end {
            return Err(ImageError::EntryOutside { entry: self.entry, start, end });
        }
        match self.init_p2m {
            Some(base) if (start..end).contains(&base) => Err(ImageError::P2mInKernel(base)),
            _ => Ok(()),
        }
    }
}

/// PT_NOTE segments first; section notes if those had none for Xen; the legacy section last.
fn collect_notes<'a>(elf: &ElfKernel<'a>) -> Result<Notes<'a>, ImageError> {
    let mut notes = Notes::default();
    for segment in elf.note_segments() {
        notes.read(segment?)?;
    }
    if notes.count == 0 {
        for section in elf.note_sections() {
            notes.read(section?)?;
        }
    }
    if notes.count == 0 {
        notes.read_legacy(elf.section(b"__xen_guest").ok_or(ImageError::NotXen)??)?;
    }
    Ok(notes)
}

fn check_features(notes: &Notes<'_>) -> Result<(), ImageError> {
    let Features { supported, required } = notes.features;
    if required & SUPERVISOR_MODE_KERNEL != 0 {
        return Err(ImageError::RequiredFeature("supervisor_mode_kernel"));
    }
    if notes.has_supported_features && supported & DOM0 == 0 {
        return Err(ImageError::NotDom0Capable(supported));
    }
    Ok(())
}
