//! The verdicts of Xen's own test framework XTF on both, from a checkout that the user has built.

use std::path::Path;

use anyhow::Result;

use super::progress::Progress;
use crate::hypervisor::Hypervisor;
use crate::suite::Recorded;
use crate::xtf::catalogue::Instance;
use crate::xtf::kind::Outcome;
use crate::xtf::suite::{self, Watcher};
use crate::xtf::{Kind, Row, Wish};

/// The tests of a checkout.
pub struct Plan {
    wish: Wish,
    tests: Vec<Instance>,
}

impl Plan {
    /// All tests of a checkout; one that is not built is an error.
    pub fn of(checkout: &Path, recorded: Recorded) -> Result<Self> {
        let checkout = checkout.into();
        let wish =
            Wish { checkout, kind: Kind::Pv64Dom0, names: Vec::new(), cpus: 1, options: String::new(), recorded };
        Ok(Self { tests: suite::chosen(&wish)?, wish })
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.tests.len() * 2
    }

    /// Runs them.
    pub fn run(&self, progress: &Progress) -> Result<Vec<Row>> {
        suite::rows(&self.wish, &self.tests, &mut Bar(progress))
    }
}

struct Bar<'a>(&'a Progress);

impl Watcher for Bar<'_> {
    fn on_xen(&mut self, test: &Instance, _: &Outcome) {
        self.0.ended(&test.name, Hypervisor::Xen);
    }

    fn on_both(&mut self, row: &Row, _: &Outcome) {
        self.0.ended(&row.name, Hypervisor::Xenolith);
    }
}
