//! Every container and payload format comes out as it went in; every broken one is refused in one line.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops there"
)]

mod common;

use common::*;
use guest_image::{ImageError, KernelImage, Payload, UnpackError};
use proptest::prelude::*;

const LIMIT: usize = 4 << 20;

fn unpack(module: &[u8]) -> Result<Vec<u8>, ImageError> {
    Payload::locate(module)?.unpack(LIMIT)
}

/// Both steps, as the boot code takes them.
fn load(module: &[u8]) -> Result<usize, ImageError> {
    let file = unpack(module)?;
    Ok(KernelImage::parse(&file)?.segments().count())
}

fn assert_one_line(error: ImageError) {
    let line = error.to_string();
    assert!(!line.is_empty() && !line.contains('\n') && line.is_ascii(), "{line:?}");
}

#[test]
fn every_format_round_trips_bare_and_in_a_bzimage() {
    let kernel = elf_with(&note_bytes(&linux_notes()), Place::Segment, 50_000);
    for (name, pack) in PACKERS {
        let packed = pack(&kernel);
        for module in [packed.clone(), bzimage(0x0208, &packed), bzimage(0x020f, &packed)] {
            let payload = Payload::locate(&module).unwrap();
            assert_eq!(payload.format().to_string(), name);
            assert_eq!(payload.unpacked_size(), kernel.len(), "{name}");
            assert_eq!(payload.bare().is_some(), name == "ELF");
            assert!(payload.unpack(LIMIT).unwrap() == kernel, "{name}");
        }
    }
}

#[test]
fn blocks_and_long_runs_round_trip() {
    // Several bzip2, lz4 and lzo blocks; runs that exercise bzip2's first coding at its limits.
    let mut data = elf_with(&note_bytes(&linux_notes()), Place::Segment, 250_000);
    for length in [3, 4, 5, 258, 259, 260, 100_000] {
        data.extend(vec![0xaa; length]);
        data.push(length as u8);
    }
    data.extend((0..40_000u32).flat_map(|value| (value * value).to_le_bytes()));
    for (name, pack) in PACKERS {
        assert!(unpack(&pack(&data)).unwrap() == data, "{name}");
    }
}

#[test]
fn tools_of_the_host_are_understood() {
    let dir = std::env::temp_dir().join(format!("guest-image-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let plain = dir.join("kernel");
    let data = elf_with(&note_bytes(&linux_notes()), Place::Segment, 1_500_000);
    std::fs::write(&plain, &data).unwrap();
    let commands: [&[&str]; 9] = [
        &["gzip", "-nc9"],
        &["bzip2", "-c9"],
        &["lzma", "-c9"],
        &["xz", "--check=crc32", "--x86", "--lzma2=dict=32MiB", "-c"],
        &["lzop", "-c9"],
        &["lzop", "-c1", "--crc32"],
        &["lz4", "-l", "-c1"],
        &["zstd", "-c", "-19"],
        &["zstd", "-c", "-22", "--ultra"],
    ];
    for command in commands {
        let Ok(run) = std::process::Command::new(command[0]).args(&command[1..]).arg(&plain).output() else {
            eprintln!("{} is not installed: left out", command[0]);
            continue;
        };
        assert!(run.status.success(), "{command:?}");
        let packed = if command[0] == "gzip" { run.stdout } else { with_size(run.stdout, data.len()) };
        assert!(unpack(&bzimage(0x20f, &packed)).unwrap() == data, "{command:?}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn containers_are_refused_with_the_value() {
    let kernel = elf(&linux_notes());
    assert_eq!(unpack(&bzimage(0x0207, &kernel)), Err(ImageError::OldBootProtocol(0x0207)));
    assert_eq!(ImageError::OldBootProtocol(0x0207).to_string(), "bzImage boot protocol 2.07 is older than 2.08");
    assert_eq!(unpack(b"#!/bin/sh"), Err(ImageError::UnknownFormat(*b"#!/b")));
    assert!(matches!(unpack(b""), Err(ImageError::Truncated { need: 4, have: 0, .. })));
    let mut short = bzimage(0x20f, &kernel);
    short.truncate(short.len() - 51);
    assert!(matches!(unpack(&short), Err(ImageError::Truncated { what: "bzImage payload", .. })));
    let mut huge = gzip(&kernel);
    let end = huge.len();
    huge[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(unpack(&huge), Err(ImageError::TooLarge { size: u64::from(u32::MAX), limit: LIMIT as u64 }));
}

#[test]
fn a_wrong_size_field_is_noticed_in_every_format() {
    let kernel = elf(&linux_notes());
    for (name, pack) in PACKERS.into_iter().skip(1) {
        for wrong in [kernel.len() - 1, kernel.len() + 1, 0] {
            let mut packed = pack(&kernel);
            packed.truncate(packed.len() - 4);
            let error = unpack(&with_size(packed, wrong)).unwrap_err();
            assert!(matches!(error, ImageError::Unpack(..) | ImageError::ShortOutput { .. }), "{name}: {error}");
            assert_one_line(error);
        }
    }
}

#[test]
fn checksums_are_verified() {
    let kernel = elf_with(&note_bytes(&linux_notes()), Place::Segment, 20_000);
    for (name, pack) in PACKERS.into_iter().filter(|(name, _)| ["gzip", "bzip2", "xz", "lzo"].contains(name)) {
        let packed = pack(&kernel);
        let flip = |at: usize| {
            let mut broken = packed.clone();
            broken[at] ^= 0x10;
            unpack(&broken)
        };
        // Anywhere in the body: never a different kernel.
        for at in (packed.len() / 4..packed.len() * 3 / 4).step_by(97) {
            assert!(flip(at).is_err(), "{name} at {at}");
        }
    }
    let mut packed = gzip(&kernel);
    let at = packed.len() - 8;
    packed[at] ^= 1;
    assert!(matches!(unpack(&packed), Err(ImageError::Unpack(_, UnpackError::Checksum { .. }))));
}

#[test]
fn truncation_at_every_length_is_refused() {
    let kernel = elf_with(&note_bytes(&linux_notes()), Place::Segment, 600);
    for (name, pack) in PACKERS {
        let packed = pack(&kernel);
        for module in [packed.clone(), bzimage(0x20f, &packed)] {
            let payload_end = if module.len() == packed.len() { module.len() } else { module.len() - 50 };
            for length in 0..payload_end {
                let result = load(&module[..length]);
                // Section headers at the end of an ELF file are not needed when it has program notes.
                if name == "ELF" && module.len() == packed.len() && length >= payload_end - 3 * 64 - 23 {
                    continue;
                }
                assert_one_line(result.expect_err(&format!("{name} cut at {length} of {payload_end}")));
            }
        }
    }
}

fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn mutations_never_panic(format in 0usize..8, in_bzimage: bool, changes in mutations()) {
        let packed = PACKERS[format].1(&elf_with(&note_bytes(&linux_notes()), Place::Segment, 700));
        let mut module = if in_bzimage { bzimage(0x20f, &packed) } else { packed };
        for (at, value) in changes {
            let at = at.index(module.len());
            module[at] = value;
        }
        if let Err(error) = load(&module) {
            assert_one_line(error);
        }
    }

    #[test]
    fn noise_behind_a_magic_never_panics(format in 0usize..8, noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let magic: &[u8] = [
            b"\x7fELF\x02\x01\x01", &[0x1f, 0x8b, 8, 0][..], b"BZh91AY&SY", &[0x5d, 0, 0, 1, 0], b"\xfd7zXZ\0\0\x01",
            &[0x89, b'L', b'Z', b'O', 0, 13, 10, 26, 10, 0x10, 0x40], &[2, 0x21, 0x4c, 0x18], &[0x28, 0xb5, 0x2f, 0xfd],
        ][format];
        let module = with_size([magic, &noise[..]].concat(), 5000);
        if let Err(error) = load(&module) {
            assert_one_line(error);
        }
    }
}
