//! The numbers that shape scheduling, all in nanoseconds.

/// Longest time between two decisions on a CPU that several entities want.
pub const LONGEST_SLICE_NS: u64 = 10_000_000;
/// Shortest slice, however many entities there are.
pub const SHORTEST_SLICE_NS: u64 = 2_000_000;
/// Time in which every entity should have its turn, as long as slices do not get too short.
pub const ROUND_NS: u64 = 20_000_000;
/// Who has just got the CPU keeps it for so long, whoever wakes up, unless the toolstack says otherwise.
pub const RATE_LIMIT_NS: u64 = 1_000_000;
/// Head start, in running time, of an entity that has slept.
pub const SLEEPER_CREDIT_NS: u64 = 2_000_000;
/// Lead, in running time, that an entity needs to take the CPU from another before the end of its slice.
pub const WAKE_MARGIN_NS: u64 = 500_000;
/// Period over which a cap is kept.
pub const CAP_PERIOD_NS: u64 = 10_000_000;
/// Running time that a capped entity takes out of its domain's pool at a time.
pub const CAP_CHUNK_NS: u64 = 1_000_000;
/// Time between two looks at whether another CPU has less to do.
pub const BALANCE_NS: u64 = 50_000_000;
/// Most entities looked at to find one that may move.
pub const MOST_CANDIDATES: usize = 32;
