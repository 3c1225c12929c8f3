//! What became of a test, in XTF's words, and when that is less than somebody else's.

use serde::Serialize;

use crate::qemu::{End, Run};
use crate::report;

/// A verdict; a greater one is a better one. The words are XTF's (`Test result: WORD`), but for the last three, which
/// XTF's own runner calls CRASH as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(into = "&'static str")]
pub enum Verdict {
    /// The hypervisor itself broke.
    HypervisorPanic,
    /// The test did not end in time.
    Hang,
    /// The test ended without a verdict.
    Crash,
    /// What was tested is wrong.
    Failure,
    /// The test could not be done.
    Error,
    /// The test makes no sense here.
    Skip,
    /// Right, with something to remark.
    Warnings,
    /// Right.
    Success,
}

/// Every verdict with its word.
const WORDS: [(Verdict, &str); 8] = [
    (Verdict::HypervisorPanic, "PANIC"),
    (Verdict::Hang, "HANG"),
    (Verdict::Crash, "CRASH"),
    (Verdict::Failure, "FAILURE"),
    (Verdict::Error, "ERROR"),
    (Verdict::Skip, "SKIP"),
    (Verdict::Warnings, "SUCCESS with warnings"),
    (Verdict::Success, "SUCCESS"),
];

impl From<Verdict> for &'static str {
    fn from(verdict: Verdict) -> &'static str {
        verdict.word()
    }
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(verdict, _)| *verdict == self).map_or("", |(_, word)| word)
    }

    /// The verdict a word stands for.
    pub fn from_word(word: &str) -> Option<Verdict> {
        WORDS.iter().find(|(_, own)| *own == word).map(|(verdict, _)| *verdict)
    }

    /// Whether the test passed.
    pub fn is_pass(self) -> bool {
        self >= Verdict::Warnings
    }

    /// Whether this is a finding against us, given what Xen did: a test that passes there does less here, or the
    /// hypervisor broke, whatever Xen did.
    pub fn is_less_than(self, xen: Verdict) -> bool {
        (xen.is_pass() && self < xen) || self == Verdict::HypervisorPanic
    }

    /// Reads a finished run's log.
    pub fn of(run: &Run) -> Verdict {
        if report::parse(&run.log).trouble.is_some() {
            return Verdict::HypervisorPanic;
        }
        match (told(&run.log), &run.end) {
            (Some(verdict), _) => verdict,
            (None, End::TimedOut) => Verdict::Hang,
            (None, _) => Verdict::Crash,
        }
    }
}

/// The line by which a test ends.
pub const RESULT: &str = "Test result: ";

/// What the test says of itself, if it came to that. The words that are not XTF's own do not count.
fn told(log: &str) -> Option<Verdict> {
    let word = log.lines().filter_map(|line| line.trim_end().strip_prefix(RESULT)).next_back()?;
    Verdict::from_word(word).filter(|verdict| *verdict > Verdict::Crash)
}

#[cfg(test)]
mod tests {
    use super::{Verdict, told};

    #[test]
    fn reads_what_a_test_says() {
        assert_eq!(told("x\nTest result: SUCCESS\r\n"), Some(Verdict::Success));
        assert_eq!(told("Test result: SUCCESS with warnings\n"), Some(Verdict::Warnings));
        assert_eq!(told("Test result: ERROR\n"), Some(Verdict::Error));
        assert_eq!(told("Test result: CRASH\n"), None);
        assert_eq!(told("nothing\n"), None);
    }

    #[test]
    fn less_is_less_than_a_pass_or_a_broken_hypervisor() {
        assert!(Verdict::Skip.is_less_than(Verdict::Success));
        assert!(Verdict::Warnings.is_less_than(Verdict::Success));
        assert!(!Verdict::Crash.is_less_than(Verdict::Failure));
        assert!(!Verdict::Success.is_less_than(Verdict::Skip));
        assert!(Verdict::HypervisorPanic.is_less_than(Verdict::HypervisorPanic));
    }

    #[test]
    fn every_verdict_has_a_word_of_its_own() {
        for (verdict, word) in super::WORDS {
            assert_eq!((Verdict::from_word(word), verdict.word()), (Some(verdict), word));
        }
    }
}
