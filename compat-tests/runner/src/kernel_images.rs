//! Kernel images made from Debian's: the payload of its bzImage packed by every compressor that Linux knows, the plain
//! ELF file inside, and damaged ones that must be refused. Sources: Linux's `Documentation/arch/x86/boot.rst` (header
//! fields), ELF 1.2.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::places;

/// The kernel series that damaged images are made from.
const SERIES: &str = "6.1";
/// Packers by the name of the format: program and arguments, from standard input to standard output.
const PACKERS: &[(&str, &str, &[&str])] = &[
    ("gzip", "gzip", &["-n", "-6"]),
    ("bzip2", "bzip2", &["-9"]),
    ("lzma", "xz", &["--format=lzma", "-1"]),
    ("xz", "xz", &["--check=crc32", "--x86", "--lzma2=preset=1"]),
    ("lzo", "lzop", &["-9"]),
    ("lz4", "lz4", &["-l", "-9"]),
    ("zstd", "zstd", &["-3"]),
];

/// The payload formats.
pub fn formats() -> impl Iterator<Item = &'static str> {
    PACKERS.iter().map(|(name, ..)| *name).chain(["vmlinux"])
}

/// A bzImage, taken apart.
struct BzImage {
    bytes: Vec<u8>,
    payload: std::ops::Range<usize>,
}

fn word(bytes: &[u8], at: usize) -> Result<usize> {
    let field = bytes.get(at..at + 4).context("the image ends inside its header")?;
    Ok(u32::from_le_bytes(field.try_into()?) as usize)
}

impl BzImage {
    const PAYLOAD_OFFSET: usize = 0x248;
    const PAYLOAD_LENGTH: usize = 0x24C;
    const SETUP_SECTORS: usize = 0x1F1;

    fn read(series: &str) -> Result<Self> {
        let file = places::cached(&format!("linux-{series}/vmlinuz"))?;
        let bytes = fs::read(&file).with_context(|| format!("{}", file.display()))?;
        let sectors = usize::from(*bytes.get(Self::SETUP_SECTORS).context("no header")?);
        let start = (sectors + 1) * 512 + word(&bytes, Self::PAYLOAD_OFFSET)?;
        let payload = start..start + word(&bytes, Self::PAYLOAD_LENGTH)?;
        Ok(Self { bytes, payload })
    }

    /// The ELF file inside.
    fn unpacked(&self) -> Result<Vec<u8>> {
        let payload = self.bytes.get(self.payload.clone()).context("the payload lies outside the image")?;
        let program = match payload {
            [0x28, 0xB5, 0x2F, 0xFD, ..] => "zstd",
            [0xFD, b'7', b'z', ..] => "xz",
            [0x1F, 0x8B, ..] => "gzip",
            _ => bail!("Debian's kernel is packed in a way that this runner does not know"),
        };
        // Behind the stream stands the unpacked size.
        filter(program, &["-d", "-c"], payload.get(..payload.len() - 4).unwrap_or_default())
    }

    /// The image with another payload.
    fn with_payload(&self, payload: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = self.bytes.get(..self.payload.start).context("no payload")?.to_vec();
        bytes.extend_from_slice(payload);
        let length = u32::try_from(payload.len())?.to_le_bytes();
        bytes.get_mut(Self::PAYLOAD_LENGTH..Self::PAYLOAD_LENGTH + 4).context("no header")?.copy_from_slice(&length);
        Ok(bytes)
    }
}

/// Runs `input` through a program.
fn filter(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(places::program(program)?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let mut sink = child.stdin.take().context("no standard input")?;
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || sink.write_all(&input));
    let output = child.wait_with_output()?;
    let _ = feeder.join();
    if output.stdout.is_empty() {
        bail!("{program} gave nothing");
    }
    Ok(output.stdout)
}

/// Debian's kernel of a series with its payload in another format (see [`formats`]); kept in the cache.
pub fn repacked(series: &str, format: &str) -> Result<PathBuf> {
    let output = places::cache()?.join(format!("images/linux-{series}-{format}"));
    let source = places::cached(&format!("linux-{series}/vmlinuz"))?;
    if is_newer(&output, &source) {
        return Ok(output);
    }
    let image = BzImage::read(series)?;
    let plain = image.unpacked()?;
    let bytes = if format == "vmlinux" {
        plain
    } else {
        let (_, program, arguments) =
            PACKERS.iter().find(|(name, ..)| *name == format).with_context(|| format!("no format {format}"))?;
        let mut payload = filter(program, arguments, &plain)?;
        if format != "gzip" {
            // gzip's own stream ends with the size; behind all others it is appended.
            payload.extend_from_slice(&u32::try_from(plain.len())?.to_le_bytes());
        }
        image.with_payload(&payload)?
    };
    keep(&output, &bytes)
}

fn is_newer(output: &Path, source: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    matches!((time(output), time(source)), (Some(made), Some(from)) if made > from)
}

fn keep(output: &Path, bytes: &[u8]) -> Result<PathBuf> {
    if let Some(directory) = output.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(output, bytes).with_context(|| format!("cannot write {}", output.display()))?;
    Ok(output.to_owned())
}

/// A damaged image by its name; `None` when it is none of them.
pub fn make(name: &str) -> Result<Option<PathBuf>> {
    let output = places::logs()?.join(format!("kernel-{name}"));
    let bytes = match name {
        // What is left ends inside the compressed payload.
        "truncated-bzimage" => {
            let image = BzImage::read(SERIES)?;
            let end = image.payload.start + image.payload.len() / 2;
            image.bytes.get(..end).unwrap_or_default().to_vec()
        }
        // One bit of the compressed payload is wrong.
        "damaged-bzimage" => {
            let mut image = BzImage::read(SERIES)?;
            let middle = image.payload.start + image.payload.len() / 2;
            if let Some(byte) = image.bytes.get_mut(middle) {
                *byte ^= 0x10;
            }
            image.bytes
        }
        "unknown-packing" => {
            let image = BzImage::read(SERIES)?;
            image.with_payload(b"This is no stream of any compressor that Linux knows.")?
        }
        "truncated-elf" => {
            let plain = BzImage::read(SERIES)?.unpacked()?;
            plain.get(..plain.len() / 4).unwrap_or_default().to_vec()
        }
        "elf32" => {
            let mut plain = BzImage::read(SERIES)?.unpacked()?;
            const CLASS: usize = 4;
            if let Some(class) = plain.get_mut(CLASS) {
                *class = 1;
            }
            plain
        }
        // A program of this machine: an ELF file without Xen's notes.
        "no-notes" => fs::read(places::program("qemu-system-x86_64")?)?,
        "text" => b"This is no kernel.\n".repeat(100),
        _ => return Ok(None),
    };
    keep(&output, &bytes).map(Some)
}
