//! Counting verdicts.

/// How many checks passed and failed.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Checks that passed.
    pub passed: u32,
    /// Checks that failed.
    pub failed: u32,
}

impl Tally {
    /// Counts one check: it failed if there are complaints.
    pub fn count(&mut self, complaints: &[String]) {
        if complaints.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}
