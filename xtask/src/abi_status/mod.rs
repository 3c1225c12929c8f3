//! The status page of the ABI: every operation, who needs it, and what it does here.
//!
//! The inventory is `abi::operations`. The states come from the code itself: the example `abi_states` of `hypercalls`
//! prints the rows that stand next to each dispatch match, and a test there calls every number and holds the answer
//! against its row. What no row speaks for is missing, whatever anybody hopes.

pub mod command;
pub mod page;
pub mod states;
