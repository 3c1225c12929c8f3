//! What the console says of dom0's construction, in Xen's words.

use guest_image::Initrd;

use super::{image::Loaded, placement::Placement};
use crate::boot::loader::Module;

/// Bytes of start_info and of what follows it.
const START_INFO: u64 = 1168 + 40;
const P2M_ENTRY: u64 = 8;

/// Prints where everything is.
pub fn print(loaded: &Loaded, placement: &Placement, initrd: Option<&Module>) {
    let layout = &loaded.layout;
    let (start, end) = loaded.image;
    let pae = if loaded.pae.is_present() { " PAE," } else { "" };
    log::info!(" Xen  kernel: 64-bit, lsb");
    log::info!(
        " Dom0 kernel: 64-bit,{pae} lsb, paddr {:#x} -> {:#x}",
        start - layout.virt_start,
        end - layout.virt_start
    );
    log::info!("PHYSICAL MEMORY ARRANGEMENT:");
    if let Some(run) = placement.runs().first() {
        let count = run.count.min(layout.region.count);
        let rest = layout.rest.count;
        let (first, end) = (run.mfn << 12, (run.mfn + count) << 12);
        log::info!(" Dom0 alloc.:   {first:016x}->{end:016x} ({rest} pages to be allocated)");
    }
    if let (Initrd::Unmapped { pages }, Some(module)) = (layout.initrd, initrd)
        && let Ok(mfn) = placement.mfn(pages.first)
    {
        range(" Init. ramdisk:", mfn.address().0, module.length);
    }
    log::info!("VIRTUAL MEMORY ARRANGEMENT:");
    range(" Loaded kernel:", start, end - start);
    if let (Initrd::Mapped { address, .. }, Some(module)) = (layout.initrd, initrd) {
        range(" Init. ramdisk:", address, module.length);
    }
    range(" Phys-Mach map:", layout.p2m.address, loaded.frames * P2M_ENTRY);
    range(" Start info:   ", layout.address_of(layout.start_info_pfn), START_INFO);
    range(" Page tables:  ", layout.address_of(layout.tables.first_pfn), layout.tables.count << 12);
    range(" Boot stack:   ", layout.address_of(layout.stack_pfn), 4096);
    range(" TOTAL:        ", layout.virt_start, layout.virt_end - layout.virt_start);
    log::info!(" ENTRY ADDRESS: {:016x}", loaded.entry);
}

fn range(what: &str, start: u64, length: u64) {
    log::info!("{what} {start:016x}->{:016x}", start.wrapping_add(length));
}
