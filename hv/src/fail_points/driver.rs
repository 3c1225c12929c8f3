//! The test itself, one step at each call of the driving domain: build a victim, let it break the hypervisor, see that
//! only it dies, take it down, audit.
//!
//! Context: hypercalls of the driving domain and the bystander.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use alloc::boxed::Box;

use abi::{DomainId, Errno, sched::ShutdownReason};
use locks::{Level, Lock};

use super::{
    armed::{self, Break},
    bare::{self, Bare, Program},
    cases::{Case, Ending, Sharing},
    errands, hand,
    plan::{self, Plan},
    ties::{Move, Ties},
};
use crate::{
    arch::debug,
    audit::Snapshot,
    cpu::{self, block},
    domain::{self, Domain, NewId, RunFlags},
    sched,
    serve::Caller,
    time::clock,
};

/// Calls of the two permanent domains.
const STEP: u64 = 0x3F;
const BEAT: u64 = 0x3E;
const SECOND: u64 = 1_000_000_000;
/// A victim that has not died by then never will.
const PATIENCE: u64 = 10 * SECOND;
/// Longest time between two beats that counts as none missed. The emulator's host may keep a CPU of ours waiting that
/// long; a heart that stops is silent for good.
const LONGEST_SILENCE: u64 = 5 * SECOND;

/// A word of the command line: the driving domain's call never returns, for the test of the watchdog.
const HANG: &str = "fail-point=hang";
const HANG_AT: usize = 1;

/// Takes a step; when that answers 1, makes the call that stands in its data page and stores the result behind it.
#[rustfmt::skip]
const DRIVER: &[u8] = &[
    0xB8, STEP as u8, 0, 0, 0, 0x0F, 0x05, // next: mov eax, step; syscall
    0x85, 0xC0,                            // test eax, eax
    0x74, 0x24,                            // jz yield
    0xBB, 0x00, 0x10, 0x00, 0x40,          // mov ebx, DATA
    0x48, 0x8B, 0x03,                      // mov rax, [rbx]
    0x48, 0x8B, 0x7B, 0x08,                // mov rdi, [rbx + 8]
    0x48, 0x8B, 0x73, 0x10,                // mov rsi, [rbx + 16]
    0x48, 0x8B, 0x53, 0x18,                // mov rdx, [rbx + 24]
    0x4C, 0x8B, 0x53, 0x20,                // mov r10, [rbx + 32]
    0x4C, 0x8B, 0x43, 0x28,                // mov r8, [rbx + 40]
    0x0F, 0x05,                            // syscall
    0x48, 0x89, 0x43, 0x30,                // mov [rbx + 48], rax
    0xEB, 0xD1,                            // jmp next
    0xB8, 29, 0, 0, 0, 0x31, 0xFF,         // yield: mov eax, sched_op; xor edi, edi (yield)
    0x0F, 0x05,                            // syscall
    0xEB, 0xC6,                            // jmp next
];
/// mov eax, call; syscall; mov eax, sched_op; xor edi, edi (yield); syscall; again.
const BYSTANDER: &[u8] =
    &[0xB8, BEAT as u8, 0, 0, 0, 0x0F, 0x05, 0xB8, 29, 0, 0, 0, 0x31, 0xFF, 0x0F, 0x05, 0xEB, 0xEE];

static BEATS: AtomicU64 = AtomicU64::new(0);
static LAST_BEAT: AtomicU64 = AtomicU64::new(0);
static SILENCE: AtomicU64 = AtomicU64::new(0);
/// Debug exceptions that hit the hypervisor.
static BREAKPOINTS: AtomicU64 = AtomicU64::new(0);

/// Where the test is.
enum Stage {
    Build,
    Tie {
        since: u64,
    },
    Wait {
        since: u64,
    },
    /// Calls that make the one possible that breaks.
    Prepare {
        step: usize,
    },
    Call,
    /// The driving domain destroys the other; it has been asked to.
    TearDown {
        was_asked: bool,
    },
    Untie,
    Audit {
        since: u64,
    },
}

/// The test so far.
struct Test {
    /// Two runs of each case: a panic, then a fault; before them victims that die by themselves.
    run: usize,
    plan: Plan,
    next_id: u16,
    /// The domain of this run: the victim, or the target of a call.
    victim: Bare,
    stage: Stage,
    before: Snapshot,
    beats: u64,
    driver: Bare,
    bystander: Bare,
    /// Of the present victim, if it shares anything.
    ties: Option<Box<Ties>>,
    breakpoints: u64,
    /// The teardown of this run has been broken.
    was_broken: bool,
    passed: u32,
    failed: u32,
    complaint: Option<&'static str>,
}

static TEST: Lock<Option<Test>> = Lock::new(Level::DomainControl, None);

/// Starts the two permanent domains and the test.
#[expect(clippy::panic, reason = "without its domains there is no test")]
pub fn start() -> ! {
    let [driver, bystander] = [(0, DRIVER), (1, BYSTANDER)].map(|(id, code)| {
        match bare::build(DomainId(id), &Program { data: &[0; 7], ..Program::bare(code) }) {
            Ok(bare) => bare,
            Err(errno) => panic!("no domain {id} to test with: {}", errno.name()),
        }
    });
    release(driver.id);
    release(bystander.id);
    *TEST.lock() = Some(Test {
        run: 0,
        plan: Plan::Orderly(Sharing::Nothing),
        next_id: 2,
        victim: Bare { id: DomainId(2), ..driver },
        stage: Stage::Build,
        before: Snapshot::take(),
        beats: 0,
        driver,
        bystander,
        ties: None,
        breakpoints: 0,
        was_broken: false,
        passed: 0,
        failed: 0,
        complaint: None,
    });
    cpu::this().work.fetch_or(cpu::Work::SCHEDULE.0, Relaxed);
    sched::idle::enter()
}

fn release(id: DomainId) {
    for vcpu in domain::find(id).into_iter().flat_map(Domain::vcpus) {
        sched::wake::release(vcpu, RunFlags::DOWN);
    }
}

/// A debug exception has hit the hypervisor, and may not again at once. Context: any, on the stack of such exceptions.
pub fn breakpoint_met() {
    debug::write_dr7(debug::NONE);
    BREAKPOINTS.fetch_add(1, Relaxed);
}

/// Sets a breakpoint on the first instruction behind this CPU's SYSCALL.
pub fn watch_entry() {
    /// Breakpoint 0, on execution.
    const FIRST: u64 = debug::NONE | 2;
    debug::write_dr0(block::base(cpu::this().index));
    debug::write_dr7(FIRST);
}

/// Serves the calls of the two permanent domains. True when it was one.
pub fn call(caller: &mut Caller<'_>) -> bool {
    match (caller.domain.id, caller.registers.rax) {
        (DomainId(0), STEP) => {
            let test = TEST.lock().take();
            if let Some(mut test) = test {
                caller.registers.rax = u64::from(step(&mut test) == Next::Call);
                *TEST.lock() = Some(test);
            }
            true
        }
        (DomainId(1), BEAT) => {
            let now = clock::now();
            let last = LAST_BEAT.swap(now, AcqRel);
            if last != 0 {
                SILENCE.fetch_max(now.saturating_sub(last), AcqRel);
            }
            BEATS.fetch_add(1, AcqRel);
            true
        }
        _ => false,
    }
}

/// What the driving domain does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It yields.
    Yield,
    /// It makes the call in its data page.
    Call,
}

/// Goes on.
fn step(test: &mut Test) -> Next {
    if test.run == HANG_AT && crate::boot::sequence::command_line().contains(HANG) {
        log::info!("FAILPOINT this CPU hangs from now on");
        loop {
            core::hint::spin_loop();
        }
    }
    match test.stage {
        Stage::Build => build(test),
        Stage::Tie { since } => {
            let next = test.ties.as_mut().and_then(|ties| ties.next_to_tie());
            if next.is_some() && clock::now() < since + PATIENCE {
                return tied(test, next);
            }
            test.stage = Stage::Wait { since: clock::now() };
            release(test.victim.id);
        }
        Stage::Wait { since } => {
            wait(test, since);
            if let (Stage::Wait { .. }, Some(ties)) = (&test.stage, &mut test.ties) {
                let next = ties.next_while_alive();
                return tied(test, Some(next));
            }
        }
        Stage::Prepare { step } => {
            if test.plan.errand().is_some_and(|errand| errand.prepare(step, test.driver, test.victim)) {
                test.stage = Stage::Prepare { step: step + 1 };
                return Next::Call;
            }
            test.stage = Stage::Call;
        }
        Stage::Call => return call_that_breaks(test),
        Stage::TearDown { was_asked } => return destroy(test, was_asked),
        Stage::Untie => {
            let next = test.ties.as_mut().and_then(|ties| ties.next_to_untie());
            if next.is_none() {
                // The ties are memory that was not there before.
                let complaint = test.ties.take().and_then(|ties| ties.complaint());
                test.complaint = test.complaint.or(complaint);
                test.stage = Stage::Audit { since: clock::now() };
            }
            return tied(test, next);
        }
        Stage::Audit { since } => {
            // Its record goes when each CPU has passed its gate; at least two more beats, so that silence would show.
            let is_late = clock::now() > since + PATIENCE;
            let is_freed =
                if test.is_first() { clock::now() > since + SECOND } else { Snapshot::take() == test.before };
            let is_gone = test.victim.record().is_none() && is_freed;
            let has_beaten = BEATS.load(Acquire) >= test.beats + 2;
            if is_late || (is_gone && has_beaten) {
                audit(test);
            }
        }
    }
    Next::Yield
}

/// The next move of the ties.
fn tied(test: &mut Test, next: Option<Move>) -> Next {
    match (next, &mut test.ties) {
        (Some(next), Some(ties)) => {
            ties.ask(next);
            Next::Call
        }
        _ => Next::Yield,
    }
}

fn build(test: &mut Test) {
    let Some(plan) = plan::of(test.run) else { finish(test) };
    let id = DomainId(test.next_id);
    test.plan = plan;
    // The list of ids grows once and for all.
    drop(NewId::chosen(id));
    test.before = Snapshot::take();
    test.next_id += 1;
    test.complaint = None;
    test.beats = BEATS.load(Acquire);
    test.breakpoints = BREAKPOINTS.load(Acquire);
    test.victim = Bare { id, ..test.driver };
    match plan {
        Plan::Victim(Case { point, spared, ending: Ending::Break, .. }, how) => armed::arm(point, how, id, spared),
        Plan::Victim(Case { point, ending: Ending::AfterEntry, .. }, _) => armed::arm(point, Break::Watch, id, 0),
        _ => {}
    }
    match plan.program().map(|program| bare::build(id, &program)).transpose() {
        Ok(Some(victim)) => test.victim = victim,
        Ok(None) => {}
        Err(errno) => {
            log::error!("FAILPOINT run {}: no victim: {}", test.run, errno.name());
            test.failed += 1;
            finish(test);
        }
    }
    if plan.errand().is_some() {
        test.stage = Stage::Prepare { step: 0 };
        release(id);
    } else if plan.sharing() == Sharing::GrantsAndPorts {
        test.ties = Some(Box::new(Ties::prepare(test.driver, test.bystander, test.victim)));
        test.stage = Stage::Tie { since: clock::now() };
    } else {
        test.stage = Stage::Wait { since: clock::now() };
        release(id);
    }
}

/// Whether the place of a victim's run was reached, as far as that can be told.
fn was_reached(test: &Test) -> bool {
    match test.plan {
        Plan::Victim(Case { ending: Ending::Break, .. }, _) => armed::disarm(),
        Plan::Victim(Case { ending: Ending::AfterBreakpoint | Ending::AfterEntry, .. }, _) => {
            let _ = armed::disarm();
            BREAKPOINTS.load(Acquire) > test.breakpoints
        }
        _ => true,
    }
}

fn wait(test: &mut Test, since: u64) {
    let is_late = clock::now() > since + PATIENCE;
    match test.victim.record().and_then(|victim| victim.shutdown().reason()) {
        None if !is_late => return,
        None => test.complain("the victim lives"),
        Some(ShutdownReason::CRASH) => {}
        Some(_) => test.complain("the victim stopped in another way"),
    }
    if !was_reached(test) {
        test.complain("the place was not reached");
    }
    test.stage = Stage::TearDown { was_asked: false };
}

/// Has the call made that breaks, which comes back by itself; the step after it is the teardown's first.
fn call_that_breaks(test: &mut Test) -> Next {
    if let (Some(errand), Plan::Errand(_, how) | Plan::Creation(how)) = (test.plan.errand(), test.plan) {
        armed::arm(errand.point, how, test.driver.id, errand.spared);
        errand.ask(test.driver, test.victim);
    }
    test.stage = Stage::TearDown { was_asked: false };
    Next::Call
}

/// Has the other domain destroyed, again where that breaks.
fn destroy(test: &mut Test, was_asked: bool) -> Next {
    if !was_asked {
        if let Some(errand) = test.plan.errand() {
            if !armed::disarm() {
                test.complain("the place was not reached");
            }
            if let Some(problem) = errand.complaint(test.driver, test.victim) {
                test.complain(problem);
            }
        }
        if let Plan::TearDown { point, spared, how } = test.plan {
            armed::arm(point, how, test.driver.id, spared);
        }
    } else {
        const BROKEN: u64 = Errno::EIO.to_register();
        const GONE: u64 = Errno::ESRCH.to_register();
        match (hand::result(test.driver), test.plan) {
            (BROKEN, Plan::TearDown { .. }) if armed::disarm() && !test.was_broken => test.was_broken = true,
            (result, plan) => {
                if matches!(plan, Plan::TearDown { .. }) && !test.was_broken {
                    test.complain("the teardown did not break");
                }
                if result != 0 && result != GONE {
                    test.complain("the victim cannot be destroyed");
                }
                test.was_broken = false;
                test.stage = Stage::Untie;
                return Next::Yield;
            }
        }
    }
    errands::destroy(test.driver, test.victim.id);
    test.stage = Stage::TearDown { was_asked: true };
    Next::Call
}

impl Test {
    /// Whether something is done for the first time: what is made once and for all is made now.
    fn is_first(&self) -> bool {
        matches!(self.plan, Plan::Orderly(_)) && self.run.is_multiple_of(2)
    }

    /// The first complaint counts.
    fn complain(&mut self, problem: &'static str) {
        self.complaint.get_or_insert(problem);
    }
}

fn audit(test: &mut Test) {
    let left = Snapshot::take().since(test.before);
    let silence = SILENCE.swap(0, AcqRel);
    let complaint = test.complaint.or_else(|| {
        if left != Snapshot::default() && !test.is_first() {
            Some("memory astray")
        } else if let Some(problem) = crate::audit::domain(test.victim.id) {
            Some(problem)
        } else if let Some(problem) = crate::audit::locks() {
            Some(problem)
        } else if BEATS.load(Acquire) < test.beats + 2 || silence > LONGEST_SILENCE {
            Some("the bystander's heart missed a beat")
        } else {
            None
        }
    });
    let (beats, plan) = (BEATS.load(Acquire) - test.beats, test.plan);
    match complaint {
        None => {
            test.passed += 1;
            log::info!("FAILPOINT {plan}: contained, audit clean, {beats} beats, silence {silence} ns");
        }
        Some(problem) => {
            test.failed += 1;
            log::error!("FAILPOINT {plan}: FAIL {problem}; left {left:?}");
        }
    }
    test.run += 1;
    test.stage = Stage::Build;
}

fn finish(test: &Test) -> ! {
    log::info!("FAILPOINTS {} contained, {} failed", test.passed, test.failed);
    log::info!("FAILPOINTS VERDICT {}", if test.failed == 0 { "SUCCESS" } else { "FAILURE" });
    crate::platform::power::reset()
}
