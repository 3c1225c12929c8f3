//! kexec_op. Source: Xen public header `kexec.h`.

use crate::{
    GuestHandle,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of kexec_op.
    pub struct KexecOperation(u32) {
        KEXEC = 0, "KEXEC_CMD_kexec";
        LOAD_V1 = 1, "KEXEC_CMD_kexec_load_v1";
        UNLOAD_V1 = 2, "KEXEC_CMD_kexec_unload_v1";
        GET_RANGE = 3, "KEXEC_CMD_kexec_get_range";
        LOAD = 4, "KEXEC_CMD_kexec_load";
        UNLOAD = 5, "KEXEC_CMD_kexec_unload";
        STATUS = 6, "KEXEC_CMD_kexec_status";
    }

    /// Which image.
    pub struct KexecType(u8) {
        DEFAULT = 0, "KEXEC_TYPE_DEFAULT";
        CRASH = 1, "KEXEC_TYPE_CRASH";
    }

    /// Which range get_range reports.
    pub struct KexecRangeType(i32) {
        CRASH = 0, "KEXEC_RANGE_MA_CRASH";
        XEN = 1, "KEXEC_RANGE_MA_XEN";
        CPU = 2, "KEXEC_RANGE_MA_CPU";
        XENHEAP = 3, "KEXEC_RANGE_MA_XENHEAP";
        BOOT_PARAM = 4, "KEXEC_RANGE_MA_BOOT_PARAM";
        EFI_MEMMAP = 5, "KEXEC_RANGE_MA_EFI_MEMMAP";
        VMCOREINFO = 6, "KEXEC_RANGE_MA_VMCOREINFO";
    }
}

constants! {
    /// Pages of a version 1 image.
    pub const KEXEC_V1_PAGES: usize = 17, "KEXEC_XEN_NO_PAGES";
}

wire! {
    /// Argument of kexec.
    pub struct KexecExec = "struct xen_kexec_exec", 4 {
        /// Which image.
        pub kind: i32 = "type",
    }

    /// Argument of get_range.
    pub struct KexecRange = "struct xen_kexec_range", 24 {
        /// Which.
        pub range: KexecRangeType = "range",
        /// Which one of the kind.
        pub number: i32 = "nr",
        /// Out: bytes.
        pub size: u64 = "size",
        /// Out: machine address.
        pub start: u64 = "start",
    }

    /// A piece of an image.
    pub struct KexecSegment = "struct xen_kexec_segment", 32 {
        /// Contents.
        pub buffer: GuestHandle<u8> = "buf",
        /// Bytes of them.
        pub buffer_size: u64 = "buf_size",
        /// Machine address to go to.
        pub destination: u64 = "dest_maddr",
        /// Bytes there.
        pub destination_size: u64 = "dest_size",
    }

    /// Argument of load.
    pub struct KexecLoad = "struct xen_kexec_load", 24 {
        /// Which image.
        pub kind: KexecType = "type",
        /// Padding.
        pub reserved: u8 = "_pad",
        /// ELF machine number.
        pub machine: u16 = "arch",
        /// Number of segments.
        pub segment_count: u32 = "nr_segments",
        /// The segments.
        pub segments: GuestHandle<KexecSegment> = "segments",
        /// Where to start.
        pub entry: u64 = "entry_maddr",
    }

    /// Argument of unload and status.
    pub struct KexecUnload = "struct xen_kexec_unload", 1 {
        /// Which image.
        pub kind: KexecType = "type",
    }
}
