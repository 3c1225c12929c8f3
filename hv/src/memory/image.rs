//! The image's own boundaries: the only place that declares the linker script's symbols.
//!
//! Invariant: the script keeps every boundary on a page and in the order text, rodata, data and bss.

#![expect(unsafe_code, reason = "linker symbols are extern statics")]

use super::layout::{IMAGE_BASE, LOAD_BASE};

unsafe extern "C" {
    static text_end: u8;
    static rodata_end: u8;
    static image_end: u8;
}

/// Half-open ranges of linked addresses, each with its rights.
pub struct Sections {
    /// Read and execute.
    pub text: core::ops::Range<u64>,
    /// Read only: constants, unwind tables.
    pub rodata: core::ops::Range<u64>,
    /// Read and write: data and bss.
    pub data: core::ops::Range<u64>,
}

/// The three sections of this image.
pub fn sections() -> Sections {
    let (text, rodata, image) = (&raw const text_end as u64, &raw const rodata_end as u64, &raw const image_end as u64);
    Sections { text: IMAGE_BASE..text, rodata: text..rodata, data: rodata..image }
}

/// Physical range of the image as the loader placed it.
pub fn loaded_range() -> core::ops::Range<u64> {
    LOAD_BASE..LOAD_BASE + (&raw const image_end as u64 - IMAGE_BASE)
}

unsafe extern "C" {
    static boot_only_start: u8;
    static boot_only_end: u8;
}

/// Linked addresses, in the data section, of what only the first steps of the start need: boot tables and boot stack.
pub fn boot_only() -> core::ops::Range<u64> {
    &raw const boot_only_start as u64..&raw const boot_only_end as u64
}

/// Physical address of a linked address inside the image.
pub fn physical(linked: u64) -> u64 {
    linked - IMAGE_BASE + LOAD_BASE
}

unsafe extern "C" {
    static build_id_start: u8;
    static build_id_end: u8;
}

/// The linker's build id: the content of its note, without the note's head (three words and the name `GNU`).
pub fn build_id() -> &'static [u8] {
    const HEAD: usize = 16;
    let (start, end) = (&raw const build_id_start, &raw const build_id_end);
    // SAFETY: the linker script keeps the note's bytes between the two symbols, in the image's constants.
    let note = unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) };
    note.get(HEAD..).unwrap_or_default()
}

unsafe extern "C" {
    static clac_sites_start: u64;
    static clac_sites_end: u64;
    static stac_sites_start: u64;
    static stac_sites_end: u64;
}

/// Turns the three-byte no-ops of the entry code into CLAC and STAC. Context: boot CPU, through the direct map's
/// writable alias of the text.
pub fn patch_access_sites() {
    patch(&raw const clac_sites_start, &raw const clac_sites_end, [0x0F, 0x01, 0xCA]);
    patch(&raw const stac_sites_start, &raw const stac_sites_end, [0x0F, 0x01, 0xCB]);
}

fn patch(start: *const u64, end: *const u64, instruction: [u8; 3]) {
    // SAFETY: the linker puts whole 8-byte addresses between the two symbols.
    let sites = unsafe { core::slice::from_raw_parts(start, (end as usize - start as usize) / 8) };
    for &site in sites {
        super::window::write_physical(physical(site), &instruction);
    }
}
