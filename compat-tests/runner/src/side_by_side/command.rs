//! The command: collects, writes page and data, checks the page, sums up.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::outcome::{Boot, Conformance, Image, Memory, Outcome, Part};
use super::{browser, collect, page};
use crate::hypervisor::Reference;
use crate::places;
use crate::tally::Tally;
use crate::xtf::suite;

/// What to compare.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Test guests; none means all.
    pub names: Vec<String>,
    /// The Xen whose answers are the expected ones; costs are compared with both.
    #[arg(long, value_enum, default_value = "4.17")]
    pub reference: Reference,
    /// Run the Xens even if their answers are recorded.
    #[arg(long)]
    pub fresh: bool,
    /// Keeps what is done, and goes on with what an interrupted run with this option left of the very same build.
    #[arg(long, conflicts_with = "fresh")]
    pub resume: bool,
    /// Leave out the boots of Debian's kernel.
    #[arg(long)]
    pub no_boots: bool,
    /// Leave out the work of a whole dom0, which takes minutes.
    #[arg(long)]
    pub no_work: bool,
    /// Scenarios of Debian's toolstack: `quick` (those of `make test`, and Xen's own test programs), `all` (hours, on both),
    /// `none`, or names of scenarios and journeys.
    #[arg(long, value_delimiter = ',', default_value = "quick")]
    pub scenarios: Vec<String>,
    /// A built checkout of XTF (andyhhp/xtf), to have its tests in the report.
    #[arg(long)]
    pub xtf: Option<PathBuf>,
    /// Do not look at the page in a browser.
    #[arg(long)]
    pub no_browser: bool,
}

/// Compares; a difference that is not allowed, a broken page or a dearer memory footprint counts as failed.
pub fn run(options: &Options) -> Result<Tally> {
    let outcome = collect::everything(options)?;
    let directory = places::target().join("compare");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let (data, html) = (directory.join("report.json"), directory.join("report.html"));
    fs::write(&data, serde_json::to_string_pretty(&outcome)?).with_context(|| format!("{}", data.display()))?;
    fs::write(&html, page::render(&outcome)).with_context(|| format!("{}", html.display()))?;
    let mut tally = summarise(&outcome);
    println!("report: {}", html.display());
    if !options.no_browser {
        match browser::check(&html) {
            Ok(picture) => {
                println!("picture: {}", picture.display());
                tally.count(&[]);
            }
            Err(error) => {
                println!("FAIL page: {error:#}");
                tally.count(&[error.to_string()]);
            }
        }
    }
    Ok(tally)
}

/// Prints one screen.
fn summarise(outcome: &Outcome) -> Tally {
    let mut tally = Tally::default();
    for row in outcome.conformance.iter().chain(&outcome.scenarios) {
        let mut complaints = row.differing.clone();
        complaints.extend(row.complaints.iter().cloned());
        tally.count(&complaints);
        if let Some(first) = complaints.first() {
            println!("FAIL {}: {first}{}", row.guest, and_more(complaints.len()));
        }
    }
    for row in outcome.conformance.iter().chain(&outcome.scenarios).filter(|row| !row.reference_fails.is_empty()) {
        println!("the reference itself fails {}: {}", row.guest, row.reference_fails.join(", "));
    }
    for row in outcome.xtf.iter().flatten() {
        let less = row.is_less().then(|| format!("{} on Xen, {} here", row.xen.word(), row.xenolith.word()));
        less.iter().for_each(|line| println!("FAIL XTF {}: {line}", row.name));
        tally.count(less.as_slice());
    }
    for work in &outcome.work {
        let complaints: Vec<String> = work.complaints.iter().map(|line| format!("{}: {line}", work.on)).collect();
        complaints.iter().for_each(|line| println!("FAIL dom0's work: {line}"));
        tally.count(&complaints);
    }
    let heavier = outcome.heavier_than_xen();
    heavier.iter().for_each(|line| println!("FAIL {line}"));
    tally.count(&heavier);
    summary(outcome).iter().for_each(|(name, words)| println!("{name:<11} {words}"));
    tally
}

/// The lines of the summary, each with what it is about.
fn summary(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let answers = |rows: &[Conformance]| {
        let (same, allowed, differing) = Outcome::answers(rows);
        format!("{}: {same} answers the same, {allowed} differ as allowed, {differing} differ", rows.len())
    };
    let mut lines = vec![
        ("guests", answers(&outcome.conformance)),
        ("scenarios", format!("{}; {} not run", answers(&outcome.scenarios), outcome.scenarios_left_out.len())),
        ("XTF", outcome.xtf.as_deref().map_or("not run: XTF=<built checkout>".into(), suite::sum_up)),
        ("costs", outcome.costs_summary.to_string()),
    ];
    let boot = |boot: &Boot| ("boot", format!("{:<10} {:.1} s to dom0's first process", boot.on, boot.total()));
    lines.extend(outcome.boots.iter().map(boot));
    let memory =
        |memory: &Memory| ("memory", format!("{:<10} {} KiB its own of {} KiB", memory.on, memory.own(), memory.total));
    lines.extend(outcome.memory.iter().map(memory));
    let image =
        |image: &Image| ("image", format!("{:<10} {} bytes, {} compressed", image.of, image.plain, image.compressed));
    lines.extend(outcome.images.iter().map(image));
    let work = |(name, ratio)| ("work", format!("{name}: {ratio:.2} of Xen's instructions"));
    lines.extend(outcome.work_ratios().into_iter().map(work));
    let took = |part: &Part| format!("{} {:.0} s", part.name, part.seconds);
    lines.push(("took", outcome.parts.iter().map(took).collect::<Vec<_>>().join(", ")));
    lines
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() }
}
