//! The frame table: 32 bytes of atomics for every frame of RAM.
//!
//! `hv` allocates one array that covers all of RAM by MFN and lends it as [`Frames`]. Reserved frames inside the array
//! are marked with [`FrameInfo::mark_io`]; what lies beyond the array is I/O memory too.

use abi::{DomainId, Mfn};

use crate::{
    reference::{ReferenceWord, SharedAccess},
    sync::{AcqRel, Acquire, AtomicU16, AtomicU32, AtomicU64, Relaxed, Release},
    type_word::{FrameType, TypeWord},
};

/// What is known of one frame.
#[repr(C)]
pub struct FrameInfo {
    pub(crate) reference: AtomicU64,
    pub(crate) type_word: AtomicU64,
    /// The flush clock when the last type reference or the last reference went: older translations may be stale.
    stamp: AtomicU32,
    /// Entries of a busy or partial table that hold references, from slot 0 up. Of a free frame: whose content it still
    /// has, a domain's number and one, or 0 when that is not known or nobody's to see.
    progress: AtomicU16,
    /// Linear entries, see [`crate::linear`]; zero while the frame is no table in use.
    pub(crate) linear: AtomicU16,
    /// Neighbours in a [`crate::FrameList`], under that list's lock.
    pub(crate) next: AtomicU32,
    pub(crate) previous: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<FrameInfo>() == 32);

impl Default for FrameInfo {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameInfo {
    /// A free frame without owner.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            reference: AtomicU64::new(ReferenceWord::new(DomainId::INVALID, 0, 0).0),
            type_word: AtomicU64::new(0),
            stamp: AtomicU32::new(0),
            progress: AtomicU16::new(0),
            linear: AtomicU16::new(0),
            next: AtomicU32::new(0),
            previous: AtomicU32::new(0),
        }
    }

    /// A free frame without owner.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            reference: AtomicU64::new(ReferenceWord::new(DomainId::INVALID, 0, 0).0),
            type_word: AtomicU64::new(0),
            stamp: AtomicU32::new(0),
            progress: AtomicU16::new(0),
            linear: AtomicU16::new(0),
            next: AtomicU32::new(0),
            previous: AtomicU32::new(0),
        }
    }

    /// A reading of the reference word.
    #[inline]
    pub fn reference(&self) -> ReferenceWord {
        ReferenceWord(self.reference.load(Acquire))
    }

    /// A reading of the type word.
    #[inline]
    pub fn type_word(&self) -> TypeWord {
        TypeWord(self.type_word.load(Acquire))
    }

    /// Flush clock of the last use; the allocator flushes CPUs that have not flushed since before it reuses the frame.
    pub fn flush_stamp(&self) -> u32 {
        self.stamp.load(Acquire)
    }

    /// Entries of a partial table that hold references.
    pub fn progress(&self) -> usize {
        self.progress.load(Relaxed).into()
    }

    /// Linear entries that the table has, or below zero how many name it. For audits.
    pub fn linear_entries(&self) -> i16 {
        self.linear.load(Relaxed) as i16
    }

    pub(crate) fn set_stamp(&self, clock: u32) {
        self.stamp.store(clock, Release);
    }

    pub(crate) fn set_progress(&self, entries: usize) {
        self.progress.store(entries as u16, Relaxed);
    }

    /// Marks a frame of the array as I/O memory, for good. Only at boot, before guests run.
    pub fn mark_io(&self) {
        self.reference.store(ReferenceWord::new(DomainId::IO, 0, 0).0, Release);
    }

    /// Whether a free frame holds nothing but what `domain` had in it when it gave the frame back.
    #[inline]
    pub fn has_content_of(&self, domain: DomainId) -> bool {
        domain.0.checked_add(1).is_some_and(|note| self.progress.load(Relaxed) == note)
    }

    /// A free frame was the hypervisor's own: its content is nobody's to see.
    #[inline]
    pub fn forget_content(&self) {
        self.progress.store(0, Relaxed);
    }

    /// Gives a free, scrubbed and flushed frame to `owner`, with the allocation as its only reference. A frame with
    /// [`Self::has_content_of`] the owner need not be scrubbed.
    pub fn assign(&self, owner: DomainId) {
        self.assert_free();
        self.type_word.store(TypeWord::new(FrameType::None, 0).0, Relaxed);
        self.reference.store(ReferenceWord::new(owner, ReferenceWord::ALLOCATED, 1).0, Release);
    }

    /// Makes a free frame one of the hypervisor's that `owner` may map: shared info, grant table frames, M2P frames
    /// (owner [`DomainId::XEN`]). Its type never changes; undone by [`crate::release_shared`].
    pub fn assign_shared(&self, owner: DomainId, access: SharedAccess) {
        self.assert_free();
        let frame_type = match access {
            SharedAccess::ReadOnly => FrameType::None,
            SharedAccess::ReadWrite => FrameType::Writable,
        };
        self.type_word.store(TypeWord::new(frame_type, 1).0 | TypeWord::VALIDATED, Relaxed);
        let flags = ReferenceWord::ALLOCATED | ReferenceWord::XEN_HEAP;
        self.reference.store(ReferenceWord::new(owner, flags, 1).0, Release);
    }

    /// Takes a frame without references back into the allocator's hands: no owner, but a note of whose content it has.
    /// Errors: none; a frame with references is a broken invariant.
    pub fn reset(&self) {
        let last = self.reference();
        assert!(last.count() == 0, "frame is in use");
        let former = if last.is_xen_heap() { 0 } else { last.owner().0.wrapping_add(1) };
        self.progress.store(former, Relaxed);
        self.type_word.store(0, Relaxed);
        self.reference.store(ReferenceWord::new(DomainId::INVALID, 0, 0).0, Release);
    }

    fn assert_free(&self) {
        assert!(self.reference().count() == 0, "frame is in use");
    }

    /// One more general reference if `owner` has the frame; the word before it.
    pub(crate) fn try_get_reference(&self, owner: DomainId) -> Option<ReferenceWord> {
        loop {
            if let Some(before) = self.try_get_reference_once(owner) {
                return Some(before);
            }
            if !ReferenceWord(self.reference.load(Relaxed)).admits(owner) {
                return None;
            }
        }
    }

    /// The same, in one attempt: `None` says that the long way must decide.
    #[inline(always)]
    pub(crate) fn try_get_reference_once(&self, owner: DomainId) -> Option<ReferenceWord> {
        let word = self.reference.load(Relaxed);
        let taken = ReferenceWord(word).admits(owner)
            && self.reference.compare_exchange(word, word + 1, AcqRel, Relaxed).is_ok();
        taken.then_some(ReferenceWord(word))
    }

    /// One more general reference for a caller that has one; these cannot run out.
    pub(crate) fn get_another_reference(&self) {
        let before = ReferenceWord(self.reference.fetch_add(1, AcqRel));
        assert!(before.count() != 0 && before.count() != ReferenceWord::COUNT, "reference to a free frame");
    }

    /// One general reference less; the word before if it was the last.
    #[inline(always)]
    pub(crate) fn drop_reference(&self) -> Option<ReferenceWord> {
        let before = ReferenceWord(self.reference.fetch_sub(1, AcqRel));
        if before.count() > 1 { None } else { Some(before.last()) }
    }

    /// One more type reference by the short way: the type is in place, or the frame is an unused writable one.
    pub(crate) fn try_get_type(&self, wanted: FrameType) -> bool {
        loop {
            if self.try_get_type_once(wanted) {
                return true;
            }
            if !TypeWord(self.type_word.load(Relaxed)).admits(wanted) {
                return false;
            }
        }
    }

    /// The same, in one attempt: `false` says that the long way must decide.
    #[inline(always)]
    pub(crate) fn try_get_type_once(&self, wanted: FrameType) -> bool {
        let word = self.type_word.load(Relaxed);
        TypeWord(word).admits(wanted) && self.type_word.compare_exchange(word, word + 1, AcqRel, Relaxed).is_ok()
    }

    /// One type reference less if others remain, in one attempt: `false` says that the long way must decide.
    #[inline(always)]
    pub(crate) fn drop_type_once(&self) -> bool {
        let word = self.type_word.load(Relaxed);
        TypeWord(word).outlives_one() && self.type_word.compare_exchange(word, word - 1, AcqRel, Relaxed).is_ok()
    }

    /// One type reference less, if others remain; else the frame becomes busy for the caller, who gets its type.
    pub(crate) fn drop_type(&self) -> Option<FrameType> {
        let mut word = self.type_word.load(Relaxed);
        loop {
            let reading = TypeWord(word);
            assert!(reading.count() != 0 && reading.is_validated(), "type count below zero");
            let last = reading.count() == 1;
            let new = if last { word & !TypeWord::VALIDATED } else { word - 1 };
            assert!(!(last && reading.is_pinned()), "pin without a reference");
            match self.type_word.compare_exchange_weak(word, new, AcqRel, Relaxed) {
                Ok(_) if last => return Some(reading.frame_type()),
                Ok(_) => return None,
                Err(now) => word = now,
            }
        }
    }

    /// Takes over the partial table that `word` shows: it becomes busy for the caller, who now has the partial state's
    /// type reference and its general reference. False if the word is another by now.
    pub(crate) fn take_partial(&self, word: TypeWord) -> bool {
        let busy = TypeWord::new(word.frame_type(), 1);
        word.is_partial() && self.type_word.compare_exchange(word.0, busy.0, AcqRel, Relaxed).is_ok()
    }

    /// Leaves a busy table to whoever comes next, with references in its first `entries` slots.
    pub(crate) fn suspend(&self, table: FrameType, entries: usize) {
        self.set_progress(entries);
        self.get_another_reference();
        self.publish(table, 1, TypeWord::PARTIAL);
    }

    /// Records the memory type of a mapping; the bits that stood before.
    pub(crate) fn set_cache_bits(&self, bits: u64) -> u64 {
        let mut word = self.reference();
        loop {
            let new = ReferenceWord(word.0 & !ReferenceWord::CACHE).with_cache_bits(bits);
            match self.reference.compare_exchange(word.0, new.0, AcqRel, Relaxed) {
                Ok(_) => return word.cache_bits(),
                Err(now) => word = ReferenceWord(now),
            }
        }
    }

    pub(crate) fn mark_non_coherent(&self) {
        self.reference.fetch_or(ReferenceWord::NON_COHERENT, AcqRel);
    }

    /// Ends the caller's busy state.
    #[inline]
    pub(crate) fn publish(&self, frame_type: FrameType, count: u64, flags: u64) {
        self.type_word.store(TypeWord::new(frame_type, count).0 | flags, Release);
    }
}

/// The frame table, by MFN.
#[derive(Clone, Copy)]
pub struct Frames<'a> {
    frames: &'a [FrameInfo],
}

impl<'a> Frames<'a> {
    /// A table whose first element describes MFN 0.
    pub const fn new(frames: &'a [FrameInfo]) -> Self {
        Self { frames }
    }

    /// The frame's state; `None` for MFNs beyond RAM, which are I/O memory or nothing.
    #[inline]
    pub fn get(self, mfn: Mfn) -> Option<&'a FrameInfo> {
        self.frames.get(mfn.0 as usize)
    }

    /// Number of frames described, that is the lowest MFN beyond.
    pub const fn end(self) -> Mfn {
        Mfn(self.frames.len() as u64)
    }
}
