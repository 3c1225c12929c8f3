//! The numbers (pirqs) under which one domain knows its physical interrupts, and what it may do with lines.
//!
//! A number is free, set aside, mapped to an interrupt of the machine, or cut off: unmapped while an event channel is
//! still bound to it, which keeps the number until the channel is closed. Unmapping a line also takes the right to the
//! line away. Interrupts of the machine are numbered as Xen does: global lines first, message interrupts above them.
//! Source: Xen public header `physdev.h`; answers compared with Xen 4.17 by `compat-tests`.

use alloc::vec::Vec;

use abi::{Errno, Pirq, Result};

/// An interrupt of the machine: below the number of lines a global line, above that a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Irq(pub u32);

/// From which end a free number is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberKind {
    /// Lines: 16 upward, among the line numbers first.
    Line,
    /// Messages: downward from the highest.
    Message,
}

/// Whether an event channel is bound to a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortUse {
    /// None is.
    Unbound,
    /// One is.
    Bound,
}

/// What mapping came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The number is new, or was set aside; it is mapped to the interrupt now.
    Mapped(Pirq),
    /// Number or interrupt was mapped before and stays what it was; the call still succeeds.
    Untouched(Pirq),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Entry {
    #[default]
    Free,
    Reserved,
    Mapped(Irq),
    CutOff(Irq),
}

/// One domain's numbers.
pub struct Pirqs {
    entries: Vec<Entry>,
    /// Lines the domain may use.
    permitted: Vec<bool>,
}

/// Numbers below this are never given out for lines: dom0 takes them for its ISA interrupts.
const ISA: u32 = 16;

/// A right to a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// There is one.
    Granted,
    /// There is none.
    Denied,
}

impl Pirqs {
    /// `limit` free numbers and no right to any of `lines` lines. Errors: `ENOMEM`.
    pub fn new(limit: u32, lines: u32) -> Result<Self> {
        Ok(Self { entries: filled(limit, Entry::Free)?, permitted: filled(lines, false)? })
    }

    /// One more than the highest number.
    pub fn limit(&self) -> u32 {
        // Made from a u32.
        self.entries.len() as u32
    }

    fn lines(&self) -> u32 {
        self.permitted.len() as u32
    }

    /// Gives the right to all lines but line 0, the machine's own timer.
    pub fn permit_all_lines(&mut self) {
        self.permitted.iter_mut().skip(1).for_each(|permitted| *permitted = true);
    }

    /// Gives the right to a line, or takes it away; there is none to messages.
    pub fn permit_line(&mut self, line: Irq, permission: Permission) {
        if let Some(permitted) = self.permitted.get_mut(line.0 as usize) {
            *permitted = permission == Permission::Granted;
        }
    }

    /// Whether the domain may map the line. Messages are nobody's before they are mapped.
    pub fn may_use_line(&self, line: Irq) -> bool {
        self.permitted.get(line.0 as usize).copied().unwrap_or(false)
    }

    fn entry(&self, pirq: Pirq) -> Entry {
        self.entries.get(pirq.0 as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, pirq: Pirq, entry: Entry) {
        if let Some(slot) = self.entries.get_mut(pirq.0 as usize) {
            *slot = entry;
        }
    }

    /// The interrupt a number is mapped to.
    pub fn irq(&self, pirq: Pirq) -> Option<Irq> {
        match self.entry(pirq) {
            Entry::Mapped(irq) => Some(irq),
            _ => None,
        }
    }

    /// Whether the number means anything: mapped, set aside or cut off.
    pub fn is_known(&self, pirq: Pirq) -> bool {
        self.entry(pirq) != Entry::Free
    }

    /// All mapped numbers, for teardown and for the debug dump.
    pub fn mapped(&self) -> impl Iterator<Item = (Pirq, Irq)> {
        (0_u32..).zip(&self.entries).filter_map(|(number, entry)| match entry {
            Entry::Mapped(irq) => Some((Pirq(number), *irq)),
            _ => None,
        })
    }

    fn holder(&self, irq: Irq) -> Option<(Pirq, Entry)> {
        let found = (0_u32..).zip(&self.entries).find(|(_, entry)| match entry {
            Entry::Mapped(held) | Entry::CutOff(held) => *held == irq,
            Entry::Free | Entry::Reserved => false,
        });
        found.map(|(number, entry)| (Pirq(number), *entry))
    }

    /// The number that [`Self::reserve`] would give. Errors: `ENOSPC`.
    pub fn free_number(&self, kind: NumberKind) -> Result<Pirq> {
        let is_free = |number: &u32| self.entry(Pirq(*number)) == Entry::Free && *number < self.limit();
        let among_lines = match kind {
            NumberKind::Line => (ISA..self.lines()).find(is_free),
            NumberKind::Message => None,
        };
        let found = among_lines.or_else(|| (self.lines()..self.limit()).rev().find(is_free));
        found.map(Pirq).ok_or(Errno::ENOSPC)
    }

    /// Sets a free number aside. Errors: `ENOSPC`.
    pub fn reserve(&mut self, kind: NumberKind) -> Result<Pirq> {
        let pirq = self.free_number(kind)?;
        self.set(pirq, Entry::Reserved);
        Ok(pirq)
    }

    /// The number for an interrupt: the wanted one, the one it has, or a free one if `wanted` is negative.
    /// Errors: `EBUSY` cut off and none wanted, `EEXIST` it has another one, `ENOSPC`.
    pub fn choose(&self, irq: Irq, wanted: i32, kind: NumberKind) -> Result<Pirq> {
        let current = self.holder(irq);
        match (u32::try_from(wanted).map(Pirq), current) {
            (Err(_), None) => self.free_number(kind),
            (Err(_), Some((pirq, Entry::Mapped(_)))) => Ok(pirq),
            (Err(_), Some(_)) => Err(Errno::EBUSY),
            (Ok(wanted), Some((pirq, entry))) if pirq != wanted || entry != Entry::Mapped(irq) => Err(Errno::EEXIST),
            (Ok(wanted), _) => Ok(wanted),
        }
    }

    /// Maps a number that [`Self::choose`] gave, and gives the right to the interrupt with it. Errors: `EINVAL` no such
    /// number, `EBUSY` the number is cut off from another interrupt.
    pub fn map(&mut self, pirq: Pirq, irq: Irq) -> Result<Outcome> {
        if pirq.0 >= self.limit() {
            return Err(Errno::EINVAL);
        }
        match self.entry(pirq) {
            Entry::Mapped(_) => Ok(Outcome::Untouched(pirq)),
            Entry::CutOff(_) => Err(Errno::EBUSY),
            Entry::Free | Entry::Reserved => {
                self.set(pirq, Entry::Mapped(irq));
                if let Some(permitted) = self.permitted.get_mut(irq.0 as usize) {
                    *permitted = true;
                }
                Ok(Outcome::Mapped(pirq))
            }
        }
    }

    /// Ends a mapping, and the right to the interrupt with it; the interrupt it was. Errors: `EINVAL` not mapped.
    pub fn unmap(&mut self, pirq: Pirq, port: PortUse) -> Result<Irq> {
        let irq = self.irq(pirq).ok_or(Errno::EINVAL)?;
        self.set(pirq, if port == PortUse::Bound { Entry::CutOff(irq) } else { Entry::Free });
        if let Some(permitted) = self.permitted.get_mut(irq.0 as usize) {
            *permitted = false;
        }
        Ok(irq)
    }

    /// The event channel of a number is closed: a number that was cut off becomes free.
    pub fn port_closed(&mut self, pirq: Pirq) {
        if let Entry::CutOff(_) = self.entry(pirq) {
            self.set(pirq, Entry::Free);
        }
    }
}

fn filled<T: Clone>(count: u32, value: T) -> Result<Vec<T>> {
    let mut items = Vec::new();
    items.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
    items.resize(count as usize, value);
    Ok(items)
}
