//! `GNTTABOP_transfer`: gives a frame away to a domain that offers a slot for it (PV only).
//!
//! Once the frame is out of the caller's memory it does not come back: any later failure frees it, as the header says.

use abi::{
    Pfn,
    grant_table::{GrantStatus, Transfer},
};

use crate::host::Transfers;

/// Runs one transfer. Errors: `BAD_PAGE` (the caller keeps the frame), `BAD_DOMAIN`, or `GENERAL_ERROR` if the receiver is
/// dying, at its limit, or has no fitting `accept_transfer` entry.
pub fn transfer<H: Transfers>(host: &H, request: &Transfer) -> Result<(), GrantStatus> {
    let stolen = host.steal(abi::Gfn(request.mfn.0)).map_err(|_| GrantStatus::BAD_PAGE)?;
    let receiver = Some(request.domain).filter(|id| id.is_ordinary()).and_then(|id| host.domain(id));
    let receiver = receiver.ok_or(GrantStatus::BAD_DOMAIN)?;
    let accept = || Some(Pfn(receiver.commit_transfer(request.reference, host.current())?.0));
    let frame = host.give(stolen, &receiver, accept).ok_or(GrantStatus::GENERAL_ERROR)?;
    receiver.complete_transfer(request.reference, frame);
    Ok(())
}
