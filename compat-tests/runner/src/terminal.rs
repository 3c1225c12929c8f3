//! `make run` as a newcomer meets it: on a terminal, up to dom0's root shell, the example guest, and power-off. The terminal
//! is made by util-linux's `script`.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::places;
use crate::tally::Tally;

/// Longest wait for each step; the first one may have to build.
const PATIENCE: [Duration; 5] = [
    Duration::from_secs(1200),
    Duration::from_secs(60),
    Duration::from_secs(180),
    Duration::from_secs(60),
    Duration::from_secs(60),
];
/// What comes, what is typed then. No answer stands in what is typed.
const DIALOGUE: [(&str, &str); 4] = [
    ("an example: xl create", ""),
    ("# ", "xl create /mnt/guests/example.cfg && echo started-$((40 + 2))\r"),
    ("started-42", "xl list example | wc -l\r"),
    ("2\r", "poweroff -f\r"),
];

/// What the terminal has shown so far.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<String>>);

impl Screen {
    fn text(&self) -> String {
        self.0.lock().map(|text| text.clone()).unwrap_or_default()
    }

    fn follow(&self, mut from: impl Read + Send + 'static) {
        let text = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let piece = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
                if let Ok(mut text) = text.lock() {
                    text.push_str(&piece);
                }
            }
        });
    }
}

/// Runs `make run` on a terminal.
pub fn check() -> Result<Tally> {
    let mut child = Command::new(places::program("script")?)
        .args(["-q", "-f", "-e", "-c"])
        .arg(format!("make -C '{}' run", places::tree().display()))
        .arg("/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start script")?;
    let screen = Screen::default();
    screen.follow(child.stdout.take().context("no output")?);
    let mut keyboard = child.stdin.take().context("no input")?;
    let outcome = converse(&screen, &mut keyboard).and_then(|()| wait(&mut child));
    drop(keyboard);
    let _ = child.kill();
    let _ = child.wait();
    let text = screen.text();
    std::fs::write(places::logs()?.join("terminal.log"), &text)?;
    let complaints: Vec<String> = outcome.err().map(|error| error.to_string()).into_iter().collect();
    println!("{} terminal", if complaints.is_empty() { "PASS" } else { "FAIL" });
    for complaint in &complaints {
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n    | ");
        println!("  {complaint}; last lines:\n    | {tail}");
    }
    let mut tally = Tally::default();
    tally.count(&complaints);
    Ok(tally)
}

/// Waits for each part behind the one before it, then types.
fn converse(screen: &Screen, keyboard: &mut impl Write) -> Result<()> {
    let mut seen = 0;
    for ((part, answer), patience) in DIALOGUE.into_iter().zip(PATIENCE) {
        let end = Instant::now() + patience;
        loop {
            let text = screen.text();
            if let Some(at) = text.get(seen..).and_then(|rest| rest.find(part)) {
                seen += at + part.len();
                break;
            }
            anyhow::ensure!(Instant::now() < end, "\"{}\" did not come", part.trim_end());
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_millis(500));
        keyboard.write_all(answer.as_bytes())?;
        keyboard.flush()?;
    }
    Ok(())
}

/// The machine is switched off, so `make run` ends.
fn wait(child: &mut Child) -> Result<()> {
    let [.., patience] = PATIENCE;
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "make run ended with {status}");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("the machine is still there after its power-off")
}
