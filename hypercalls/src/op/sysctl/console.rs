//! sysctl: the console ring, and keys for the hypervisor.

use abi::sysctl_machine::{DebugKeys, ReadConsole};
use abi::{Errno, Result};

use super::Request;
use crate::authority::ControlDomain;
use crate::guest::{self, GuestMemory, Preemption};

/// The console ring. Positions count the bytes that were ever printed and wrap around.
pub trait ConsoleRing {
    /// Where what is kept begins, and where the next byte will stand.
    fn console_ring(&self) -> (u32, u32);
    /// Copies bytes from position `from` on, or from the beginning of what is kept if that has gone past it; where the
    /// copy begins, and how many bytes.
    fn console_ring_copy(&self, from: u32, into: &mut [u8]) -> (u32, usize);
    /// Forgets what stands before position `until`.
    fn console_ring_forget(&mut self, authority: ControlDomain, until: u32);
    /// Presses a key on the hypervisor's console.
    fn debug_key(&mut self, authority: ControlDomain, key: u8);
}

/// Bytes moved under one hold of the console's lock.
const PIECE: usize = 256;

/// readconsole(1): what is kept, or from a position on; `clear` forgets what was read. A long ring may be read in part:
/// callers go on from the position they get. Errors: `EFAULT`, and nothing is forgotten then.
pub(super) fn read<H>(host: &mut H, request: &Request) -> Result<()>
where
    H: GuestMemory + Preemption + ConsoleRing,
{
    let mut asked: ReadConsole = request.argument()?;
    let (begin, end) = host.console_ring();
    let is_kept = asked.index.wrapping_sub(begin) <= end.wrapping_sub(begin);
    let mut position = if asked.incremental != 0 && is_kept { asked.index } else { begin };
    let mut done = 0;
    let mut piece = [0; PIECE];
    while done < asked.count && !(done as usize >= PATIENT && host.preempted()) {
        let room = piece.get_mut(..((asked.count - done) as usize).min(PIECE)).unwrap_or_default();
        let (start, length) = host.console_ring_copy(position, room);
        let Some(bytes) = room.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
        guest::copy_out_bytes(host, asked.buffer.element(u64::from(done)).address(), bytes)?;
        position = start.wrapping_add(length as u32);
        done += length as u32;
    }
    if asked.clear != 0 {
        host.console_ring_forget(request.authority, position);
    }
    (asked.index, asked.count) = (position, done);
    request.answer(host, &asked)
}

/// Bytes that are read without a look at the clock: callers expect rings of usual size whole.
const PATIENT: usize = 64 * 1024;

/// debug_keys(7). Errors: `EFAULT` at the first key that cannot be read; those before it were pressed. `E2BIG` for more
/// than there are.
pub(super) fn debug_keys<H: GuestMemory + ConsoleRing>(host: &mut H, request: &Request) -> Result<()> {
    let asked: DebugKeys = request.argument()?;
    if asked.count > MOST_KEYS {
        return Err(Errno::E2BIG);
    }
    for index in 0..asked.count {
        let key = guest::read(host, asked.keys.element(u64::from(index)))?;
        host.debug_key(request.authority, key);
    }
    Ok(())
}

/// Keys of one call: each may print a lot, and the call is not interrupted.
const MOST_KEYS: u32 = 256;
