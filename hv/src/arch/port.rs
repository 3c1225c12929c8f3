//! I/O port access.
//!
//! Ports are the hypervisor's own devices here; what guests may reach is decided in `serve::port_io`.

#![expect(unsafe_code, reason = "port instructions are unsafe in the x86_64 crate")]

use x86_64::instructions::port::{Port, PortRead, PortWrite};

macro_rules! accessors {
    ($($read:ident, $write:ident, $kind:ty;)*) => {$(
        /// Reads from the port.
        pub fn $read(port: Port<$kind>) -> $kind {
            read(port)
        }

        /// Writes to the port.
        pub fn $write(port: Port<$kind>, value: $kind) {
            write(port, value);
        }
    )*};
}

accessors! {
    read_u8, write_u8, u8;
    read_u16, write_u16, u16;
    read_u32, write_u32, u32;
}

fn read<T: PortRead>(mut port: Port<T>) -> T {
    // SAFETY: a port access has no effect on Rust memory: no device of ours is programmed for DMA by port.
    unsafe { port.read() }
}

fn write<T: PortWrite>(mut port: Port<T>, value: T) {
    // SAFETY: as in `read`; the callers are drivers of the device behind the port.
    unsafe { port.write(value) }
}
