//! What the fuzzer plays with: domains made to be hit, places for arguments with nothing mapped behind them, frames.
//!
//! No pointer in a request leads to the guest's own image but to these places, so that what a call rightly writes never
//! ends the test.

use compat_guests::hypercall::update_va_mapping;
use compat_guests::memory::{self, INVLPG, PAGE, READ_ONLY, entry, mfn_of};

use crate::bystander::Bystander;
use crate::guest::{Guest, Program};
use crate::random::Random;
use crate::toolstack::{self, DESTROY, UNPAUSE, domctl, info, request, simple};

/// Domains that are built to be hit.
pub const TARGETS: usize = 3;
/// Domains that fuzzed calls may leave behind before the oldest goes.
const STRAYS: usize = 6;
/// Pages of the place for lists.
pub const LIST_PAGES: u64 = 8;
/// Bytes of a request, with room for what a wrong version might think of it.
pub const REQUEST: usize = 160;

/// The fuzzer's belongings.
pub struct World {
    /// The source of all choices.
    pub random: Random,
    /// Domains that are there to be hit.
    pub targets: [Option<Guest>; TARGETS],
    strays: [u16; STRAYS],
    /// Frames of dom0's own that calls may write to.
    pub victims: [u64; 4],
    /// Frames of those who must not notice.
    pub quiet: [u64; 16],
    /// Those who must not notice.
    pub bystanders: [u16; 2],
    /// A page for requests, with nothing behind it.
    pub place: u64,
    /// The same page, read-only.
    pub constant: u64,
    /// Pages for lists, with nothing before and behind them.
    pub lists: u64,
    /// The only right interface version, where that is asked for.
    pub version: Option<u64>,
    /// The request that is being made.
    pub request: [u8; REQUEST],
}

/// An address range with a hole before and behind it.
fn fenced(pages: u64) -> u64 {
    let first = memory::pages(pages as usize + 2);
    update_va_mapping(first, 0, INVLPG);
    update_va_mapping(first + (pages + 1) * PAGE, 0, INVLPG);
    first + PAGE
}

impl World {
    /// Takes pages from the pool; no targets yet.
    pub fn new(seed: u64, bystanders: &[Bystander; 2]) -> Self {
        let place = fenced(1);
        let constant = memory::page();
        update_va_mapping(constant, entry(mfn_of(place), READ_ONLY), INVLPG);
        let victims = [(); 4].map(|()| mfn_of(memory::page()));
        let quiet = core::array::from_fn(|index| bystanders[index / 8].guest.frames[index % 8]);
        Self {
            random: Random::new(seed),
            targets: [const { None }; TARGETS],
            strays: [0; STRAYS],
            victims,
            quiet,
            bystanders: [bystanders[0].guest.id, bystanders[1].guest.id],
            place,
            constant,
            lists: fenced(LIST_PAGES),
            version: compat_guests::start::parameter("version"),
            request: [0; REQUEST],
        }
    }

    /// Whether one in `of`.
    pub fn chance(&mut self, of: u64) -> bool {
        self.random.below(of) == 0
    }

    /// A value that could stand anywhere, but is no address in the guest's image.
    pub fn value(&mut self) -> u64 {
        match self.random.below(9) {
            0 | 1 => self.random.below(4),
            2 => self.random.below(70),
            3 => self.random.next() >> 1,
            4 => self.random.pick(&[0x7ff0, 0x7ff1, 0x7fff, 0xffff, 0x3f8, 0x1000]),
            5 => self.random.pick(&[u64::MAX, 0x8000_0000, 0xffff_ffff, 1 << 63, 0x7fff_ffff, 1 << 32, u64::MAX >> 12]),
            6 => self.frame(),
            7 => self.bad_address(),
            _ => self.random.below(5000),
        }
    }

    /// A frame: a target's, dom0's spare, a bystander's, a strange one.
    pub fn frame(&mut self) -> u64 {
        let index = self.random.below(8) as usize;
        match self.random.below(8) {
            0 => self.random.pick(&[0, 1, 0xb8, 0xf0, 0xfee00, 0xfec00, 0x3f_ffff, 0xff_ffff_ffff, u64::MAX]),
            1 => self.victims[index % 4],
            2 => self.quiet[index * 2],
            _ => {
                let at = self.random.below(TARGETS as u64) as usize;
                self.targets[at].as_ref().map_or(0, |target| target.frames[index])
            }
        }
    }

    /// An address that nothing can be read from or written to.
    pub fn bad_address(&mut self) -> u64 {
        self.random.pick(&[
            0,
            0x1000,
            0x7fff_ffff_f000,
            0x8000_0000_0000,
            0xffff_8200_0000_0000,
            0xffff_82d0_4000_0000,
            0xffff_8300_0000_0000,
            0xffff_87ff_ffff_fff8,
            self.lists - 8,
            self.lists + LIST_PAGES * PAGE,
        ])
    }

    /// A domain that may be hit, or that is not there.
    pub fn target(&mut self) -> u64 {
        match self.random.below(16) {
            0 => self.random.pick(&[0x7ff0, 0x7ff1, 0x7ff2, 0x7ff4, 0x7fff, 0x8000, 0xffff, 0x7fef]),
            1 => 5000 + self.random.below(8),
            2 | 3 => {
                let stray = self.random.below(STRAYS as u64) as usize;
                u64::from(if self.strays[stray] == 0 { 5001 } else { self.strays[stray] })
            }
            _ => {
                let at = self.random.below(TARGETS as u64) as usize;
                self.targets[at].as_ref().map_or(5000, |target| u64::from(target.id))
            }
        }
    }

    /// A domain that a fuzzed call has made; the oldest such goes when there are too many.
    pub fn adopt(&mut self, id: u16) {
        let known = |target: &Option<Guest>| target.as_ref().is_some_and(|target| target.id == id);
        if id == 0
            || id >= 0x7ff0
            || self.bystanders.contains(&id)
            || self.strays.contains(&id)
            || self.targets.iter().any(known)
        {
            return;
        }
        let oldest = self.strays[0];
        self.strays.rotate_left(1);
        self.strays[STRAYS - 1] = id;
        if oldest != 0 {
            end(oldest);
        }
    }

    /// Builds targets that are gone anew; one of those that are there now and then, too.
    pub fn mend(&mut self) {
        for index in 0..TARGETS {
            let is_left = self.targets[index].as_ref().is_some_and(|target| is_usable(target.id));
            if is_left && !self.chance(4) {
                continue;
            }
            if let Some(old) = self.targets[index].take() {
                end(old.id);
            }
            let program = [Program::ANSWER, Program::FOR_EVER, Program::POWER_OFF, Program::UNDEFINED];
            let program = program[self.random.below(4) as usize];
            self.targets[index] = Guest::build_silently(program);
            if let (Some(target), true) = (&self.targets[index], self.random.below(2) == 0) {
                simple(UNPAUSE, target.id);
            }
        }
        for index in 0..STRAYS {
            let id = self.strays[index];
            if id != 0 && (self.random.below(4) == 0 || info(id).is_none()) {
                self.strays[index] = 0;
                end(id);
            }
        }
    }
}

/// Whether a domain is there and not on its way out.
fn is_usable(id: u16) -> bool {
    info(id).is_some_and(|told| told.get_u32(16 + 4) & 1 == 0)
}

/// Destroys a domain; a call that was interrupted is taken up again.
pub fn end(id: u16) {
    // Whatever has been claimed for it would otherwise count until it is gone.
    for _ in 0..10_000 {
        let done = domctl(&mut request(DESTROY, id));
        if done == 0 || info(id).is_none() {
            return;
        }
    }
    compat_guests::say!("NOTE domain {id} cannot be destroyed: {}", toolstack::simple(DESTROY, id));
}

/// Every domain there is, from `first` on: id and next.
pub fn next_domain(first: u16) -> Option<u16> {
    let mut buffer = compat_guests::buffer::Buffer::<128>::new();
    let address = buffer.address();
    let mut asked = compat_guests::control::sysctl(6).u16(8, first).u32(12, 1).u64(16, address);
    let done = compat_guests::control::make(&mut asked);
    (done == 0 && asked.get_u32(24) == 1).then(|| buffer.get_u16(0))
}
