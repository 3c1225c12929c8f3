//! Lines to the hypervisor's console (`console_io` write), each line one call so that nothing cuts it in two.

use core::fmt::{self, Write};

use crate::hypercall;
use crate::number;

/// A line being put together; what does not fit is cut off.
pub struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; 512], length: 0 }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.length;
        let take = text.len().min(room);
        self.bytes[self.length..self.length + take].copy_from_slice(&text.as_bytes()[..take]);
        self.length += take;
        Ok(())
    }
}

/// Prints one line.
pub fn line(arguments: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(arguments);
    line.bytes[line.length] = b'\n';
    write(&line.bytes[..line.length + 1]);
}

/// Prints bytes as they are.
pub fn write(bytes: &[u8]) {
    hypercall::call3(number::CONSOLE_IO, 0, bytes.len() as u64, bytes.as_ptr() as u64);
}

/// Prints one formatted line on the hypervisor's console.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::console::line(format_args!($($argument)*)) };
}
