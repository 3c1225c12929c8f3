//! One run of QEMU: the machine, a time limit, the serial line kept in a file and read while it grows.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::hypervisor::Hypervisor;
use crate::monitor::{Monitor, Reason};
use crate::places;

/// How long a machine may go on after its verdict before it is ended.
const GRACE: Duration = Duration::from_secs(6);
/// The same for one that said that it stops for good: nothing but a last line can come.
const LAST_GRACE: Duration = Duration::from_millis(500);
/// What both hypervisors say when dom0 asked for a power-off and the firmware is not asked for one.
const STOPS: &str = "Hardware Dom0 halted: halting machine";

/// What to boot, on which machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The hypervisor to boot.
    pub hypervisor: Hypervisor,
    /// The hypervisor's own command line.
    pub options: String,
    /// The modules: file and command line each; the first is dom0's kernel.
    pub modules: Vec<(PathBuf, String)>,
    /// QEMU machine type with its options.
    pub machine: String,
    /// QEMU CPU model.
    pub cpu: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// MiB of memory.
    pub memory: u32,
    /// Count instructions: the time stamp counter ticks once per instruction.
    pub icount: Icount,
    /// A disc whose boot loader loads hypervisor and modules, instead of QEMU itself.
    pub disc: Option<PathBuf>,
    /// Further QEMU arguments (disks, network cards).
    pub extra: Vec<String>,
}

/// Whether time is instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Icount {
    /// Deterministic: one tick an instruction.
    On,
    /// The same while the CPU is busy; its idle time passes as on the wall, so that devices keep up.
    WhileBusy,
    /// Wall time.
    Off,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// QEMU ended by itself (power-off, reset, triple fault).
    Exited,
    /// The awaited line was seen and the machine did not end in the time after it.
    Lingered,
    /// The time limit ran out first.
    TimedOut,
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Everything the serial line said.
    pub log: String,
    /// Where that is kept.
    pub log_file: PathBuf,
    /// How it ended.
    pub end: End,
    /// Why, if the machine ended by itself.
    pub reason: Option<Reason>,
    /// The signal that ended QEMU, if it was not the runner's.
    broke: Option<i32>,
    /// How long it took.
    pub seconds: f64,
    /// When each marker line was first seen, in seconds after power-on.
    marks: Vec<(String, f64)>,
}

impl Run {
    /// When a line starting with this marker was first seen, in seconds after power-on (to a twentieth).
    pub fn seen_at(&self, marker: &str) -> Option<f64> {
        self.marks.iter().find(|(seen, _)| seen.starts_with(marker)).map(|(_, at)| *at)
    }

    /// The last lines, for a failure report.
    pub fn tail(&self, lines: usize) -> String {
        let all: Vec<&str> = self.log.lines().collect();
        let from = all.len().saturating_sub(lines);
        all.iter().skip(from).map(|line| format!("    | {}\n", line.trim_end())).collect()
    }
}

/// The CPU model for a machine that runs Linux: with several CPUs it has x2APIC, which KVM gives every model and QEMU's
/// own translator only `max`. Without it a local APIC is memory, and QEMU 10.0 now and then drops a write to memory-mapped
/// registers while another CPU moves PCI windows, as Linux does at boot; a CPU whose end of interrupt is lost hears nothing any more.
pub fn linux_model(cpu: &str, cpus: u32) -> String {
    if cpus == 1 || cpu.contains("x2apic") { cpu.into() } else { format!("{cpu},+x2apic") }
}

impl Machine {
    /// The QEMU command for this machine, its serial line not yet attached.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(places::emulator()?);
        command
            .args(["-accel", "tcg", "-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot"])
            .args(["-machine", &self.machine, "-cpu", &self.cpu])
            .args(["-smp", &self.cpus.to_string(), "-m", &self.memory.to_string()]);
        if let Some(disc) = &self.disc {
            command.arg("-cdrom").arg(disc).args(["-boot", "d"]);
        } else if self.hypervisor == Hypervisor::Bare {
            self.add_kernel(&mut command);
        } else {
            command.arg("-kernel").arg(self.hypervisor.image()?).args(["-append", &self.options]);
        }
        if self.disc.is_none() && self.hypervisor != Hypervisor::Bare && !self.modules.is_empty() {
            let modules: Vec<String> = self.modules.iter().map(|(file, line)| module(file, line)).collect();
            command.args(["-initrd", &modules.join(",")]);
        }
        let counts = match self.icount {
            Icount::On => Some("shift=0,sleep=off"),
            Icount::WhileBusy => Some("shift=0,sleep=on"),
            Icount::Off => None,
        };
        if let Some(counts) = counts {
            // The clock on the wall would differ from run to run, and with it what its reading costs.
            command.args(["-icount", counts, "-rtc", "base=2026-01-01T00:00:00,clock=vm"]);
        }
        command.args(&self.extra);
        Ok(command)
    }

    /// The modules as a kernel and its initial RAM disk.
    fn add_kernel(&self, command: &mut Command) {
        for ((option, words), (file, line)) in
            [("-kernel", Some("-append")), ("-initrd", None)].iter().zip(&self.modules)
        {
            command.arg(option).arg(file);
            if let Some(words) = words {
                command.args([*words, line]);
            }
        }
    }

    /// Boots, waits for the machine to end, for `awaited` at the start of a line plus a grace, or for the limit. A run that
    /// ended because QEMU broke (10.0 does: an assertion, now and then, when PCI windows move while another CPU runs) says nothing
    /// about what was booted and is made once more.
    pub fn run(&self, name: &str, limit: Duration, awaited: &str) -> Result<Run> {
        let run = self.run_once(name, limit, awaited)?;
        let Some(signal) = run.broke else { return Ok(run) };
        let said = fs::read_to_string(run.log_file.with_extension("qemu")).unwrap_or_default();
        println!("  QEMU broke (signal {signal}: {}); {name} once more", said.lines().last().unwrap_or("no word"));
        self.run_once(name, limit, awaited)
    }

    fn run_once(&self, name: &str, limit: Duration, awaited: &str) -> Result<Run> {
        let log_file = places::logs()?.join(format!("{name}.{}.log", self.hypervisor.name()));
        fs::write(&log_file, "").with_context(|| format!("cannot write {}", log_file.display()))?;
        let control = Monitor::listen()?;
        let mut command = self.command()?;
        command.args(["-serial", &format!("file:{}", log_file.display())]);
        command.args(["-chardev", &format!("socket,id=control,path={}", control.path.display())]);
        command.args(["-mon", "chardev=control,mode=control"]);
        let messages = fs::File::create(log_file.with_extension("qemu"))?;
        let started = Instant::now();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(messages).spawn().context("cannot start QEMU")?;
        let mut watch = Watch { log_file: &log_file, started, limit, awaited, marks: Vec::new(), stops: false };
        let end = watch.wait(&mut child)?;
        let marks = watch.marks;
        let seconds = started.elapsed().as_secs_f64();
        if end == End::TimedOut {
            control.keep_state(&log_file.with_extension("state"), self.cpus);
        }
        let broke = end_machine(&mut child)?;
        let _ = fs::remove_file(&control.path);
        let mut log = read_log(&log_file);
        if log.is_empty() {
            // It did not get as far as its first character: what QEMU itself said explains that.
            let said = fs::read_to_string(log_file.with_extension("qemu")).unwrap_or_default();
            log = said
                .lines()
                .filter(|line| !line.contains("TCG doesn't support"))
                .map(|line| format!("{line}\n"))
                .collect();
        }
        let reason = control.reason.recv_timeout(Duration::from_secs(1)).ok();
        Ok(Run { log, log_file, end, reason, broke, seconds, marks })
    }
}

/// Ends QEMU if it has not ended; the signal that had.
fn end_machine(child: &mut Child) -> Result<Option<i32>> {
    if let Some(status) = child.try_wait().context("cannot wait for QEMU")? {
        return Ok(status.signal());
    }
    child.kill().context("cannot end QEMU")?;
    child.wait().context("cannot wait for QEMU")?;
    Ok(None)
}

/// One entry of `-initrd`; QEMU splits at commas, and a doubled one stands for itself.
fn module(file: &Path, line: &str) -> String {
    format!("{} {}", file.display(), line).trim_end().replace(',', ",,")
}

/// Lines whose time of appearance is kept.
const MARKERS: [&str; 3] = ["INIT ", "VERDICT ", "Test result: "];
/// The same, but the first such line alone: the hypervisor's, the kernel's.
const FIRST: [&str; 2] = ["(XEN)", "[    0.0"];

struct Watch<'a> {
    log_file: &'a Path,
    started: Instant,
    limit: Duration,
    awaited: &'a str,
    marks: Vec<(String, f64)>,
    stops: bool,
}

impl Watch<'_> {
    fn wait(&mut self, child: &mut Child) -> Result<End> {
        let mut seen: Option<Instant> = None;
        loop {
            let exited = child.try_wait().context("cannot wait for QEMU")?.is_some();
            if self.look() && seen.is_none() {
                seen = Some(Instant::now());
            }
            if exited {
                return Ok(End::Exited);
            }
            let grace = if self.stops { LAST_GRACE } else { GRACE };
            let end = match seen {
                Some(at) if at.elapsed() > grace => End::Lingered,
                _ if self.started.elapsed() > self.limit => End::TimedOut,
                _ => {
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
            };
            return Ok(end);
        }
    }

    /// Reads the log so far, notes marker lines, and tells whether the awaited line is there.
    fn look(&mut self) -> bool {
        let log = read_log(self.log_file);
        let now = self.started.elapsed().as_secs_f64();
        self.stops |= log.contains(STOPS);
        for line in log.lines() {
            let is_marker = MARKERS.iter().any(|marker| line.starts_with(marker));
            let is_first = FIRST
                .iter()
                .any(|marker| line.starts_with(marker) && !self.marks.iter().any(|(seen, _)| seen.starts_with(marker)));
            if is_first || is_marker && !self.marks.iter().any(|(seen, _)| seen == line) {
                self.marks.push((line.into(), now));
            }
        }
        self.marks.iter().any(|(seen, _)| seen.starts_with(self.awaited))
    }
}

fn read_log(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Child, Command, end_machine, linux_model};

    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).spawn().unwrap()
    }

    #[test]
    fn a_broken_emulator_is_told_from_one_that_was_ended() {
        let mut breaks = shell("kill -ABRT $$");
        while breaks.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(end_machine(&mut breaks).unwrap(), Some(6));
        assert_eq!(end_machine(&mut shell("exec sleep 60")).unwrap(), None);
        let mut ends = shell("exit 0");
        while ends.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(end_machine(&mut ends).unwrap(), None);
    }

    #[test]
    fn several_cpus_have_apics_that_are_no_memory() {
        assert_eq!(linux_model("EPYC-Milan", 1), "EPYC-Milan");
        assert_eq!(linux_model("EPYC-Milan", 2), "EPYC-Milan,+x2apic");
        assert_eq!(linux_model("max,+x2apic", 4), "max,+x2apic");
    }
}
