//! console_io: the hypervisor's own console as a domain's. Source: Xen public header `xen.h` (`CONSOLEIO_*`).
//!
//! Output goes through a buffer of fixed size, so that a long string costs no memory and can be preempted between two
//! pieces; the host prefixes and rate-limits what other domains than the hardware domain write.

use abi::console::ConsoleOperation;
use abi::{Errno, GuestHandle};

use crate::authority::Policy;
use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::{Failure, Reply};
use crate::table::{Row, rows};

/// The console as calls see it.
pub trait ConsoleHost {
    /// Whether the caller's domain may use the console without being a control domain.
    fn is_console_domain(&self) -> bool;
    /// Writes bytes of the caller's domain; may stop in the middle of a line or a character.
    fn console_write(&mut self, bytes: &[u8]);
    /// Copies waiting input from the front of the queue, leaving it there; how many bytes.
    fn console_input_peek(&self, into: &mut [u8]) -> usize;
    /// Drops this many bytes from the front of the queue.
    fn console_input_consume(&mut self, count: usize);
}

/// Bytes moved between two looks at the clock.
const PIECE: usize = 128;

/// console_io(18): write `count` bytes (result 0), or read up to `count` (result: how many).
/// Errors: `EPERM`, `EFAULT`, `E2BIG` for a read of 2 GiB or more, `ENOSYS`.
pub fn console_io<H>(host: &mut H, operation: ConsoleOperation, count: u32, buffer: GuestHandle<u8>) -> Reply
where
    H: ConsoleHost + Policy + GuestMemory + Preemption,
{
    if !host.is_console_domain() && !host.is_control_domain() {
        return Err(Errno::EPERM.into());
    }
    match operation {
        ConsoleOperation::WRITE => write(host, count, buffer),
        ConsoleOperation::READ if count > i32::MAX as u32 => Err(Errno::E2BIG.into()),
        ConsoleOperation::READ => read(host, count, buffer),
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn write<H: ConsoleHost + GuestMemory + Preemption>(host: &mut H, count: u32, buffer: GuestHandle<u8>) -> Reply {
    let mut piece = [0; PIECE];
    let mut done = 0;
    while done < count {
        if done != 0 && host.preempted() {
            let rest = buffer.element(u64::from(done)).address().0;
            let arguments = [u64::from(ConsoleOperation::WRITE.0), u64::from(count - done), rest, 0, 0, 0];
            return Err(Failure::Preempted(arguments));
        }
        let wanted = (count - done).min(PIECE as u32);
        let bytes = piece.get_mut(..wanted as usize).unwrap_or_default();
        guest::copy_in_bytes(host, buffer.element(u64::from(done)).address(), bytes)?;
        host.console_write(bytes);
        done += wanted;
    }
    Ok(0)
}

/// Input is dropped only once it has reached the guest.
fn read<H: ConsoleHost + GuestMemory>(host: &mut H, count: u32, buffer: GuestHandle<u8>) -> Reply {
    let mut piece = [0; PIECE];
    let mut done = 0;
    while done < count {
        let room = piece.get_mut(..(count - done).min(PIECE as u32) as usize).unwrap_or_default();
        let taken = host.console_input_peek(room);
        let Some(bytes) = room.get(..taken).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        guest::copy_out_bytes(host, buffer.element(u64::from(done)).address(), bytes)?;
        host.console_input_consume(taken);
        done += taken as u32;
    }
    Ok(u64::from(done))
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(ConsoleOperation { works: WRITE READ; });
