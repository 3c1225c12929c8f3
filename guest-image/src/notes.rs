//! Xen's ELF notes: what the kernel says about how it wants to be started.
//!
//! Source: Xen public header `elfnote.h`. Names and values come from the image and are not trusted.

use crate::error::{ImageError, Text};
use crate::features::Features;
use crate::image::PaeMode;

const ENTRY: u32 = 1;
const HYPERCALL_PAGE: u32 = 2;
const VIRT_BASE: u32 = 3;
const PADDR_OFFSET: u32 = 4;
const XEN_VERSION: u32 = 5;
const GUEST_OS: u32 = 6;
const LOADER: u32 = 8;
const PAE_MODE: u32 = 9;
const FEATURES: u32 = 10;
const INIT_P2M: u32 = 15;
const MOD_START_PFN: u32 = 16;
const SUPPORTED_FEATURES: u32 = 17;

/// Everything collected from the notes, not yet judged. What did not occur is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notes<'a> {
    pub(crate) entry: Option<u64>,
    pub(crate) hypercall_page: Option<u64>,
    pub(crate) virt_base: Option<u64>,
    pub(crate) paddr_offset: Option<u64>,
    pub(crate) xen_version: &'a [u8],
    pub(crate) guest_os: &'a [u8],
    pub(crate) loader: &'a [u8],
    pub(crate) pae: PaeMode,
    pub(crate) init_p2m: Option<u64>,
    pub(crate) mod_start_pfn: bool,
    pub(crate) features: Features,
    /// Whether SUPPORTED_FEATURES occurred.
    pub(crate) has_supported_features: bool,
    /// Notes named "Xen" that were seen, known or not.
    pub(crate) count: usize,
}

impl<'a> Notes<'a> {
    /// Reads all notes of one note segment. Sizes are padded to four bytes whatever the segment's alignment says.
    pub(crate) fn read(&mut self, segment: &'a [u8]) -> Result<(), ImageError> {
        let mut rest = segment;
        while !rest.is_empty() {
            let offset = (segment.len() - rest.len()) as u64;
            let (note, tail) = Note::split(rest).ok_or(ImageError::BadNote(offset))?;
            if note.name == b"Xen\0" {
                self.count += 1;
                self.add(&note)?;
            }
            rest = tail;
        }
        Ok(())
    }

    fn add(&mut self, note: &Note<'a>) -> Result<(), ImageError> {
        match note.kind {
            ENTRY => self.entry = Some(note.number()?),
            HYPERCALL_PAGE => self.hypercall_page = Some(note.number()?),
            VIRT_BASE => self.virt_base = Some(note.number()?),
            PADDR_OFFSET => self.paddr_offset = Some(note.number()?),
            XEN_VERSION => self.xen_version = note.text(),
            GUEST_OS => self.guest_os = note.text(),
            LOADER => self.loader = note.text(),
            PAE_MODE => self.pae = PaeMode::from_note(note.text()),
            FEATURES => self.features.add_names(note.text())?,
            INIT_P2M => self.init_p2m = Some(note.number()?),
            MOD_START_PFN => self.mod_start_pfn = note.number()? != 0,
            SUPPORTED_FEATURES => {
                self.features.supported |= note.number()? as u32;
                self.has_supported_features = true;
            }
            // Informational, for tools, for 32-bit or for PVH; or newer than this.
            _ => {}
        }
        Ok(())
    }

    /// The checks on who the kernel is made for.
    pub(crate) fn check_identity(&self) -> Result<(), ImageError> {
        if !self.loader.starts_with(b"generic") && !self.guest_os.starts_with(b"linux") {
            return Err(ImageError::Loader { loader: Text::new(self.loader), guest_os: Text::new(self.guest_os) });
        }
        if !self.xen_version.starts_with(b"xen-3.0") {
            return Err(ImageError::XenVersion(Text::new(self.xen_version)));
        }
        Ok(())
    }
}

/// One note, its fields still raw.
struct Note<'a> {
    kind: u32,
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Note<'a> {
    /// Splits the first note off `bytes`.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<12>()?;
        let [n0, n1, n2, n3, v0, v1, v2, v3, k0, k1, k2, k3] = *header;
        let name_size = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        let value_size = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
        let (name, rest) = split_padded(rest, name_size)?;
        let (value, rest) = split_padded(rest, value_size)?;
        Some((Self { kind: u32::from_le_bytes([k0, k1, k2, k3]), name, value }, rest))
    }

    fn number(&self) -> Result<u64, ImageError> {
        match *self.value {
            [a] => Ok(u64::from(a)),
            [a, b] => Ok(u64::from(u16::from_le_bytes([a, b]))),
            [a, b, c, d] => Ok(u64::from(u32::from_le_bytes([a, b, c, d]))),
            [a, b, c, d, e, f, g, h] => Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => Err(ImageError::BadNoteSize { kind: self.kind, size: self.value.len() as u64 }),
        }
    }

    /// The value up to its terminating zero, or all of it if there is none.
    fn text(&self) -> &'a [u8] {
        self.value.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// Splits `size` bytes off, and drops the padding behind them; the last note may lack its padding.
fn split_padded(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(size)?;
    let padding = size.wrapping_neg() % 4;
    Some((head, rest.get(padding..).unwrap_or_default()))
}
