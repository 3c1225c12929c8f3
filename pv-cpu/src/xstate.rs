//! Extended processor state: which components a guest may enable, and how large they make the XSAVE area.
//!
//! Source: Intel SDM vol. 1 chapter 13.

use crate::cpuid::Leaf;

/// x87 state; always enabled.
pub const X87: u64 = 1 << 0;
/// SSE state.
pub const SSE: u64 = 1 << 1;
/// Upper halves of the 256-bit registers.
pub const AVX: u64 = 1 << 2;
/// The three components of 512-bit vectors.
pub const AVX512: u64 = 7 << 5;
/// Legacy area and header.
const HEADER_END: u32 = 576;
/// Components that are looked at; beyond them nothing is offered.
pub const COMPONENTS: usize = 8;

/// Where a component lies, as leaf 0xD of the host says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Component {
    size: u32,
    offset: u32,
    /// Bit 1: aligned to 64 bytes in the compacted form.
    attributes: u32,
}

/// The components offered to a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExtendedState {
    offered: u64,
    components: [Component; COMPONENTS],
}

impl ExtendedState {
    /// What a guest with the features `has_avx` and `has_avx512` is offered; `host` reads leaf 0xD of the host.
    pub(crate) fn new(offered: u64, mut host: impl FnMut(u32) -> Leaf) -> Self {
        let mut components = [Component::default(); COMPONENTS];
        for (subleaf, component) in (0..).zip(&mut components).skip(2) {
            if offered & (1 << subleaf) != 0 {
                let Leaf { eax, ebx, ecx, .. } = host(subleaf);
                *component = Component { size: eax, offset: ebx, attributes: ecx };
            }
        }
        Self { offered, components }
    }

    /// Every XCR0 bit the guest may set.
    pub const fn offered(&self) -> u64 {
        self.offered
    }

    /// Whether `xcr0` may be set: x87 on, nothing that is not offered, no component without those it builds on.
    pub const fn permits(&self, xcr0: u64) -> bool {
        let avx = xcr0 & AVX == 0 || xcr0 & SSE != 0;
        let avx512 = xcr0 & AVX512 == 0 || xcr0 & AVX512 == AVX512 && xcr0 & AVX != 0;
        xcr0 & X87 != 0 && xcr0 & !self.offered == 0 && avx && avx512
    }

    fn enabled(&self, xcr0: u64) -> impl Iterator<Item = &Component> {
        (0u32..).zip(&self.components).skip(2).filter(move |(bit, _)| xcr0 >> bit & 1 != 0).map(|(_, part)| part)
    }

    /// Bytes of the standard XSAVE area for the components in `xcr0`.
    pub fn standard_size(&self, xcr0: u64) -> u32 {
        self.enabled(xcr0).map(|part| part.offset.saturating_add(part.size)).fold(HEADER_END, u32::max)
    }

    /// Bytes of the compacted XSAVE area for the components in `xcr0`.
    pub fn compacted_size(&self, xcr0: u64) -> u32 {
        self.enabled(xcr0).fold(HEADER_END, |end, part| {
            let start = if part.attributes & 2 != 0 { end.next_multiple_of(64) } else { end };
            start.saturating_add(part.size)
        })
    }

    /// Leaf 0xD subleaf `component`, 2 and up.
    pub(crate) fn component_leaf(&self, component: u32) -> Leaf {
        let part = self.components.get(component as usize).copied().unwrap_or_default();
        Leaf { eax: part.size, ebx: part.offset, ecx: part.attributes, edx: 0 }
    }
}
