//! Notes, features, addresses: what is read from a kernel, and every reason to refuse one.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops there"
)]

mod common;

use common::*;
use guest_image::{ImageError, KernelImage, PaeMode, Payload};

const SIZE_LIMIT: usize = 1 << 30;

fn error_of(file: &[u8]) -> ImageError {
    KernelImage::parse(file).expect_err("must be refused")
}

fn error_with(note: Note) -> ImageError {
    let mut notes = linux_notes();
    replace(&mut notes, note);
    error_of(&elf(&notes))
}

#[test]
fn a_linux_kernel_gives_its_load_plan() {
    let file = elf(&linux_notes());
    let image = KernelImage::parse(&file).unwrap();
    let start = VIRT_BASE + KERNEL_PHYSICAL;
    assert_eq!(image.virt_base, VIRT_BASE);
    assert_eq!((image.virt_start, image.virt_end), (start, start + 0x1000 + 8192));
    assert_eq!(image.entry, start);
    assert_eq!(image.hypercall_page, None);
    assert_eq!(image.init_p2m, Some(0x80_0000_0000));
    assert!(image.mod_start_pfn);
    assert_eq!(image.pae, PaeMode::ExtendedCr3);
    assert!(image.pae.is_present());
    assert_eq!(image.features.supported, 0x8801 | 1 << 4);
    assert_eq!(image.features.required, 1);
    let segments: Vec<_> = image.segments().collect();
    assert_eq!(segments.len(), 2);
    assert_eq!((segments[0].virtual_address, segments[0].bytes.len()), (start, 3256));
    assert_eq!(segments[0].memory_size, 3256);
    assert_eq!((segments[1].virtual_address, segments[1].bytes), (start + 0x1000, &[0xdd; 100][..]));
    assert_eq!(segments[1].memory_size, 8192);
}

#[test]
fn notes_are_found_in_segment_then_section_then_legacy() {
    let notes = note_bytes(&linux_notes());
    for place in [Place::Segment, Place::Section] {
        let file = elf_with(&notes, place, 10);
        assert_eq!(KernelImage::parse(&file).unwrap().init_p2m, Some(0x80_0000_0000));
    }
    assert_eq!(error_of(&elf(&[])), ImageError::NotXen);
    let foreign = note_bytes(&linux_notes()).windows(4).map(|_| 0u8).collect::<Vec<_>>();
    assert_eq!(error_of(&elf_with(&foreign[..24], Place::Segment, 10)), ImageError::NotXen);
}

#[test]
fn the_legacy_section_is_read() {
    let string = b"GUEST_OS=mini,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,PADDR_OFFSET=0,HYPERCALL_PAGE=0x1001,\
        LOADER=generic,PAE=yes[extended-cr3],FEATURES=writable_page_tables|nonsense,VIRT_ENTRY=0xffffffff81000010\0";
    let file = elf_with(string, Place::Legacy, 10);
    let image = KernelImage::parse(&file).unwrap();
    assert_eq!(image.virt_base, VIRT_BASE);
    assert_eq!(image.entry, VIRT_BASE + KERNEL_PHYSICAL + 0x10);
    assert_eq!(image.hypercall_page, Some(VIRT_BASE + 0x1001000));
    assert_eq!(image.pae, PaeMode::ExtendedCr3);
    assert_eq!(image.features.supported, 1);
    // Without an offset, addresses in the file are virtual ones.
    let string = b"GUEST_OS=linux,XEN_VER=xen-3.0,VIRT_BASE=16777216\0";
    let file = elf_with(string, Place::Legacy, 10);
    let image = KernelImage::parse(&file).unwrap();
    assert_eq!((image.virt_base, image.virt_start), (KERNEL_PHYSICAL, KERNEL_PHYSICAL));
    let bad = error_of(&elf_with(b"LOADER=generic,VIRT_BASE=12x\0", Place::Legacy, 10));
    assert_eq!(bad.to_string(), "__xen_guest: \"12x\" is not a number");
}

#[test]
fn identity_is_checked() {
    assert_eq!(error_with(text(5, "xen-4.0")).to_string(), "XEN_VERSION is \"xen-4.0\", not \"xen-3.0\"");
    assert!(matches!(error_of(&elf(&without(linux_notes(), 5))), ImageError::XenVersion(_)));
    let mut notes = without(linux_notes(), 8);
    assert!(KernelImage::parse(&elf(&notes)).is_ok(), "GUEST_OS linux is enough");
    replace(&mut notes, text(6, "bsd\n\u{7}"));
    assert_eq!(
        error_of(&elf(&notes)).to_string(),
        "LOADER is \"\" and GUEST_OS is \"bsd\\n\\x07\": need \"generic\" or \"linux\""
    );
    replace(&mut notes, text(8, "generic-ish"));
    assert!(KernelImage::parse(&elf(&notes)).is_ok());
}

#[test]
fn features_are_checked() {
    assert_eq!(error_with(text(10, "!dragons")).to_string(), "kernel requires the unknown feature \"dragons\"");
    assert_eq!(error_with(text(10, "!supervisor_mode_kernel")), ImageError::RequiredFeature("supervisor_mode_kernel"));
    assert_eq!(error_with(number(17, 0x1)), ImageError::NotDom0Capable(0x11));
    let mut notes = linux_notes();
    // Known ones are not enforced for a PV dom0, and unknown ones that are not required mean nothing.
    replace(&mut notes, text(10, "!auto_translated_physmap|dragons|!pae_pgdir_above_4gb|"));
    assert!(KernelImage::parse(&elf(&notes)).is_ok());
    replace(&mut notes, text(10, "dom0"));
    replace(&mut notes, number(17, 0));
    assert!(KernelImage::parse(&elf(&notes)).is_ok(), "the bit may come from the string");
    assert!(KernelImage::parse(&elf(&without(linux_notes(), 17))).is_ok());
}

#[test]
fn addresses_are_checked() {
    let start = VIRT_BASE + KERNEL_PHYSICAL;
    assert_eq!(
        error_with(number(1, start - 1)).to_string(),
        format!("entry point {:#x} is outside the kernel ({start:#x}-{:#x})", start - 1, start + 0x3000)
    );
    assert!(matches!(error_with(number(1, start + 0x3001)), ImageError::EntryOutside { .. }));
    let mut notes = linux_notes();
    replace(&mut notes, number(1, start + 0x3000));
    assert!(KernelImage::parse(&elf(&notes)).is_ok(), "the end itself is allowed");
    assert_eq!(error_with(number(15, start + 0x2fff)), ImageError::P2mInKernel(start + 0x2fff));
    assert_eq!(error_of(&elf(&without(linux_notes(), 3))), ImageError::PaddrOffsetAlone(0));
    assert!(matches!(error_with(number(4, KERNEL_PHYSICAL + 0x1000)), ImageError::BelowBase { .. }));
    assert_eq!(error_with(number(3, VIRT_BASE + 8)), ImageError::UnalignedBase(VIRT_BASE + 8));
    for base in [0xffff_8000_0000_0000, 0xffff_7fff_ff00_0000, 0xffff_87ff_fe00_0000] {
        assert!(matches!(error_with(number(3, base)), ImageError::OverlapsHypervisor(_)), "{base:#x}");
    }
    for base in [0x8000_0000_0000, 0x7fff_ff00_0000, 0xffff_ffff_feff_e000] {
        assert!(matches!(error_with(number(3, base)), ImageError::AddressOverflow(_)), "{base:#x}");
    }
    let mut notes = without(without(linux_notes(), 3), 4);
    replace(&mut notes, number(1, KERNEL_PHYSICAL));
    let file = elf(&notes);
    assert_eq!(KernelImage::parse(&file).unwrap().virt_base, 0, "the default base");
    let file = elf(&without(linux_notes(), 1));
    assert_eq!(
        error_of(&file).to_string(),
        "entry point 0x1000000 is outside the kernel (0xffffffff81000000-0xffffffff81003000)"
    );
}

#[test]
fn note_values_may_have_four_or_eight_bytes_and_nothing_odd() {
    let mut notes = linux_notes();
    replace(&mut notes, (16, vec![1, 0, 0, 0]));
    replace(&mut notes, (4, vec![0]));
    assert!(KernelImage::parse(&elf(&notes)).unwrap().mod_start_pfn);
    replace(&mut notes, (16, vec![0, 0]));
    assert!(!KernelImage::parse(&elf(&notes)).unwrap().mod_start_pfn);
    replace(&mut notes, (16, vec![1, 2, 3]));
    assert_eq!(error_of(&elf(&notes)).to_string(), "Xen ELF note 16 has a value of 3 bytes");
    let mut broken = note_bytes(&linux_notes());
    broken[4] = 200;
    broken.truncate(150);
    assert!(matches!(error_of(&elf_with(&broken, Place::Segment, 10)), ImageError::BadNote(_)));
}

#[test]
fn headers_are_checked() {
    let good = elf(&linux_notes());
    let with = |at: usize, value: u8| {
        let mut file = good.clone();
        file[at] = value;
        error_of(&file)
    };
    assert_eq!(with(4, 1).to_string(), "32-bit ELF kernel (class 1): only 64-bit PV kernels are supported");
    assert_eq!(with(5, 2), ImageError::NotLittleEndian(2));
    assert_eq!(with(18, 3), ImageError::WrongMachine(3));
    assert_eq!(with(54, 32), ImageError::BadElf("size of a program header", 32));
    assert!(matches!(with(56, 200), ImageError::Truncated { what: "ELF program headers", .. }));
    assert!(matches!(with(64 + 32 + 4, 1), ImageError::Truncated { what: "ELF segment", .. }));
    assert!(matches!(with(64 + 40, 1), ImageError::BadElf("segment larger in the file than in memory", _)));
    assert!(matches!(with(64 + 56 * 2 + 32 + 5, 1), ImageError::Truncated { what: "ELF note segment", .. }));
    let mut empty = good.clone();
    empty[64] = 0;
    empty[64 + 56] = 0;
    assert_eq!(error_of(&empty), ImageError::NothingToLoad);
    let mut wraps = good;
    wraps[64 + 24..64 + 32].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(error_of(&wraps), ImageError::AddressOverflow(u64::MAX));
}

/// Kernels of Debian's that the test set-up has fetched: any `vmlinuz*` in the cache directory or below.
fn cached_kernels() -> Vec<std::path::PathBuf> {
    let home = std::env::var_os("HOME").map(|home| std::path::PathBuf::from(home).join(".cache/xenolith"));
    let cache = std::env::var_os("XENOLITH_CACHE").map(Into::into).or(home).unwrap_or_default();
    let (mut found, mut left) = (vec![], vec![cache]);
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                Ok(kind) if kind.is_file() && entry.file_name().to_string_lossy().starts_with("vmlinuz") => {
                    found.push(entry.path());
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn debian_kernels_load() {
    let kernels = cached_kernels();
    if kernels.is_empty() {
        eprintln!("no kernel in the cache: nothing tested here");
    }
    for path in &kernels {
        let module = std::fs::read(path).unwrap();
        let file = Payload::locate(&module).and_then(|payload| payload.unpack(SIZE_LIMIT)).unwrap();
        let image = KernelImage::parse(&file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(image.virt_base, VIRT_BASE);
        assert_eq!(image.init_p2m, Some(0x80_0000_0000));
        assert!(image.mod_start_pfn);
        // Linux has its hypercall page filled by the hypervisor's loader up to the series 5, and asks for it itself after that.
        let has_page = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-5."));
        assert_eq!(image.hypercall_page.is_some(), has_page, "{}", path.display());
        assert!(image.segments().count() >= 3);
        assert!(image.entry > image.virt_start && image.entry < image.virt_end);
    }
}
