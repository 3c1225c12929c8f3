//! The one door to the contents of physical frames.
//!
//! Every access to a frame by its number goes through here and yields atomics or copies, never a plain reference: a
//! guest, a device or another CPU may change the bytes at any time. Today the door is a direct map of all memory; no
//! other module may assume that a frame has an address. Invariant: frames that back Rust objects (image, heap, stacks,
//! frame table) are never opened here; the allocator hands them out through `memory::private` only.

#![expect(unsafe_code, reason = "turns frame numbers into addresses of the direct map")]

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use abi::Mfn;

use super::layout::DIRECT_MAP;

/// A frame as a page table or as plain words.
pub type Words = [AtomicU64; 512];

static FRAME_LIMIT: AtomicU64 = AtomicU64::new(1 << 20);

/// Sets the first frame number that the direct map does not hold; called once when it has been built.
pub fn set_frame_limit(limit: u64) {
    FRAME_LIMIT.store(limit, Relaxed);
}

#[inline]
fn address(mfn: Mfn) -> u64 {
    assert!(mfn.0 < FRAME_LIMIT.load(Relaxed), "frame number beyond the direct map");
    DIRECT_MAP + (mfn.0 << 12)
}

/// The frame as 512 words of 64 bits.
#[inline]
pub fn words(mfn: Mfn) -> &'static Words {
    let pointer = address(mfn) as *const Words;
    // SAFETY: the direct map holds the frame (checked), it is never unmapped, and atomics may be shared with anyone.
    unsafe { &*pointer }
}

/// The frame as 1024 words of 32 bits.
#[inline]
pub fn words32(mfn: Mfn) -> &'static [AtomicU32; 1024] {
    let pointer = address(mfn) as *const [AtomicU32; 1024];
    // SAFETY: as in `words`; mixed-size atomics on the same memory are what the interface demands of both sides.
    unsafe { &*pointer }
}

/// Low memory (below 1 MiB) as 16-bit cells: the VGA text screen.
pub fn low_memory_u16(physical: u64, cells: usize) -> &'static [AtomicU16] {
    assert!(physical.is_multiple_of(2) && physical + 2 * cells as u64 <= 1 << 20, "not in low memory");
    let pointer = (DIRECT_MAP + physical) as *const AtomicU16;
    // SAFETY: the first MiB is always in the direct map, aligned by the check, and atomics may be shared.
    unsafe { core::slice::from_raw_parts(pointer, cells) }
}

/// Fills the frame with zeros.
#[inline]
pub fn zero(mfn: Mfn) {
    fill(mfn, 0);
}

/// Whether the frame holds zeros only.
pub fn is_zero(mfn: Mfn) -> bool {
    let (chunks, _) = words(mfn).as_chunks::<8>();
    chunks.iter().all(|chunk| chunk.iter().fold(0, |found, word| found | word.load(Relaxed)) == 0)
}

/// Fills the frame with one 64-bit value.
#[inline]
pub fn fill(mfn: Mfn, value: u64) {
    let pointer = address(mfn) as *mut u64;
    // SAFETY: the frame is mapped; `rep stosq` writes exactly its 4096 bytes, and nobody holds a plain reference.
    unsafe {
        core::arch::asm!("rep stosq", inout("rdi") pointer => _, inout("rcx") 512_u64 => _, in("rax") value,
            options(nostack, preserves_flags));
    }
}

/// Copies the whole frame.
#[inline]
pub fn copy_frame(to: Mfn, from: Mfn) {
    copy_raw(address(to), address(from), 4096);
}

/// Copies `length` bytes between two frames. Panics when a range leaves its frame: callers have checked the offsets.
#[inline]
pub fn copy_between(to: Mfn, to_offset: usize, from: Mfn, from_offset: usize, length: usize) {
    assert!(to_offset + length <= 4096 && from_offset + length <= 4096, "copy leaves its frame");
    copy_raw(address(to) + to_offset as u64, address(from) + from_offset as u64, length);
}

/// Copies out of a frame into a buffer. Panics when the range leaves the frame.
#[inline]
pub fn read_bytes(mfn: Mfn, offset: usize, to: &mut [u8]) {
    assert!(offset + to.len() <= 4096, "read leaves its frame");
    copy_raw(to.as_mut_ptr() as u64, address(mfn) + offset as u64, to.len());
}

/// Copies a buffer into a frame. Panics when the range leaves the frame.
#[inline]
pub fn write_bytes(mfn: Mfn, offset: usize, from: &[u8]) {
    assert!(offset + from.len() <= 4096, "write leaves its frame");
    copy_raw(address(mfn) + offset as u64, from.as_ptr() as u64, from.len());
}

/// Copies physical memory into a buffer, across frames.
pub fn read_physical(physical: u64, to: &mut [u8]) {
    let mut position = physical;
    let mut rest = to;
    while !rest.is_empty() {
        let offset = (position & 0xFFF) as usize;
        let (part, tail) = rest.split_at_mut(rest.len().min(4096 - offset));
        read_bytes(Mfn(position >> 12), offset, part);
        position += part.len() as u64;
        rest = tail;
    }
}

/// Copies a buffer into physical memory, across frames.
pub fn write_physical(physical: u64, from: &[u8]) {
    let mut position = physical;
    let mut rest = from;
    while !rest.is_empty() {
        let offset = (position & 0xFFF) as usize;
        let (part, tail) = rest.split_at(rest.len().min(4096 - offset));
        write_bytes(Mfn(position >> 12), offset, part);
        position += part.len() as u64;
        rest = tail;
    }
}

/// Copies by machine words where it can; both ranges are mapped and may be written by others meanwhile.
#[inline]
fn copy_raw(to: u64, from: u64, length: usize) {
    // SAFETY: both ranges lie in mapped memory of the caller's choosing (checked frames or a live Rust buffer); the
    // string instructions are opaque to the compiler, so it can neither repeat nor assume anything about the loads.
    unsafe {
        core::arch::asm!("rep movsq", "mov ecx, {rest:e}", "rep movsb", rest = in(reg) length & 7,
            inout("rcx") length >> 3 => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
}

/// A loader module's bytes, which stay where they are until dom0 has been built.
pub fn module_bytes(physical: u64, length: usize) -> &'static [u8] {
    let last = Mfn((physical + length as u64).div_ceil(4096).saturating_sub(1));
    let _ = address(last);
    // SAFETY: the range lies in the direct map (checked); boot keeps modules out of the allocator, nothing writes to
    // them, and no guest runs before the last use.
    unsafe { core::slice::from_raw_parts((DIRECT_MAP + physical) as *const u8, length) }
}

/// The multiboot 2 information block as the crate reads it.
pub fn multiboot2(bytes: &'static [u8]) -> Option<multiboot2::BootInformation<'static>> {
    // SAFETY: 1. the pointer is that of a live slice as long as the block says (`module_bytes`); 2. nothing writes to
    // it while boot lasts, and the result does not outlive boot.
    unsafe { multiboot2::BootInformation::load(bytes.as_ptr().cast()) }.ok()
}

/// The shared page of a domain.
pub fn shared_info(mfn: Mfn) -> &'static event_channels::SharedInfo {
    let pointer = address(mfn) as *const event_channels::SharedInfo;
    // SAFETY: as in `words`: mapped for good, all atomics, and smaller than the frame (asserted in its crate).
    unsafe { &*pointer }
}

/// A vCPU's event block at `offset` of a frame; `None` when it would leave the frame or is not 8-byte aligned.
pub fn vcpu_info(mfn: Mfn, offset: u32) -> Option<&'static event_channels::VcpuInfo> {
    let size = size_of::<event_channels::VcpuInfo>();
    let offset = usize::try_from(offset).ok()?;
    if !offset.is_multiple_of(8) || offset + size > 4096 {
        return None;
    }
    let pointer = (address(mfn) + offset as u64) as *const event_channels::VcpuInfo;
    // SAFETY: as in `words`; inside the frame and aligned (checked).
    Some(unsafe { &*pointer })
}

/// Writes back and drops the cache lines of part of a frame. Panics when the range leaves the frame.
pub fn flush_cache_lines(mfn: Mfn, offset: usize, length: usize) {
    /// No CPU with long mode has shorter lines.
    const LINE: u64 = 64;
    assert!(offset + length <= 4096, "range leaves its frame");
    let start = address(mfn) + offset as u64;
    let mut line = start & !(LINE - 1);
    while line < start + length as u64 {
        // SAFETY: the line is mapped; its contents do not change.
        unsafe { core::arch::asm!("clflush [{}]", in(reg) line, options(nostack, preserves_flags)) };
        line += LINE;
    }
    // SAFETY: orders the flushes before what follows; no other effect.
    unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
}
