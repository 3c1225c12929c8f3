//! Sessions: boots with somebody at the serial line, and boots that end early. `compat-tests/sessions/*.toml` says for
//! each what machine, options and module there are, what is typed when, which lines must come in which order, what the
//! text screen shows and how it ends. With `on = "both"` the same must come from Debian's Xen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::control::Control;
use crate::guest::{self, Pace, Where};
use crate::hypervisor::Hypervisor;
use crate::kernel_images;
use crate::line::{Line, Listening};
use crate::monitor::Reason;
use crate::places;
use crate::qemu::{Icount, Machine};
use crate::tally::Tally;

/// A file of sessions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sessions {
    session: Vec<Session>,
}

/// One session.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Its name.
    pub name: String,
    /// Where it makes sense.
    #[serde(default)]
    on: Where,
    /// QEMU's machine.
    #[serde(default = "q35")]
    machine: String,
    /// QEMU's CPU model.
    #[serde(default = "milan")]
    cpu: String,
    /// QEMU's `-smp`.
    #[serde(default = "one")]
    cpus: String,
    /// MiB of memory.
    #[serde(default = "half_a_gibibyte")]
    memory: u32,
    /// Further arguments of QEMU.
    #[serde(default)]
    extra: Vec<String>,
    /// Options of the hypervisor beside those for its console.
    #[serde(default)]
    options: String,
    /// The first module: a test guest, or a damaged kernel of `kernel_images`; none when empty.
    #[serde(default)]
    module: String,
    /// Its command line.
    #[serde(default)]
    arguments: String,
    /// What is typed.
    #[serde(default)]
    steps: Vec<Step>,
    /// Parts of lines that come in this order.
    #[serde(default)]
    expect: Vec<String>,
    /// The same, from Xenolith only.
    #[serde(default)]
    expect_here: Vec<String>,
    /// Parts of lines that must not come.
    #[serde(default)]
    never: Vec<String>,
    /// Starts of lines that must be the same on both.
    #[serde(default)]
    same: Vec<String>,
    /// Parts of what the text screen shows at the end (Xenolith only).
    #[serde(default)]
    screen: Vec<String>,
    /// How it ends.
    #[serde(default)]
    end: Ending,
    /// Which runs it belongs to.
    #[serde(default)]
    pace: Pace,
}

/// What is typed once a part of a line has come.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    after: String,
    send: String,
}

/// How a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ending {
    /// The machine resets.
    #[default]
    Reset,
    /// It is switched off.
    Poweroff,
    /// It stands still after the last line.
    Halt,
}

fn q35() -> String {
    "q35".into()
}
fn milan() -> String {
    "EPYC-Milan".into()
}
fn one() -> String {
    "1".into()
}
const fn half_a_gibibyte() -> u32 {
    512
}

/// Longest session.
const LIMIT: Duration = Duration::from_secs(90);
/// A machine that is to stand still does nothing for so long.
const STILL: Duration = Duration::from_secs(2);

/// What came of a session on one hypervisor.
struct Outcome {
    log: String,
    screen: String,
    reason: Option<Reason>,
    timed_out: bool,
}

/// The sessions of these names, or of a pace when there are none.
pub fn named(names: &[String], pace: Pace) -> Result<Vec<Session>> {
    let directory = places::tree().join("compat-tests/sessions");
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let sessions: Sessions = toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
        all.extend(sessions.session);
    }
    let wanted = |session: &Session| match names {
        [] => pace == Pace::Full || session.pace == Pace::Quick,
        names => names.contains(&session.name),
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Runs sessions one after the other.
pub fn run_all(sessions: &[Session]) -> Result<Tally> {
    let mut tally = Tally::default();
    for session in sessions {
        let complaints = session.run()?;
        println!("{} session {}", if complaints.is_empty() { "PASS" } else { "FAIL" }, session.name);
        complaints.iter().for_each(|complaint| println!("  {complaint}"));
        tally.count(&complaints);
    }
    Ok(tally)
}

impl Session {
    fn run(&self) -> Result<Vec<String>> {
        let ours = self.play(Hypervisor::Xenolith)?;
        let mut complaints = self.judge(&ours, Hypervisor::Xenolith);
        if self.on == Where::Both {
            let xen = self.play(Hypervisor::Xen)?;
            complaints.extend(self.judge(&xen, Hypervisor::Xen));
            let lines = |log: &str| -> Vec<String> {
                let is_compared = |line: &&str| self.same.iter().any(|start| line.starts_with(start.as_str()));
                log.lines().map(str::trim_end).filter(is_compared).map(String::from).collect()
            };
            let (expected, found) = (lines(&xen.log), lines(&ours.log));
            if expected != found {
                complaints.push(format!("xen says {expected:?}, xenolith {found:?}"));
            }
        }
        Ok(complaints)
    }

    fn machine(&self, hypervisor: Hypervisor) -> Result<Machine> {
        let mut modules = Vec::new();
        if !self.module.is_empty() {
            let file = match kernel_images::make(&self.module)? {
                Some(file) => file,
                None => guest::named(std::slice::from_ref(&self.module))?.first().context("no such guest")?.image()?,
            };
            modules.push((file, self.arguments.clone()));
        }
        Ok(Machine {
            hypervisor,
            options: format!("com1=115200,8n1 console=com1,vga {}", self.options),
            modules,
            machine: self.machine.clone(),
            cpu: self.cpu.clone(),
            cpus: 1,
            memory: self.memory,
            icount: Icount::Off,
            disc: None,
            extra: self.extra.clone(),
        })
    }

    /// Boots, types, and watches to the end.
    fn play(&self, hypervisor: Hypervisor) -> Result<Outcome> {
        let log_file = places::logs()?.join(format!("session-{}.{}.log", self.name, hypervisor.name()));
        let mut control = Control::listen("control")?;
        let listening = Listening::open(&log_file)?;
        let mut command = self.machine(hypervisor)?.command()?;
        command
            .args(["-smp", &self.cpus, "-vga", "std"])
            .args(control.arguments())
            .args(listening.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(log_file.with_extension("qemu"))?);
        let mut child = command.spawn().context("cannot start QEMU")?;
        // Early, so that no event is missed.
        let watched = control.connect().and_then(|()| listening.connect()).and_then(|mut line| {
            let watched = self.watch(&mut child, &log_file, &mut line, &mut control);
            let _ = child.kill();
            line.finish();
            watched
        });
        let _ = child.kill();
        let _ = child.wait();
        let (screen, timed_out) = watched?;
        Ok(Outcome { log: read(&log_file), screen, reason: control.reason(), timed_out })
    }

    /// Types at the right moments, until the machine has ended or stands still where it should.
    fn watch(
        &self,
        child: &mut Child,
        log_file: &Path,
        line: &mut Line,
        control: &mut Control,
    ) -> Result<(String, bool)> {
        let started = Instant::now();
        let mut steps = self.steps.iter().peekable();
        // What stands before this place has been answered.
        let mut answered = 0;
        let mut complete_since: Option<Instant> = None;
        loop {
            let log = read(log_file);
            if let Some(step) = steps.peek()
                && let Some(at) = log.get(answered..).and_then(|rest| rest.find(&step.after))
            {
                answered += at + step.after.len();
                // A person needs a moment, too; then a byte at a time, as they would come.
                std::thread::sleep(Duration::from_millis(200));
                for byte in step.send.bytes() {
                    line.send(byte)?;
                    std::thread::sleep(Duration::from_millis(20));
                }
                steps.next();
            }
            if child.try_wait()?.is_some() {
                return Ok((String::new(), false));
            }
            let expected = self.expect.iter().chain(&self.expect_here);
            if self.end == Ending::Halt && steps.peek().is_none() && missing(&log, expected).is_none() {
                let since = *complete_since.get_or_insert_with(Instant::now);
                if since.elapsed() > STILL {
                    return Ok((control.screen()?, false));
                }
            }
            if started.elapsed() > LIMIT {
                return Ok((String::new(), true));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn judge(&self, outcome: &Outcome, hypervisor: Hypervisor) -> Vec<String> {
        let name = hypervisor.name();
        let mut complaints = Vec::new();
        let here: &[String] = if hypervisor == Hypervisor::Xenolith { &self.expect_here } else { &[] };
        if let Some(line) = missing(&outcome.log, &self.expect).or_else(|| missing(&outcome.log, here)) {
            complaints.push(format!("{name}: no line with \"{line}\" where it should be"));
        }
        for never in self.never.iter().filter(|part| outcome.log.contains(part.as_str())) {
            complaints.push(format!("{name}: a line with \"{never}\""));
        }
        let wanted = match self.end {
            Ending::Reset => Some(Reason::Reset),
            Ending::Poweroff => Some(Reason::PowerOff),
            Ending::Halt => None,
        };
        if outcome.timed_out || outcome.reason != wanted {
            complaints.push(format!("{name}: ended by {:?} instead of {:?}", outcome.reason, self.end));
        }
        // The screen breaks lines at its edge.
        let shown: String = outcome.screen.lines().collect();
        let on_screen: &[String] = if hypervisor == Hypervisor::Xenolith { &self.screen } else { &[] };
        for part in on_screen.iter().filter(|part| !shown.contains(part.as_str())) {
            complaints.push(format!("{name}: \"{part}\" is not on the screen:\n{}", outcome.screen));
        }
        complaints
    }
}

/// The first of the parts that does not come after those before it.
fn missing<'a>(log: &str, parts: impl IntoIterator<Item = &'a String>) -> Option<&'a String> {
    let mut rest = log;
    for part in parts {
        let Some(at) = rest.find(part.as_str()) else { return Some(part) };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    None
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
