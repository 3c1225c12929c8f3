//! Interrupts of devices: from a vector to whoever the interrupt is for, and back when it has been served.
//!
//! Interrupts are numbered by [`Irq`]: lines of the I/O APICs first, message interrupts above them. A vector means the
//! same on every CPU, so moving an interrupt to another CPU changes its destination and nothing else; the price is a
//! limit of 190 lines and messages in use at once. A level-triggered line is masked and acknowledged when it comes and
//! opened again when the guest says that it has been served; what comes by edges or messages is acknowledged at once.
//! What belongs to nobody is masked at its source.
//!
//! Context: handlers run with interrupts off and no lock held. The fields of an interrupt are atomics, so the way of an
//! interrupt takes no lock but the controller's, and that only for level-triggered lines. Who may change a binding is
//! the holder of the domain's interrupt table (`interrupt::pirq`).

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use abi::{DomainId, Errno, Pirq, Result};
use device_interrupts::{Irq, Redirection, Signal, Trigger};
use event_channels::PirqRaise;
use spin::Once;

use super::{
    io_apic, local_apic, msi,
    rate::{self, Rate},
    vector::Vector,
};
use crate::{
    cpu::{self, Cpu},
    domain::{self, Domain, Kicked},
};

/// Message interrupts there can be, in use or not; vectors run out first.
const MESSAGES: u32 = 192;
/// The machine's own timer, which no domain gets.
const TIMER_LINE: Irq = Irq(0);

/// Whom an interrupt is for, as one word: domain in bits 63:32, pirq in 31:0, both all ones for nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Target(u64);

impl Target {
    const NOBODY: Target = Target(u64::MAX);
    /// Being bound or unbound.
    const CHANGING: Target = Target(u64::MAX - 1);
    /// The hypervisor's own.
    const HYPERVISOR: Target = Target(u64::MAX - 2);

    fn guest(domain: DomainId, pirq: Pirq) -> Self {
        Target(u64::from(domain.0) << 32 | u64::from(pirq.0))
    }

    fn as_guest(self) -> Option<(DomainId, Pirq)> {
        let domain = u16::try_from(self.0 >> 32).ok()?;
        Some((DomainId(domain), Pirq(self.0 as u32)))
    }
}

/// A driver of the hypervisor's that owns a line.
struct Driver {
    name: &'static str,
    handle: fn(),
}

/// One interrupt.
struct Interrupt {
    target: AtomicU64,
    /// Zero while it has none.
    vector: AtomicU8,
    /// Lines: [`SET_UP`], [`LEVEL`] and [`LOW`]; 0 while the firmware's way counts.
    mode: AtomicU32,
    /// A level-triggered line is masked until its guest has served it.
    awaits_end: AtomicBool,
    /// Messages: somebody has it.
    in_use: AtomicBool,
    rate: Rate,
    strays: AtomicU32,
    driver: Once<Driver>,
}

const SET_UP: u32 = 1;
const LEVEL: u32 = 2;
const LOW: u32 = 4;

static INTERRUPTS: Once<Box<[Interrupt]>> = Once::new();
/// The interrupt of each vector, plus one.
static BY_VECTOR: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];
static STRAYS: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];

impl Interrupt {
    const fn new() -> Self {
        Self {
            target: AtomicU64::new(Target::NOBODY.0),
            vector: AtomicU8::new(0),
            mode: AtomicU32::new(0),
            awaits_end: AtomicBool::new(false),
            in_use: AtomicBool::new(false),
            rate: Rate::new(),
            strays: AtomicU32::new(0),
            driver: Once::new(),
        }
    }

    fn target(&self) -> Target {
        Target(self.target.load(Acquire))
    }

    fn claim(&self, from: Target, to: Target) -> bool {
        self.target.compare_exchange(from.0, to.0, AcqRel, Acquire).is_ok()
    }
}

/// All interrupts; made on first use, after the I/O APICs were found. Empty when there is no memory for them.
fn all() -> &'static [Interrupt] {
    INTERRUPTS.call_once(|| {
        let count = irq_count() as usize;
        let mut interrupts = Vec::new();
        if interrupts.try_reserve_exact(count).is_err() {
            log::error!("No memory for {count} interrupts; devices will have none.");
            return Box::default();
        }
        interrupts.resize_with(count, Interrupt::new);
        interrupts.into_boxed_slice()
    })
}

fn get(irq: Irq) -> Option<&'static Interrupt> {
    all().get(irq.0 as usize)
}

/// One more than the highest interrupt.
pub fn irq_count() -> u32 {
    io_apic::line_count() + MESSAGES
}

/// Whether it is a line rather than a message.
pub fn is_line(irq: Irq) -> bool {
    irq.0 < io_apic::line_count()
}

/// Serves the interrupt of a device.
pub fn interrupt(vector: Vector) {
    let found = BY_VECTOR.get(usize::from(vector.0)).map_or(0, |slot| slot.load(Acquire)).checked_sub(1).map(Irq);
    match found.and_then(|irq| Some((irq, get(irq)?))) {
        Some((irq, interrupt)) => serve(irq, interrupt),
        None => stray_vector(vector),
    }
}

fn serve(irq: Irq, interrupt: &'static Interrupt) {
    let held = is_line(irq) && signal_of(irq, interrupt).is_some_and(|(_, signal)| signal.trigger == Trigger::Level);
    if held {
        mask(irq);
        interrupt.awaits_end.store(true, Release);
    }
    local_apic::end_of_interrupt();
    let target = interrupt.target();
    if held && target.as_guest().is_some() {
        interrupt.rate.await_end();
    }
    if target.as_guest().is_some() && interrupt.rate.is_exceeded() {
        hold_back(irq, interrupt);
    }
    if deliver(target) {
        return;
    }
    if let Some(driver) = interrupt.driver.get().filter(|_| target == Target::HYPERVISOR) {
        (driver.handle)();
        if held {
            end_of_interrupt(irq);
        }
    } else if target != Target::CHANGING || held {
        stray(irq, interrupt);
    }
}

/// Gives an interrupt to its guest; false when none has it.
#[inline]
fn deliver(target: Target) -> bool {
    if let Some((domain, pirq)) = target.as_guest()
        && let Some(domain) = domain::find(domain)
        && let PirqRaise::Delivered(wake) = domain.ports.raise_pirq(pirq)
    {
        wake.kick();
        return true;
    }
    false
}

/// Masks a source that belongs to nobody. Somebody who binds it opens it again; who has bound it on another CPU since it
/// was looked at has done so in vain, and gets the interrupt and an open source here.
#[cold]
fn stray(irq: Irq, interrupt: &Interrupt) {
    mask(irq);
    if !deliver(interrupt.target()) {
        count(&interrupt.strays, format_args!("interrupt {} belongs to nobody", irq.0));
    } else if needs_end(irq) {
        interrupt.awaits_end.store(true, Release);
        interrupt.rate.await_end();
    } else {
        open(irq);
    }
}

/// Masks a source that comes too often until the next period begins; what has come is still delivered.
#[cold]
fn hold_back(irq: Irq, interrupt: &Interrupt) {
    mask(irq);
    interrupt.rate.hold_back();
    count(&interrupt.strays, format_args!("interrupt {} comes too often", irq.0));
}

/// Opens the sources that were held back and whose time is over; when to look again. Context: as for handlers.
pub fn end_holding_back(now: u64) -> u64 {
    let due = rate::due();
    if due > now {
        return due;
    }
    rate::begin_look();
    for (irq, interrupt) in all().iter().enumerate() {
        let irq = Irq(irq as u32);
        if interrupt.rate.is_waiting_over(now) {
            end_of_interrupt(irq);
        }
        if !interrupt.rate.is_over(now) || interrupt.target().as_guest().is_none() {
            continue;
        }
        if !is_line(irq) || !interrupt.awaits_end.load(Acquire) {
            open(irq);
        }
    }
    rate::due()
}

#[cold]
fn stray_vector(vector: Vector) {
    if local_apic::in_service(vector) {
        local_apic::end_of_interrupt();
    }
    if let Some(counter) = STRAYS.get(usize::from(vector.0)) {
        count(counter, format_args!("vector {:#x} belongs to no interrupt", vector.0));
    }
}

/// Counts something that should not happen; the 1st, 2nd, 4th, 8th and so on are reported.
#[cold]
fn count(counter: &AtomicU32, what: core::fmt::Arguments<'_>) {
    let times = counter.fetch_add(1, Relaxed).wrapping_add(1);
    if times.is_power_of_two() {
        log::warn!("CPU{}: {what} ({times} times)", cpu::this().index);
    }
}

/// A line's input and how it signals.
fn signal_of(irq: Irq, interrupt: &Interrupt) -> Option<(u32, Signal)> {
    let (input, by_firmware) = io_apic::input_of(irq.0)?;
    let mode = interrupt.mode.load(Acquire);
    if mode & SET_UP == 0 {
        return Some((input, by_firmware));
    }
    let signal = Signal {
        trigger: if mode & LEVEL != 0 { Trigger::Level } else { Trigger::Edge },
        polarity: if mode & LOW != 0 { device_interrupts::Polarity::Low } else { device_interrupts::Polarity::High },
    };
    Some((input, signal))
}

fn mask(irq: Irq) {
    if is_line(irq) {
        if let Some((input, _)) = io_apic::input_of(irq.0) {
            io_apic::mask(input);
        }
    } else {
        msi::mask(irq);
    }
}

fn open(irq: Irq) {
    if is_line(irq) {
        if let Some((input, _)) = io_apic::input_of(irq.0) {
            io_apic::unmask(input);
        }
    } else {
        msi::unmask(irq);
    }
}

/// Whether an interrupt stays masked until its guest says that it has been served.
pub fn needs_end(irq: Irq) -> bool {
    is_line(irq)
        && get(irq)
            .and_then(|interrupt| signal_of(irq, interrupt))
            .is_some_and(|(_, signal)| signal.trigger == Trigger::Level)
}

/// Whether a guest's end of interrupt is awaited.
pub fn awaits_end(irq: Irq) -> bool {
    get(irq).is_some_and(|interrupt| interrupt.awaits_end.load(Acquire))
}

/// The device has been served: a line that waited for that is opened again.
pub fn end_of_interrupt(irq: Irq) {
    let Some(interrupt) = get(irq) else { return };
    interrupt.rate.ended();
    if interrupt.awaits_end.swap(false, AcqRel) && !interrupt.rate.is_held_back() {
        open(irq);
    }
}

/// Takes a free vector for an interrupt, or gives the one it has. Errors: `ENOSPC`.
fn vector_for(irq: Irq, interrupt: &Interrupt) -> Result<Vector> {
    let present = interrupt.vector.load(Acquire);
    if present != 0 {
        return Ok(Vector(present));
    }
    let candidates = Vector::FIRST_DEVICE.0..=Vector::LAST_DEVICE.0;
    for vector in candidates.map(Vector).filter(|vector| vector.is_for_devices()) {
        let Some(slot) = BY_VECTOR.get(usize::from(vector.0)) else { continue };
        if slot.compare_exchange(0, irq.0 + 1, AcqRel, Relaxed).is_ok() {
            interrupt.vector.store(vector.0, Release);
            return Ok(vector);
        }
    }
    Err(Errno::ENOSPC)
}

/// APIC id of a CPU for which interrupts can be sent to; the boot CPU's when the wanted one cannot be named.
pub fn destination(cpu: usize) -> u8 {
    let in_service = |index| cpu::by_index(index).filter(|cpu| cpu.wanted.load(Acquire));
    let reachable = |index| in_service(index).and_then(|cpu| u8::try_from(cpu.apic_id).ok()).filter(|id| *id != 0xFF);
    reachable(cpu).or_else(|| reachable(0)).unwrap_or(0)
}

/// Says once how a line signals. Errors: `EINVAL` no such line, `EEXIST` it is in use or was set up.
pub fn set_up_line(line: Irq, signal: Signal) -> Result<()> {
    let interrupt = get(line).filter(|_| is_line(line) && io_apic::input_of(line.0).is_some()).ok_or(Errno::EINVAL)?;
    if line == TIMER_LINE || interrupt.target() == Target::HYPERVISOR {
        return Err(Errno::EEXIST);
    }
    let level = if signal.trigger == Trigger::Level { LEVEL } else { 0 };
    let low = if signal.polarity == device_interrupts::Polarity::Low { LOW } else { 0 };
    interrupt.mode.compare_exchange(0, SET_UP | level | low, AcqRel, Acquire).map_err(|_| Errno::EEXIST)?;
    // A line that is bound already goes on the new way.
    let vector = interrupt.vector.load(Acquire);
    if vector != 0 && interrupt.target().as_guest().is_some() {
        open_line(line, interrupt, Vector(vector), destination(0));
    }
    Ok(())
}

/// Programs and opens a line's input.
fn open_line(irq: Irq, interrupt: &Interrupt, vector: Vector, destination: u8) {
    if let Some((input, signal)) = signal_of(irq, interrupt) {
        interrupt.awaits_end.store(false, Release);
        io_apic::program(input, Redirection::new(vector.0, destination, signal).unmasked());
    }
}

/// Gives a line to a driver of the hypervisor's; `handle` runs on the boot CPU, in interrupt context. Errors: `EINVAL`
/// no such line, `EBUSY`, `ENOSPC`.
pub fn claim_line(line: u32, name: &'static str, handle: fn()) -> Result<()> {
    let irq = Irq(line);
    let interrupt = get(irq).filter(|_| is_line(irq) && io_apic::input_of(line).is_some()).ok_or(Errno::EINVAL)?;
    if !interrupt.claim(Target::NOBODY, Target::CHANGING) {
        return Err(Errno::EBUSY);
    }
    interrupt.driver.call_once(|| Driver { name, handle });
    let outcome = vector_for(irq, interrupt);
    let target = if outcome.is_ok() { Target::HYPERVISOR } else { Target::NOBODY };
    interrupt.target.store(target.0, Release);
    open_line(irq, interrupt, outcome?, destination(0));
    Ok(())
}

/// Connects an interrupt to a domain's pirq and opens its source. Errors: `EBUSY` it is somebody's, `ENOSPC` no vector
/// is left, `EINVAL` no such interrupt.
pub fn bind(irq: Irq, domain: &Domain, pirq: Pirq, destination: u8) -> Result<()> {
    let interrupt = get(irq).ok_or(Errno::EINVAL)?;
    if !interrupt.claim(Target::NOBODY, Target::CHANGING) {
        let user = interrupt.driver.get().map_or("another domain", |driver| driver.name);
        log::warn!("Cannot bind IRQ{} to dom{}. In use by '{user}'.", irq.0, domain.id);
        return Err(Errno::EBUSY);
    }
    let vector = match vector_for(irq, interrupt) {
        Ok(vector) => vector,
        Err(errno) => {
            interrupt.target.store(Target::NOBODY.0, Release);
            return Err(errno);
        }
    };
    interrupt.target.store(Target::guest(domain.id, pirq).0, Release);
    if is_line(irq) {
        open_line(irq, interrupt, vector, destination);
    } else {
        msi::retarget(irq, destination);
        msi::unmask(irq);
    }
    Ok(())
}

/// Closes the source of an interrupt that is bound to this domain, and disconnects it.
pub fn unbind(irq: Irq, domain: &Domain) {
    let Some(interrupt) = get(irq) else { return };
    let target = interrupt.target();
    if target.as_guest().is_some_and(|(owner, _)| owner == domain.id) && interrupt.claim(target, Target::CHANGING) {
        mask(irq);
        interrupt.awaits_end.store(false, Release);
        interrupt.target.store(Target::NOBODY.0, Release);
    }
}

/// Sends an interrupt to another CPU from now on.
pub fn retarget(irq: Irq, destination: u8) {
    if !is_line(irq) {
        msi::retarget(irq, destination);
    } else if let Some((input, _)) = io_apic::input_of(irq.0) {
        io_apic::retarget(input, destination);
    }
}

/// Sends everything that goes to a CPU to the boot CPU instead. What is on its way already is still served there.
pub fn move_away(from: &Cpu) {
    let Ok(from) = u8::try_from(from.apic_id) else { return };
    for irq in (0..irq_count()).map(Irq) {
        let present = if is_line(irq) {
            io_apic::input_of(irq.0).and_then(|(input, _)| io_apic::destination(input))
        } else {
            msi::destination(irq)
        };
        if present == Some(from) {
            retarget(irq, destination(0));
        }
    }
}

/// A message interrupt nobody has, with its vector. Errors: `ENOSPC`.
pub fn take_message() -> Result<(Irq, Vector)> {
    let lines = io_apic::line_count();
    for irq in (lines..irq_count()).map(Irq) {
        let Some(interrupt) = get(irq) else { break };
        if interrupt.in_use.compare_exchange(false, true, AcqRel, Relaxed).is_err() {
            continue;
        }
        return match vector_for(irq, interrupt) {
            Ok(vector) => Ok((irq, vector)),
            Err(errno) => {
                interrupt.in_use.store(false, Release);
                Err(errno)
            }
        };
    }
    Err(Errno::ENOSPC)
}

/// Gives a message interrupt and its vector back. No device sends the message any more, and it is unbound.
pub fn give_back_message(irq: Irq) {
    if let Some(interrupt) = get(irq).filter(|_| !is_line(irq)) {
        if let Some(slot) = BY_VECTOR.get(usize::from(interrupt.vector.swap(0, AcqRel))) {
            slot.store(0, Release);
        }
        interrupt.in_use.store(false, Release);
    }
}

/// How an interrupt that somebody has stands; printed for people who debug.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
pub struct Standing {
    vector: u8,
    guest: Option<(DomainId, Pirq)>,
    awaits_end: bool,
    is_held_back: bool,
    /// APIC id.
    destination: Option<u8>,
    is_masked: Option<bool>,
}

/// How an interrupt stands; `None` if nobody has it.
pub fn standing(irq: Irq) -> Option<Standing> {
    let interrupt = get(irq).filter(|interrupt| interrupt.target() != Target::NOBODY)?;
    let entry = io_apic::input_of(irq.0).filter(|_| is_line(irq)).and_then(|(input, _)| io_apic::entry(input));
    Some(Standing {
        vector: interrupt.vector.load(Acquire),
        guest: interrupt.target().as_guest(),
        awaits_end: interrupt.awaits_end.load(Acquire),
        is_held_back: interrupt.rate.is_held_back(),
        destination: entry.map_or_else(|| msi::destination(irq), |entry| Some(entry.destination())),
        is_masked: entry.map(Redirection::is_masked),
    })
}
