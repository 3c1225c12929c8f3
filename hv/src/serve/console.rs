//! console_io: dom0's console on ours.

use hypercalls::op::console::ConsoleHost;

use super::Caller;
use crate::console::{input, output};

impl ConsoleHost for Caller<'_> {
    fn is_console_domain(&self) -> bool {
        false
    }

    fn console_write(&mut self, bytes: &[u8]) {
        output::with(|console| console.write_guest(bytes));
    }

    fn console_input_peek(&self, into: &mut [u8]) -> usize {
        input::peek(into)
    }

    fn console_input_consume(&mut self, count: usize) {
        input::consume(count);
    }
}
