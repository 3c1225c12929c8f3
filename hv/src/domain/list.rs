//! All domains: by id, and one after the other. Ids ascend and are never used again.
//!
//! Lookups are frequent and take no lock. A domain leaves the list before its record goes, and the record goes when every
//! CPU has passed its gate or idle loop since ([`super::retired`]): so a reference found here may be used until this CPU
//! gets there, and may not be kept longer. Lock: [`Level::DomainList`] around additions and removals.

#![expect(unsafe_code, reason = "finds records by address")]

use core::sync::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Relaxed, Release},
};

use abi::{DomainId, Errno, Result};
use locks::{Level, Lock};

use super::{Domain, changes};

/// The domain that runs the hardware.
pub const HARDWARE_DOMAIN: DomainId = DomainId(0);

/// The domains whose ids leave the same remainder, by that remainder; each leads to the next one. As ids ascend, only
/// domains of very different ages meet here, and however many ids have been used, nothing had to be allocated for them.
static BY_REMAINDER: [AtomicPtr<Domain>; REMAINDERS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; REMAINDERS];
const REMAINDERS: usize = 256;
/// The domain with the lowest id; each leads to the next one.
static FIRST: AtomicPtr<Domain> = AtomicPtr::new(core::ptr::null_mut());

/// Which ids were given out. An id that was chosen comes never again, nor one of a domain that was made.
struct Numbers {
    /// Of domains that were made.
    used: [u64; DomainId::FIRST_RESERVED.0 as usize / 64 + 1],
    /// The one that was chosen last.
    last: u16,
}

static NUMBERS: Lock<Numbers> =
    Lock::new(Level::DomainList, Numbers { used: [0; DomainId::FIRST_RESERVED.0 as usize / 64 + 1], last: 0 });

impl Numbers {
    fn word(&mut self, id: u16) -> Option<(&mut u64, u64)> {
        Some((self.used.get_mut(usize::from(id) / 64)?, 1 << (id % 64)))
    }

    fn is_taken(&mut self, id: u16) -> bool {
        self.word(id).is_none_or(|(word, bit)| *word & bit != 0)
    }

    fn set(&mut self, id: u16) {
        if let Some((word, bit)) = self.word(id) {
            *word |= bit;
        }
    }

    fn clear(&mut self, id: u16) {
        if let Some((word, bit)) = self.word(id) {
            *word &= !bit;
        }
    }

    /// The first id behind the last one that nobody had yet.
    fn choose(&mut self) -> Option<u16> {
        let next = (self.last + 1..DomainId::FIRST_RESERVED.0).find(|&id| !self.is_taken(id))?;
        self.last = next;
        Some(next)
    }
}

/// An id that is a new domain's, given back unless it is kept.
pub struct NewId {
    id: DomainId,
    kept: bool,
}

impl NewId {
    /// The next one of all, which is nobody else's from now on. Errors: `ENOMEM` when all have been used.
    pub fn burn() -> Result<DomainId> {
        NUMBERS.lock().choose().map(DomainId).ok_or(Errno::ENOMEM)
    }

    /// This id: one that was burnt for it, or that nobody had. Errors: `EEXIST` it is or was somebody's, or can be nobody's.
    pub fn chosen(id: DomainId) -> Result<Self> {
        let mut numbers = NUMBERS.lock();
        if id >= DomainId::FIRST_RESERVED || numbers.is_taken(id.0) {
            return Err(Errno::EEXIST);
        }
        numbers.set(id.0);
        Ok(Self { id, kept: false })
    }

    /// The id.
    pub fn id(&self) -> DomainId {
        self.id
    }

    /// The domain exists.
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewId {
    fn drop(&mut self) {
        if !self.kept {
            NUMBERS.lock().clear(self.id.0);
        }
    }
}

/// Where the domains with this remainder begin; there always is such a place.
#[inline]
fn first_like(id: DomainId) -> Option<&'static AtomicPtr<Domain>> {
    BY_REMAINDER.get(usize::from(id.0) % REMAINDERS)
}

#[inline]
fn follow(pointer: &AtomicPtr<Domain>) -> Option<&'static Domain> {
    let pointer = pointer.load(Acquire);
    // SAFETY: null, or a record that was published and whose memory stays until this CPU has passed its gate.
    unsafe { pointer.as_ref() }
}

/// Makes a finished domain known.
pub fn publish(domain: &'static Domain, id: NewId) {
    let adding = NUMBERS.lock();
    let address = domain.own.load(Relaxed);
    let mut place = &FIRST;
    while let Some(next) = follow(place).filter(|next| next.id < domain.id) {
        place = &next.next;
    }
    domain.next.store(place.load(Relaxed), Relaxed);
    place.store(address, Release);
    if let Some(like) = first_like(domain.id) {
        domain.next_like.store(like.load(Relaxed), Relaxed);
        like.store(address, Release);
    }
    drop(adding);
    id.keep();
    changes::note(domain.id);
    crate::time::wallclock::show(domain);
}

/// Takes a domain out; who has found it already may go on until its CPU passes the gate.
pub fn withdraw(domain: &'static Domain) {
    let _removing = NUMBERS.lock();
    if let Some(like) = first_like(domain.id) {
        unlink(like, domain, |other| &other.next_like);
    }
    unlink(&FIRST, domain, |other| &other.next);
    changes::note(domain.id);
}

/// Leads whoever walks from `first` past `domain`. It still leads on itself, for those who are there just now.
fn unlink(
    first: &'static AtomicPtr<Domain>,
    domain: &Domain,
    next: impl Fn(&'static Domain) -> &'static AtomicPtr<Domain>,
) {
    let mut place = first;
    while let Some(found) = follow(place) {
        if core::ptr::eq(found, domain) {
            place.store(next(found).load(Acquire), Release);
            return;
        }
        place = next(found);
    }
}

/// The domain with this id. A call of its own, as most who ask for a domain do so beside their usual way.
#[inline(never)]
pub fn find(id: DomainId) -> Option<&'static Domain> {
    find_inline(id)
}

/// The same as a part of its caller, for those who ask once or twice for each item of a list.
#[inline(always)]
pub fn find_inline(id: DomainId) -> Option<&'static Domain> {
    let first = follow(first_like(id)?)?;
    if first.id == id { Some(first) } else { find_behind(first, id) }
}

/// The same, where a domain of another age is in front of it. Apart, so that the other case fits into its callers.
#[cold]
#[inline(never)]
fn find_behind(first: &'static Domain, id: DomainId) -> Option<&'static Domain> {
    core::iter::successors(Some(first), |domain| follow(&domain.next_like)).find(|domain| domain.id == id)
}

/// All domains, ascending.
pub fn all() -> impl Iterator<Item = &'static Domain> {
    core::iter::successors(follow(&FIRST), |domain| follow(&domain.next))
}

/// The domain with this id, or else the one with the next higher.
pub fn find_from(id: DomainId) -> Option<&'static Domain> {
    find(id).or_else(|| all().find(|domain| domain.id >= id))
}

/// The domain that runs the hardware.
pub fn hardware_domain() -> Option<&'static Domain> {
    find(HARDWARE_DOMAIN)
}
