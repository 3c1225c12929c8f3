//! The memory write that is a message-signalled interrupt. Source: Intel SDM volume 3, §11.11.

/// Address and data: fixed delivery, edge, to one CPU by its APIC id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where the device writes; below 4 GiB always.
    pub address: u32,
    /// What it writes.
    pub data: u32,
}

const WINDOW: u32 = 0xFEE0_0000;

impl Message {
    /// The message that raises `vector` at the CPU with that APIC id.
    pub const fn new(vector: u8, destination: u8) -> Self {
        Message { address: WINDOW | (destination as u32) << 12, data: vector as u32 }
    }
}
