//! console_io, and the ring page of a domU's console. Source: Xen public headers `xen.h` and `io/console.h`.

use crate::layout::{numbers, wire};

numbers! {
    /// Sub-operation of console_io.
    pub struct ConsoleOperation(u32) {
        WRITE = 0, "CONSOLEIO_write";
        READ = 1, "CONSOLEIO_read";
    }
}

wire! {
    /// A domU's console page; touched through atomics only, this type gives the offsets.
    pub struct ConsoleRing = "struct xencons_interface", 3088 {
        /// Input to the guest.
        pub input: [u8; 1024] = "in",
        /// Output of the guest.
        pub output: [u8; 2048] = "out",
        /// Consumer of the input.
        pub input_consumer: u32 = "in_cons",
        /// Producer of the input.
        pub input_producer: u32 = "in_prod",
        /// Consumer of the output.
        pub output_consumer: u32 = "out_cons",
        /// Producer of the output.
        pub output_producer: u32 = "out_prod",
    }
}
