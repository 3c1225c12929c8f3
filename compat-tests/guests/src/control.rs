//! sysctl and domctl as plain bytes.

use crate::buffer::Buffer;
use crate::hypercall::call1;
use crate::{number, start};

/// The interface version of sysctl, the same in Xen 4.17 and 4.20.
pub const SYSCTL_VERSION: u32 = 0x15;
/// The interface version of Xen 4.17's domctl.
const DOMCTL_VERSION: u32 = 0x15;

/// A sysctl: 136 bytes, the operation's own structure from byte 8 on.
pub type Sysctl = Buffer<136>;

/// A domctl: 144 bytes, the operation's own structure from byte 16 on.
pub type Domctl = Buffer<144>;

/// A sysctl request, with nothing in its structure.
pub fn sysctl(command: u32) -> Sysctl {
    Buffer::new().u32(0, command).u32(4, SYSCTL_VERSION)
}

/// The interface version of domctl that the argument `domctl=` asks for: that of Xen 4.17 without it.
pub fn domctl_version() -> u32 {
    start::parameter("domctl").map_or(DOMCTL_VERSION, |version| version as u32)
}

/// A domctl request, with nothing in its structure.
pub fn domctl(command: u32, domain: u16) -> Domctl {
    Buffer::new().u32(0, command).u32(4, domctl_version()).u16(8, domain)
}

/// Makes the call; what it wrote is in the request.
pub fn make(request: &mut Sysctl) -> i64 {
    call1(number::SYSCTL, request.address())
}

/// Makes the call; what it wrote is in the request.
pub fn make_domctl(request: &mut Domctl) -> i64 {
    call1(number::DOMCTL, request.address())
}
