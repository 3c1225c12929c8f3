//! The progress bar, and how long each part of a comparison took.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::outcome::Part;
use crate::hypervisor::Hypervisor;

/// A bar on the terminal; where there is none, a line a part and step.
pub struct Progress {
    bar: ProgressBar,
    parts: RefCell<Vec<Part>>,
    steps: RefCell<Vec<Part>>,
}

impl Progress {
    /// A bar of so many steps.
    pub fn new(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} [{bar:40}] {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, parts: RefCell::default(), steps: RefCell::default() }
    }

    /// A part of the comparison; how long it took is kept.
    pub fn part<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.bar.is_hidden() {
            eprintln!("comparing: {name}");
        }
        let started = Instant::now();
        let done = work();
        self.parts.borrow_mut().push(Part { name: name.into(), seconds: started.elapsed().as_secs_f64() });
        done
    }

    /// One step of the bar.
    pub fn step<T>(&self, what: &str, on: Hypervisor, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let name = format!("{what} on {}", on.title());
        self.bar.set_message(name.clone());
        let started = Instant::now();
        let done = work();
        let seconds = started.elapsed().as_secs_f64();
        if self.bar.is_hidden() {
            eprintln!("  {name}: {seconds:.0} s");
        }
        self.steps.borrow_mut().push(Part { name, seconds });
        self.bar.inc(1);
        done
    }

    /// A step of something that tells when it has ended.
    pub fn ended(&self, what: &str, on: Hypervisor) {
        self.bar.set_message(format!("after {what} on {}", on.title()));
        self.bar.inc(1);
    }

    /// How long each step took.
    pub fn steps(&self) -> Vec<Part> {
        self.steps.borrow().clone()
    }

    /// Takes the bar away; gives back how long each part took.
    pub fn finish(self) -> Vec<Part> {
        self.bar.finish_and_clear();
        self.parts.into_inner()
    }
}
