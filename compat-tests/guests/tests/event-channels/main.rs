//! Event channels of a domain with itself: every state of a port, what each operation does to it, and the delivery words.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::events::{self, operation};
use compat_guests::hypercall::call1;
use compat_guests::number::{self, event};
use compat_guests::report::{check, result, value_at};
use compat_guests::{memory, smp};
use core::sync::atomic::Ordering;

compat_guests::guest!(main);

fn main() {
    smp::operation(number::vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    numbering();
    states();
    virqs();
    pirqs();
    delivery();
    interdomain();
    many();
    reset();
    fifo();
}

/// Prints what status says of a port.
fn status(label: core::fmt::Arguments<'_>, port: u32) {
    let mut argument = Buffer::<24>::new().u16(0, number::DOMID_SELF as u16).u32(4, port);
    result(format_args!("{label}.status"), operation(event::STATUS, &mut argument));
    value_at(format_args!("{label}.status.state"), argument.get_u32(8).into());
    value_at(format_args!("{label}.status.vcpu"), argument.get_u32(12).into());
    value_at(format_args!("{label}.status.detail"), argument.get_u64(16));
}

fn port_value(label: core::fmt::Arguments<'_>, port: Result<u32, i64>) -> u32 {
    match port {
        Ok(port) => {
            value_at(label, port.into());
            port
        }
        Err(error) => {
            result(label, error);
            0
        }
    }
}

/// Which numbers ports get, and that freed ones come back.
fn numbering() {
    let first = port_value(format_args!("number.first"), events::bind_ipi(0));
    let second = port_value(format_args!("number.second"), events::alloc_unbound(number::DOMID_SELF as u16));
    result(format_args!("number.close"), events::on_port(event::CLOSE, first));
    let again = port_value(format_args!("number.again"), events::bind_ipi(0));
    let third = port_value(format_args!("number.third"), events::bind_ipi(0));
    for port in [second, again, third] {
        events::on_port(event::CLOSE, port);
    }
}

/// Makes a port of some kind.
type Maker = fn() -> Result<u32, i64>;

/// Every operation on a port of every kind.
fn states() {
    let make: [(&str, Maker); 5] = [
        ("free", || events::bind_ipi(0).inspect(|&port| _ = events::on_port(event::CLOSE, port))),
        ("unbound-self", || events::alloc_unbound(number::DOMID_SELF as u16)),
        ("unbound-other", || events::alloc_unbound(5)),
        ("ipi", || events::bind_ipi(0)),
        ("virq", || events::bind_virq(1, 0)),
    ];
    for (kind, make) in make {
        let port = port_value(format_args!("state.{kind}"), make());
        status(format_args!("state.{kind}"), port);
        result(format_args!("state.{kind}.send"), events::on_port(event::SEND, port));
        value_at(format_args!("state.{kind}.pending"), events::is_pending(port));
        result(format_args!("state.{kind}.unmask"), events::on_port(event::UNMASK, port));
        for vcpu in [0u32, 1, 8192] {
            let mut argument = Buffer::<8>::new().u32(0, port).u32(4, vcpu);
            result(format_args!("state.{kind}.bind-vcpu{vcpu}"), operation(event::BIND_VCPU, &mut argument));
        }
        for priority in [0u32, 15, 16] {
            let mut argument = Buffer::<8>::new().u32(0, port).u32(4, priority);
            result(format_args!("state.{kind}.priority{priority}"), operation(event::SET_PRIORITY, &mut argument));
        }
        let local = events::bind_interdomain(number::DOMID_SELF as u16, port);
        let bound = port_value(format_args!("state.{kind}.bind"), local);
        result(format_args!("state.{kind}.close"), events::on_port(event::CLOSE, port));
        result(format_args!("state.{kind}.close-again"), events::on_port(event::CLOSE, port));
        value_at(format_args!("state.{kind}.pending-after"), events::is_pending(port));
        if bound != 0 {
            status(format_args!("state.{kind}.peer"), bound);
            events::on_port(event::CLOSE, bound);
        }
        events::clear_pending(port);
        events::clear_pending(bound);
        events::upcall_pending(0).store(0, Ordering::SeqCst);
        events::selector(0).store(0, Ordering::SeqCst);
    }
}

fn virqs() {
    for virq in 0..25u32 {
        let port = port_value(format_args!("virq{virq}"), events::bind_virq(virq, 0));
        if port != 0 {
            result(format_args!("virq{virq}.twice"), events::bind_virq(virq, 0).map_or_else(|error| error, i64::from));
            status(format_args!("virq{virq}"), port);
            let mut argument = Buffer::<8>::new().u32(0, port);
            result(format_args!("virq{virq}.move"), operation(event::BIND_VCPU, &mut argument));
            events::on_port(event::CLOSE, port);
        }
    }
}

fn pirqs() {
    for pirq in [0u32, 1, 5, 9, 15, 16, 207, 208, u32::MAX] {
        let mut argument = Buffer::<12>::new().u32(0, pirq);
        result(format_args!("pirq{pirq}.unmapped"), operation(event::BIND_PIRQ, &mut argument));
    }
}

/// The words and the upcall: pending, selector, masks of port and vCPU, unmask.
fn delivery() {
    let Ok(port) = events::bind_ipi(0) else { return };
    let show = |step: &str| {
        value_at(format_args!("deliver.{step}.pending"), events::is_pending(port));
        value_at(format_args!("deliver.{step}.selector"), events::selector(0).load(Ordering::SeqCst));
        value_at(format_args!("deliver.{step}.upcall"), events::upcall_pending(0).load(Ordering::SeqCst).into());
        value_at(format_args!("deliver.{step}.delivered"), events::delivered(port).into());
    };
    let forget = || {
        events::clear_pending(port);
        events::selector(0).store(0, Ordering::SeqCst);
        events::upcall_pending(0).store(0, Ordering::SeqCst);
    };
    show("start");
    events::on_port(event::SEND, port);
    show("sent");
    events::on_port(event::SEND, port);
    show("sent-again");
    forget();
    events::mask(port);
    events::on_port(event::SEND, port);
    show("masked");
    events::on_port(event::UNMASK, port);
    show("unmasked");
    forget();
    events::on_port(event::UNMASK, port);
    show("unmasked-idle");
    events::selector(0).store(1, Ordering::SeqCst);
    events::on_port(event::SEND, port);
    show("selector-was-set");
    forget();
    events::enable();
    let upcalls = events::upcalls();
    events::on_port(event::SEND, port);
    show("upcall");
    value_at(format_args!("deliver.upcalls"), (events::upcalls() - upcalls).into());
    for _ in 0..100 {
        events::on_port(event::SEND, port);
    }
    show("hundred");
    events::mask_upcalls();
    for _ in 0..100 {
        events::on_port(event::SEND, port);
    }
    events::unmask_upcalls();
    show("merged");
    let blocked = events::upcalls();
    events::mask_upcalls();
    events::on_port(event::SEND, port);
    compat_guests::hypercall::call2(number::SCHED_OP, number::sched::BLOCK, 0);
    check("block-returns", (events::upcalls() == blocked + 1).into(), format_args!("an event was pending"));
    value_at(format_args!("deliver.block.mask"), events::upcall_mask(0).load(Ordering::SeqCst).into());
    events::mask_upcalls();
    events::on_port(event::CLOSE, port);
}

/// A pair of ports of the same domain.
fn interdomain() {
    let listener = port_value(format_args!("pair.listen"), events::alloc_unbound(number::DOMID_SELF as u16));
    result(format_args!("pair.send-unbound"), events::on_port(event::SEND, listener));
    value_at(format_args!("pair.send-unbound.pending"), events::is_pending(listener));
    let local = port_value(format_args!("pair.bind"), events::bind_interdomain(number::DOMID_SELF as u16, listener));
    value_at(format_args!("pair.bind.local-pending"), events::is_pending(local));
    value_at(format_args!("pair.bind.remote-pending"), events::is_pending(listener));
    events::clear_pending(local);
    result(
        format_args!("pair.bind-again"),
        events::bind_interdomain(number::DOMID_SELF as u16, listener).map_or_else(|error| error, i64::from),
    );
    result(
        format_args!("pair.bind-by-id"),
        events::bind_interdomain(0, listener).map_or_else(|error| error, i64::from),
    );
    status(format_args!("pair.local"), local);
    status(format_args!("pair.remote"), listener);
    result(format_args!("pair.send"), events::on_port(event::SEND, local));
    value_at(format_args!("pair.send.local-pending"), events::is_pending(local));
    value_at(format_args!("pair.send.remote-pending"), events::is_pending(listener));
    events::clear_pending(listener);
    result(format_args!("pair.close"), events::on_port(event::CLOSE, local));
    status(format_args!("pair.closed"), listener);
    result(format_args!("pair.close-both"), events::on_port(event::CLOSE, listener));
    for (domain, port) in [(1u16, 1u32), (number::DOMID_SELF as u16, 0), (number::DOMID_SELF as u16, 4096), (0x7ff1, 1)]
    {
        result(
            format_args!("pair.bad{domain:x}.{port}"),
            events::bind_interdomain(domain, port).map_or_else(|error| error, i64::from),
        );
    }
    events::drain(0);
}

/// All ports of the 2-level range, then one more.
fn many() {
    let mut count = 0;
    let mut last = 0;
    let error = loop {
        match events::alloc_unbound(number::DOMID_SELF as u16) {
            Ok(port) => {
                count += 1;
                last = port;
            }
            Err(error) => break error,
        }
    };
    value_at(format_args!("many.count"), count);
    value_at(format_args!("many.last"), last.into());
    result(format_args!("many.error"), error);
    for port in 1..4096 {
        events::on_port(event::CLOSE, port);
    }
}

fn reset() {
    let kept = port_value(format_args!("reset.before"), events::bind_ipi(0));
    for domain in [1u16, 0x7ff1, number::DOMID_SELF as u16, 0] {
        let mut argument = Buffer::<8>::new().u16(0, domain);
        result(format_args!("reset.{domain:x}"), operation(event::RESET, &mut argument));
    }
    status(format_args!("reset.after"), kept);
}

/// init_control and expand_array: errors, then success and a delivery through the queue.
fn fifo() {
    for vcpu in [0u32, 1] {
        let mut early = Buffer::<8>::new();
        result(format_args!("fifo.expand-early{vcpu}"), operation(event::EXPAND_ARRAY, &mut early));
    }
    let block = memory::page();
    let frame = memory::mfn_of(block);
    let init = |gfn: u64, offset: u32, vcpu: u32| Buffer::<24>::new().u64(0, gfn).u32(8, offset).u32(12, vcpu);
    for (label, gfn, offset, vcpu) in [
        ("bad-frame", 0xff_ffff_ffffu64, 0u32, 0u32),
        ("io-frame", 0xf0, 0, 0),
        ("odd-offset", frame, 4, 0),
        ("far-offset", frame, 4096 - 64, 0),
        ("no-vcpu", frame, 0, 1),
        ("good", frame, 4096 - 72, 0),
        ("twice", frame, 0, 0),
    ] {
        let mut argument = init(gfn, offset, vcpu);
        result(format_args!("fifo.init.{label}"), operation(event::INIT_CONTROL, &mut argument));
        value_at(format_args!("fifo.init.{label}.bits"), argument.get_u32(16) as u64 & 0xff);
    }
    result(format_args!("fifo.ipi-before-array"), events::bind_ipi(0).map_or_else(|error| error, i64::from));
    let array = memory::page();
    for (label, gfn) in [
        ("bad", 0xff_ffff_ffffu64),
        ("io", 0xf0),
        ("good", memory::mfn_of(array)),
        ("second", memory::mfn_of(memory::page())),
    ] {
        let mut argument = Buffer::<8>::new().u64(0, gfn);
        result(format_args!("fifo.expand.{label}"), operation(event::EXPAND_ARRAY, &mut argument));
    }
    let port = port_value(format_args!("fifo.port"), events::bind_ipi(0));
    let control = block + 4096 - 72;
    let word = || memory::read(array + u64::from(port & !1) * 4) >> (32 * (port & 1)) & 0xffff_ffff;
    value_at(format_args!("fifo.idle.word"), word());
    for priority in [7u32, 0, 15, 16] {
        let mut argument = Buffer::<8>::new().u32(0, port).u32(4, priority);
        result(format_args!("fifo.priority{priority}"), operation(event::SET_PRIORITY, &mut argument));
    }
    result(format_args!("fifo.send"), events::on_port(event::SEND, port));
    value_at(format_args!("fifo.sent.word"), word());
    value_at(format_args!("fifo.sent.ready"), memory::read(control) & 0xffff_ffff);
    for queue in 0..16u64 {
        let head = memory::read(control + 8 + (queue & !1) * 4) >> (32 * (queue & 1)) & 0xffff_ffff;
        value_at(format_args!("fifo.sent.head{queue}"), head);
    }
    value_at(format_args!("fifo.sent.upcall"), events::upcall_pending(0).load(Ordering::SeqCst).into());
    let second = port_value(format_args!("fifo.second"), events::bind_ipi(0));
    let mut argument = Buffer::<8>::new().u32(0, second).u32(4, 15);
    operation(event::SET_PRIORITY, &mut argument);
    result(format_args!("fifo.second.send"), events::on_port(event::SEND, second));
    value_at(format_args!("fifo.linked.word"), word());
    result(format_args!("fifo.unmask"), events::on_port(event::UNMASK, port));
    result(format_args!("fifo.close"), events::on_port(event::CLOSE, port));
    value_at(format_args!("fifo.closed.word"), word());
    let mut large = Buffer::<24>::new().u16(0, number::DOMID_SELF as u16).u32(4, 5000);
    result(format_args!("fifo.status-large"), operation(event::STATUS, &mut large));
    call1(number::XEN_VERSION, 0);
}
