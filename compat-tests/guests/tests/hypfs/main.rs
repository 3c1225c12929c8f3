//! hypfs_op: the whole tree, wrong paths and buffers, parameters written at run time.
//!
//! What Xen has beyond what every build has is passed over, and so are texts that say how an image was built.
#![no_std]
#![no_main]

use core::fmt::Write;

use compat_guests::hypercall::call;
use compat_guests::memory;
use compat_guests::report::{result, value_at};
use compat_guests::say;

compat_guests::guest!(main);

const HYPFS_OP: u64 = 42;
const ROOM: u64 = 8 * 4096;

/// A path with its NUL.
struct Path {
    bytes: [u8; 512],
    length: usize,
}

impl Path {
    fn new(text: core::fmt::Arguments<'_>) -> Self {
        let mut path = Self { bytes: [0; 512], length: 0 };
        let _ = path.write_fmt(text);
        path
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("?")
    }
}

impl Write for Path {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for &byte in text.as_bytes() {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        Ok(())
    }
}

fn operation(number: u64, path: &Path, buffer: u64, length: u64) -> i64 {
    call(HYPFS_OP, [number, path.bytes.as_ptr() as u64, path.length as u64 + 1, buffer, length])
}

fn byte(address: u64) -> u8 {
    // SAFETY: pages of the pool.
    unsafe { core::ptr::read_volatile(address as *const u8) }
}

fn word(address: u64) -> u32 {
    // SAFETY: pages of the pool.
    unsafe { core::ptr::read_volatile(address as *const u32) }
}

fn half(address: u64) -> u16 {
    // SAFETY: pages of the pool.
    unsafe { core::ptr::read_volatile(address as *const u16) }
}

fn main() {
    memory::shared_info();
    result(format_args!("version"), call(HYPFS_OP, [0, 0, 0, 0, 0]));
    for number in 0..5 {
        result(format_args!("version.argument.{number}"), {
            let mut arguments = [0u64; 5];
            arguments[number] = if number == 0 { 0 } else { 1 };
            call(HYPFS_OP, arguments)
        });
    }
    for number in [3u64, 4, 100, u32::MAX as u64] {
        result(format_args!("operation.{number}"), operation(number, &Path::new(format_args!("/")), 0, 0));
    }
    walk(&Path::new(format_args!("/")), 0);
    paths();
    buffers();
    writes();
}

/// Parameters that are compared.
const PARAMETERS: [&str; 4] = ["gnttab_max_frames", "gnttab_max_maptrack_frames", "guest_loglvl", "loglvl"];

/// Whether an entry is one that every build has.
fn is_common(name: &str) -> bool {
    match name.strip_prefix("/params/") {
        Some(parameter) => PARAMETERS.contains(&parameter),
        None => name != "/buildinfo/config",
    }
}

/// Whether an entry says how the image was built.
fn is_of_build(name: &str) -> bool {
    (name.starts_with("/buildinfo/c") || name == "/buildinfo/version/extra") && !name.ends_with("compileinfo")
}

/// Whether all that a directory has is common.
fn is_whole(name: &str) -> bool {
    !["/params", "/buildinfo", "/buildinfo/compileinfo", "/buildinfo/version", "/"].contains(&name)
}

/// Reads an entry and prints it; directories are gone into.
fn walk(path: &Path, depth: u32) {
    if !is_common(path.text()) {
        return;
    }
    let buffer = memory::pages(2);
    let room = 2 * 4096;
    let outcome = operation(1, path, buffer, room);
    let name = path.text();
    result(format_args!("read:{name}"), outcome);
    if outcome != 0 {
        return;
    }
    let (kind, length) = (byte(buffer), word(buffer + 4));
    value_at(format_args!("type:{name}"), kind.into());
    value_at(format_args!("encoding:{name}"), byte(buffer + 1).into());
    value_at(format_args!("pad:{name}"), half(buffer + 2).into());
    value_at(format_args!("max_write:{name}"), word(buffer + 8).into());
    if kind != 0 && is_of_build(name) {
        return;
    }
    if kind != 0 || is_whole(name) {
        value_at(format_args!("length:{name}"), length.into());
    }
    match kind {
        0 => directory(path, buffer, length, depth),
        2 if byte(buffer + 1) == 0 => text(name, buffer + 12, length),
        2 => {}
        _ => {
            for offset in (0..u64::from(length.min(64))).step_by(4) {
                value_at(format_args!("content:{name}.{offset}"), word(buffer + 12 + offset).into());
            }
        }
    }
}

fn text(name: &str, from: u64, length: u32) {
    let mut text = Path { bytes: [0; 512], length: 0 };
    for offset in 0..u64::from(length.min(200)) {
        let _ = match byte(from + offset) {
            0 => text.write_str("|"),
            b'\n' => text.write_str("\\n"),
            other => text.write_char(char::from(other)),
        };
    }
    say!("VALUE content:{name}={}", text.text());
}

fn directory(path: &Path, buffer: u64, length: u32, depth: u32) {
    let mut at = buffer + 12;
    let base = if path.length == 1 { "" } else { path.text() };
    let mut count = 0;
    loop {
        if length == 0 || depth >= 5 {
            break;
        }
        let next = half(at + 12);
        let mut name = Path { bytes: [0; 512], length: 0 };
        let mut character = at + 14;
        while byte(character) != 0 {
            let _ = name.write_char(char::from(byte(character)));
            character += 1;
        }
        let child = Path::new(format_args!("{base}/{}", name.text()));
        if is_whole(path.text()) {
            value_at(format_args!("entry:{}.next", child.text()), next.into());
            value_at(format_args!("entry:{}.length", child.text()), word(at + 4).into());
        }
        if is_common(child.text()) {
            value_at(format_args!("entry:{}.max_write", child.text()), word(at + 8).into());
        }
        walk(&child, depth + 1);
        count += 1;
        if next == 0 {
            break;
        }
        at += u64::from(next);
    }
    if is_whole(path.text()) {
        value_at(format_args!("count:{}", path.text()), count);
    }
}

fn paths() {
    let buffer = memory::pages(2);
    for text in [
        "",
        "buildinfo",
        "//",
        "/nothing",
        "/buildinfo/",
        "/buildinfo//config",
        "/buildinfo/nothing",
        "/buildinfo/config/x",
        "/params",
        "/params/console_timestamp",
        "/./buildinfo",
        "/BUILDINFO",
        "/buildinf",
        "/buildinfoo",
        "/cpupool/",
        "/cpupool/0",
        "/cpupool/00",
        "/cpupool/1",
        "/cpupool/x",
        "/cpupool/0/sched-gran",
        "/cpupool/0/nothing",
    ] {
        let path = Path::new(format_args!("{text}"));
        result(format_args!("path:{text}"), operation(1, &path, buffer, 8192));
    }
    let path = Path::new(format_args!("/buildinfo"));
    for length in [0u64, 1, 2, 5, 10, 11, 12, 13, 1024, 1025, u64::MAX] {
        result(
            format_args!("path.length.{length:x}"),
            call(HYPFS_OP, [1, path.bytes.as_ptr() as u64, length, buffer, 8192]),
        );
    }
    result(format_args!("path.bad"), call(HYPFS_OP, [1, 0xffff_8000_0000_0000, 5, buffer, 8192]));
    result(format_args!("path.unmapped"), call(HYPFS_OP, [1, 0x1000, 5, buffer, 8192]));
}

fn buffers() {
    let buffer = memory::pages(8);
    for name in ["/cpupool", "/buildinfo/version/major", "/cpupool/0/sched-gran"] {
        let path = Path::new(format_args!("{name}"));
        for length in [0u64, 1, 11, 12, 13, 15, 16, 24, 30, ROOM, u64::MAX] {
            memory::write(buffer, 0x5555_5555_5555_5555);
            memory::write(buffer + 8, 0x5555_5555_5555_5555);
            result(format_args!("room:{name}.{length:x}"), operation(1, &path, buffer, length));
            value_at(format_args!("room:{name}.{length:x}.length"), word(buffer + 4).into());
        }
        result(format_args!("room:{name}.bad"), operation(1, &path, 0xffff_8000_0000_0000, 100));
        result(format_args!("room:{name}.unmapped"), operation(1, &path, 0x1000, 4096));
    }
}

fn write(name: &str, label: &str, content: &[u8]) {
    let path = Path::new(format_args!("{name}"));
    result(format_args!("write:{name}:{label}"), operation(2, &path, content.as_ptr() as u64, content.len() as u64));
}

fn writes() {
    for name in [
        "/",
        "/buildinfo",
        "/buildinfo/version/major",
        "/buildinfo/changeset",
        "/params",
        "/nothing",
        "/cpupool/0",
        "/cpupool/0/sched-gran",
    ] {
        write(name, "empty", b"");
        write(name, "text", b"text\0");
        write(name, "word", &[1, 0, 0, 0]);
    }
    for (name, texts) in [
        (
            "/params/loglvl",
            &["all\0", "all", "warning/info\0", "bogus\0", "info/bogus\0", "\0", "none/warning\0", "info\0"][..],
        ),
        ("/params/guest_loglvl", &["all\0", "error\0", "bogus\0", "none/warning\0", "warn\0"]),
        ("/params/gnttab_max_frames", &["65\0", "0x40\0"]),
        ("/params/no_crashkernel", &["1\0"]),
    ] {
        for text in texts {
            write(name, text.trim_end_matches('\0'), text.as_bytes());
            walk(&Path::new(format_args!("{name}")), 0);
        }
    }
    for (name, words) in [
        ("/params/gnttab_max_frames", &[65u32, 0, 0x1_0000, u32::MAX, 64][..]),
        ("/params/gnttab_max_maptrack_frames", &[2048, 1024]),
        ("/params/sched_ratelimit_us", &[10]),
    ] {
        for word in words {
            result(
                format_args!("write:{name}:{word}"),
                operation(2, &Path::new(format_args!("{name}")), &raw const *word as u64, 4),
            );
            walk(&Path::new(format_args!("{name}")), 0);
        }
    }
    let path = Path::new(format_args!("/params/gnttab_max_frames"));
    for length in [0u64, 1, 2, 3, 5, 8] {
        let content = [64u32, 0];
        result(format_args!("write.size.{length}"), operation(2, &path, content.as_ptr() as u64, length));
    }
    result(format_args!("write.bad"), operation(2, &path, 0xffff_8000_0000_0000, 4));
    result(format_args!("write.unmapped"), operation(2, &path, 0x1000, 4));
}
