//! Counting instructions up to an address: QEMU stops there (its debugger interface, a hardware breakpoint) and tells how
//! many instructions it has run (`query-replay` of its control protocol).
//!
//! Source: QEMU's interface reference (query-replay); GDB's remote serial protocol (packets `Z1`, `z1`, `c`).

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::qemu::Machine;

/// How long one stretch may take, on a busy host.
const LIMIT: Duration = Duration::from_secs(180);

/// Runs a machine from power-on and gives back the instructions run when each address is first reached, in this order.
pub fn count_to(machine: &Machine, addresses: &[u64]) -> Result<Vec<u64>> {
    let socket = |name: &str| std::env::temp_dir().join(format!("compat-runner-{}.{name}", std::process::id()));
    let (debugger, control) = (socket("debugger"), socket("control"));
    let listen = |path: &Path| format!("path={},server=on,wait=off", path.display());
    let mut command = machine.command()?;
    command.args(["-S", "-serial", "null", "-chardev", &format!("socket,id=debugger,{}", listen(&debugger))]);
    command.args(["-gdb", "chardev:debugger", "-chardev", &format!("socket,id=control,{}", listen(&control))]);
    command.args(["-mon", "chardev=control,mode=control"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().context("cannot start QEMU")?);
    let mut debugger = Debugger { stream: connect(&mut running.0, debugger)? };
    let mut control = Control::new(connect(&mut running.0, control)?)?;
    let mut counts = Vec::new();
    for address in addresses {
        debugger.ask(&format!("Z1,{address:x},1"))?;
        let stopped = debugger.ask("c")?;
        ensure!(stopped.starts_with('T'), "the machine ended before {address:#x}");
        debugger.ask(&format!("z1,{address:x},1"))?;
        counts.push(control.instructions()?);
    }
    Ok(counts)
}

/// A QEMU that is ended when nobody needs it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connects to a socket that QEMU opens soon.
fn connect(child: &mut Child, path: PathBuf) -> Result<UnixStream> {
    let started = Instant::now();
    loop {
        if let Ok(stream) = UnixStream::connect(&path) {
            let _ = std::fs::remove_file(&path);
            stream.set_read_timeout(Some(LIMIT))?;
            return Ok(stream);
        }
        if let Some(status) = child.try_wait()? {
            bail!("QEMU ended with {status} at once");
        }
        ensure!(started.elapsed() < Duration::from_secs(20), "QEMU does not open {}", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The debugger interface.
struct Debugger {
    stream: UnixStream,
}

impl Debugger {
    /// Sends one packet and waits for the answer's contents.
    fn ask(&mut self, contents: &str) -> Result<String> {
        let sum = contents.bytes().fold(0u8, u8::wrapping_add);
        self.stream.write_all(format!("${contents}#{sum:02x}").as_bytes())?;
        let (mut answer, mut byte, mut inside) = (String::new(), [0u8], false);
        loop {
            self.stream.read_exact(&mut byte).with_context(|| format!("no answer to {contents} from QEMU"))?;
            match char::from(byte[0]) {
                '$' => inside = true,
                '#' => break,
                letter if inside => answer.push(letter),
                _ => {}
            }
        }
        self.stream.read_exact(&mut [0; 2])?;
        self.stream.write_all(b"+")?;
        Ok(answer)
    }
}

/// The control protocol.
struct Control {
    reader: BufReader<UnixStream>,
}

impl Control {
    fn new(stream: UnixStream) -> Result<Self> {
        let mut control = Self { reader: BufReader::new(stream) };
        control.execute("qmp_capabilities")?;
        Ok(control)
    }

    fn execute(&mut self, command: &str) -> Result<serde_json::Value> {
        self.reader.get_mut().write_all(format!("{{\"execute\":\"{command}\"}}\n").as_bytes())?;
        loop {
            let mut line = String::new();
            ensure!(self.reader.read_line(&mut line)? > 0, "QEMU hung up");
            let message: serde_json::Value = serde_json::from_str(&line)?;
            if let Some(answer) = message.get("return") {
                return Ok(answer.clone());
            }
            ensure!(message.get("error").is_none(), "QEMU refuses {command}: {line}");
        }
    }

    fn instructions(&mut self) -> Result<u64> {
        let answer = self.execute("query-replay")?;
        answer.get("icount").and_then(serde_json::Value::as_u64).context("QEMU does not count instructions")
    }
}
