//! What a victim shares with the two permanent domains: it maps a page of the bystander's, the driving domain maps one of
//! its own, again and again while it lives and once more when it is dead, and the two are joined by a port.
//!
//! The driving domain makes the calls itself.
//! Context: calls of the driving domain.

use abi::GrantRef;
use grant_tables::{entry::Pins, host::Access};

use super::{
    bare::{Bare, DATA, SPARE},
    hand::{self, set_words, word},
};
use crate::domain::Domain;

/// The bystander's entry that victims map.
pub const BYSTANDER_GRANT: u32 = 8;
const VICTIM_GRANT: u32 = 8;
const GRANT_CALL: u64 = 20;
const EVENT_CALL: u64 = 32;
/// Words of the driving domain's data page: requests to map, to unmap, to bind, to close.
const MAP: usize = 0x100;
const UNMAP: usize = 0x120;
const BIND: usize = 0x140;
const CLOSE: usize = 0x160;

/// What the driving domain does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// Joins the victim's port.
    Bind,
    /// Maps the victim's page.
    Map,
    /// Unmaps it.
    Unmap,
    /// Closes its end of the port.
    Close,
}

/// The ties of one victim.
pub struct Ties {
    driver: Bare,
    bystander: Bare,
    victim: Bare,
    is_bound: bool,
    is_mapped: bool,
    driver_ports: u32,
    asked: Option<Move>,
    maps: u32,
    complaint: Option<&'static str>,
}

impl Ties {
    /// Grants both ways and a port for the driving domain; the victim has not run yet.
    pub fn prepare(driver: Bare, bystander: Bare, victim: Bare) -> Self {
        if let Some(bystander_record) = bystander.record() {
            bystander_record.grants.seed(GrantRef(BYSTANDER_GRANT), victim.id, bystander.data.0 as u32);
        }
        let mut port = 0;
        if let Some(victim_record) = victim.record() {
            victim_record.grants.seed(GrantRef(VICTIM_GRANT), driver.id, victim.data.0 as u32);
            port = victim_record.ports.alloc_unbound(driver.id).map_or(0, |port| port.0);
        }
        set_words(driver, BIND, &[u64::from(victim.id.0) | u64::from(port) << 32, 0]);
        let driver_ports = driver.record().map_or(0, |record| record.ports.ports_in_use());
        let (is_bound, is_mapped, asked, maps, complaint) = (false, false, None, 0, None);
        Self { driver, bystander, victim, is_bound, is_mapped, driver_ports, asked, maps, complaint }
    }

    /// Writes the next call into the driving domain's page, after looking at what became of the last.
    pub fn ask(&mut self, next: Move) {
        self.settle();
        self.asked = Some(next);
        let call = match next {
            Move::Bind => [EVENT_CALL, 0, DATA + 8 * BIND as u64, 0, 0, 0],
            Move::Map => {
                let request = [SPARE, u64::from(VICTIM_GRANT) << 32 | 2, u64::from(self.victim.id.0), 0];
                set_words(self.driver, MAP, &request);
                [GRANT_CALL, 0, DATA + 8 * MAP as u64, 1, 0, 0]
            }
            Move::Unmap => {
                set_words(self.driver, UNMAP, &[SPARE, 0, word(self.driver, MAP + 2) >> 32]);
                [GRANT_CALL, 1, DATA + 8 * UNMAP as u64, 1, 0, 0]
            }
            Move::Close => {
                set_words(self.driver, CLOSE, &[word(self.driver, BIND + 1)]);
                [EVENT_CALL, 3, DATA + 8 * CLOSE as u64, 0, 0, 0]
            }
        };
        hand::ask(self.driver, call);
    }

    /// Takes in the outcome of the last call.
    pub fn settle(&mut self) {
        let result = hand::result(self.driver);
        let status = |at: usize, shift: u32| (word(self.driver, at) >> shift) as i16;
        match self.asked.take() {
            Some(Move::Bind) => self.is_bound = result == 0,
            Some(Move::Map) => {
                self.is_mapped = result == 0 && status(MAP + 2, 16) == 0;
                self.maps += u32::from(self.is_mapped);
            }
            Some(Move::Unmap) if result == 0 && status(UNMAP + 2, 32) == 0 => self.is_mapped = false,
            Some(Move::Unmap) => self.complaint = Some("the driving domain cannot unmap"),
            Some(Move::Close) if result == 0 => self.is_bound = false,
            Some(Move::Close) => self.complaint = Some("the driving domain cannot close its port"),
            None => {}
        }
    }

    /// What comes before the victim runs; `None` when all is tied.
    pub fn next_to_tie(&mut self) -> Option<Move> {
        self.settle();
        match (self.is_bound, self.is_mapped) {
            (false, _) => Some(Move::Bind),
            (true, false) => Some(Move::Map),
            (true, true) => None,
        }
    }

    /// What to do while the victim lives: unmap and map again.
    pub fn next_while_alive(&mut self) -> Move {
        self.settle();
        if self.is_mapped { Move::Unmap } else { Move::Map }
    }

    /// What comes after the victim's end; `None` when nothing is left.
    pub fn next_to_untie(&mut self) -> Option<Move> {
        self.settle();
        self.complaint = self.complaint.or_else(|| self.complaint_of_victim());
        match (self.is_mapped, self.is_bound) {
            _ if self.complaint.is_some() => None,
            (true, _) => Some(Move::Unmap),
            (false, true) => Some(Move::Close),
            (false, false) => None,
        }
    }

    /// What is astray with the victim, which has been taken down: its page is in use as often as the driving domain has
    /// it mapped, and its record stays as long.
    fn complaint_of_victim(&self) -> Option<&'static str> {
        let held = if self.is_mapped { Pins::host(Access::Write) } else { Pins::default() };
        match self.victim.record().map(|record| pins(record, VICTIM_GRANT)) {
            None if self.is_mapped => Some("the victim's record went while its page was mapped"),
            Some(pins) if pins != Some(held) => Some("the victim's grant is in use by nobody"),
            _ => None,
        }
    }

    /// What is astray when all is over.
    pub fn complaint(&self) -> Option<&'static str> {
        const READING_OR_WRITING: u32 = 0x18;
        let (Some(driver), Some(bystander)) = (self.driver.record(), self.bystander.record()) else {
            return Some("a permanent domain is gone");
        };
        let flags = bystander.grants.shared_words(GrantRef(BYSTANDER_GRANT)).map_or(0, |(head, _)| head);
        if self.complaint.is_some() {
            self.complaint
        } else if self.maps == 0 {
            Some("the driving domain never mapped the victim's page")
        } else if pins(bystander, BYSTANDER_GRANT) != Some(Pins::default()) || flags & READING_OR_WRITING != 0 {
            Some("the bystander's grant is still in use")
        } else if driver.ports.ports_in_use() != self.driver_ports {
            Some("the driving domain's ports are astray")
        } else {
            None
        }
    }
}

fn pins(domain: &Domain, reference: u32) -> Option<Pins> {
    domain.grants.active(GrantRef(reference)).map(|active| active.pins)
}
