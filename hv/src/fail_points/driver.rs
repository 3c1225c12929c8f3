//! The test itself, one step at each call of the driving domain: build a victim, let it break the hypervisor, see that
//! only it dies, take it down, audit.
//!
//! Context: hypercalls of the driving domain and the bystander.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use alloc::boxed::Box;

use abi::{DomainId, sched::ShutdownReason};
use locks::{Level, Lock};

use super::{
    armed::{self, Break},
    bare::{self, Bare, Program},
    cases::{self, Case, Ending, Sharing, Ways},
    ties::{Move, Ties},
};
use crate::{
    audit::Snapshot,
    cpu,
    domain::{self, Domain, RunFlags, TeardownProgress, tear_down},
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
    Tie { victim: DomainId, since: u64 },
    Wait { victim: DomainId, since: u64 },
    TearDown { victim: DomainId },
    Untie { victim: DomainId },
    Audit { victim: DomainId, since: u64 },
}

/// The test so far.
struct Test {
    /// Two runs of each case: a panic, then a fault; before them victims that die by themselves.
    run: usize,
    next_id: u16,
    stage: Stage,
    before: Snapshot,
    beats: u64,
    driver: Bare,
    bystander: Bare,
    /// Of the present victim, if it shares anything.
    ties: Option<Box<Ties>>,
    breakpoints: u64,
    passed: u32,
    failed: u32,
    complaint: Option<&'static str>,
}

static TEST: Lock<Option<Test>> = Lock::new(Level::DomainControl, None);

/// Starts the two permanent domains and the test.
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
        next_id: 2,
        stage: Stage::Build,
        before: Snapshot::take(),
        beats: 0,
        driver,
        bystander,
        ties: None,
        breakpoints: 0,
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

/// A debug exception has hit the hypervisor. Context: any, on the stack of such exceptions.
pub fn breakpoint_met() {
    BREAKPOINTS.fetch_add(1, Relaxed);
}

/// Serves the calls of the two permanent domains. True when it was one.
pub fn call(caller: &mut Caller<'_>) -> bool {
    match (caller.domain.id, caller.registers.rax) {
        (DomainId(0), STEP) => {
            let test = TEST.lock().take();
            if let Some(mut test) = test {
                let next = step(&mut test, caller);
                if let (Some(next), Some(ties)) = (next, &mut test.ties) {
                    ties.ask(next);
                }
                caller.registers.rax = u64::from(next.is_some());
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

/// Goes on; answers with what the driving domain is to do.
fn step(test: &mut Test, caller: &Caller<'_>) -> Option<Move> {
    if test.run == HANG_AT && crate::boot::sequence::command_line().contains(HANG) {
        log::info!("FAILPOINT this CPU hangs from now on");
        loop {
            core::hint::spin_loop();
        }
    }
    match test.stage {
        Stage::Build => build(test),
        Stage::Tie { victim, since } => {
            let next = test.ties.as_mut().and_then(|ties| ties.next_to_tie());
            if next.is_some() && clock::now() < since + PATIENCE {
                return next;
            }
            test.stage = Stage::Wait { victim, since: clock::now() };
            release(victim);
        }
        Stage::Wait { victim, since } => {
            wait(test, victim, since);
            if let (Stage::Wait { .. }, Some(ties)) = (&test.stage, &mut test.ties) {
                return Some(ties.next_while_alive());
            }
        }
        Stage::TearDown { victim } => {
            if domain::find(victim).is_none_or(|victim| tear_down(victim, caller) == TeardownProgress::Done) {
                test.stage = Stage::Untie { victim };
            }
        }
        Stage::Untie { victim } => {
            let next = test.ties.as_mut().and_then(|ties| ties.next_to_untie());
            if next.is_none() {
                // The ties are memory that was not there before.
                let complaint = test.ties.take().and_then(|ties| ties.complaint());
                test.complaint = test.complaint.or(complaint);
                test.stage = Stage::Audit { victim, since: clock::now() };
            }
            return next;
        }
        Stage::Audit { victim, since } => {
            // Its record goes when each CPU has passed its gate; at least two more beats, so that silence would show.
            let is_late = clock::now() > since + PATIENCE;
            let is_gone = domain::find(victim).is_none() && Snapshot::take() == test.before;
            let has_beaten = BEATS.load(Acquire) >= test.beats + 2;
            if is_late || (is_gone && has_beaten) {
                audit(test, victim);
            }
        }
    }
    None
}

/// Orderly ends before the first break: the second of a kind tells what an end leaves behind, when nothing is done for
/// the first time any more.
const ORDERLY: usize = 4;

/// The case of a run, and how it breaks; `None` for the orderly ends.
fn of_run(run: usize) -> Option<(usize, Break)> {
    let index = run.checked_sub(ORDERLY)?;
    let faults = cases::case(index / 2).is_some_and(|case| case.ways == Ways::Both) && !index.is_multiple_of(2);
    Some((index / 2, if faults { Break::Fault } else { Break::Panic }))
}

/// The victim of a run, and what it shares.
fn victim_of(run: usize) -> Option<(Program, Sharing, Option<Case>)> {
    match of_run(run) {
        None if run < ORDERLY / 2 => Some((Program::bare(&[0xCC]), Sharing::Nothing, None)),
        None => Some((cases::sharing_in_order(), Sharing::GrantsAndPorts, None)),
        Some((index, _)) => cases::case(index).map(|case| (case.program, case.sharing, Some(case))),
    }
}

fn build(test: &mut Test) {
    let id = DomainId(test.next_id);
    let Some((program, sharing, case)) = victim_of(test.run) else { finish(test) };
    if let (Some(Case { point, spared, ending: Ending::Break, .. }), Some((_, how))) = (case, of_run(test.run)) {
        armed::arm(point, how, id, spared);
    }
    test.before = Snapshot::take();
    test.next_id += 1;
    test.complaint = None;
    test.beats = BEATS.load(Acquire);
    test.breakpoints = BREAKPOINTS.load(Acquire);
    match bare::build(id, &program) {
        Ok(victim) if sharing == Sharing::GrantsAndPorts => {
            test.ties = Some(Box::new(Ties::prepare(test.driver, test.bystander, victim)));
            test.stage = Stage::Tie { victim: id, since: clock::now() };
        }
        Ok(victim) => {
            test.stage = Stage::Wait { victim: victim.id, since: clock::now() };
            release(victim.id);
        }
        Err(errno) => {
            log::error!("FAILPOINT run {}: no victim: {}", test.run, errno.name());
            test.failed += 1;
            finish(test);
        }
    }
}

/// Whether the place of a run was reached, as far as that can be told.
fn was_reached(test: &Test) -> bool {
    let case = of_run(test.run).and_then(|(index, _)| cases::case(index));
    match case.map(|case| case.ending) {
        Some(Ending::Break) => armed::disarm(),
        Some(Ending::AfterBreakpoint) => BREAKPOINTS.load(Acquire) > test.breakpoints,
        None => true,
    }
}

fn wait(test: &mut Test, victim: DomainId, since: u64) {
    let is_late = clock::now() > since + PATIENCE;
    match domain::find(victim).and_then(|victim| victim.shutdown().reason()) {
        None if !is_late => return,
        None => test.complaint = Some("the victim lives"),
        Some(ShutdownReason::CRASH) => {}
        Some(_) => test.complaint = Some("the victim stopped in another way"),
    }
    if !was_reached(test) && test.complaint.is_none() {
        test.complaint = Some("the place was not reached");
    }
    test.stage = Stage::TearDown { victim };
}

fn audit(test: &mut Test, victim: DomainId) {
    let left = Snapshot::take().since(test.before);
    let silence = SILENCE.swap(0, AcqRel);
    let complaint = test.complaint.or_else(|| {
        if left != Snapshot::default() {
            Some("memory astray")
        } else if let Some(problem) = crate::audit::domain(victim) {
            Some(problem)
        } else if let Some(problem) = crate::audit::locks() {
            Some(problem)
        } else if BEATS.load(Acquire) < test.beats + 2 || silence > LONGEST_SILENCE {
            Some("the bystander's heart missed a beat")
        } else {
            None
        }
    });
    let beats = BEATS.load(Acquire) - test.beats;
    let (name, how) = match of_run(test.run) {
        None => (0, "by itself"),
        Some((index, how)) => {
            (cases::case(index).map_or(0, |case| case.point.0), if how == Break::Panic { "panic" } else { "fault" })
        }
    };
    match complaint {
        None => {
            test.passed += 1;
            log::info!("FAILPOINT {name:#x} {how}: contained, audit clean, {beats} beats, silence {silence} ns");
        }
        Some(problem) => {
            test.failed += 1;
            log::error!("FAILPOINT {name:#x} {how}: FAIL {problem}; left {left:?}");
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
