//! The command: collects, writes page and data, checks the page, sums up.

use std::fs;

use anyhow::{Context, Result};

use super::outcome::Outcome;
use super::{browser, collect, page};
use crate::hypervisor::Reference;
use crate::places;
use crate::tally::Tally;

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
    /// Leave out the boots of Debian's kernel.
    #[arg(long)]
    pub no_boots: bool,
    /// Leave out the work of a whole dom0, which takes minutes.
    #[arg(long)]
    pub no_work: bool,
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
    for row in &outcome.conformance {
        let mut complaints = row.differing.clone();
        complaints.extend(row.complaints.iter().cloned());
        tally.count(&complaints);
        if let Some(first) = complaints.first() {
            println!("FAIL {}: {first}{}", row.guest, and_more(complaints.len()));
        }
    }
    let (same, allowed) = outcome.answers();
    println!(
        "answers     {same} the same, {allowed} differ as allowed, {} differ",
        outcome.conformance.iter().map(|row| row.differing.len()).sum::<usize>()
    );
    println!("costs       {}", outcome.costs_summary);
    for boot in &outcome.boots {
        println!("boot        {:<10} {:.1} s to dom0's first process", boot.on, boot.total());
    }
    for memory in &outcome.memory {
        println!("memory      {:<10} {} KiB its own of {} KiB", memory.on, memory.own(), memory.total);
    }
    for image in &outcome.images {
        println!("image       {:<10} {} bytes, {} compressed", image.of, image.plain, image.compressed);
    }
    for work in &outcome.work {
        let complaints: Vec<String> = work.complaints.iter().map(|line| format!("{}: {line}", work.on)).collect();
        complaints.iter().for_each(|line| println!("FAIL dom0's work: {line}"));
        tally.count(&complaints);
    }
    for (name, ratio) in outcome.work_ratios() {
        println!("work        {name}: {ratio:.2} of Xen's instructions");
    }
    let heavier = outcome.heavier_than_xen();
    heavier.iter().for_each(|line| println!("FAIL {line}"));
    tally.count(&heavier);
    tally
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() }
}
