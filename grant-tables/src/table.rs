//! One domain's grant table: its size, its pages of shared entries, and the pins of each entry.
//!
//! The table only grows. Entries are found without a lock ([`crate::locked`]); each has one of its own (level
//! `GrantEntry`). Growth and changes of version ([`crate::version`]) are serialised by the table's lock (level
//! `GrantTable`), which no other operation takes while the version stands.

use alloc::vec::Vec;

use abi::{DomainId, GrantRef, Mfn};
use locks::{Level, Lock};

use crate::{
    entry::Active,
    growing::{Growing, try_collect},
    host::{OutOfMemory, SharedPage, TableMemory},
    maptrack::MapTrack,
    sync::{AtomicU32, Ordering},
    version::Version,
};

/// Version 1 entries in a page; few under loom, which pays for each atomic.
pub const ENTRIES_PER_FRAME: u32 = if cfg!(loom) { 2 } else { abi::grant_table::V1_ENTRIES_PER_PAGE };
/// Version 2 entries in a page.
pub const V2_ENTRIES_PER_FRAME: u32 = if cfg!(loom) { 1 } else { abi::grant_table::V2_ENTRIES_PER_PAGE };
/// Pages of version 2 entries that one page of status words belongs to.
pub const FRAMES_PER_STATUS_FRAME: u32 =
    abi::grant_table::STATUS_WORDS_PER_PAGE / abi::grant_table::V2_ENTRIES_PER_PAGE;

/// What a table may grow to; 32-bit words hold the defaults of Xen's command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Pages of shared entries (`gnttab_max_frames`).
    pub frames: u32,
    /// Pages of 256 mapping handles (`gnttab_max_maptrack_frames`).
    pub maptrack_frames: u32,
    /// The newest version that its owner may choose (`gnttab=max-ver`).
    pub version: Version,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frames: 64, maptrack_frames: 1024, version: Version::One }
    }
}

/// Whether a step of growth was the last.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    /// The table has the wanted size.
    Done,
    /// More steps are needed.
    More,
}

/// A page of entries, with the hypervisor's side of each.
pub(crate) struct Frame<P> {
    pub(crate) page: P,
    pub(crate) active: Vec<Lock<Active>>,
    /// What parts of version 2 entries are granted ([`crate::entry::Part`]); none where there is no version 2.
    pub(crate) parts: Vec<AtomicU32>,
}

/// A domain's grant table and mapping handles. Shared between CPUs; every operation locks what it needs.
pub struct GrantTable<P> {
    owner: DomainId,
    limits: Limits,
    pub(crate) frames: Growing<Frame<P>>,
    frame_count: AtomicU32,
    /// Pages of status words; those that were made once are kept when the table goes back to version 1.
    pub(crate) status: Growing<P>,
    /// Number of the version in force, or [`crate::version::CHANGING`].
    pub(crate) version: AtomicU32,
    pub(crate) growth: Lock<()>,
    maptrack: MapTrack,
}

impl<P: SharedPage> GrantTable<P> {
    /// A table of version 1 with `initial_frames` pages for `owner`, which will have up to `vcpus` vCPUs.
    pub fn new(
        owner: DomainId,
        limits: Limits,
        initial_frames: u32,
        vcpus: u32,
        memory: &impl TableMemory<Page = P>,
    ) -> Result<Self, OutOfMemory> {
        let table = Self {
            owner,
            limits,
            frames: Growing::new(limits.frames as usize)?,
            frame_count: AtomicU32::new(0),
            status: Growing::new(match limits.version {
                Version::One => 0,
                Version::Two => status_frames_for(limits.frames) as usize,
            })?,
            version: AtomicU32::new(Version::One.number()),
            growth: Lock::new(Level::GrantTable, ()),
            maptrack: MapTrack::new(owner, limits.maptrack_frames, vcpus)?,
        };
        memory.charge(owner, table.heap_bytes())?;
        while table.frame_count() < initial_frames {
            if table.grow(initial_frames, memory).is_err() {
                memory.uncharge(owner, table.heap_bytes());
                return Err(OutOfMemory);
            }
        }
        Ok(table)
    }

    /// Whose table it is.
    pub fn owner(&self) -> DomainId {
        self.owner
    }

    /// Its limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Pages of shared entries it has.
    #[inline]
    pub fn frame_count(&self) -> u32 {
        self.frame_count.load(Ordering::Acquire)
    }

    /// Entries it has.
    pub fn entry_count(&self) -> u32 {
        self.frame_count() * self.version().entries_per_frame()
    }

    /// Pages of status words it shows, 0 in version 1.
    pub fn status_frame_count(&self) -> u32 {
        match self.version() {
            Version::One => 0,
            Version::Two => status_frames_for(self.frame_count()),
        }
    }

    /// The machine frame of page `index` of the status words.
    pub fn status_frame(&self, index: u32) -> Option<Mfn> {
        if index >= self.status_frame_count() {
            return None;
        }
        self.status.get(index as usize).map(SharedPage::frame)
    }

    /// The machine frame of page `index`.
    pub fn shared_frame(&self, index: u32) -> Option<Mfn> {
        self.frames.get(index as usize).map(|frame| frame.page.frame())
    }

    /// The handles of what this domain has mapped.
    #[inline]
    pub fn maptrack(&self) -> &MapTrack {
        &self.maptrack
    }

    /// Adds one page if the table has fewer than `wanted`, so that a long growth can be preempted between steps.
    /// Errors: the limit or memory is exhausted; what was added before stays.
    pub fn grow(&self, wanted: u32, memory: &impl TableMemory<Page = P>) -> Result<Growth, OutOfMemory> {
        let _growing = self.growth.lock();
        let count = self.frame_count();
        if count >= wanted {
            return Ok(Growth::Done);
        }
        if wanted > self.limits.frames {
            return Err(OutOfMemory);
        }
        if self.version.load(Ordering::Acquire) == Version::Two.number() {
            self.make_status_frames(status_frames_for(count + 1), memory)?;
        }
        let bytes = self.frame_bytes(count + 1) - self.frame_bytes(count);
        memory.charge(self.owner, bytes)?;
        let filled = memory.shared_page(self.owner).and_then(|page| {
            let active = try_collect(ENTRIES_PER_FRAME as usize, |_| Lock::new(Level::GrantEntry, Active::IDLE))?;
            let parts = try_collect(self.parts_per_frame(), |_| AtomicU32::new(0))?;
            self.frames.fill(count as usize, Frame { page, active, parts })
        });
        if filled.is_err() {
            memory.uncharge(self.owner, bytes);
            return Err(OutOfMemory);
        }
        self.frame_count.store(count + 1, Ordering::Release);
        Ok(if count + 1 == wanted { Growth::Done } else { Growth::More })
    }

    /// Makes pages of status words until there are `wanted`. Context: the growth lock is held.
    /// Errors: memory is exhausted; what was added before stays.
    pub(crate) fn make_status_frames(
        &self,
        wanted: u32,
        memory: &impl TableMemory<Page = P>,
    ) -> Result<(), OutOfMemory> {
        for index in self.status_frames_made()..wanted {
            let bytes = self.status.heap_bytes(index as usize + 1) - self.status.heap_bytes(index as usize);
            memory.charge(self.owner, bytes)?;
            let filled = memory.shared_page(self.owner).and_then(|page| self.status.fill(index as usize, page));
            filled.inspect_err(|_| memory.uncharge(self.owner, bytes))?;
        }
        Ok(())
    }

    fn status_frames_made(&self) -> u32 {
        let most = status_frames_for(self.frame_count());
        (0..most).take_while(|&index| self.status.get(index as usize).is_some()).count() as u32
    }

    fn parts_per_frame(&self) -> usize {
        match self.limits.version {
            Version::One => 0,
            Version::Two => V2_ENTRIES_PER_FRAME as usize,
        }
    }

    /// Heap bytes charged so far for this table and its handles, not counting the pages of shared entries.
    pub fn heap_bytes(&self) -> usize {
        let status = self.status.heap_bytes(self.status_frames_made() as usize);
        self.frame_bytes(self.frame_count()) + status + self.maptrack.heap_bytes()
    }

    fn frame_bytes(&self, count: u32) -> usize {
        let active = ENTRIES_PER_FRAME as usize * size_of::<Lock<Active>>();
        let parts = self.parts_per_frame() * size_of::<AtomicU32>();
        self.frames.heap_bytes(count as usize) + count as usize * (active + parts)
    }

    /// A copy of the hypervisor's side of an entry, for audits and the debug key.
    pub fn active(&self, reference: GrantRef) -> Option<Active> {
        self.lock(reference).map(|entry| *entry.active)
    }
}

/// Pages of status words for a table of `frames` pages.
pub const fn status_frames_for(frames: u32) -> u32 {
    frames.div_ceil(FRAMES_PER_STATUS_FRAME)
}
