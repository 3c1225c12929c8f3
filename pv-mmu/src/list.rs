//! Lists of frames through links in the frame table itself: a domain's pages, free pages. The lock is the caller's.

use abi::Mfn;

use crate::{frame::Frames, sync::Relaxed};

/// A doubly linked list. A frame is on one list at most; every method needs the lock that protects this one.
#[derive(Debug, Default)]
pub struct FrameList {
    // MFN + 1, zero for none.
    first: u32,
    last: u32,
    len: u64,
}

const fn link(mfn: Mfn) -> u32 {
    mfn.0 as u32 + 1
}

const fn target(link: u32) -> Option<Mfn> {
    if link == 0 { None } else { Some(Mfn(link as u64 - 1)) }
}

impl FrameList {
    /// An empty list.
    pub const fn new() -> Self {
        Self { first: 0, last: 0, len: 0 }
    }

    /// Frames on the list.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The frame put in first.
    pub const fn first(&self) -> Option<Mfn> {
        target(self.first)
    }

    /// The frame put in after `mfn`, which is on the list.
    pub fn after(&self, frames: Frames<'_>, mfn: Mfn) -> Option<Mfn> {
        target(frames.get(mfn)?.next.load(Relaxed))
    }

    /// Puts a frame, which is on no list, at the end.
    pub fn push(&mut self, frames: Frames<'_>, mfn: Mfn) {
        let Some(frame) = frames.get(mfn) else { return };
        frame.next.store(0, Relaxed);
        frame.previous.store(self.last, Relaxed);
        match target(self.last).and_then(|last| frames.get(last)) {
            Some(last) => last.next.store(link(mfn), Relaxed),
            None => self.first = link(mfn),
        }
        self.last = link(mfn);
        self.len += 1;
    }

    /// Takes a frame, which is on this list, out of it.
    pub fn remove(&mut self, frames: Frames<'_>, mfn: Mfn) {
        let Some(frame) = frames.get(mfn) else { return };
        let (next, previous) = (frame.next.load(Relaxed), frame.previous.load(Relaxed));
        match target(previous).and_then(|previous| frames.get(previous)) {
            Some(neighbour) => neighbour.next.store(next, Relaxed),
            None => self.first = next,
        }
        match target(next).and_then(|next| frames.get(next)) {
            Some(neighbour) => neighbour.previous.store(previous, Relaxed),
            None => self.last = previous,
        }
        self.len -= 1;
    }

    /// Takes the first frame out.
    pub fn pop(&mut self, frames: Frames<'_>) -> Option<Mfn> {
        let first = self.first()?;
        self.remove(frames, first);
        Some(first)
    }
}
