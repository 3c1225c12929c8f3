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
    entry::{Part, Pins, Purpose},
    host::{Access, Contents},
    pin::{Pin, Use, unpin},
    table::GrantTable,
};

/// What one side of an operation names: an entry of a domain's table, or a frame of the caller's. Two words, which are
/// compared with every operation.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Target {
    number: u64,
    /// Domain, and above it whether `number` is a reference.
    kind: u32,
}

impl Target {
    const REFERENCE: u32 = 1 << 16;
    /// What no operation names.
    const NOBODY: Target = Target { number: 0, kind: u32::MAX };

    #[inline(always)]
    fn decode(pointer: &CopyPointer, is_reference: bool) -> Self {
        let domain = u32::from(pointer.domain.0);
        if is_reference {
            // A reference is the low half of the union.
            Target { number: pointer.target & u64::from(u32::MAX), kind: domain | Self::REFERENCE }
        } else {
            Target { number: pointer.target, kind: domain }
        }
    }

    fn domain(self) -> DomainId {
        DomainId(self.kind as u16)
    }

    fn is_reference(self) -> bool {
        self.kind & Self::REFERENCE != 0
    }
}

/// A frame that stays what it is, opened for copying. The [`Side`] that has it lets it go.
struct PinnedFrame<H: Contents> {
    window: H::Window,
    frame: Mfn,
    /// What of it may be copied.
    part: Part,
    lender: Lender<H::Domain>,
}

/// One side through a batch: what it pinned last, and the domain it named last.
struct Side<'h, H: Contents> {
    host: &'h H,
    access: Access,
    pinned: Option<PinnedFrame<H>>,
    /// What names it; [`Target::NOBODY`] without one.
    target: Target,
    domains: DomainCache<H>,
}

impl<H: Contents> Drop for Side<'_, H> {
    #[inline]
    fn drop(&mut self) {
        self.release();
    }
}

impl<'h, H: Contents> Side<'h, H> {
    #[inline]
    fn new(host: &'h H, access: Access) -> Self {
        Self { host, access, pinned: None, target: Target::NOBODY, domains: DomainCache::default() }
    }

    #[inline(always)]
    fn has(&self, target: Target) -> bool {
        self.target == target
    }

    /// Lets go of the frame.
    #[inline]
    fn release(&mut self) {
        let target = core::mem::replace(&mut self.target, Target::NOBODY);
        let Some(PinnedFrame { window, frame, lender, .. }) = self.pinned.take() else {
            return;
        };
        // Closed before the frame is let go.
        drop(window);
        if self.access == Access::Write || !target.is_reference() {
            self.host.put(frame, self.access);
        }
        if target.is_reference() {
            unpin(lender.table(self.host), self.host, GrantRef(target.number as u32), Pins::host(self.access));
        }
    }

    /// The domain whose frame a target is; `None` for a target that is pinned already: there is nothing left to do.
    /// Errors: `BAD_DOMAIN`, `PERMISSION_DENIED` for a frame unless it is the caller's, named as `DOMID_SELF`.
    #[inline]
    fn lender(&mut self, target: Target) -> Result<Option<Lender<H::Domain>>, GrantStatus> {
        if self.has(target) {
            return Ok(None);
        }
        let lender = self.domains.lender(self.host, target.domain()).ok_or(GrantStatus::BAD_DOMAIN)?;
        if target.is_reference() || target.domain() == DomainId::SELF {
            Ok(Some(lender))
        } else {
            Err(GrantStatus::PERMISSION_DENIED)
        }
    }

    /// Makes `target` the side's frame in place of the one of the operation before.
    #[inline(never)]
    fn pin(&mut self, target: Target, lender: Lender<H::Domain>) -> Result<(), GrantStatus> {
        self.release();
        let (frame, part) = if target.is_reference() {
            self.pin_entry(lender.table(self.host), GrantRef(target.number as u32))?
        } else {
            (self.host.take(self.host.current(), Gfn(target.number), self.access)?, Part::WHOLE)
        };
        let window = self.host.window(frame, self.access);
        self.pinned = Some(PinnedFrame { window, frame, part, lender });
        self.target = target;
        Ok(())
    }

    /// Pins an entry; for writing the frame must also stay an ordinary page.
    #[inline]
    fn pin_entry(&self, table: &GrantTable<H::Page>, reference: GrantRef) -> Result<(Mfn, Part), GrantStatus> {
        let access = self.access;
        let wanted = Use { grantee: self.host.current(), access, pins: Pins::host(access), purpose: Purpose::Copy };
        let pin = Pin::new(table, self.host, reference, wanted)?;
        if access == Access::Write {
            self.host.take_again(table.owner(), pin.frame(), access)?;
        }
        let part = pin.part();
        Ok((pin.keep(), part))
    }
}

/// A run of copy operations of one caller. Dropping it lets go of what is pinned.
pub struct CopyBatch<'h, H: Contents> {
    source: Side<'h, H>,
    destination: Side<'h, H>,
}

impl<'h, H: Contents> CopyBatch<'h, H> {
    /// Nothing pinned yet.
    pub fn new(host: &'h H) -> Self {
        Self { source: Side::new(host, Access::Read), destination: Side::new(host, Access::Write) }
    }

    /// Runs one operation and answers its status: `BAD_DOMAIN`, `PERMISSION_DENIED`, those of pinning the source, then the
    /// destination, `BAD_COPY_ARG` for bytes beyond a page, `GENERAL_ERROR` for bytes beyond the granted part. An error lets go of both sides.
    #[inline]
    pub fn copy(&mut self, operation: &Copy) -> GrantStatus {
        match self.run(operation) {
            Ok(()) => GrantStatus::OKAY,
            Err(status) => {
                self.source.release();
                self.destination.release();
                status
            }
        }
    }

    #[inline]
    fn run(&mut self, operation: &Copy) -> Result<(), GrantStatus> {
        let from = Target::decode(&operation.source, operation.flags.contains(CopyFlags::SOURCE_GREF));
        let from_lender = self.source.lender(from)?;
        let to = Target::decode(&operation.destination, operation.flags.contains(CopyFlags::DEST_GREF));
        let to_lender = self.destination.lender(to)?;
        if let Some(lender) = from_lender {
            self.source.pin(from, lender)?;
        }
        if let Some(lender) = to_lender {
            self.destination.pin(to, lender)?;
        }

        let length = usize::from(operation.length);
        let from_offset = usize::from(operation.source.offset);
        let to_offset = usize::from(operation.destination.offset);
        if from_offset.max(to_offset) + length > abi::frame::PAGE_SIZE {
            return Err(GrantStatus::BAD_COPY_ARG);
        }
        if let (Some(source), Some(destination)) = (&self.source.pinned, &self.destination.pinned) {
            let parts = (source.part, destination.part);
            if parts != (Part::WHOLE, Part::WHOLE)
                && !(parts.0.contains(from_offset, length) && parts.1.contains(to_offset, length))
            {
                return Err(GrantStatus::GENERAL_ERROR);
            }
            self.source.host.copy_bytes(&source.window, from_offset, &destination.window, to_offset, length);
        }
        Ok(())
    }
}
