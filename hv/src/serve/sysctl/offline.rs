//! Frames that leave the machine's memory and come back. Source: Xen public header `sysctl.h` (`page_offline`).
//!
//! Lock: the free frames' own, inside `memory::physical`, one frame at a time; an owner may change between two looks.

use abi::{DomainId, Mfn, Result};
use frame_allocator::Hold;
use hypercalls::{
    authority::ControlDomain,
    op::sysctl::{FrameHold, FrameHoldHost},
};
use pv_mmu::FrameInfo;

use crate::{
    memory::{frame_table, physical},
    platform::memory_map,
    serve::Caller,
};

fn told(hold: Hold) -> FrameHold {
    match hold {
        Hold::None => FrameHold::Free,
        Hold::Pending => FrameHold::Pending,
        Hold::Gone => FrameHold::Gone,
    }
}

impl FrameHoldHost for Caller<'_> {
    fn frame_is_memory(&self, frame: Mfn) -> Option<bool> {
        // Low memory is in nobody's hands, but memory.
        let is_memory = |info: &FrameInfo| info.reference().owner() != DomainId::IO || memory_map::is_usable(frame);
        frame_table::frames().get(frame).map(is_memory)
    }

    fn frame_hold(&self, frame: Mfn) -> FrameHold {
        told(physical::hold_of(frame))
    }

    fn hold_frame(&mut self, _authority: ControlDomain, frame: Mfn) -> Result<Option<DomainId>> {
        physical::hold(frame)
    }

    fn return_frame(&mut self, _authority: ControlDomain, frame: Mfn) -> FrameHold {
        told(physical::release(frame))
    }
}
