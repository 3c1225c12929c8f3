//! What a comparison found: the contents of `report.json`, and what the page is made from.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::budgets::Summary;
use crate::xtf::Row;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was compared, on what.
    pub setting: Vec<(String, String)>,
    /// One row a test guest.
    pub conformance: Vec<Conformance>,
    /// One row a scenario of Debian's toolstack, or a route of a journey.
    pub scenarios: Vec<Conformance>,
    /// Scenarios and journeys that were not run.
    pub scenarios_left_out: Vec<String>,
    /// Numbers that scenarios report.
    pub figures: Vec<Figure>,
    /// Verdicts of XTF's tests; none where no checkout was named.
    pub xtf: Option<Vec<Row>>,
    /// One row an operation.
    pub costs: Vec<Cost>,
    /// What the costs come to.
    pub costs_summary: Summary,
    /// Operations that ought to be measured and are not, with the reason.
    pub costs_missing: BTreeMap<String, String>,
    /// Boots of the same dom0.
    pub boots: Vec<Boot>,
    /// Why there are no boots, where there are none.
    pub boots_missing: Option<String>,
    /// Where the machine's memory is while dom0 runs.
    pub memory: Vec<Memory>,
    /// A whole dom0's work, in instructions: bare first, ours last.
    pub work: Vec<Work>,
    /// Sizes of images.
    pub images: Vec<Image>,
    /// What each hypervisor says it does against speculation, by CPU model.
    pub mitigations: Vec<Mitigation>,
    /// How long the comparison took.
    pub parts: Vec<Part>,
    /// How long each of its steps took; next to nothing where a recorded answer stood for a run.
    pub steps: Vec<Part>,
}

/// A part of the comparison, or a step of one.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// Which.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

/// A number that a scenario reports without a judgement.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The scenario.
    pub scenario: String,
    /// What it is.
    pub name: String,
    /// On the reference.
    pub reference: Option<u64>,
    /// On Xenolith.
    pub xenolith: Option<u64>,
}

/// A test guest's answers on both.
#[derive(Clone, Debug, Serialize)]
pub struct Conformance {
    /// The guest.
    pub guest: String,
    /// What it is about.
    pub about: String,
    /// Its verdict on the reference; none where it runs on Xenolith only.
    pub reference: Option<String>,
    /// Its verdict on Xenolith.
    pub xenolith: String,
    /// Answers that are the same.
    pub same: usize,
    /// Answers that differ as `allowed-differences.toml` says.
    pub allowed: usize,
    /// Why, and how many each reason covers.
    pub reasons: BTreeMap<String, usize>,
    /// Answers that differ.
    pub differing: Vec<String>,
    /// Judged properties that the reference itself fails and Xenolith does not.
    pub reference_fails: Vec<String>,
    /// What else is wrong with Xenolith's run.
    pub complaints: Vec<String>,
}

impl Conformance {
    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.differing.is_empty() && self.complaints.is_empty()
    }
}

/// What an operation costs, in instructions.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The guest that measures it.
    pub guest: String,
    /// The operation.
    pub name: String,
    /// On Xen 4.17.
    pub xen_4_17: Option<u64>,
    /// On Xen 4.20.
    pub xen_4_20: Option<u64>,
    /// On Xenolith.
    pub xenolith: Option<u64>,
}

impl Cost {
    /// The better Xen's figure.
    pub fn mark(&self) -> Option<u64> {
        [self.xen_4_17, self.xen_4_20].into_iter().flatten().min()
    }

    /// Xenolith's figure as a part of it.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.xenolith? as f64 / self.mark()?.max(1) as f64)
    }
}

/// A boot of dom0: seconds on the clock from power-on.
#[derive(Clone, Debug, Serialize)]
pub struct Boot {
    /// On what.
    pub on: String,
    /// Stages one after the other: name, seconds.
    pub stages: Vec<(String, f64)>,
}

impl Boot {
    /// Seconds in all.
    pub fn total(&self) -> f64 {
        self.stages.iter().map(|(_, seconds)| seconds).sum()
    }
}

/// What a dom0's work took.
#[derive(Clone, Debug, Serialize)]
pub struct Work {
    /// On what.
    pub on: String,
    /// Instructions of each piece.
    pub figures: BTreeMap<String, u64>,
    /// What went wrong.
    pub complaints: Vec<String>,
}

/// Where the machine's memory is, in KiB.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// On what.
    pub on: String,
    /// What the firmware gave.
    pub total: u64,
    /// dom0's.
    pub dom0: u64,
    /// The free heap.
    pub free: u64,
}

impl Memory {
    /// The hypervisor's own.
    pub fn own(&self) -> u64 {
        self.total.saturating_sub(self.dom0).saturating_sub(self.free)
    }
}

/// An image's size in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Of what.
    pub of: String,
    /// As the loader puts it into memory.
    pub plain: u64,
    /// By `gzip -9`.
    pub compressed: u64,
}

/// What a hypervisor's boot log says about mitigations.
#[derive(Clone, Debug, Serialize)]
pub struct Mitigation {
    /// The hypervisor.
    pub on: String,
    /// QEMU's CPU model.
    pub cpu: String,
    /// The lines.
    pub lines: Vec<String>,
}

impl Outcome {
    /// Answers that are the same, those that differ as allowed, and those that differ.
    pub fn answers(rows: &[Conformance]) -> (usize, usize, usize) {
        rows.iter().fold((0, 0, 0), |(same, allowed, differing), row| {
            (same + row.same, allowed + row.allowed, differing + row.differing.len())
        })
    }

    /// Ratio of a figure of Xenolith's row to the first row's.
    pub fn ratio<Row>(rows: &[Row], figure: impl Fn(&Row) -> f64) -> Option<f64> {
        let (first, last) = (rows.first()?, rows.last()?);
        (rows.len() > 1).then(|| figure(last) / figure(first))
    }

    /// A complaint if the hypervisor takes more memory than the reference.
    pub fn heavier_than_xen(&self) -> Vec<String> {
        let ratio = Self::ratio(&self.memory, |memory| memory.own() as f64);
        ratio.filter(|ratio| *ratio > 1.0).map(|ratio| format!("memory: {ratio:.2} of Xen's")).into_iter().collect()
    }

    /// Each piece of work on Xenolith as a part of the reference's.
    pub fn work_ratios(&self) -> Vec<(&str, f64)> {
        let [.., reference, ours] = self.work.as_slice() else { return Vec::new() };
        let of_both = |(name, own): (&'_ String, &u64)| {
            reference.figures.get(name).map(|mark| *own as f64 / (*mark).max(1) as f64)
        };
        ours.figures.iter().filter_map(|row| Some((row.0.as_str(), of_both(row)?))).collect()
    }
}
