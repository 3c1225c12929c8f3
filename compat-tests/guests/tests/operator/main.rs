//! What the hypervisor's options give dom0, and what comes in from the serial line. By itself it tells the amounts; told
//! to `listen` it waits for input until a `Z` comes, which the runner's sessions type.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call2, call3};
use compat_guests::number::{self, memory as memory_op, sched, vcpu};
use compat_guests::report::{result, value};
use compat_guests::{events, memory, say, smp, start, time};

compat_guests::guest!(main);

const VIRQ_CONSOLE: u32 = 2;
const READ: u64 = 1;
const SECOND: u64 = 1_000_000_000;

fn main() {
    memory::shared_info();
    value("pages", start::nr_pages());
    for (name, operation) in [("current", memory_op::CURRENT_RESERVATION), ("maximum", memory_op::MAXIMUM_RESERVATION)]
    {
        let mut domain = Buffer::<8>::new().u16(0, number::DOMID_SELF as u16);
        result(format_args!("{name}"), call2(number::MEMORY_OP, operation, domain.address()));
    }
    let exists = |id: &u64| smp::operation(vcpu::IS_UP, *id, 0) != number::ENOENT;
    value("vcpus", (0..64).take_while(exists).count() as u64);
    say!("arguments: {}", start::command_line());
    if start::command_line().contains("listen") {
        listen();
    }
    if start::command_line().contains("crash") {
        // Nothing is at the reserved code that sched_op takes for a crash: reason 3.
        let reason = [3u32];
        call2(number::SCHED_OP, sched::SHUTDOWN, reason.as_ptr() as u64);
    }
}

/// Prints every byte of input in hexadecimal, in the order it came, on one line at the end.
fn listen() {
    let Ok(port) = events::bind_virq(VIRQ_CONSOLE, 0) else { return };
    events::mask(port);
    say!("LISTENING");
    let mut heard = [0u8; 128];
    let mut length = 0;
    let end = time::now() + 60 * SECOND;
    while time::now() < end && !heard[..length].contains(&b'Z') {
        time::poll(&[port], time::now() + SECOND / 5);
        events::clear_pending(port);
        let room = &mut heard[length..];
        let count = call3(number::CONSOLE_IO, READ, room.len() as u64, room.as_mut_ptr() as u64);
        length += count.max(0) as usize;
    }
    for byte in &heard[..length] {
        say!("VALUE heard.{byte:02x}={byte:#x}");
    }
    say!("HEARD {:02x?}", &heard[..length]);
}
