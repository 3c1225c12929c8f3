//! The segment that a selector of the guest leads to, for emulated string I/O and code in other segments.
//!
//! Source: AMD64 manual, volume 2, §4.7 and §4.8.

use abi::GuestVirtual;
use pv_cpu::{
    decode::{CodeWidth, Segment},
    privileged::SegmentView,
    registers::Registers,
};

use crate::{
    arch::segments,
    domain::{Vcpu, per_domain},
    memory::window,
};

const PRESENT: u64 = 1 << 47;
const CODE_OR_DATA: u64 = 1 << 44;
const CODE: u64 = 1 << 43;
const LONG: u64 = 1 << 53;
const WIDE: u64 = 1 << 54;
const GRANULAR: u64 = 1 << 55;

/// The segment in register `which`.
pub fn segment(vcpu: &'static Vcpu, which: Segment, registers: &Registers) -> Option<SegmentView> {
    let (ds, es, fs, gs) = segments::selectors();
    let selector = match which {
        Segment::Code => registers.cs as u16,
        Segment::Stack => registers.ss as u16,
        Segment::Data => ds,
        Segment::Extra => es,
        Segment::Fs => fs,
        Segment::Gs => gs,
    };
    let flat = |base| Some(SegmentView { base, limit: u32::MAX, width: CodeWidth::Long });
    match which {
        Segment::Fs => return flat(segments::fs_base()),
        Segment::Gs => return flat(segments::gs_base()),
        _ => {}
    }
    view(descriptor(vcpu, selector)?)
}

/// The descriptor a selector names in the vCPU's window.
fn descriptor(vcpu: &'static Vcpu, selector: u16) -> Option<u64> {
    const LOCAL: u16 = 4;
    let offset = usize::from(selector & !7);
    let first = if selector & LOCAL != 0 { per_domain::LOCAL_TABLE } else { 0 };
    if selector & !7 == 0 {
        return None;
    }
    let frame = vcpu.domain.per_domain.get(vcpu.id, first + offset / 4096)?;
    let value = window::words(frame).get(offset % 4096 / 8)?.load(core::sync::atomic::Ordering::Relaxed);
    (value & PRESENT != 0 && value & CODE_OR_DATA != 0).then_some(value)
}

fn view(descriptor: u64) -> Option<SegmentView> {
    let base = descriptor >> 16 & 0xFF_FFFF | descriptor >> 56 << 24;
    let limit = (descriptor & 0xFFFF | descriptor >> 32 & 0xF_0000) as u32;
    let limit = if descriptor & GRANULAR != 0 { limit << 12 | 0xFFF } else { limit };
    let width = if descriptor & CODE != 0 && descriptor & LONG != 0 {
        CodeWidth::Long
    } else if descriptor & WIDE != 0 {
        CodeWidth::Protected32
    } else {
        CodeWidth::Protected16
    };
    GuestVirtual(base).is_canonical().then_some(SegmentView { base, limit, width })
}
