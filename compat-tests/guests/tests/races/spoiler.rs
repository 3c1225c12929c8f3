//! vCPU 1: does one step of the current race after the other, and stands still between races.

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use compat_guests::report::{check, give_up};
use compat_guests::{smp, time};

/// One step of a race; gets the number of the step.
pub type Step = fn(u64);

/// The step to do, as an address; 0 to stand still.
static STEP: AtomicU64 = AtomicU64::new(0);
/// Steps done in this race.
static DONE: AtomicU64 = AtomicU64::new(0);
/// Whether it stands still.
static STILL: AtomicU64 = AtomicU64::new(0);

extern "C" fn run(_: u64) -> ! {
    loop {
        let step = STEP.load(SeqCst);
        if step == 0 {
            STILL.store(1, SeqCst);
            core::hint::spin_loop();
            continue;
        }
        // SAFETY: only `against` stores anything but 0, and that is a `Step`.
        let step: Step = unsafe { core::mem::transmute(step as *const ()) };
        step(DONE.fetch_add(1, SeqCst));
    }
}

/// Brings vCPU 1 up.
pub fn start() {
    let started = smp::start(1, run, 0);
    if started != 0 {
        give_up(format_args!("vCPU 1 does not start: {started}"));
    }
    wait_until_still();
}

fn wait_until_still() {
    let end = time::now() + 30_000_000_000;
    while STILL.load(SeqCst) == 0 {
        if time::now() > end {
            give_up(format_args!("vCPU 1 is stuck in a call"));
        }
        core::hint::spin_loop();
    }
}

/// Runs `call` so many times while vCPU 1 does its steps; afterwards vCPU 1 stands still.
pub fn against(name: &str, rounds: u64, step: Step, mut call: impl FnMut(u64)) {
    DONE.store(0, SeqCst);
    STEP.store(step as *const () as u64, SeqCst);
    for round in 0..rounds {
        let before = DONE.load(SeqCst);
        call(round);
        // On a busy machine a vCPU may not get a turn for long: nothing is learnt while it does not.
        while DONE.load(SeqCst) == before {
            core::hint::spin_loop();
        }
    }
    STEP.store(0, SeqCst);
    // Not before: it would say at once that it stands still, while the race has not begun. Having done steps, it says so
    // again only when it has seen that there are no more.
    STILL.store(0, SeqCst);
    wait_until_still();
    check(
        name,
        (DONE.load(SeqCst) >= rounds / 16).into(),
        format_args!("{} steps against {rounds} calls", DONE.load(SeqCst)),
    );
}

/// A number that the two vCPUs share.
pub struct Shared(AtomicU64);

impl Shared {
    /// With its first value.
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }

    /// Changes it.
    pub fn set(&self, value: u64) {
        self.0.store(value, SeqCst);
    }
}

/// Scatters the bits of a step's number: choices that do not follow one another.
pub fn scatter(step: u64) -> u64 {
    let mixed = (step ^ (step >> 15)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}
