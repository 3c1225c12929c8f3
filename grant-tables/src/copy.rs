//! `GNTTABOP_copy`: copies up to a page between frames, each named by a reference or by a frame of the caller's.
//!
//! A side that is the same as in the operation before keeps its pin, so batches of small pieces pay for it once. A side
//! is one [`PinnedFrame`]: frame number, reference and window come from one pin and cannot be mixed.

use abi::{
    DomainId, Gfn, GrantRef, Mfn,
    grant_table::{Copy, CopyFlags, CopyPointer, GrantStatus},
};

use crate::{
    domains::{DomainCache, Lender},
    entry::{Pins, Purpose},
    host::{Access, Contents},
    pin::{Held, Pin, Use, unpin},
};

/// What one side of an operation names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Reference(DomainId, GrantRef),
    OwnFrame(Gfn),
}

impl Target {
    /// Errors: `PERMISSION_DENIED` unless a frame is the caller's, named as `DOMID_SELF`.
    #[inline]
    fn decode(pointer: &CopyPointer, flags: CopyFlags, reference: CopyFlags) -> Result<Self, GrantStatus> {
        if flags.contains(reference) {
            Ok(Target::Reference(pointer.domain, GrantRef(pointer.target as u32)))
        } else if pointer.domain == DomainId::SELF {
            Ok(Target::OwnFrame(Gfn(pointer.target)))
        } else {
            Err(GrantStatus::PERMISSION_DENIED)
        }
    }
}

/// What keeps a side's frame in place; dropping it lets go.
enum Hold<'h, H: Contents> {
    OwnFrame { host: &'h H, frame: Mfn, access: Access },
    Grant { host: &'h H, lender: Lender<H::Domain>, reference: GrantRef, frame: Mfn, access: Access },
}

impl<H: Contents> Drop for Hold<'_, H> {
    #[inline]
    fn drop(&mut self) {
        match self {
            Hold::OwnFrame { host, frame, access } => host.put(*frame, *access),
            Hold::Grant { host, lender, reference, frame, access } => {
                if *access == Access::Write {
                    host.put(*frame, Access::Write);
                }
                unpin(lender.table(*host), *host, *reference, Pins::host(*access));
            }
        }
    }
}

/// One side: a frame that stays what it is, opened for copying.
struct PinnedFrame<'h, H: Contents> {
    // Closed before the frame is let go.
    window: H::Window,
    target: Target,
    _hold: Hold<'h, H>,
}

impl<'h, H: Contents> PinnedFrame<'h, H> {
    #[inline]
    fn own(host: &'h H, gfn: Gfn, access: Access) -> Result<Self, GrantStatus> {
        let frame = host.take(host.current(), gfn, access)?;
        let hold = Hold::OwnFrame { host, frame, access };
        Ok(Self { window: host.window(frame, access), target: Target::OwnFrame(gfn), _hold: hold })
    }

    #[inline]
    fn granted(
        host: &'h H,
        lender: Lender<H::Domain>,
        domain: DomainId,
        reference: GrantRef,
        access: Access,
    ) -> Result<Self, GrantStatus> {
        let table = lender.table(host);
        let pins = Pins::host(access);
        let wanted = Use { grantee: host.current(), access, pins, purpose: Purpose::Copy };
        let pin = Pin::new(table, host, reference, wanted)?;
        if access == Access::Write {
            // The pin keeps the frame; writing needs it to stay an ordinary page, too.
            Held::again(host, table.owner(), pin.frame(), access)?.keep();
        }
        let frame = pin.keep();
        let hold = Hold::Grant { host, lender, reference, frame, access };
        Ok(Self { window: host.window(frame, access), target: Target::Reference(domain, reference), _hold: hold })
    }
}

/// One side through a batch: what it pinned last, and the domain it named last.
struct Side<'h, H: Contents> {
    pinned: Option<PinnedFrame<'h, H>>,
    domains: DomainCache<H>,
    access: Access,
}

impl<'h, H: Contents> Side<'h, H> {
    fn new(access: Access) -> Self {
        Self { pinned: None, domains: DomainCache::default(), access }
    }

    /// The lending domain of a target that is not pinned yet. Errors: `BAD_DOMAIN`.
    #[inline]
    fn lender(&mut self, host: &H, target: Target) -> Result<Option<Lender<H::Domain>>, GrantStatus> {
        match target {
            Target::Reference(domain, _) if self.pinned.as_ref().is_none_or(|pinned| pinned.target != target) => {
                self.domains.lender(host, domain).map(Some).ok_or(GrantStatus::BAD_DOMAIN)
            }
            _ => Ok(None),
        }
    }

    /// The side's frame; the one of the operation before if it is the same.
    #[inline]
    fn pin(
        &mut self,
        host: &'h H,
        target: Target,
        lender: Option<Lender<H::Domain>>,
    ) -> Result<&PinnedFrame<'h, H>, GrantStatus> {
        let same = self.pinned.as_ref().is_some_and(|pinned| pinned.target == target);
        if !same {
            self.pinned = None;
            self.pinned = Some(match (target, lender) {
                (Target::OwnFrame(gfn), _) => PinnedFrame::own(host, gfn, self.access)?,
                (Target::Reference(domain, reference), Some(lender)) => {
                    PinnedFrame::granted(host, lender, domain, reference, self.access)?
                }
                (Target::Reference(..), None) => return Err(GrantStatus::BAD_DOMAIN),
            });
        }
        self.pinned.as_ref().ok_or(GrantStatus::GENERAL_ERROR)
    }
}

/// A run of copy operations of one caller. Dropping it lets go of what is pinned.
pub struct CopyBatch<'h, H: Contents> {
    host: &'h H,
    source: Side<'h, H>,
    destination: Side<'h, H>,
}

impl<'h, H: Contents> CopyBatch<'h, H> {
    /// Nothing pinned yet.
    pub fn new(host: &'h H) -> Self {
        Self { host, source: Side::new(Access::Read), destination: Side::new(Access::Write) }
    }

    /// Runs one operation and answers its status: `PERMISSION_DENIED`, `BAD_DOMAIN`, those of pinning the source, then the
    /// destination, `BAD_COPY_ARG` for bytes beyond a page. An error lets go of both sides.
    #[inline]
    pub fn copy(&mut self, operation: &Copy) -> GrantStatus {
        match self.run(operation) {
            Ok(()) => GrantStatus::OKAY,
            Err(status) => {
                self.source.pinned = None;
                self.destination.pinned = None;
                status
            }
        }
    }

    #[inline]
    fn run(&mut self, operation: &Copy) -> Result<(), GrantStatus> {
        let host = self.host;
        let from = Target::decode(&operation.source, operation.flags, CopyFlags::SOURCE_GREF)?;
        let from_lender = self.source.lender(host, from)?;
        let to = Target::decode(&operation.destination, operation.flags, CopyFlags::DEST_GREF)?;
        let to_lender = self.destination.lender(host, to)?;

        let source = self.source.pin(host, from, from_lender)?;
        let destination = self.destination.pin(host, to, to_lender)?;

        let length = usize::from(operation.length);
        let from_offset = usize::from(operation.source.offset);
        let to_offset = usize::from(operation.destination.offset);
        if from_offset.max(to_offset) + length > abi::frame::PAGE_SIZE {
            return Err(GrantStatus::BAD_COPY_ARG);
        }
        host.copy_bytes(&source.window, from_offset, &destination.window, to_offset, length);
        Ok(())
    }
}
