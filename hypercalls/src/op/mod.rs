//! One file per operation family; each names the public header it implements.
