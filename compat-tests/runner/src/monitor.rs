//! QEMU's control connection: why a machine ended by itself, and the state of one that did not.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};

/// Why the machine ended by itself, as QEMU's control connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The guest powered the machine off.
    PowerOff,
    /// The guest reset the machine, or the CPU did (triple fault).
    Reset,
}

/// One machine's control connection.
pub struct Monitor {
    /// The socket that QEMU is to connect to.
    pub path: PathBuf,
    /// Told once, when the machine ends by itself.
    pub reason: Receiver<Reason>,
    answers: Receiver<String>,
    stream: Arc<Mutex<Option<UnixStream>>>,
}

impl Monitor {
    /// Opens a socket for one machine.
    pub fn listen() -> Result<Self> {
        // Several machines can run at once, each with a socket of its own.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("compat-runner-{}-{number}.socket", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
        let ((tell_reason, reason), (tell_answer, answers)) = (channel(), channel());
        let stream = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&stream);
        std::thread::spawn(move || {
            let Ok((stream, _)) = listener.accept() else { return };
            if let Ok(mut slot) = shared.lock() {
                *slot = stream.try_clone().ok();
            }
            if let Some(reason) = hear(stream, &tell_answer) {
                let _ = tell_reason.send(reason);
            }
        });
        Ok(Self { path, reason, answers, stream })
    }

    /// Writes into `file` what a machine that hangs is at: registers, interrupt controllers, devices.
    pub fn keep_state(&self, file: &Path, cpus: u32) {
        let of_cpus = (0..cpus).map(|cpu| format!("info lapic {cpu}"));
        let commands = ["info registers -a", "info pic", "info irq", "info virtio"].map(String::from);
        let mut state = String::new();
        for command in commands.into_iter().chain(of_cpus) {
            let answer = self.ask(&command).unwrap_or_else(|| "no answer".into());
            let _ = writeln!(state, "{command}\n{answer}");
        }
        if fs::write(file, state).is_ok() {
            println!("  its state is in {}", file.display());
        }
    }

    /// What the monitor meant for people answers.
    fn ask(&self, command: &str) -> Option<String> {
        const PATIENCE: Duration = Duration::from_secs(3);
        let request = serde_json::json!({
            "execute": "human-monitor-command", "arguments": { "command-line": command },
        });
        writeln!(self.stream.lock().ok()?.as_mut()?, "{request}").ok()?;
        self.answers.recv_timeout(PATIENCE).ok()
    }
}

/// Passes answers on until the machine ends by itself, and tells why.
fn hear(mut stream: UnixStream, answers: &Sender<String>) -> Option<Reason> {
    stream.write_all(b"{\"execute\":\"qmp_capabilities\"}\n").ok()?;
    for line in BufReader::new(stream).lines() {
        let message: serde_json::Value = serde_json::from_str(&line.ok()?).ok()?;
        if let Some(answer) = message.get("return").and_then(|answer| answer.as_str()) {
            let _ = answers.send(answer.replace('\r', ""));
        }
        if message.get("event").and_then(|event| event.as_str()) == Some("SHUTDOWN") {
            return match message.pointer("/data/reason").and_then(|reason| reason.as_str()) {
                Some("guest-shutdown") => Some(Reason::PowerOff),
                Some("guest-reset") => Some(Reason::Reset),
                _ => None,
            };
        }
    }
    None
}
