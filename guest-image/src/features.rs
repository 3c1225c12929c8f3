//! Feature names and bits of the FEATURES and SUPPORTED_FEATURES notes.
//!
//! Source: Xen public headers `elfnote.h` and `features.h`; inventory of names as Xen's loader knows them.

use crate::error::{ImageError, Text};

/// Features of one kernel, as bits numbered by `XENFEAT_*` (first submap).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// What the kernel can do with or without.
    pub supported: u32,
    /// What the kernel says it cannot do without.
    pub required: u32,
}

/// XENFEAT_supervisor_mode_kernel.
pub(crate) const SUPERVISOR_MODE_KERNEL: u32 = 1 << 3;
/// XENFEAT_dom0.
pub(crate) const DOM0: u32 = 1 << 11;

const NAMES: [(&[u8], u32); 6] = [
    (b"writable_page_tables", 1 << 0),
    (b"writable_descriptor_tables", 1 << 1),
    (b"auto_translated_physmap", 1 << 2),
    (b"supervisor_mode_kernel", SUPERVISOR_MODE_KERNEL),
    (b"pae_pgdir_above_4gb", 1 << 4),
    (b"dom0", DOM0),
];

impl Features {
    /// Adds the features of one string such as `!writable_page_tables|pae_pgdir_above_4gb`.
    ///
    /// # Errors
    /// [`ImageError::UnknownFeature`] for an unknown name marked as required; other unknown names mean nothing.
    pub(crate) fn add_names(&mut self, names: &[u8]) -> Result<(), ImageError> {
        for item in names.split(|&byte| byte == b'|') {
            let (name, is_required) = match item.strip_prefix(b"!") {
                Some(name) => (name, true),
                None => (item, false),
            };
            match NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, bit)) => {
                    self.supported |= bit;
                    if is_required {
                        self.required |= bit;
                    }
                }
                None if is_required => return Err(ImageError::UnknownFeature(Text::new(name))),
                None => {}
            }
        }
        Ok(())
    }
}
