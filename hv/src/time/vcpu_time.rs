//! A vCPU's time: how long it was in each runstate, its timers, the areas in guest memory that mirror both.
//!
//! Lock: [`Level::Timers`] around all of it, so that any CPU can read a runstate or set a timer.

use abi::vcpu::{Runstate, RunstateInfo};
use locks::{Level, Lock};

/// Clock, timers and accounts.
pub struct Inner {
    /// What it is doing.
    pub state: Runstate,
    /// Since when, nanoseconds of system time.
    pub since: u64,
    /// Nanoseconds in each state, up to `since`.
    pub times: [u64; 4],
    /// Deadline of the single-shot timer.
    pub singleshot: Option<u64>,
    /// Period of the periodic timer and its next tick.
    pub periodic: Option<(u64, u64)>,
    /// Deadline of a poll.
    pub poll: Option<u64>,
    /// By when a CPU will look at these timers, and which: all ones for none.
    pub watched: Watch,
    /// Where the guest wants its runstate mirrored; a guest-virtual address.
    pub runstate_area: Option<u64>,
    /// Where it wants its clock parameters mirrored; a guest-virtual address.
    pub time_area: Option<u64>,
}

/// Who looks at a vCPU's timers next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Index of the CPU.
    pub cpu: u32,
    /// Nanoseconds of system time.
    pub by: u64,
}

impl Watch {
    /// Nobody.
    pub const NONE: Self = Self { cpu: u32::MAX, by: u64::MAX };
}

/// A vCPU's time, shared.
pub struct VcpuTime {
    inner: Lock<Inner>,
}

/// Linux 2.4-era guests expect a tick of 100 Hz until they turn it off.
const FIRST_PERIOD: u64 = 10_000_000;

impl VcpuTime {
    /// A vCPU that is offline, with the tick that every PV vCPU starts with.
    pub const fn new() -> Self {
        Self {
            inner: Lock::new(
                Level::Timers,
                Inner {
                    state: Runstate::OFFLINE,
                    since: 0,
                    times: [0; 4],
                    singleshot: None,
                    periodic: Some((FIRST_PERIOD, 0)),
                    poll: None,
                    watched: Watch::NONE,
                    runstate_area: None,
                    time_area: None,
                },
            ),
        }
    }

    /// All of it, locked.
    pub fn lock(&self) -> locks::Guard<'_, Inner> {
        self.inner.lock()
    }
}

impl Inner {
    /// Enters a state at `now`.
    #[inline]
    pub fn enter(&mut self, state: Runstate, now: u64) {
        if let Some(time) = self.times.get_mut(self.state.0 as usize) {
            *time = time.saturating_add(now.saturating_sub(self.since));
        }
        self.state = state;
        self.since = now;
    }

    /// The account as guests read it, up to `now`.
    pub fn info(&self, now: u64) -> RunstateInfo {
        let mut times = self.times;
        if let Some(time) = times.get_mut(self.state.0 as usize) {
            *time = time.saturating_add(now.saturating_sub(self.since));
        }
        RunstateInfo { state: self.state, reserved: 0, state_entry_time: self.since, time: times }
    }

    /// The next moment one of its timers is due; `None` for never. The tick of a vCPU that does not run stands still.
    pub fn next_deadline(&self) -> Option<u64> {
        let periodic = self.periodic.filter(|_| self.state == Runstate::RUNNING).map(|(_, next)| next);
        [self.singleshot, periodic, self.poll].into_iter().flatten().min()
    }

    /// Has CPU `cpu` look at the timers in time; the deadline that it has to be told, if it does not know it yet.
    pub fn watch(&mut self, cpu: u32) -> Option<u64> {
        let next = self.next_deadline()?;
        if self.watched.cpu == cpu && self.watched.by <= next {
            return None;
        }
        self.watched = Watch { cpu, by: next };
        Some(next)
    }
}
