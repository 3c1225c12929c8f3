//! Xen's own test programs of the project XTF, from a checkout that the user has built, on both hypervisors.
//!
//! `catalogue` reads which tests the checkout has, `kind` knows how tests of one kind are booted, `verdict` reads what
//! became of a test, `suite` runs them and prints the table. Nothing of XTF is built or kept here.

pub mod catalogue;
pub mod kind;
pub mod suite;
pub mod verdict;

pub use kind::Kind;
pub use suite::{Row, Wish, run};
