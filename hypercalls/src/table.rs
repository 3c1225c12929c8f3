//! What each operation of a family is here, stated next to the match that serves it.
//!
//! `docs/abi-status.md` is generated from these rows, and a test calls every number and holds the answer against its
//! row, so neither can drift from the code.

/// How an operation answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// As Xen does; the text, mostly none, says what is conservative about it.
    Works(&'static str),
    /// As a Xen built or booted without the feature; the text says which.
    Absent(&'static str),
    /// Not yet; the text says what is left to do.
    Missing(&'static str),
}

/// One operation of a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its number among the family's operations.
    pub number: u32,
    /// The constant's name in `abi`.
    pub name: &'static str,
    /// How it answers.
    pub state: State,
}

/// Rows of one family: groups of constants of an `abi` number type behind `works`, `(works "how")`,
/// `(absent "why")` or `(missing "why")`.
macro_rules! rows {
    (@state works) => {
        $crate::table::State::Works("")
    };
    (@state (works $how:literal)) => {
        $crate::table::State::Works($how)
    };
    (@state (absent $why:literal)) => {
        $crate::table::State::Absent($why)
    };
    (@state (missing $why:literal)) => {
        $crate::table::State::Missing($why)
    };
    ($type:ident { $($state:tt: $($name:ident)+;)* }) => {
        &[$($(
            $crate::table::Row {
                number: $type::$name.0,
                name: stringify!($name),
                state: $crate::table::rows!(@state $state),
            },
        )+)*]
    };
}

pub(crate) use rows;
