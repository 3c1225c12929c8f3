//! `compare`: everything on both hypervisors in one run, as a page and as data.

pub mod boots;
pub mod browser;
pub mod collect;
pub mod command;
pub mod framework;
pub mod images;
pub mod memory;
pub mod mitigations;
pub mod outcome;
pub mod page;
pub mod plots;
pub mod progress;
pub mod scenarios;
pub mod stops;
pub mod style;
pub mod whole;
