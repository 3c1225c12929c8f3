//! Whose input it is, and the buffer that dom0 reads.
//!
//! Lock: [`Level::Console`].

use locks::{Level, Lock};

/// Bytes kept for dom0; more are dropped, as Xen does.
const BUFFER: usize = 128;
/// The key that, pressed three times, switches the input: Ctrl-a.
const SWITCH: u8 = 1;

struct Input {
    bytes: [u8; BUFFER],
    start: usize,
    length: usize,
    switches: u8,
    to_hypervisor: bool,
}

static INPUT: Lock<Input> =
    Lock::new(Level::Console, Input { bytes: [0; BUFFER], start: 0, length: 0, switches: 0, to_hypervisor: false });

/// What became of a byte.
enum Taken {
    Switched { to_hypervisor: bool },
    ForGuest,
    Key(u8),
}

/// One received byte.
pub fn received(byte: u8) {
    let taken = take(byte);
    match taken {
        Taken::Switched { to_hypervisor } => {
            let (from, to) = if to_hypervisor { ("DOM0", "Xen") } else { ("Xen", "DOM0") };
            log::info!("*** Serial input to {to} (type 'CTRL-a' three times to switch input to {from})");
        }
        Taken::ForGuest => crate::console::guest::notify(),
        Taken::Key(key) => crate::console::debug_keys::pressed(key),
    }
}

fn take(byte: u8) -> Taken {
    let mut input = INPUT.lock();
    input.switches = if byte == SWITCH { input.switches + 1 } else { 0 };
    if input.switches == 3 {
        input.switches = 0;
        input.to_hypervisor = !input.to_hypervisor;
        return Taken::Switched { to_hypervisor: input.to_hypervisor };
    }
    if input.to_hypervisor {
        return Taken::Key(byte);
    }
    if input.length < BUFFER {
        let position = (input.start + input.length) % BUFFER;
        if let Some(slot) = input.bytes.get_mut(position) {
            *slot = byte;
        }
        input.length += 1;
    }
    Taken::ForGuest
}

/// Copies waiting bytes from the front into `to` and leaves them there; how many.
pub fn peek(to: &mut [u8]) -> usize {
    let input = INPUT.lock();
    let count = input.length.min(to.len());
    for (offset, slot) in to.iter_mut().enumerate().take(count) {
        *slot = input.bytes.get((input.start + offset) % BUFFER).copied().unwrap_or(0);
    }
    count
}

/// Drops bytes from the front.
pub fn consume(count: usize) {
    let mut input = INPUT.lock();
    let count = count.min(input.length);
    input.start = (input.start + count) % BUFFER;
    input.length -= count;
}
