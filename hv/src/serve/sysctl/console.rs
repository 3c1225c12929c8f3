//! The console ring as the toolstack reads it.

use hypercalls::{authority::ControlDomain, op::sysctl::ConsoleRing};

use crate::{
    console::{debug_keys, output},
    serve::Caller,
};

impl ConsoleRing for Caller<'_> {
    fn console_ring(&self) -> (u32, u32) {
        output::with(|console| (console.ring.begin(), console.ring.end()))
    }

    fn console_ring_copy(&self, from: u32, into: &mut [u8]) -> (u32, usize) {
        output::with(|console| console.ring.copy(from, into))
    }

    fn console_ring_forget(&mut self, _authority: ControlDomain, until: u32) {
        output::with(|console| console.ring.forget(until));
    }

    fn debug_key(&mut self, _authority: ControlDomain, key: u8) {
        debug_keys::pressed(key);
    }
}
