//! The test itself, one step at each call of the driving domain: build a victim, let it break the hypervisor, see that
//! only it dies, take it down, audit.
//!
//! Context: hypercalls of the driving domain and the bystander.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use abi::{DomainId, sched::ShutdownReason};
use locks::{Level, Lock};

use super::{
    armed::{self, Break},
    bare::{self, Event, Program},
    cases,
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

/// mov eax, call; syscall; mov eax, sched_op; xor edi, edi (yield); syscall; again.
const DRIVER: &[u8] = &[0xB8, STEP as u8, 0, 0, 0, 0x0F, 0x05, 0xB8, 29, 0, 0, 0, 0x31, 0xFF, 0x0F, 0x05, 0xEB, 0xEE];
const BYSTANDER: &[u8] =
    &[0xB8, BEAT as u8, 0, 0, 0, 0x0F, 0x05, 0xB8, 29, 0, 0, 0, 0x31, 0xFF, 0x0F, 0x05, 0xEB, 0xEE];

static BEATS: AtomicU64 = AtomicU64::new(0);
static LAST_BEAT: AtomicU64 = AtomicU64::new(0);
static SILENCE: AtomicU64 = AtomicU64::new(0);

/// Where the test is.
enum Stage {
    Build,
    Wait { victim: DomainId, since: u64 },
    TearDown { victim: DomainId },
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
    passed: u32,
    failed: u32,
    complaint: Option<&'static str>,
}

static TEST: Lock<Option<Test>> = Lock::new(Level::DomainControl, None);

/// Starts the two permanent domains and the test.
pub fn start() -> ! {
    let program = |code| Program { code, data: &[0], registers: [0; 6], event: Event::None };
    for (id, code) in [(0, DRIVER), (1, BYSTANDER)] {
        match bare::build(DomainId(id), &program(code)) {
            Ok(domain) => release(domain),
            Err(errno) => panic!("no domain {id} to test with: {}", errno.name()),
        }
    }
    *TEST.lock() = Some(Test {
        run: 0,
        next_id: 2,
        stage: Stage::Build,
        before: Snapshot::take(),
        beats: 0,
        passed: 0,
        failed: 0,
        complaint: None,
    });
    cpu::this().work.fetch_or(cpu::Work::SCHEDULE.0, Relaxed);
    sched::idle::enter()
}

fn release(domain: &'static Domain) {
    for vcpu in domain.vcpus() {
        sched::wake::release(vcpu, RunFlags::DOWN);
    }
}

/// Serves the calls of the two permanent domains. True when it was one.
pub fn call(caller: &mut Caller<'_>) -> bool {
    match (caller.domain.id, caller.registers.rax) {
        (DomainId(0), STEP) => {
            let test = TEST.lock().take();
            if let Some(mut test) = test {
                step(&mut test, caller);
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

fn step(test: &mut Test, caller: &Caller<'_>) {
    match test.stage {
        Stage::Build => build(test),
        Stage::Wait { victim, since } => wait(test, victim, since),
        Stage::TearDown { victim } => {
            if domain::find(victim).is_none_or(|victim| tear_down(victim, caller) == TeardownProgress::Done) {
                test.stage = Stage::Audit { victim, since: clock::now() };
            }
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
}

/// Orderly ends before the first break: the second tells what an end leaves behind, when nothing is done for the first
/// time any more.
const ORDERLY: usize = 2;

/// The case of a run, and how it breaks; `None` for the orderly ends.
fn of_run(run: usize) -> Option<(usize, Break)> {
    let index = run.checked_sub(ORDERLY)?;
    Some((index / 2, if index.is_multiple_of(2) { Break::Panic } else { Break::Fault }))
}

fn build(test: &mut Test) {
    let id = DomainId(test.next_id);
    let program = match of_run(test.run) {
        None => Program { code: &[0xCC], data: &[0], registers: [0; 6], event: Event::None },
        Some((index, how)) => {
            let Some(case) = cases::case(index) else { finish(test) };
            armed::arm(case.point, how, id);
            case.program
        }
    };
    test.before = Snapshot::take();
    test.next_id += 1;
    test.complaint = None;
    test.beats = BEATS.load(Acquire);
    match bare::build(id, &program) {
        Ok(victim) => {
            test.stage = Stage::Wait { victim: victim.id, since: clock::now() };
            release(victim);
        }
        Err(errno) => {
            log::error!("FAILPOINT run {}: no victim: {}", test.run, errno.name());
            test.failed += 1;
            finish(test);
        }
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
    let reached = armed::disarm();
    if !reached && test.run >= ORDERLY && test.complaint.is_none() {
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
