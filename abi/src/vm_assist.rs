//! vm_assist. Source: Xen public header `xen.h`.

use crate::layout::numbers;

numbers! {
    /// Command of vm_assist.
    pub struct AssistCommand(u32) {
        ENABLE = 0, "VMASST_CMD_enable";
        DISABLE = 1, "VMASST_CMD_disable";
    }

    /// Kind of assistance: a bit number of the domain's assist word.
    pub struct Assist(u32) {
        SEGMENTS_4GB = 0, "VMASST_TYPE_4gb_segments";
        SEGMENTS_4GB_NOTIFY = 1, "VMASST_TYPE_4gb_segments_notify";
        WRITABLE_PAGETABLES = 2, "VMASST_TYPE_writable_pagetables";
        PAE_EXTENDED_CR3 = 3, "VMASST_TYPE_pae_extended_cr3";
        ARCHITECTURAL_IOPL = 4, "VMASST_TYPE_architectural_iopl";
        RUNSTATE_UPDATE_FLAG = 5, "VMASST_TYPE_runstate_update_flag";
        M2P_STRICT = 32, "VMASST_TYPE_m2p_strict";
    }
}

impl Assist {
    /// The bit in the assist word; 0 for numbers beyond it.
    pub const fn mask(self) -> u64 {
        match 1u64.checked_shl(self.0) {
            Some(mask) => mask,
            None => 0,
        }
    }
}
