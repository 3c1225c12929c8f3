//! The machine's memory map as dom0 reads it: what the firmware said, sorted and without overlaps, plus the pages between
//! its entries that no domain may map (local APIC and MSI window, I/O APICs), as reserved.
//!
//! Where entries overlap the higher type counts: less is promised. Source: ACPI 6.5 §15 (address map); Xen public header
//! `memory.h` (machine_memory_map).

use alloc::vec::Vec;

use abi::{Errno, Mfn, Result, memory::E820Entry};
use spin::Once;

use super::firmware;
use crate::boot::loader::{MAX_REGIONS, Region};

/// Type of what must be left alone.
const RESERVED: u32 = 2;
/// Local APICs and the window of message-signalled interrupts.
const MESSAGES: (u64, u64) = (0xFEE0_0000, 0xFEF0_0000);
/// Each overlap can cut an entry in two.
const LIMIT: usize = 2 * MAX_REGIONS;

/// A range of one type, half-open.
#[derive(Clone, Copy, Default)]
struct Piece {
    start: u64,
    end: u64,
    kind: u32,
}

/// The firmware's map; made before there is a heap.
struct FirmwareMap {
    pieces: [Piece; LIMIT],
    count: usize,
}

static FIRMWARE_MAP: Once<FirmwareMap> = Once::new();
static COMPLETE: Once<Vec<E820Entry>> = Once::new();

/// Keeps the loader's map. Context: boot, once.
pub fn remember(regions: &[Region]) {
    FIRMWARE_MAP.call_once(|| FirmwareMap::new(regions));
}

/// An entry of the map; `None` beyond the last. The firmware's tables have been read before the first call.
pub fn entry(index: u32) -> Option<E820Entry> {
    COMPLETE.try_call_once(complete).ok()?.get(index as usize).copied()
}

/// Whether a frame lies in what the firmware calls usable, whoever has it.
pub fn is_usable(frame: Mfn) -> bool {
    const USABLE: u32 = 1;
    let covers = |entry: &E820Entry| {
        let end = entry.start().saturating_add(entry.bytes());
        entry.kind == USABLE && (entry.start().div_ceil(4096)..end / 4096).contains(&frame.0)
    };
    COMPLETE.try_call_once(complete).is_ok_and(|entries| entries.iter().any(covers))
}

impl FirmwareMap {
    fn new(regions: &[Region]) -> Self {
        let mut bounds = [u64::MAX; LIMIT];
        let ends = regions.iter().flat_map(|region| [region.start, end(region)]);
        for (slot, bound) in bounds.iter_mut().zip(ends) {
            *slot = bound;
        }
        bounds.sort_unstable();
        let mut map = Self { pieces: [Piece::default(); LIMIT], count: 0 };
        for (start, next) in bounds.iter().copied().zip(bounds.iter().copied().skip(1)) {
            let covering = regions.iter().filter(|region| region.start <= start && next <= end(region));
            if start < next
                && let Some(kind) = covering.map(|region| region.kind).max()
            {
                map.add(Piece { start, end: next, kind });
            }
        }
        map
    }

    /// Appends a piece that begins at or behind the end of the last.
    fn add(&mut self, piece: Piece) {
        let last = self.count.checked_sub(1).and_then(|last| self.pieces.get_mut(last));
        if let Some(last) = last.filter(|last| last.end == piece.start && last.kind == piece.kind) {
            last.end = piece.end;
        } else if let Some(slot) = self.pieces.get_mut(self.count) {
            *slot = piece;
            self.count += 1;
        }
    }
}

fn end(region: &Region) -> u64 {
    region.start.saturating_add(region.length)
}

/// The firmware's pieces and the reserved pages between them. Errors: `ENOMEM`, to be tried again.
fn complete() -> Result<Vec<E820Entry>> {
    let Some(map) = FIRMWARE_MAP.get() else { return Ok(Vec::new()) };
    let pieces = map.pieces.get(..map.count).unwrap_or_default();
    let kept = kept_back()?;
    let mut entries = Vec::new();
    let mut done = 0;
    let tail = Piece { start: u64::MAX, end: u64::MAX, kind: 0 };
    for piece in pieces.iter().chain(core::iter::once(&tail)) {
        // Pages that are partly in an entry are that entry's.
        let gap = (done, piece.start & !0xFFF);
        for &(first, past) in &kept {
            let (first, past) = (first.max(gap.0), past.min(gap.1));
            if first < past {
                push(&mut entries, E820Entry::new(first, past - first, RESERVED))?;
            }
        }
        if piece.start < piece.end {
            push(&mut entries, E820Entry::new(piece.start, piece.end - piece.start, piece.kind))?;
        }
        done = piece.end.saturating_add(0xFFF) & !0xFFF;
    }
    Ok(entries)
}

/// Page ranges that no domain may map, ascending, none touching the next.
fn kept_back() -> Result<Vec<(u64, u64)>> {
    let controllers = firmware::get().map_or(&[][..], |firmware| &firmware.madt.io_apics[..]);
    let pages = controllers.iter().map(|controller| u64::from(controller.address) & !0xFFF);
    let mut ranges = Vec::new();
    push(&mut ranges, MESSAGES)?;
    for page in pages {
        push(&mut ranges, (page, page + 0x1000))?;
    }
    ranges.sort_unstable();
    ranges.dedup_by(|next, previous| {
        let touches = next.0 <= previous.1;
        if touches {
            previous.1 = previous.1.max(next.1);
        }
        touches
    });
    Ok(ranges)
}

fn push<T>(list: &mut Vec<T>, value: T) -> Result<()> {
    list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    list.push(value);
    Ok(())
}
