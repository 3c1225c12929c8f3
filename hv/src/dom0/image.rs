//! The kernel: from a boot module to its place in dom0's first frames.
//!
//! Runs on the temporary heap, as unpacking takes much memory; what comes out owns none.

use guest_image::{InitialLayout, KernelImage, LayoutInput, P2mLeaf, PaeMode, Payload};

use super::{Dom0Error, initrd, placement::Placement};
use crate::{
    boot::loader::Module,
    memory::{heap, window},
};

/// Largest unpacked kernel.
const LARGEST_KERNEL: usize = 512 << 20;

/// What the rest of the builder must know of the kernel.
#[derive(Clone, Copy)]
pub struct Loaded {
    /// Where everything is.
    pub layout: InitialLayout,
    /// Frames of dom0: what was wanted, or what the kernel's address space has room for.
    pub frames: u64,
    /// First and end of the image, virtual.
    pub image: (u64, u64),
    /// Where vCPU 0 starts.
    pub entry: u64,
    /// Where the kernel wants its hypercall page.
    pub hypercall_page: Option<u64>,
    /// What its PAE note says.
    pub pae: PaeMode,
}

/// Unpacks the kernel, lays dom0 out, takes frames for everything that the layout names and writes the kernel there.
pub fn load(
    kernel: &Module,
    initrd: Option<&Module>,
    frames: u64,
    placement: &mut Placement,
) -> Result<Loaded, Dom0Error> {
    let module = window::module_bytes(kernel.start, kernel.length as usize);
    heap::with_temporary(|| {
        let payload = Payload::locate(module)?;
        if let Some(file) = payload.bare() {
            return load_unpacked(file, initrd, frames, placement);
        }
        let file = payload.unpack(LARGEST_KERNEL)?;
        load_unpacked(&file, initrd, frames, placement)
    })
}

fn load_unpacked(
    file: &[u8],
    initrd: Option<&Module>,
    frames: u64,
    placement: &mut Placement,
) -> Result<Loaded, Dom0Error> {
    let image = KernelImage::parse(file)?;
    let initrd_length = initrd.map_or(0, |module| module.length);
    // 4 KiB pages only: page-table validation knows no other, for any guest.
    let mut input = LayoutInput { initrd_length, nr_pages: frames, p2m_leaf: P2mLeaf::Small };
    input.nr_pages = InitialLayout::clip_pages(&image, &input);
    let layout = InitialLayout::compute(&image, &input)?;
    placement.add_contiguous("the initial region", layout.region.count)?;
    initrd::place(&layout, initrd, placement)?;
    placement.add("the p2m list", layout.rest.first.saturating_sub(placement.end()))?;
    for segment in image.segments() {
        placement.write(segment.virtual_address - layout.virt_start, segment.bytes)?;
    }
    Ok(Loaded {
        layout,
        frames: input.nr_pages,
        image: (image.virt_start, image.virt_end),
        entry: image.entry,
        hypercall_page: image.hypercall_page,
        pae: image.pae,
    })
}
