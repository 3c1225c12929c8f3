//! Linear page tables: an entry of a level-2, -3 or -4 table that maps a table of the same level, read-only.
//!
//! A guest that enters a table into itself sees all its tables at fixed addresses. Such an entry holds no references: the
//! frame's own type keeps it what it is. An entry for another table of the level holds a general and a type reference
//! like any other, and is counted on both sides: a table has linear entries, or is the target of some, never both. So
//! tables of one level cannot form a chain or a circle, which would keep itself alive for good and be taken down by
//! unbounded recursion. That is what Xen demands too (`pv-linear-pt` on its command line; on by default).
//!
//! The count is one word: above zero the number of linear entries in the table, below zero (as a signed number) how many
//! name it. It changes by compare-and-exchange; the entries' references keep both frames what they are meanwhile.

use abi::{DomainId, Errno, Mfn};

use crate::{
    entry::Entry,
    frame::FrameInfo,
    host::{MmuHost, Stop},
    sync::{AcqRel, Acquire, Relaxed},
    type_word::FrameType,
    types::{get_page, put_page, put_type},
};

/// The table that an entry stands in, busy or held by the caller.
#[derive(Clone, Copy)]
pub(crate) struct Container<'f> {
    pub(crate) mfn: Mfn,
    pub(crate) frame: &'f FrameInfo,
    pub(crate) level: FrameType,
}

/// The two ways of being part of a linear mapping, as steps of the count.
#[derive(Clone, Copy)]
enum Role {
    /// Has a linear entry.
    Container,
    /// Is named by one.
    Target,
}

impl Role {
    const fn step(self) -> i16 {
        match self {
            Role::Container => 1,
            Role::Target => -1,
        }
    }
}

/// Counts one more use in a role; false if the table has the other role, or the count is full.
fn enter(frame: &FrameInfo, role: Role) -> bool {
    let mut count = frame.linear.load(Acquire);
    loop {
        let now = count as i16;
        let (false, Some(next)) = (now != 0 && now.signum() != role.step(), now.checked_add(role.step())) else {
            return false;
        };
        match frame.linear.compare_exchange(count, next as u16, AcqRel, Relaxed) {
            Ok(_) => return true,
            Err(seen) => count = seen,
        }
    }
}

/// Counts one use less.
fn leave(frame: &FrameInfo, role: Role) {
    let before = frame.linear.fetch_sub(role.step() as u16, AcqRel) as i16;
    assert!(before.signum() == role.step(), "linear table count of the wrong sign");
}

/// Takes what a linear entry of `container` holds. Errors: `EINVAL` linear tables are switched off, a writable entry, a
/// frame that is no table of the level in use by `owner`, or tables that may not be joined.
pub(crate) fn acquire<H: MmuHost>(
    host: &H,
    owner: DomainId,
    container: Container<'_>,
    entry: Entry,
) -> Result<(), Stop> {
    if entry.is_writable() || !host.allows_linear_tables() {
        return Err(Stop::Errno(Errno::EINVAL));
    }
    if entry.mfn() == container.mfn {
        return Ok(());
    }
    let frame = get_page(host, entry.mfn(), owner)?;
    if frame.try_get_type(container.level) {
        if enter(container.frame, Role::Container) {
            if enter(frame, Role::Target) {
                return Ok(());
            }
            leave(container.frame, Role::Container);
        }
        put_type(host, entry.mfn(), frame);
    }
    put_page(host, entry.mfn(), frame);
    Err(Stop::Errno(Errno::EINVAL))
}

/// Ends the counting of an entry about another table's `frame`, whose references it still holds, if it is a linear one:
/// then that frame has the container's type.
pub(crate) fn release(container: Container<'_>, frame: &FrameInfo) {
    if frame.type_word().frame_type() == container.level {
        leave(frame, Role::Target);
        leave(container.frame, Role::Container);
    }
}
