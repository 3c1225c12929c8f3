//! FIFO words: the array of event words, a vCPU's control block and queues, and how an event is linked.
//!
//! Words belong to a guest that may write anything at any time. Each decision is made on the value an atomic operation
//! returned; the only numbers followed are our own tails, so a hostile guest can spoil its queues and nothing else.
//! Source: Xen public header `event_channel.h`, "FIFO ABI".

use alloc::sync::Arc;
use core::{
    array::from_fn,
    sync::atomic::Ordering::{Relaxed, Release, SeqCst},
};

use abi::{
    Port as Number,
    event_channel::{FIFO_BUSY, FIFO_LINK_MASK, FIFO_LINKED, FIFO_MASKED, FIFO_PENDING, FIFO_PORTS, FIFO_QUEUES},
};
use spin::Once;

use crate::{
    Platform,
    sync::{AtomicU32, PAGE_WORDS},
};

pub(crate) const PENDING: u32 = 1 << FIFO_PENDING;
pub(crate) const MASKED: u32 = 1 << FIFO_MASKED;
pub(crate) const LINKED: u32 = 1 << FIFO_LINKED;
const BUSY: u32 = 1 << FIFO_BUSY;

/// Attempts at a word that the guest keeps changing although it is marked busy.
const BUSY_ATTEMPTS: u32 = 4;
/// Pages of words that a domain can have.
pub(crate) const ARRAY_PAGES: usize = if cfg!(loom) { 2 } else { FIFO_PORTS as usize / PAGE_WORDS };
/// 32-bit words of a control block, and the place of the heads in it.
pub(crate) const CONTROL_WORDS: usize = 2 + FIFO_QUEUES;
const FIRST_HEAD: usize = 2;

/// The event words of a domain; pages are added at the end and go all together.
pub(crate) struct EventArray<P: Platform> {
    pages: [Once<P::Page>; ARRAY_PAGES],
}

impl<P: Platform> EventArray<P> {
    pub(crate) fn new() -> Self {
        Self { pages: from_fn(|_| Once::new()) }
    }

    #[inline]
    pub(crate) fn word(&self, number: Number) -> Option<&AtomicU32> {
        let index = number.0 as usize;
        self.pages.get(index / PAGE_WORDS)?.get()?.get(index % PAGE_WORDS)
    }

    /// Whether a port's event hangs in a queue, going by what the guest left there.
    pub(crate) fn is_linked(&self, number: Number) -> bool {
        self.word(number).is_some_and(|word| word.load(Relaxed) & LINKED != 0)
    }

    /// The port is closed: its event is gone, though it may still hang in a queue.
    pub(crate) fn clear_pending(&self, number: Number) {
        if let Some(word) = self.word(number) {
            word.fetch_and(!PENDING, SeqCst);
        }
    }

    /// With the table locked; `slot` is the first that is empty.
    pub(crate) fn add(&self, slot: usize, page: P::Page) {
        if let Some(cell) = self.pages.get(slot) {
            cell.call_once(|| page);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }
}

/// Where a vCPU finds its queues: 72 bytes in a guest page.
pub(crate) struct ControlBlock<P: Platform> {
    page: P::Page,
    first_word: usize,
}

impl<P: Platform> ControlBlock<P> {
    /// `first_word` has been checked: the block lies inside the page.
    pub(crate) fn new(page: P::Page, first_word: usize) -> Self {
        Self { page, first_word }
    }

    fn set_head(&self, priority: u32, number: Number) {
        if let Some(head) = self.page.get(self.first_word + FIRST_HEAD + priority as usize) {
            head.store(number.0, Release);
        }
    }

    /// True when the queue was not marked ready before.
    fn set_ready(&self, priority: u32) -> bool {
        let bit = 1 << (priority & 31);
        self.page.get(self.first_word).is_some_and(|ready| ready.fetch_or(bit, SeqCst) & bit == 0)
    }
}

/// One vCPU's side of the FIFO ABI, guarded by its delivery lock.
pub(crate) struct Queues<P: Platform> {
    pub(crate) array: Arc<EventArray<P>>,
    pub(crate) control: Option<ControlBlock<P>>,
    tails: [u32; FIFO_QUEUES],
}

impl<P: Platform> Queues<P> {
    pub(crate) fn new(array: Arc<EventArray<P>>) -> Self {
        Self { array, control: None, tails: [0; FIFO_QUEUES] }
    }

    /// A queue whose tail was `number` is empty: the event moves elsewhere, and a later event must not be linked to it.
    pub(crate) fn forget_tail(&mut self, priority: u32, number: Number) {
        if let Some(tail) = self.tails.get_mut(priority as usize)
            && *tail == number.0
        {
            *tail = 0;
        }
    }

    /// Puts an event whose LINKED bit we have just set at the end of a queue; true when the guest must be told.
    /// `None` when the tail's word would not hold still and the event is lost to the guest that did it.
    pub(crate) fn append(&mut self, priority: u32, number: Number) -> Option<bool> {
        let (Some(control), Some(tail)) = (&self.control, self.tails.get_mut(priority as usize)) else {
            return Some(false);
        };
        let previous = core::mem::replace(tail, number.0);
        let linked = match self.array.word(Number(previous)) {
            Some(word) if previous != 0 => link(word, number),
            _ => Link::TailConsumed,
        };
        match linked {
            Link::Linked => Some(false),
            Link::GivenUp => None,
            Link::TailConsumed => {
                control.set_head(priority, number);
                Some(control.set_ready(priority))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Linked,
    /// The guest has consumed the tail: the queue is empty.
    TailConsumed,
    GivenUp,
}

/// Writes the link field of a tail that is still in its queue.
fn link(word: &AtomicU32, number: Number) -> Link {
    if let Some(outcome) = try_link(word, number) {
        return outcome;
    }
    // The guest changed the word under us: ask it to hold still.
    word.fetch_or(BUSY, SeqCst);
    for _ in 0..BUSY_ATTEMPTS {
        match try_link(word, number) {
            Some(Link::Linked) => return Link::Linked,
            Some(outcome) => {
                word.fetch_and(!BUSY, SeqCst);
                return outcome;
            }
            None => {}
        }
    }
    word.fetch_and(!BUSY, SeqCst);
    Link::GivenUp
}

/// One attempt; `None` when the word changed meanwhile. Success also clears BUSY.
fn try_link(word: &AtomicU32, number: Number) -> Option<Link> {
    let seen = word.load(SeqCst);
    if seen & LINKED == 0 {
        return Some(Link::TailConsumed);
    }
    let new = seen & !(BUSY | FIFO_LINK_MASK) | number.0 & FIFO_LINK_MASK;
    word.compare_exchange(seen, new, SeqCst, Relaxed).is_ok().then_some(Link::Linked)
}
