//! Claims: free frames set aside for domains that are being built, so that a build that began can finish.
//!
//! A claim is a number: it names no frames. Whoever takes frames for a domain asks here first and is refused what would
//! eat into the claims of others. Lock: [`Level::DomainFrames`]. Source: Xen public header `memory.h` (claim_pages).

use core::sync::atomic::Ordering::Relaxed;

use abi::{Errno, Result};
use locks::{Level, Lock};

use super::physical;
use crate::domain::DomainMemory;

struct Claims {
    /// All domains' claims together.
    outstanding: u64,
    /// Frames that were admitted and may still be among the free ones.
    in_flight: u64,
}

static CLAIMS: Lock<Claims> = Lock::new(Level::DomainFrames, Claims { outstanding: 0, in_flight: 0 });

/// Leave to take frames; it lasts until they are taken.
#[must_use]
pub struct Admission<'a> {
    memory: &'a DomainMemory,
    frames: u64,
}

/// Asks to take `frames` free frames for a domain. Errors: `ENOMEM`.
pub fn admit(memory: &DomainMemory, frames: u64) -> Result<Admission<'_>> {
    let mut claims = CLAIMS.lock();
    let of_others = claims.outstanding - memory.claimed.load(Relaxed).min(frames);
    if of_others + claims.in_flight + frames > physical::free_frames() {
        return Err(Errno::ENOMEM);
    }
    claims.in_flight += frames;
    Ok(Admission { memory, frames })
}

impl Admission<'_> {
    /// The frames were taken and stay the domain's: its claim, if it has one, shrinks by as many.
    pub fn settle(self) {
        let mut claims = CLAIMS.lock();
        let claimed = self.memory.claimed.load(Relaxed);
        let used = claimed.min(self.frames);
        self.memory.claimed.store(claimed - used, Relaxed);
        claims.outstanding -= used;
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        CLAIMS.lock().in_flight -= self.frames;
    }
}

/// Frames that are set aside for domains.
pub fn outstanding() -> u64 {
    CLAIMS.lock().outstanding
}

/// Sets frames aside until the domain has `frames` in all; 0 gives back what is left of its claim.
/// Errors: `EINVAL` if it has a claim, has that many already or may not have that many; `ENOMEM`.
pub fn stake(memory: &DomainMemory, frames: u64) -> Result<()> {
    let mut claims = CLAIMS.lock();
    let claimed = memory.claimed.load(Relaxed);
    if frames == 0 {
        memory.claimed.store(0, Relaxed);
        claims.outstanding -= claimed;
        return Ok(());
    }
    let total = memory.total();
    if claimed != 0 || frames <= total || frames > memory.maximum() {
        return Err(Errno::EINVAL);
    }
    let wanted = frames - total;
    if wanted > physical::free_frames().saturating_sub(claims.outstanding + claims.in_flight) {
        return Err(Errno::ENOMEM);
    }
    memory.claimed.store(wanted, Relaxed);
    claims.outstanding += wanted;
    Ok(())
}
