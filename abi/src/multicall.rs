//! multicall. Source: Xen public header `xen.h`.

use crate::layout::wire;

wire! {
    /// One call of a list.
    pub struct MulticallEntry = "struct multicall_entry", 64 {
        /// A [`crate::Call`] number.
        pub call: u64 = "op",
        /// Out: its result register.
        pub result: u64 = "result",
        /// Arguments; the sixth is never used.
        pub arguments: [u64; 6] = "args",
    }
}
