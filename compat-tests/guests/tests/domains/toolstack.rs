//! What a toolstack says to the hypervisor: domctl, foreign mappings, reservations of others.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call1, call2, call4};
use compat_guests::memory::{DATA, entry, entry_address, page, write};
use compat_guests::number::{self, memory as op};

/// Interface version that requests name: that of Xen 4.17, until [`agree`] or [`as_asked`] finds another.
static VERSION: AtomicU32 = AtomicU32::new(0x15);
/// Interface version of Xen 4.20, whose createdomain has a word more.
const LATER: u32 = 0x17;

pub const CREATE: u32 = 1;
pub const DESTROY: u32 = 2;
pub const PAUSE: u32 = 3;
pub const UNPAUSE: u32 = 4;
pub const INFO: u32 = 5;
pub const SET_AFFINITY: u32 = 9;
pub const MAX_MEM: u32 = 11;
pub const SET_CONTEXT: u32 = 12;
pub const GET_CONTEXT: u32 = 13;
pub const VCPU_INFO: u32 = 14;
pub const MAX_VCPUS: u32 = 15;
pub const SCHEDULER: u32 = 16;
pub const ADDRESS_SIZE: u32 = 36;
pub const RESUME: u32 = 27;
pub const FRAME_INFO: u32 = 61;

pub type Request = Buffer<144>;

/// Finds a version that the hypervisor takes: Xen 4.17's or 4.20's. What is asked for here has the same shape in both.
#[allow(dead_code, reason = "the guest `domains` asks as it is told to")]
pub fn agree() {
    for version in [0x15, LATER] {
        VERSION.store(version, Relaxed);
        if domctl(&mut request(INFO, 0)) == 0 {
            return;
        }
    }
}

/// Takes the version that the command line asks for.
#[allow(dead_code, reason = "the others take what the hypervisor has")]
pub fn as_asked() {
    VERSION.store(compat_guests::control::domctl_version(), Relaxed);
}

/// Where a field of createdomain behind the grant tables' options is, by its place in Xen 4.17's.
#[allow(dead_code, reason = "only `domains` sets such fields")]
pub fn late(offset: usize) -> usize {
    16 + offset + if VERSION.load(Relaxed) >= LATER { 4 } else { 0 }
}

/// A request for a domain, with its argument from byte 16 on.
pub fn request(command: u32, domain: u16) -> Request {
    Request::new().u32(0, command).u32(4, VERSION.load(Relaxed)).u16(8, domain)
}

/// Makes a request.
pub fn domctl(request: &mut Request) -> i64 {
    call1(number::DOMCTL, request.address())
}

/// A request without arguments.
pub fn simple(command: u32, domain: u16) -> i64 {
    domctl(&mut request(command, domain))
}

/// createdomain of a PV domain with two vCPUs.
pub fn creation() -> Request {
    request(CREATE, 0).u32(16 + 28, 2).u32(16 + 32, 1023).u32(16 + 36, 4).u32(16 + 40, 4).u32(16 + 44, 1)
}

/// What tools are told about a domain.
pub fn info(domain: u16) -> Option<Request> {
    let mut asked = request(INFO, domain);
    (domctl(&mut asked) == 0 && asked.get_u16(16) == domain).then_some(asked)
}

/// A reservation call for a domain.
pub fn reservation(command: u64, extents: u64, count: u64, domain: u16) -> i64 {
    let mut argument = Buffer::<32>::new().u64(0, extents).u64(8, count).u16(24, domain);
    call2(number::MEMORY_OP, command, argument.address())
}

/// Gives a domain `N` frames with the page numbers from `first` on.
pub fn populate<const N: usize>(domain: u16, first: u64) -> (i64, [u64; N]) {
    let mut extents: [u64; N] = core::array::from_fn(|index| first + index as u64);
    let done = reservation(op::POPULATE_PHYSMAP, extents.as_mut_ptr() as u64, N as u64, domain);
    // SAFETY: a plain read; the hypervisor wrote behind the compiler's back.
    (done, unsafe { core::ptr::read_volatile(&extents) })
}

/// Maps a frame of a domain at a fresh page of ours, or takes the mapping away with entry 0.
pub fn set_foreign(address: u64, value: u64, domain: u16) -> i64 {
    let update = [entry_address(address, 1), value];
    call4(number::MMU_UPDATE, update.as_ptr() as u64, 1, 0, u64::from(domain))
}

/// Addresses that mappings have left.
static FREE: [AtomicU64; 32] = [const { AtomicU64::new(0) }; 32];

/// Maps a frame of a domain: the result and the address.
pub fn map_foreign(mfn: u64, domain: u16) -> (i64, u64) {
    let left = FREE.iter().map(|place| place.swap(0, Relaxed)).find(|&address| address != 0);
    let address = left.unwrap_or_else(page);
    (set_foreign(address, entry(mfn, DATA), domain), address)
}

/// Ends a foreign mapping.
pub fn unmap_foreign(address: u64) -> i64 {
    let result = set_foreign(address, 0, number::DOMID_SELF as u16);
    compat_guests::hypercall::mmuext(number::mmuext::INVLPG_LOCAL, address, 0);
    if let Some(place) = FREE.iter().find(|place| place.load(Relaxed) == 0) {
        place.store(address, Relaxed);
    }
    result
}

/// Fills words of a page that is mapped.
pub fn fill(address: u64, words: &[u64]) {
    for (index, word) in words.iter().enumerate() {
        write(address + 8 * index as u64, *word);
    }
}
