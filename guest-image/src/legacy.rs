//! The `__xen_guest` section that came before ELF notes: one string of `NAME=VALUE` pairs between commas.
//!
//! Source: Xen public header `elfnote.h`, which names the pair that every note replaces.

use crate::error::{ImageError, Text};
use crate::image::PaeMode;
use crate::notes::Notes;

const PAGE_SHIFT: u32 = 12;

impl<'a> Notes<'a> {
    /// Reads the section's string. Unknown names mean nothing.
    pub(crate) fn read_legacy(&mut self, section: &'a [u8]) -> Result<(), ImageError> {
        let string = section.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut hypercall_pfn = None;
        for pair in string.split(|&byte| byte == b',') {
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            let name = parts.next().unwrap_or_default();
            let value = parts.next().unwrap_or_default();
            match name {
                b"LOADER" => self.loader = value,
                b"GUEST_OS" => self.guest_os = value,
                b"XEN_VER" => self.xen_version = value,
                b"VIRT_BASE" => self.virt_base = Some(number(value)?),
                b"VIRT_ENTRY" => self.entry = Some(number(value)?),
                b"PADDR_OFFSET" => self.paddr_offset = Some(number(value)?),
                b"HYPERCALL_PAGE" => hypercall_pfn = Some(number(value)?),
                b"FEATURES" => self.features.add_names(value)?,
                b"PAE" => self.pae = PaeMode::from_legacy(value),
                _ => {}
            }
        }
        // In this form addresses in the file are virtual unless it says otherwise, and the page is a page number.
        self.paddr_offset = self.paddr_offset.or(self.virt_base);
        let base = self.virt_base.unwrap_or(0);
        self.hypercall_page = hypercall_pfn.map(|pfn| base.wrapping_add(pfn << PAGE_SHIFT));
        Ok(())
    }
}

/// A C-style number: `0x` is hexadecimal, a leading `0` octal, anything else decimal.
fn number(text: &[u8]) -> Result<u64, ImageError> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        digits => (digits, 10),
    };
    let parsed = core::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, radix).ok());
    parsed.ok_or(ImageError::BadNumber(Text::new(text)))
}
