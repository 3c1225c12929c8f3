//! What each run of the test is: orderly ends first, then every place, once by a panic and once by a fault.

use super::{
    armed::Break,
    bare::Program,
    cases::{self, Case, Sharing, Ways},
    errands::{self, Errand},
};
use crate::fail_point::Point;

/// Orderly ends before the first break: the second of a kind tells what an end leaves behind, when nothing is done for
/// the first time any more.
const ORDERLY: usize = 4;
const TEARDOWN_STEPS: u64 = 5;
/// Frames, counted from the first, at which a teardown breaks in the middle of them.
const FRAMES: [u32; 3] = [0, 1, 6];
/// Where guards are not there yet.
const CLAIMS: [Point; 2] = [Point::CLAIMING, Point::TAKING_HOLD];

/// One run.
#[derive(Clone, Copy)]
pub enum Plan {
    /// A victim dies by itself.
    Orderly(Sharing),
    /// A victim breaks the hypervisor, or meets a breakpoint in it.
    Victim(Case, Break),
    /// A call of the driving domain breaks.
    Errand(Errand, Break),
    /// So does one that makes a domain.
    Creation(Break),
    /// The teardown of a victim breaks once, on its way.
    TearDown { point: Point, spared: u32, how: Break },
}

/// The plan of a run; `None` after the last.
pub fn of(run: usize) -> Option<Plan> {
    let Some(index) = run.checked_sub(ORDERLY) else {
        let sharing = if run < ORDERLY / 2 { Sharing::Nothing } else { Sharing::GrantsAndPorts };
        return Some(Plan::Orderly(sharing));
    };
    let how = if index.is_multiple_of(2) { Break::Panic } else { Break::Fault };
    let index = index / 2;
    if let Some(case) = cases::case(index) {
        return Some(Plan::Victim(case, if case.ways == Ways::Both { how } else { Break::Panic }));
    }
    let index = index - cases::count();
    if let Some(errand) = errands::errand(index) {
        return Some(Plan::Errand(errand, how));
    }
    match index - errands::count() {
        0 => Some(Plan::Creation(how)),
        index => tear_down(index - 1).map(|(point, spared)| Plan::TearDown { point, spared, how }),
    }
}

fn tear_down(index: usize) -> Option<(Point, u32)> {
    let index = index as u64;
    if index < TEARDOWN_STEPS {
        return Some((Point::teardown(index), 0));
    }
    let index = index - TEARDOWN_STEPS;
    if index < TEARDOWN_STEPS - 1 {
        return Some((Point::within_teardown(index), 0));
    }
    let index = index - (TEARDOWN_STEPS - 1);
    let index = index as usize;
    let frames = FRAMES.get(index).map(|&spared| (Point::within_teardown(TEARDOWN_STEPS - 1), spared));
    frames.or_else(|| CLAIMS.get(index.wrapping_sub(FRAMES.len())).map(|&point| (point, 0)))
}

impl Plan {
    /// What the domain of this run executes; `None` when there is to be none.
    pub fn program(&self) -> Option<Program> {
        match self {
            Plan::Orderly(Sharing::Nothing) => Some(Program::bare(&[0xCC])),
            Plan::Orderly(Sharing::GrantsAndPorts) => Some(cases::sharing_in_order()),
            Plan::Victim(case, _) => Some(case.program),
            Plan::Errand(..) => Some(errands::target()),
            Plan::Creation(_) => None,
            Plan::TearDown { .. } => Some(cases::holding()),
        }
    }

    /// What that domain shares.
    pub fn sharing(&self) -> Sharing {
        match self {
            Plan::Orderly(sharing) => *sharing,
            Plan::Victim(case, _) => case.sharing,
            Plan::TearDown { .. } => Sharing::GrantsAndPorts,
            Plan::Errand(..) | Plan::Creation(_) => Sharing::Nothing,
        }
    }

    /// The call that breaks.
    pub fn errand(&self) -> Option<Errand> {
        match self {
            Plan::Errand(errand, _) => Some(*errand),
            Plan::Creation(_) => Some(errands::creation()),
            _ => None,
        }
    }
}

impl core::fmt::Display for Plan {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (point, how) = match self {
            Plan::Orderly(_) => return formatter.write_str("0x0 by itself"),
            Plan::Victim(case, how) => (case.point, how),
            Plan::Errand(errand, how) => (errand.point, how),
            Plan::Creation(how) => (Point::CREATING, how),
            Plan::TearDown { point, how, .. } => (*point, how),
        };
        write!(formatter, "{:#x} {}", point.0, if *how == Break::Panic { "panic" } else { "fault" })?;
        let Some((call, operation)) = self.errand().map(|errand| errand.name()) else { return Ok(()) };
        write!(formatter, " {call} {operation}")
    }
}
