//! The debug keys: what each prints. Source: `xl debug-keys` and Xen's documentation of its keys.
//!
//! Context: no lock held. Prints are not rate limited: the host's owner asked for them.

use core::sync::atomic::Ordering::Relaxed;

use abi::{VcpuId, Virq};
use event_channels::PortKind;

use crate::{
    cpu::{self, Work, block},
    domain::{self, Domain, Kicked, Vcpu},
    interrupt::device,
    memory::{heap, physical},
    sched::wake,
    serve::{Caller, crash},
    time::clock,
};

/// One key, pressed by the host's owner.
pub fn pressed(key: u8) {
    match key {
        b'd' => registers(),
        b'h' => help(),
        b'q' => domains(),
        b'e' => event_channels(),
        b'g' => grants(),
        b'i' => interrupts(),
        b'r' => run_queues(),
        b'm' | b'H' => memory(),
        b't' => time(),
        b'R' => crate::platform::power::reset(),
        _ => {}
    }
}

fn help() {
    log::info!("'h' pressed -> showing installed handlers");
    for (key, what) in [
        ('d', "dump registers"),
        ('e', "dump evtchn info"),
        ('g', "print grant table usage"),
        ('h', "show this message"),
        ('i', "dump interrupt bindings"),
        ('m', "memory info"),
        ('q', "dump domain (and guest debug) info"),
        ('r', "dump run queues"),
        ('t', "display multi-cpu clock info"),
        ('R', "reboot machine"),
    ] {
        log::info!(" key '{key}' (ascii '{:02x}') => {what}", key as u32);
    }
}

/// Every CPU prints the registers of its guest, one after the other as they come by.
fn registers() {
    log::info!("'d' pressed -> dumping registers");
    for cpu in cpu::all().filter(|cpu| cpu.is_online()) {
        wake::interrupt(cpu, Work::REGISTERS);
    }
}

/// Prints the registers of the guest that is resident on this CPU.
pub fn own_registers() {
    let index = cpu::this().index;
    match Caller::current(block::take_registers()) {
        Some(caller) => {
            log::info!("*** Dumping CPU{index} guest state ({:?}): ***", caller.vcpu);
            crash::print_registers(&caller, log::Level::Info);
        }
        None => log::info!("*** CPU{index} has no guest. ***"),
    }
}

fn describe(vcpu: &Vcpu) {
    log::info!(
        "    VCPU{}: CPU{} [has={}] flags={:x} upcall_pend={:02x} upcall_mask={:02x} pending={:x}",
        vcpu.id,
        vcpu.processor.load(Relaxed),
        if vcpu.running.load(Relaxed) { 'T' } else { 'F' },
        vcpu.run_flags().0,
        vcpu.info().upcall_pending.load(Relaxed),
        vcpu.info().upcall_mask.load(Relaxed),
        vcpu.pending().0,
    );
}

fn domains() {
    log::info!("'q' pressed -> dumping domain info (now = {})", clock::now());
    for domain in domain::all() {
        log::info!(
            "General information for domain {}: nr_pages={} max_pages={} dirty_cpus={:#x} shutdown={:?}",
            domain.id,
            domain.memory.total(),
            domain.memory.maximum(),
            domain.dirty_cpus().0,
            domain.shutdown().reason(),
        );
        for vcpu in domain.vcpus() {
            describe(vcpu);
            // The guest prints its own view when it hears this.
            domain.ports.raise_virq(VcpuId(vcpu.id.0), Virq::DEBUG).kick();
        }
    }
}

fn event_channels() {
    log::info!("'e' pressed -> dumping event-channel info");
    for domain in domain::all() {
        let ports = &domain.ports;
        let (in_use, lost) = (ports.ports_in_use(), ports.lost_events());
        log::info!("Event channel information for domain {}: {in_use} ports in use, {lost} events lost", domain.id);
        for number in (1..4096).map(abi::Port) {
            if let (Ok(status), Ok(words)) = (domain.ports.describe(number), domain.ports.port_words(number))
                && status.kind != PortKind::Closed
            {
                log::info!("    {number}: {status:?} {words:?}");
            }
        }
    }
}

fn grants() {
    log::info!("'g' pressed -> print grant table usage");
    for domain in domain::all() {
        grant_usage(domain);
    }
}

fn grant_usage(domain: &Domain) {
    log::info!(
        "grant-table for domain {}: frames {} (limit {}), {} handles",
        domain.id,
        domain.grants.frame_count(),
        domain.grants.limits().frames,
        domain.grants.maptrack().handle_count(),
    );
}

fn interrupts() {
    log::info!("'i' pressed -> dumping interrupt bindings");
    for irq in (0..device::irq_count()).map(device_interrupts::Irq) {
        if let Some(standing) = device::standing(irq) {
            log::info!("    IRQ{}: {standing:?}", irq.0);
        }
    }
}

fn run_queues() {
    log::info!("'r' pressed -> dumping run queues (now = {})", clock::now());
    for cpu in cpu::all().filter(|cpu| cpu.is_online()) {
        log::info!(
            "CPU{}: idle={} work={:#x}, timer set for {}, slice ends {}, first deadline {:?}",
            cpu.index,
            cpu.idle.load(Relaxed),
            cpu.work.load(Relaxed),
            cpu.next_deadline.load(Relaxed),
            cpu.slice_end.load(Relaxed),
            cpu.deadlines.lock().first(),
        );
    }
    for vcpu in domain::all().flat_map(|domain| domain.vcpus()) {
        let time = vcpu.time.lock().info(clock::now());
        let index = vcpu.processor.load(Relaxed);
        let standing = cpu::by_index(index as usize).and_then(|cpu| cpu.queue.lock().describe(vcpu.entity));
        log::info!("  {vcpu:?}: CPU{index} {standing:?}, state {:?} times {:?}", time.state, time.time);
        let time = vcpu.time.lock();
        let (singleshot, periodic, poll) = (time.singleshot, time.periodic, time.poll);
        log::info!("    timers: single {singleshot:?}, periodic {periodic:?}, poll {poll:?}; {:?}", time.watched);
    }
}

fn memory() {
    log::info!("'m' pressed -> memory: free {}kB, heap {} bytes", physical::free_frames() << 2, heap::bytes_in_use());
}

fn time() {
    log::info!("'t' pressed -> system time {} ns, TSC {} kHz", clock::now(), clock::frequency_khz());
}
