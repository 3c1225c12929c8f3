//! The initial ramdisk: given to dom0 where the boot loader put it, or copied.

use abi::Mfn;
use guest_image::{InitialLayout, Initrd};

use super::{Dom0Error, amount, placement::Placement};
use crate::{
    boot::loader::Module,
    memory::{frame_table, window},
};

/// Puts the initrd where the layout wants it. `placement` ends where an unmapped initrd is to begin.
pub fn place(layout: &InitialLayout, module: Option<&Module>, placement: &mut Placement) -> Result<(), Dom0Error> {
    let Some(module) = module else { return Ok(()) };
    match layout.initrd {
        Initrd::Absent => Ok(()),
        Initrd::Mapped { pages, .. } => copy(module, pages.first, placement),
        Initrd::Unmapped { pages } if can_be_given(module) => {
            clear_tail(module);
            placement.add_frames(Mfn(module.start >> 12), pages.count)
        }
        Initrd::Unmapped { pages } => {
            placement.add("the initrd", pages.count)?;
            copy(module, pages.first, placement)
        }
    }
}

fn copy(module: &Module, first: u64, placement: &Placement) -> Result<(), Dom0Error> {
    placement.write(first << 12, window::module_bytes(module.start, module.length as usize))
}

/// Whether the module fills whole frames of ordinary memory, above the first MiB, that are nobody's.
fn can_be_given(module: &Module) -> bool {
    module.start.is_multiple_of(4096)
        && amount::touched(module.start, module.length).all(amount::is_reusable)
        && amount::touched(module.start, module.length).end <= frame_table::limit().0
}

/// Behind the module's last byte its frame may hold anything; dom0 gets zeros.
fn clear_tail(module: &Module) {
    const ZEROS: [u8; 4096] = [0; 4096];
    let end = module.start + module.length;
    let used = (end & 0xFFF) as usize;
    if used != 0 {
        window::write_bytes(Mfn(end >> 12), used, ZEROS.get(used..).unwrap_or_default());
    }
}
