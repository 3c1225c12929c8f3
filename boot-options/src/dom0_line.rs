//! The command line that dom0 is started with.
//!
//! Source: `start_info.cmd_line` in Xen's public header `xen.h` (MAX_GUEST_CMDLINE, 1024 bytes with the final zero).

/// What it is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dom0LineInput<'a> {
    /// The kernel module's string, without its image name.
    pub module: &'a str,
    /// [`CommandLine::for_dom0`](crate::CommandLine::for_dom0).
    pub extra: &'a str,
    /// Whether the hypervisor uses I/O APICs; if not, dom0 is told "noapic".
    pub io_apic: bool,
    /// Value for "acpi="; empty for none.
    pub acpi: &'a str,
}

/// Writes the line with its final zero into `buffer`, cut off where it is full; returns the bytes before the zero.
pub fn dom0_line(input: &Dom0LineInput<'_>, buffer: &mut [u8; 1024]) -> usize {
    buffer.fill(0);
    let mut line = Line { buffer, length: 0 };
    line.push(input.module);
    if !input.extra.is_empty() {
        line.push(" ");
        line.push(input.extra);
    }
    if !input.io_apic && !line.contains("noapic") {
        line.push(" noapic");
    }
    if !input.acpi.is_empty() && !line.contains("acpi=") {
        line.push(" acpi=");
        line.push(input.acpi);
    }
    line.length
}

struct Line<'b> {
    buffer: &'b mut [u8; 1024],
    length: usize,
}

impl Line<'_> {
    fn push(&mut self, text: &str) {
        let last = self.buffer.len() - 1;
        let room = self.buffer.get_mut(self.length..last).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.length = (self.length + text.len()).min(last);
    }

    fn contains(&self, text: &str) -> bool {
        self.buffer.windows(text.len()).any(|window| window == text.as_bytes())
    }
}
