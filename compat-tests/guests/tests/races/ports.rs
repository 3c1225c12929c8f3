//! Ports that are closed, reset and moved while another vCPU sends to them: never half a port.

use compat_guests::buffer::Buffer;
use compat_guests::events::{alloc_unbound, bind_interdomain, bind_ipi, on_port, operation};
use compat_guests::memory::{mfn_of, page};
use compat_guests::number::{DOMID_SELF, event};
use compat_guests::report::check;

use crate::spoiler::{Shared, against, scatter};

const PORTS: u64 = 24;
const CLOSED: u32 = 0;
const UNBOUND: u32 = 1;
const INTERDOMAIN: u32 = 2;
const IPI: u32 = 5;

/// Pages for the FIFO's control block and array, and results that no operation has.
static CONTROL: Shared = Shared::new(0);
static ARRAY: Shared = Shared::new(0);
static ODD: Shared = Shared::new(0);

/// All of it; the ports of the domain are gone afterwards.
pub fn race(rounds: u64) {
    CONTROL.set(mfn_of(page()));
    ARRAY.set(mfn_of(page()));
    let mut half = 0u64;
    against("ports-spoiled", rounds, spoil, |round| {
        half += u64::from(!live_and_die(round));
    });
    check("ports-are-whole", (half == 0).into(), format_args!("{half} of {rounds}"));
    check("ports-results", (ODD.get() == 0).into(), format_args!("{} strange results", ODD.get()));
    let reset = operation(event::RESET, &mut Buffer::<2>::new().u16(0, DOMID_SELF as u16));
    let open = (1..200).filter(|port| status(*port).is_some_and(|(state, ..)| state != CLOSED)).count();
    let first = alloc_unbound(DOMID_SELF as u16);
    check(
        "ports-all-come-back",
        (reset == 0 && open == 0 && first == Ok(1)).into(),
        format_args!("{reset} {open} {first:?}"),
    );
}

/// State, and for a pair the other domain and port.
fn status(port: u32) -> Option<(u32, u32, u32)> {
    let mut argument = Buffer::<24>::new().u16(0, DOMID_SELF as u16).u32(4, port);
    let result = operation(event::STATUS, &mut argument);
    (result == 0).then(|| (argument.get_u32(8), argument.get_u32(16) & 0xffff, argument.get_u32(20)))
}

/// A pair or an IPI port from allocation to close; whatever the other vCPU did to it, it is one thing as a whole.
fn live_and_die(round: u64) -> bool {
    let Ok(port) = (if round.is_multiple_of(3) { bind_ipi(0) } else { alloc_unbound(0) }) else { return true };
    let partner = bind_interdomain(0, port);
    on_port(event::SEND, port);
    let whole = match status(port) {
        Some((INTERDOMAIN, domain, other)) => domain == 0 && other != 0,
        Some((state, ..)) => matches!(state, CLOSED | UNBOUND | IPI),
        None => true,
    };
    if let Ok(partner) = partner {
        on_port(event::SEND, partner);
        on_port(event::CLOSE, partner);
    }
    on_port(event::CLOSE, port);
    whole
}

fn spoil(step: u64) {
    let pick = scatter(step);
    let port = (pick >> 16) % PORTS;
    let result = match pick % 16 {
        0..=4 => on_port(event::SEND, port as u32),
        5 | 6 => on_port(event::UNMASK, port as u32),
        7 | 8 => on_port(event::CLOSE, port as u32),
        9 => operation(event::BIND_VCPU, &mut Buffer::<8>::new().u32(0, port as u32).u32(4, (pick >> 32) as u32 & 1)),
        10 => {
            operation(event::SET_PRIORITY, &mut Buffer::<8>::new().u32(0, port as u32).u32(4, (pick >> 32) as u32 & 15))
        }
        11 => bind_interdomain(0, port as u32).map_or_else(|error| error, |_| 0),
        12 => operation(event::INIT_CONTROL, &mut control((pick >> 32) as u32 & 1)),
        13 => operation(event::EXPAND_ARRAY, &mut Buffer::<8>::new().u64(0, ARRAY.get())),
        14 if (pick >> 40).is_multiple_of(8) => {
            operation(event::RESET, &mut Buffer::<2>::new().u16(0, DOMID_SELF as u16))
        }
        _ => status(port as u32).map_or(0, |_| 0),
    };
    if !(-95..=0).contains(&result) {
        ODD.set(ODD.get() + 1);
    }
}

fn control(vcpu: u32) -> Buffer<24> {
    Buffer::new().u64(0, CONTROL.get()).u32(8, if vcpu == 0 { 0 } else { 2048 }).u32(12, vcpu)
}
