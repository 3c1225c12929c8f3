//! How much memory and how many CPUs dom0 gets: `dom0_mem` and `dom0_max_vcpus`.

use crate::argument::{Argument, BadValue, Parsed};
use crate::number::{number32, split_number, split_size};

const PAGE_SHIFT: u32 = 12;
/// What is left to the hypervisor when nothing is said: a sixteenth, but no more than 128 MiB.
const MOST_RESERVED_PAGES: u64 = 128 << (20 - PAGE_SHIFT);

/// An amount of memory, absolute, in relation to what is there, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// Absolute part in bytes.
    pub bytes: u64,
    /// Per cent of what is there, 0 to 100, added to the absolute part.
    pub percent: u8,
    /// Whether the sum is to be left free rather than taken.
    pub is_subtracted: bool,
}

impl Amount {
    /// Reads `size`, `N%`, `size+N%`, or one of them with "-" in front.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (rest, is_subtracted) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (absolute, relative) = match rest.split_once('+') {
            Some((absolute, relative)) => (Some(absolute), Some(relative)),
            None if rest.ends_with('%') => (None, Some(rest)),
            None => (Some(rest), None),
        };
        let bytes = match absolute {
            Some(text) => split_size(text).filter(|(_, rest)| rest.is_empty())?.0,
            None => 0,
        };
        let percent = match relative {
            Some(text) => split_number(text).filter(|&(value, rest)| rest == "%" && value <= 100)?.0 as u8,
            None => 0,
        };
        Some(Self { bytes, percent, is_subtracted })
    }

    /// The amount in pages when `available` pages are there.
    pub fn pages(&self, available: u64) -> u64 {
        let relative = u128::from(available) * u128::from(self.percent) / 100;
        let pages = (self.bytes >> PAGE_SHIFT).saturating_add(relative as u64);
        if self.is_subtracted { available.saturating_sub(pages) } else { pages }
    }
}

/// Everything that `dom0_mem` said; later words replace what they name of earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dom0Memory {
    /// Memory at start; `None` for all but a reserve.
    pub initial: Option<Amount>,
    /// At least this at start.
    pub min: Option<Amount>,
    /// At most this, at start and ever.
    pub max: Option<Amount>,
}

/// Memory of dom0 in pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dom0Pages {
    /// Pages to build it with.
    pub initial: u64,
    /// Pages that it may ever have; `None` for no limit.
    pub max: Option<u64>,
}

impl Dom0Memory {
    pub(crate) fn apply<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        argument.items(|item| {
            let (slot, text) = match item.split_once(':') {
                Some(("min", text)) => (&mut self.min, text),
                Some(("max", text)) => (&mut self.max, text),
                Some(_) => return None,
                None => (&mut self.initial, item),
            };
            *slot = Some(Amount::parse(text)?);
            Some(())
        })
    }

    /// What that comes to when `available` pages are free.
    pub fn pages(&self, available: u64) -> Dom0Pages {
        let max = self.max.map(|amount| amount.pages(available));
        let wanted = match self.initial.map(|amount| amount.pages(available)) {
            None | Some(0) => available - (available / 16).min(MOST_RESERVED_PAGES),
            Some(pages) => pages,
        };
        let least = self.min.map_or(0, |amount| amount.pages(available));
        let initial = wanted.max(least).min(max.unwrap_or(u64::MAX)).min(available);
        Dom0Pages { initial, max }
    }
}

/// Bounds on the number of dom0's vCPUs; within them it gets one for each CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dom0Vcpus {
    /// At least this many.
    pub min: u32,
    /// At most this many.
    pub max: u32,
}

impl Dom0Vcpus {
    /// Without any option given.
    pub const DEFAULT: Self = Self { min: 1, max: u32::MAX };

    /// Reads `N`, `min-max`, `-max` or `min-`.
    pub(crate) fn apply<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        let text = argument.text()?;
        let bound = |text: &'a str, default: u32| match text {
            "" => Ok(default),
            _ => number32(text).ok_or(BadValue(text)),
        };
        *self = match text.split_once('-') {
            Some(("", "")) => return Err(BadValue(text)),
            Some((min, max)) => Self { min: bound(min, 1)?, max: bound(max, u32::MAX)? },
            None => {
                let exact = number32(text).ok_or(BadValue(text))?;
                Self { min: exact, max: exact }
            }
        };
        Ok(())
    }

    /// How many vCPUs dom0 gets on a machine with `cpus` CPUs and a hypervisor that can do `limit`.
    pub fn count(&self, cpus: u32, limit: u32) -> u32 {
        cpus.max(self.min).min(self.max).clamp(1, limit.max(1))
    }
}
