//! Who needs which sub-operation: calls about memory and page tables.
//!
//! `tests/operations.rs` holds every table against the named numbers of its type.

use crate::operations::list_groups;

list_groups! {
    MMU_UPDATE mmu::MmuCommand {
        NORMAL_PT_UPDATE: L0 LU XL SR X;
        MACHPHYS_UPDATE: L0 LU XL SR;
        PT_UPDATE_PRESERVE_AD: L0 LU X;
        PT_UPDATE_NO_TRANSLATE: R;
    }

    MMUEXT_OP mmu::MmuextCommand {
        PIN_L1_TABLE: L0 LU XL SR X;
        PIN_L2_TABLE: L0 LU XL SR X;
        PIN_L3_TABLE: L0 LU XL SR X;
        PIN_L4_TABLE: L0 LU XL SR X;
        UNPIN_TABLE: L0 LU XL SR X;
        NEW_BASEPTR: L0 LU X;
        TLB_FLUSH_LOCAL: L0 LU X;
        INVLPG_LOCAL: L0 LU X;
        TLB_FLUSH_MULTI: L0 LU X;
        INVLPG_MULTI: L0 LU X;
        TLB_FLUSH_ALL: L0 LU X;
        INVLPG_ALL: L0 LU X;
        FLUSH_CACHE: X R;
        SET_LDT: L0 LU X;
        NEW_USER_BASEPTR: L0 LU X;
        CLEAR_PAGE: XL X;
        COPY_PAGE: XL X;
        FLUSH_CACHE_GLOBAL: X R;
        MARK_SUPER: X R;
        UNMARK_SUPER: X R;
    }

    MEMORY_OP memory::MemoryOperation {
        INCREASE_RESERVATION: L0 LU XL X;
        DECREASE_RESERVATION: L0 LU H XL X;
        MAXIMUM_RAM_PAGE: XL SR X;
        CURRENT_RESERVATION: L0 XL;
        MAXIMUM_RESERVATION: L0 LU;
        MACHPHYS_MFN_LIST: XL SR;
        POPULATE_PHYSMAP: L0 LU H XL SR QD X;
        ADD_TO_PHYSMAP: H XL X;
        MEMORY_MAP: LU H;
        MACHINE_MEMORY_MAP: L0 XL;
        EXCHANGE: L0 LU X;
        MACHPHYS_MAPPING: L0 LU;
        SET_MEMORY_MAP: XL;
        MAXIMUM_GPFN: XL SR X;
        REMOVE_FROM_PHYSMAP: H XL;
        SET_POD_TARGET: XL;
        GET_POD_TARGET: XL;
        GET_SHARING_FREED_PAGES: XL;
        GET_SHARING_SHARED_PAGES: XL;
        PAGING_OP: R;
        ACCESS_OP: R;
        SHARING_OP: R;
        ADD_TO_PHYSMAP_BATCH: H;
        CLAIM_PAGES: XL;
        MACHPHYS_COMPAT_MFN_LIST: SR;
        GET_VNUMAINFO: LU H;
        RESERVED_DEVICE_MEMORY_MAP: XL PCI;
        ACQUIRE_RESOURCE: L0 XL QD;
        GET_MFN_FROM_PFN: Q;
    }
}
