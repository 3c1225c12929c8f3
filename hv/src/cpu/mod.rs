//! What each processor has of its own.

pub mod boundary;
