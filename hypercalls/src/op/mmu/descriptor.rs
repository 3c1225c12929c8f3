//! set_gdt and update_descriptor: the frames of a guest's descriptor tables. What a descriptor may be is crate
//! `pv-cpu`, reached through [`pv_mmu::MmuHost::check_descriptor`]. Source: Xen public header `xen.h`.

use abi::{Errno, GuestHandle, MachineAddress, Mfn};
use pv_mmu::FrameType;

use super::MmuCalls;
use crate::{
    guest,
    outcome::{Failure, Reply},
};

/// Frames that a guest's GDT can have.
pub const GDT_FRAMES: usize = 14;
/// Entries in one of them.
const ENTRIES_PER_FRAME: u32 = 512;
/// First entry that is the hypervisor's.
const FIRST_RESERVED_ENTRY: u32 = GDT_FRAMES as u32 * ENTRIES_PER_FRAME;

/// The running vCPU's descriptor tables.
pub trait DescriptorCalls: MmuCalls {
    /// Shows the vCPU's CPU `frames` as its GDT and takes the former ones out of use, TLB flush included. They go to
    /// `former`; the result says how many.
    fn replace_gdt(&self, frames: &[Mfn], entries: u32, former: &mut [Mfn; GDT_FRAMES]) -> usize;
}

/// set_gdt(2): `entries` descriptors in the frames of the list. Errors: `EINVAL` too many, or a frame that cannot be a
/// descriptor page; `EFAULT`. The old GDT stays on error.
pub fn set_gdt<H: DescriptorCalls>(host: &H, list: GuestHandle<u64>, entries: u32) -> Reply {
    if entries > FIRST_RESERVED_ENTRY {
        return Err(Errno::EINVAL.into());
    }
    let count = entries.div_ceil(ENTRIES_PER_FRAME) as usize;
    let mut numbers = [0; GDT_FRAMES];
    let numbers = numbers.get_mut(..count).unwrap_or_default();
    guest::read_array(host, list, 0, numbers)?;
    let mut frames = [Mfn(0); GDT_FRAMES];
    for (index, (frame, number)) in frames.iter_mut().zip(numbers.iter()).enumerate() {
        *frame = Mfn(*number);
        if let Err(errno) = pv_mmu::acquire_segment_page(host, *frame, host.caller()) {
            release(host, frames.get(..index).unwrap_or_default());
            return Err(errno.into());
        }
    }
    let mut former = [Mfn(0); GDT_FRAMES];
    let formerly = host.replace_gdt(frames.get(..count).unwrap_or_default(), entries, &mut former);
    release(host, former.get(..formerly).unwrap_or_default());
    Ok(0)
}

fn release<H: DescriptorCalls>(host: &H, frames: &[Mfn]) {
    for frame in frames {
        pv_mmu::release_segment_page(host, *frame);
    }
}

/// update_descriptor(10): writes one descriptor at a machine address, in a descriptor page or one that can be
/// writable. Errors: `EINVAL`.
pub fn update_descriptor<H: MmuCalls>(host: &H, address: MachineAddress, descriptor: u64) -> Reply {
    let caller = host.caller();
    let refused = Failure::Errno(Errno::EINVAL);
    if address.0 & 7 != 0 {
        return Err(refused);
    }
    let stored = host.check_descriptor(caller, descriptor).ok_or(refused)?;
    let mfn = address.frame();
    let frame = pv_mmu::get_page(host, mfn, caller)?;
    let word = frame.type_word();
    let kind = if word.frame_type() == FrameType::Segment { FrameType::Segment } else { FrameType::Writable };
    let held = pv_mmu::get_type(host, mfn, frame, kind);
    if held.is_ok() {
        if let Some(cell) = host.table(mfn).get(address.page_offset() / 8) {
            cell.store(stored, core::sync::atomic::Ordering::Relaxed);
        }
        pv_mmu::put_type(host, mfn, frame);
    }
    pv_mmu::put_page(host, mfn, frame);
    if held.is_ok() { Ok(0) } else { Err(refused) }
}
