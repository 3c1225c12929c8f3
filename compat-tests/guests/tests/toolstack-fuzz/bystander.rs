//! A domain that nobody addresses, and everything about it that could change all the same.

use compat_guests::hypercall::call2;
use compat_guests::memory::{self, PAGE, read};
use compat_guests::number;
use compat_guests::report::check;

use crate::guest::{Guest, Program};
use crate::toolstack::{
    FRAME_INFO, GET_CONTEXT, SCHEDULER, UNPAUSE, VCPU_INFO, domctl, info, map_foreign, request, simple, unmap_foreign,
};

/// Names of what is looked at; [`Bystander::look`] has a number for each.
const ASPECTS: [&str; 12] = [
    "state",
    "memory sizes",
    "identity",
    "contents",
    "kinds of frames",
    "context",
    "affinity",
    "weight",
    "nodes",
    "clock",
    "CPU policy",
    "reservation",
];

/// Whether it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Runs,
    Paused,
}

/// Such a domain, and how it was at first.
pub struct Bystander {
    pub guest: Guest,
    life: Life,
    was: [u64; ASPECTS.len()],
}

/// FNV-1a of 64-bit words.
struct Digest(u64);

impl Digest {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn words(&mut self, address: u64, bytes: u64) {
        for offset in (0..bytes).step_by(8) {
            self.word(read(address + offset));
        }
    }

    fn of(words: &[u64]) -> u64 {
        let mut digest = Self::new();
        for &word in words {
            digest.word(word);
        }
        digest.0
    }
}

impl Bystander {
    /// Builds one and looks at it.
    pub fn new(life: Life, scratch: u64) -> Option<Self> {
        let guest = Guest::build_silently(Program::FOR_EVER)?;
        if life == Life::Runs {
            simple(UNPAUSE, guest.id);
        }
        let mut made = Self { guest, life, was: [0; ASPECTS.len()] };
        made.was = made.look(scratch);
        Some(made)
    }

    /// Everything about it that must stay; `scratch` are four pages.
    fn look(&self, scratch: u64) -> [u64; ASPECTS.len()] {
        let id = self.guest.id;
        let Some(told) = info(id) else { return [0; ASPECTS.len()] };
        let at = |offset: usize| told.get_u64(16 + offset);
        // Dying, shut down, paused and debugged: not whether a CPU runs it now.
        let state = u64::from(told.get_u32(16 + 4) & 0xff_004d);
        let identity = [at(48), at(64), at(72), at(80), u64::from(told.get_u32(16 + 92))];
        let scheduler = &mut request(SCHEDULER, id).u32(16, 6).u32(20, 1);
        let weight = [domctl(scheduler) as u64, u64::from(scheduler.get_u32(24))];
        let mut nodes = request(69, id).u64(16, scratch).u32(24, 64);
        let nodes = [domctl(&mut nodes) as u64, read(scratch)];
        let mut clock = request(59, id);
        let clock = [domctl(&mut clock) as u64, u64::from(clock.get_u32(16)), u64::from(clock.get_u32(24))];
        let mut domain = compat_guests::buffer::Buffer::<8>::new().u16(0, id);
        let reservation = [3, 4, 14].map(|command| call2(number::MEMORY_OP, command, domain.address()) as u64);
        [
            state,
            Digest::of(&[at(8), at(16), at(24), at(32), at(40)]),
            Digest::of(&identity),
            self.contents(),
            self.kinds(scratch),
            self.context(scratch),
            self.affinity(scratch),
            Digest::of(&weight),
            Digest::of(&nodes),
            Digest::of(&clock),
            self.policy(scratch),
            Digest::of(&reservation),
        ]
    }

    /// All frames but, where it runs, those that it writes: data, stack and shared page.
    fn contents(&self) -> u64 {
        let mut digest = Digest::new();
        for (index, &frame) in self.guest.frames.iter().enumerate() {
            if self.life == Life::Runs && matches!(index, 1 | 2) {
                continue;
            }
            // Tables can only be mapped read-only.
            let (mapped, address) = map_foreign(frame, self.guest.id);
            if mapped == 0 {
                digest.words(address, PAGE);
            } else {
                digest.word(self.table(address, frame));
            }
            unmap_foreign(address);
        }
        digest.0
    }

    fn table(&self, address: u64, frame: u64) -> u64 {
        let entry = memory::entry(frame, memory::READ_ONLY);
        if crate::toolstack::set_foreign(address, entry, self.guest.id) != 0 {
            return u64::MAX;
        }
        let mut digest = Digest::new();
        for index in 0..512 {
            // Accessed and dirty bits come and go.
            digest.word(read(address + index * 8) & !0x60);
        }
        digest.0
    }

    fn kinds(&self, scratch: u64) -> u64 {
        for (index, frame) in self.guest.frames.iter().enumerate() {
            memory::write(scratch + 8 * index as u64, *frame);
        }
        let mut digest = Digest::new();
        digest.word(domctl(&mut request(FRAME_INFO, self.guest.id).u64(16, 8).u64(24, scratch)) as u64);
        digest.words(scratch, 64);
        digest.0
    }

    /// Registers of one that never ran, and where the other one's vCPUs stand.
    fn context(&self, scratch: u64) -> u64 {
        let mut digest = Digest::new();
        for vcpu in 0..2 {
            let mut asked = request(VCPU_INFO, self.guest.id).u32(16, vcpu);
            digest.word(domctl(&mut asked) as u64);
            digest.word(u64::from(asked.get_u32(20) & 0xff));
        }
        if self.life == Life::Paused {
            digest.word(domctl(&mut request(GET_CONTEXT, self.guest.id).u64(24, scratch)) as u64);
            digest.words(scratch, 5168);
        }
        digest.0
    }

    fn affinity(&self, scratch: u64) -> u64 {
        let mut digest = Digest::new();
        for vcpu in 0..2 {
            memory::write(scratch, 0);
            memory::write(scratch + 8, 0);
            let asked = request(25, self.guest.id).u32(16, vcpu).u32(20, 3);
            digest.word(domctl(&mut asked.u64(24, scratch).u32(32, 64).u64(40, scratch + 8).u32(48, 64)) as u64);
            digest.words(scratch, 16);
        }
        digest.0
    }

    fn policy(&self, scratch: u64) -> u64 {
        let asked = request(82, self.guest.id).u32(16, 400).u32(20, 40).u64(24, scratch).u64(32, scratch + 3 * PAGE);
        let mut asked = asked;
        let mut digest = Digest::new();
        digest.word(domctl(&mut asked) as u64);
        digest.words(scratch, u64::from(asked.get_u32(16)) * 24);
        digest.words(scratch + 3 * PAGE, u64::from(asked.get_u32(20)) * 16);
        digest.0
    }

    /// The aspects that are not as they were, said; whether there are none.
    pub fn is_unharmed(&self, scratch: u64, when: u64) -> bool {
        let now = self.look(scratch);
        let mut unharmed = true;
        for (index, name) in ASPECTS.iter().enumerate() {
            if now[index] != self.was[index] {
                unharmed = false;
                let (is, was) = (now[index], self.was[index]);
                check("bystander", false.into(), format_args!("{name} by call {when}: {is:#x}, was {was:#x}"));
            }
        }
        unharmed
    }
}
