//! domctl: domains that the toolstack makes, runs and ends. One family a file, as in `hypercalls::op::domctl`.

mod context;
mod held;
mod information;
mod lifecycle;
mod memory;
mod placement;
mod policy;
mod registers;
mod rights;
mod time;

use held::{vcpu, with_held};
