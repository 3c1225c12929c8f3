//! Whose input it is, and the buffer that dom0 reads.
//!
//! A control character pressed three times (`conswitch`, Ctrl-a by default) gives the input to the other. Until dom0
//! starts, and with `conswitch=..x` afterwards too, it is the hypervisor's.
//!
//! Lock: [`Level::Console`].

use locks::{Level, Lock};

/// Bytes kept for dom0; more are dropped, as Xen does.
const BUFFER: usize = 128;
/// What Control leaves of a letter.
const CONTROL: u8 = 0x1F;

struct Input {
    bytes: [u8; BUFFER],
    start: usize,
    length: usize,
    letter: u8,
    switches: u8,
    owner: Owner,
}

/// Who gets typed input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Hypervisor,
    Dom0,
}

static INPUT: Lock<Input> = Lock::new(
    Level::Console,
    Input { bytes: [0; BUFFER], start: 0, length: 0, letter: b'a', switches: 0, owner: Owner::Hypervisor },
);

/// Sets the letter that switches, lower case. Context: boot.
pub fn set_switch_letter(letter: u8) {
    INPUT.lock().letter = letter;
}

/// Gives the input to dom0, as its start does unless the command line says otherwise.
pub fn give_to_dom0() {
    let letter = {
        let mut input = INPUT.lock();
        input.owner = Owner::Dom0;
        input.letter
    };
    announce(Owner::Dom0, letter);
}

fn announce(owner: Owner, letter: u8) {
    let to = if owner == Owner::Dom0 { "DOM0" } else { "Xen" };
    let letter = char::from(letter);
    log::info!("*** Serial input to {to} (type 'CTRL-{letter}' three times to switch input)");
}

/// What became of a byte.
enum Taken {
    Switched(Owner, u8),
    ForGuest,
    /// Perhaps the beginning of a switch: kept until the next byte tells.
    Held,
    Key(u8),
}

/// One received byte.
pub fn received(byte: u8) {
    let taken = take(byte);
    match taken {
        Taken::Switched(owner, letter) => announce(owner, letter),
        Taken::Held => {}
        Taken::ForGuest => crate::console::guest::notify(),
        Taken::Key(key) => crate::console::debug_keys::pressed(key),
    }
}

fn take(byte: u8) -> Taken {
    let mut input = INPUT.lock();
    let switch = input.letter & CONTROL;
    if byte == switch {
        input.switches += 1;
        if input.switches < 3 {
            return Taken::Held;
        }
        input.switches = 0;
        input.owner = if input.owner == Owner::Dom0 { Owner::Hypervisor } else { Owner::Dom0 };
        return Taken::Switched(input.owner, input.letter);
    }
    let held = core::mem::take(&mut input.switches);
    if input.owner == Owner::Hypervisor {
        return Taken::Key(byte);
    }
    for byte in core::iter::repeat_n(switch, usize::from(held)).chain([byte]) {
        input.push(byte);
    }
    Taken::ForGuest
}

impl Input {
    fn push(&mut self, byte: u8) {
        if self.length < BUFFER {
            let position = (self.start + self.length) % BUFFER;
            if let Some(slot) = self.bytes.get_mut(position) {
                *slot = byte;
            }
            self.length += 1;
        }
    }
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
