//! QEMU's control connection (QMP): why the machine ended, and what its text screen shows.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::monitor::Reason;

/// A listening socket that one QEMU connects to.
pub struct Control {
    path: PathBuf,
    stream: Receiver<UnixStream>,
    messages: Option<(UnixStream, Receiver<Value>)>,
    ended: Option<Reason>,
}

impl Control {
    /// Listens under a name of this process's own.
    pub fn listen(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("compat-runner-{}-{name}.socket", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
        let (sender, stream) = channel();
        std::thread::spawn(move || listener.accept().map(|(stream, _)| sender.send(stream)));
        Ok(Self { path, stream, messages: None, ended: None })
    }

    /// The arguments that make QEMU connect.
    pub fn arguments(&self) -> [String; 4] {
        let socket = format!("socket,id=control,path={}", self.path.display());
        ["-chardev".into(), socket, "-mon".into(), "chardev=control,mode=control".into()]
    }

    /// Waits for QEMU to connect; from then on it tells what happens.
    pub fn connect(&mut self) -> Result<()> {
        if self.messages.is_some() {
            return Ok(());
        }
        let mut stream = self.stream.recv_timeout(Duration::from_secs(10)).context("QEMU does not connect")?;
        let reader = BufReader::new(stream.try_clone()?);
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                if let Ok(message) = serde_json::from_str(&line)
                    && sender.send(message).is_err()
                {
                    return;
                }
            }
        });
        stream.write_all(b"{\"execute\":\"qmp_capabilities\"}\n")?;
        self.messages = Some((stream, receiver));
        Ok(())
    }

    fn take(&mut self, patience: Duration) -> Option<Value> {
        let message = self.messages.as_ref()?.1.recv_timeout(patience).ok()?;
        if message.get("event").and_then(Value::as_str) == Some("SHUTDOWN") {
            self.ended = match message.pointer("/data/reason").and_then(Value::as_str) {
                Some("guest-shutdown") => Some(Reason::PowerOff),
                Some("guest-reset") => Some(Reason::Reset),
                _ => None,
            };
        }
        Some(message)
    }

    /// The text screen of the VGA, 80 columns a line.
    pub fn screen(&mut self) -> Result<String> {
        const SCREEN: u32 = 0xB8000;
        const BYTES: usize = 80 * 25 * 2;
        self.connect()?;
        let file = self.path.with_extension("screen");
        let request = serde_json::json!({"execute": "pmemsave", "id": "screen", "arguments":
            {"val": SCREEN, "size": BYTES, "filename": file.display().to_string()}});
        if let Some((stream, _)) = &mut self.messages {
            writeln!(stream, "{request}")?;
        }
        loop {
            match self.take(Duration::from_secs(10)) {
                Some(message) if message.get("id").and_then(Value::as_str) == Some("screen") => break,
                Some(_) => {}
                None => bail!("QEMU does not show its screen"),
            }
        }
        let bytes = fs::read(&file)?;
        let _ = fs::remove_file(&file);
        let letters: Vec<char> = bytes.iter().step_by(2).map(|byte| char::from(*byte)).collect();
        Ok(letters.chunks(80).map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect())
    }

    /// Why the machine ended, once QEMU has.
    pub fn reason(&mut self) -> Option<Reason> {
        self.connect().ok()?;
        while self.ended.is_none() && self.take(Duration::from_secs(1)).is_some() {}
        self.ended
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
