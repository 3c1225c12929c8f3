//! A machine's serial line with somebody at it: what the machine says goes into a log, what is typed goes to it.
//!
//! The log is written here and not by QEMU's `logfile=`: that one notes a byte a second time when the socket had no room
//! for it at once, so that on a loaded host now and then a line read "switch  input" and nobody found it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

/// QEMU has so long to open its end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The line before QEMU has connected to it. Its socket goes with it.
pub struct Listening {
    path: PathBuf,
    accepted: Receiver<UnixStream>,
    log: PathBuf,
}

/// The line of a running machine.
pub struct Line {
    typist: UnixStream,
    listener: JoinHandle<()>,
}

impl Listening {
    /// Waits for QEMU's serial line in the background; what it says will stand in `log`, which begins empty.
    pub fn open(log: &Path) -> Result<Self> {
        fs::write(log, "").with_context(|| format!("cannot write {}", log.display()))?;
        let path = std::env::temp_dir().join(format!("compat-runner-{}-line.socket", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
        let (sender, accepted) = channel();
        std::thread::spawn(move || listener.accept().ok().and_then(|(stream, _)| sender.send(stream).ok()));
        Ok(Self { path, accepted, log: log.into() })
    }

    /// QEMU's arguments that connect its serial line.
    pub fn arguments(&self) -> [String; 4] {
        let device = format!("socket,id=line,path={}", self.path.display());
        ["-chardev".into(), device, "-serial".into(), "chardev:line".into()]
    }

    /// The line, once QEMU was started.
    pub fn connect(&self) -> Result<Line> {
        let typist = self.accepted.recv_timeout(PATIENCE).context("QEMU does not open its serial line")?;
        let mut heard = typist.try_clone()?;
        let mut log = File::options().append(true).open(&self.log)?;
        let listener = std::thread::spawn(move || {
            // It ends with the machine, by an end of file or a reset of the connection.
            let _ = std::io::copy(&mut heard, &mut log);
        });
        Ok(Line { typist, listener })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Line {
    /// Types one byte.
    pub fn send(&mut self, byte: u8) -> Result<()> {
        self.typist.write_all(&[byte]).context("cannot type at the serial line")
    }

    /// Waits until the last that an ended machine has said is in the log.
    pub fn finish(self) {
        let _ = self.listener.join();
    }
}
