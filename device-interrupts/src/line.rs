//! How interrupt lines signal, and where the ISA interrupts are. Source: ACPI 6.5 §5.2.12.5.

/// What starts an interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trigger {
    /// A change.
    #[default]
    Edge,
    /// A state, until the device is served.
    Level,
}

/// Which electrical level is the active one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Polarity {
    /// High.
    #[default]
    High,
    /// Low.
    Low,
}

/// How a line signals. ISA's way (edge, high) is the default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Signal {
    /// What starts an interrupt.
    pub trigger: Trigger,
    /// The active level.
    pub polarity: Polarity,
}

impl Signal {
    /// PCI's way.
    pub const PCI: Signal = Signal { trigger: Trigger::Level, polarity: Polarity::Low };
}

/// The 16 ISA interrupts: on which global line each arrives, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IsaLines {
    lines: [(u32, Signal); 16],
}

impl Default for IsaLines {
    fn default() -> Self {
        Self::new()
    }
}

impl IsaLines {
    /// Each on the line of its number.
    pub const fn new() -> Self {
        let mut lines = [(0, Signal { trigger: Trigger::Edge, polarity: Polarity::High }); 16];
        let mut isa = 0;
        while isa < 16 {
            #[expect(clippy::indexing_slicing, reason = "const loop below the array's length")]
            {
                lines[isa].0 = isa as u32;
            }
            isa += 1;
        }
        Self { lines }
    }

    /// Takes in one override of the firmware. `None` for trigger or polarity: as ISA does. Others than 0 to 15 are ignored.
    pub fn replace(&mut self, isa: u8, line: u32, trigger: Option<Trigger>, polarity: Option<Polarity>) {
        if let Some(slot) = self.lines.get_mut(usize::from(isa)) {
            let signal = Signal { trigger: trigger.unwrap_or_default(), polarity: polarity.unwrap_or_default() };
            *slot = (line, signal);
        }
    }

    /// The I/O APIC input and signal of an interrupt number as dom0 uses them: below 16 an ISA interrupt, above that the
    /// input itself, as PCI signals until it is set up otherwise.
    pub fn input(&self, number: u32) -> (u32, Signal) {
        self.lines.get(number as usize).copied().unwrap_or((number, Signal::PCI))
    }
}
