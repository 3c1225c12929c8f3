//! Pins: one more use of an entry, as a value that ends the use when it is dropped.
//!
//! The entry's lock is held only while the counts and the in-use bits change. The first pin reads the frame number and
//! takes the entry's own reference on it, so whoever has a pin may rely on that frame to stay.

use abi::{
    DomainId, GrantRef, Mfn,
    grant_table::{EntryFlags, GrantStatus},
};

use crate::{
    entry::{Active, Claimed, Part, Pins, Purpose, Shared},
    host::{Access, Host},
    locked::{LockedEntry, SharedWords},
    table::GrantTable,
};

/// Who wants to use an entry, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) grantee: DomainId,
    pub(crate) access: Access,
    pub(crate) pins: Pins,
    pub(crate) purpose: Purpose,
}

/// A use of an entry of `table`; dropping it ends the use.
pub(crate) struct Pin<'t, 'h, H: Host> {
    table: &'t GrantTable<H::Page>,
    host: &'h H,
    reference: GrantRef,
    pins: Pins,
    frame: Mfn,
    part: Part,
}

impl<'t, 'h, H: Host> Pin<'t, 'h, H> {
    /// Pins an entry. Errors: `BAD_GNTREF` out of range, `GENERAL_ERROR` wrong type, domain or access, counter full, or
    /// a guest that keeps changing the entry, `BAD_PAGE` not the granter's frame.
    #[inline]
    pub(crate) fn new(
        table: &'t GrantTable<H::Page>,
        host: &'h H,
        reference: GrantRef,
        wanted: Use,
    ) -> Result<Self, GrantStatus> {
        let (frame, part) = pin(table, host, reference, wanted)?;
        Ok(Self { table, host, reference, pins: wanted.pins, frame, part })
    }

    /// The frame, which stays allocated while the pin lives.
    #[inline]
    pub(crate) fn frame(&self) -> Mfn {
        self.frame
    }

    /// The part of it that was granted.
    #[inline]
    pub(crate) fn part(&self) -> Part {
        self.part
    }

    /// The use goes on beyond this value; [`unpin`] ends it.
    #[inline]
    pub(crate) fn keep(self) -> Mfn {
        let frame = self.frame;
        core::mem::forget(self);
        frame
    }
}

impl<H: Host> Drop for Pin<'_, '_, H> {
    #[inline]
    fn drop(&mut self) {
        unpin(self.table, self.host, self.reference, self.pins);
    }
}

/// See [`Pin::new`]; the use ends with [`unpin`].
#[inline]
fn pin<H: Host>(
    table: &GrantTable<H::Page>,
    host: &H,
    reference: GrantRef,
    wanted: Use,
) -> Result<(Mfn, Part), GrantStatus> {
    let LockedEntry { mut active, shared } = table.lock(reference).ok_or(GrantStatus::BAD_GNTREF)?;
    let owner = table.owner();
    match shared {
        SharedWords::One(words) => {
            pin_locked(&mut active, words, host, owner, wanted).map(|(frame, _)| (frame, Part::WHOLE))
        }
        SharedWords::Two(words, part) => {
            let first = active.pins.is_empty();
            let before = if first { Part::WHOLE } else { part.get() };
            // What is pinned in part was granted in part: the type is not looked at again.
            if before != Part::WHOLE && wanted.purpose == Purpose::Map {
                return Err(GrantStatus::GENERAL_ERROR);
            }
            let (frame, granted) = pin_locked(&mut active, words, host, owner, wanted)?;
            if first {
                part.set(granted);
            }
            Ok((frame, part.get()))
        }
    }
}

/// Pins a locked entry. The part is that of the entry if the pin is the first.
#[inline]
fn pin_locked<H: Host>(
    active: &mut Active,
    shared: impl Shared,
    host: &H,
    owner: DomainId,
    wanted: Use,
) -> Result<(Mfn, Part), GrantStatus> {
    let before = active.pins;
    if !before.is_empty() && active.domain != wanted.grantee {
        return Err(GrantStatus::GENERAL_ERROR);
    }
    let pins = before.add(wanted.pins).ok_or(GrantStatus::GENERAL_ERROR)?;
    if before.is_empty() {
        let claim = shared.claim(before, wanted.grantee, wanted.access, wanted.purpose)?;
        let (granted, part) = shared.granted();
        let frame = host.take(owner, granted, Access::Read)?;
        *active = Active { pins, domain: wanted.grantee, frame };
        claim.keep();
        return Ok((frame, part));
    }
    if wanted.access == Access::Write && !before.has_writer() {
        shared.claim(before, wanted.grantee, wanted.access, wanted.purpose)?.keep();
    }
    active.pins = pins;
    Ok((active.frame, Part::WHOLE))
}

/// Ends a use: clears the in-use bits that no pin backs any more, and gives back the entry's reference with the last.
#[inline]
pub(crate) fn unpin<H: Host>(table: &GrantTable<H::Page>, host: &H, reference: GrantRef, pins: Pins) {
    // A pin names an entry that exists, and entries with pins never go away.
    let Some(LockedEntry { mut active, shared }) = table.lock(reference) else {
        return;
    };
    match shared {
        SharedWords::One(words) => unpin_locked(&mut active, words, host, pins),
        SharedWords::Two(words, _) => unpin_locked(&mut active, words, host, pins),
    }
}

#[inline]
fn unpin_locked<H: Host>(active: &mut Active, shared: impl Shared, host: &H, pins: Pins) {
    active.pins = active.pins.remove(pins);
    // Bits that no pin of ours stands for are the granter's own doing, and its own affair.
    let writing = if pins.has_writer() { EntryFlags::WRITING } else { EntryFlags::INVALID };
    if active.pins.is_empty() {
        // The frame goes first: once the bits are clear the granter may do as it likes with it.
        host.put(active.frame, Access::Read);
        *active = Active::IDLE;
        shared.clear(EntryFlags::READING.with(writing));
    } else if pins.has_writer() && !active.pins.has_writer() {
        shared.clear(writing);
    }
}

/// A reference on a frame; dropping it gives it back.
pub(crate) struct Held<'h, H: Host> {
    host: &'h H,
    frame: Mfn,
    access: Access,
}

impl<'h, H: Host> Held<'h, H> {
    /// Another reference on a frame that is referenced already.
    #[inline]
    pub(crate) fn again(host: &'h H, owner: DomainId, frame: Mfn, access: Access) -> Result<Self, GrantStatus> {
        host.take_again(owner, frame, access)?;
        Ok(Self { host, frame, access })
    }

    /// The reference now belongs to something else.
    #[inline]
    pub(crate) fn keep(self) {
        core::mem::forget(self);
    }
}

impl<H: Host> Drop for Held<'_, H> {
    #[inline]
    fn drop(&mut self) {
        self.host.put(self.frame, self.access);
    }
}
