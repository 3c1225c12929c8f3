//! Page-table calls: mmu_update, mmuext_op, update_va_mapping. Source: Xen public header `xen.h`.

use crate::{
    GuestHandle,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Command of an mmu_update request, the low two bits of its pointer.
    pub struct MmuCommand(u32) {
        NORMAL_PT_UPDATE = 0, "MMU_NORMAL_PT_UPDATE";
        MACHPHYS_UPDATE = 1, "MMU_MACHPHYS_UPDATE";
        PT_UPDATE_PRESERVE_AD = 2, "MMU_PT_UPDATE_PRESERVE_AD";
        PT_UPDATE_NO_TRANSLATE = 3, "MMU_PT_UPDATE_NO_TRANSLATE";
    }

    /// Command of an mmuext_op request.
    pub struct MmuextCommand(u32) {
        PIN_L1_TABLE = 0, "MMUEXT_PIN_L1_TABLE";
        PIN_L2_TABLE = 1, "MMUEXT_PIN_L2_TABLE";
        PIN_L3_TABLE = 2, "MMUEXT_PIN_L3_TABLE";
        PIN_L4_TABLE = 3, "MMUEXT_PIN_L4_TABLE";
        UNPIN_TABLE = 4, "MMUEXT_UNPIN_TABLE";
        NEW_BASEPTR = 5, "MMUEXT_NEW_BASEPTR";
        TLB_FLUSH_LOCAL = 6, "MMUEXT_TLB_FLUSH_LOCAL";
        INVLPG_LOCAL = 7, "MMUEXT_INVLPG_LOCAL";
        TLB_FLUSH_MULTI = 8, "MMUEXT_TLB_FLUSH_MULTI";
        INVLPG_MULTI = 9, "MMUEXT_INVLPG_MULTI";
        TLB_FLUSH_ALL = 10, "MMUEXT_TLB_FLUSH_ALL";
        INVLPG_ALL = 11, "MMUEXT_INVLPG_ALL";
        FLUSH_CACHE = 12, "MMUEXT_FLUSH_CACHE";
        SET_LDT = 13, "MMUEXT_SET_LDT";
        NEW_USER_BASEPTR = 15, "MMUEXT_NEW_USER_BASEPTR";
        CLEAR_PAGE = 16, "MMUEXT_CLEAR_PAGE";
        COPY_PAGE = 17, "MMUEXT_COPY_PAGE";
        FLUSH_CACHE_GLOBAL = 18, "MMUEXT_FLUSH_CACHE_GLOBAL";
        MARK_SUPER = 19, "MMUEXT_MARK_SUPER";
        UNMARK_SUPER = 20, "MMUEXT_UNMARK_SUPER";
    }

    /// Flags of update_va_mapping. The bits above [`UpdateFlags::ALL`] are, without it, a guest pointer to a vCPU bitmap.
    pub struct UpdateFlags(u64) {
        NONE = 0, "UVMF_NONE";
        TLB_FLUSH = 1, "UVMF_TLB_FLUSH";
        INVLPG = 2, "UVMF_INVLPG";
        FLUSHTYPE_MASK = 3, "UVMF_FLUSHTYPE_MASK";
        /// With a bitmap pointer in the upper bits.
        MULTI = 0, "UVMF_MULTI";
        /// With zero in the upper bits.
        LOCAL = 0, "UVMF_LOCAL";
        ALL = 4, "UVMF_ALL";
    }
}

constants! {
    /// Bit of the count argument that says "preempted before, done count is in pdone". Not in the public headers.
    pub const MMU_UPDATE_PREEMPTED: u32 = 1 << 31, "";
    /// First virtual address of the machine-to-physical table.
    pub const MACH2PHYS_VIRT_START: u64 = 0xFFFF_8000_0000_0000, "MACH2PHYS_VIRT_START";
    /// First virtual address after the machine-to-physical table.
    pub const MACH2PHYS_VIRT_END: u64 = 0xFFFF_8040_0000_0000, "MACH2PHYS_VIRT_END";
    /// Entries of the table, 8 bytes each.
    pub const MACH2PHYS_NR_ENTRIES: u64 = 0x8_0000_0000, "MACH2PHYS_NR_ENTRIES";
}

wire! {
    /// One request of mmu_update.
    pub struct MmuUpdate = "struct mmu_update", 16 {
        /// Machine address of the entry (or in the frame), with a [`MmuCommand`] in bits 1:0.
        pub pointer: u64 = "ptr",
        /// New contents.
        pub value: u64 = "val",
    }

    /// One request of mmuext_op.
    pub struct MmuextOp = "struct mmuext_op", 24 {
        /// What to do.
        pub command: MmuextCommand = "cmd",
        /// Padding.
        pub reserved: u32 = "",
        /// MFN or linear address.
        pub argument1: u64 = "arg1",
        /// Number of entries (low 32 bits), pointer to a vCPU bitmap, or source MFN.
        pub argument2: u64 = "arg2",
    }
}

impl MmuUpdate {
    /// The command in the low bits of the pointer.
    pub const fn command(self) -> MmuCommand {
        MmuCommand((self.pointer & 7) as u32)
    }

    /// The pointer without its command.
    pub const fn address(self) -> crate::MachineAddress {
        crate::MachineAddress(self.pointer & !7)
    }
}

impl MmuextOp {
    /// Argument 1 as a frame.
    pub const fn mfn(self) -> crate::Mfn {
        crate::Mfn(self.argument1)
    }

    /// Argument 1 as an address.
    pub const fn linear_address(self) -> crate::GuestVirtual {
        crate::GuestVirtual(self.argument1)
    }

    /// Argument 2 as a count of entries.
    pub const fn entries(self) -> u32 {
        self.argument2 as u32
    }

    /// Argument 2 as a bitmap of vCPUs, read 8 bytes at a time.
    pub const fn vcpu_mask(self) -> GuestHandle<u64> {
        GuestHandle::new(self.argument2)
    }

    /// Argument 2 as a source frame.
    pub const fn source_mfn(self) -> crate::Mfn {
        crate::Mfn(self.argument2)
    }
}
