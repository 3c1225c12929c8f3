//! The kinds of tests: an environment (what the test is built as) and the place it is run in. A kind runs a whole batch
//! on a hypervisor, so that one for which a boot is dear (domains started by a toolstack) can run many in one boot.

use std::time::Duration;

use anyhow::Result;

use super::catalogue::Instance;
use super::verdict::{RESULT, Verdict};
use crate::answers::{self, Answer};
use crate::hypervisor::Hypervisor;
use crate::qemu::{Icount, Machine};
use crate::report::Report;
use crate::suite::Recorded;

/// Seconds for one test, on a busy host.
const LIMIT: Duration = Duration::from_secs(60);
/// Lines of the log shown of a test that does less here.
const TAIL: usize = 20;

/// A kind of tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Kind {
    /// 64-bit PV kernels, each booted as dom0.
    Pv64Dom0,
}

/// How a batch is run.
pub struct Conditions {
    /// CPUs of the machine.
    pub cpus: u32,
    /// Further options of the hypervisor.
    pub options: String,
    /// Whether Xen's recorded verdicts may stand for a run.
    pub recorded: Recorded,
}

/// What became of one test.
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The last lines of the log and where it is kept; empty for a recorded verdict.
    pub tail: String,
}

impl Kind {
    /// XTF's name of the environment.
    pub fn environment(self) -> &'static str {
        match self {
            Kind::Pv64Dom0 => "pv64",
        }
    }

    /// Runs tests on a hypervisor and hands each outcome over as it comes, in the order of the tests.
    pub fn run(
        self,
        tests: &[Instance],
        hypervisor: Hypervisor,
        conditions: &Conditions,
        outcome: &mut dyn FnMut(&Instance, Outcome),
    ) -> Result<()> {
        match self {
            Kind::Pv64Dom0 => {
                for test in tests {
                    outcome(test, run_as_dom0(test, hypervisor, conditions)?);
                }
                Ok(())
            }
        }
    }
}

/// One boot with the test in dom0's place. `-cpu max`: the tests ask for as many features as there are; `gnttab=max-ver:2`:
/// Xen's default, and not ours.
fn run_as_dom0(test: &Instance, hypervisor: Hypervisor, conditions: &Conditions) -> Result<Outcome> {
    let machine = Machine {
        hypervisor,
        options: format!(
            "com1=115200,8n1 console=com1 dom0_mem=128M loglvl=all guest_loglvl=all gnttab=max-ver:2 {}",
            conditions.options
        ),
        modules: vec![(test.kernel.clone(), test.arguments.clone())],
        machine: "q35".into(),
        cpu: "max".into(),
        cpus: conditions.cpus,
        memory: 1024,
        icount: Icount::Off,
        disc: None,
        extra: Vec::new(),
    };
    let key = answers::key(&machine)?;
    if hypervisor == Hypervisor::Xen
        && let Some(verdict) = recorded(conditions.recorded, &key)?
    {
        return Ok(Outcome { verdict, tail: String::new() });
    }
    let run = machine.run(&format!("xtf-{}", test.name), LIMIT, RESULT)?;
    let verdict = Verdict::of(&run);
    if hypervisor == Hypervisor::Xen {
        let report = Report { verdict: Some(verdict.word().into()), ..Report::default() };
        answers::store(hypervisor, conditions.recorded, &key, &Answer { report, complaints: Vec::new() })?;
    }
    Ok(Outcome { verdict, tail: format!("  last lines of {}:\n{}", run.log_file.display(), run.tail(TAIL)) })
}

fn recorded(recorded: Recorded, key: &str) -> Result<Option<Verdict>> {
    let word = answers::load(Hypervisor::Xen, recorded, key)?.and_then(|answer| answer.report.verdict);
    Ok(word.and_then(|word| Verdict::from_word(&word)))
}
