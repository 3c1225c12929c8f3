//! Grant tables: shared entries, operations and status codes. Source: Xen public header `grant_table.h`.

use crate::{
    DomainId, Gfn, GrantHandle, GrantRef, GuestHandle, Mfn,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of grant_table_op.
    pub struct GrantTableOperation(u32) {
        MAP_GRANT_REF = 0, "GNTTABOP_map_grant_ref";
        UNMAP_GRANT_REF = 1, "GNTTABOP_unmap_grant_ref";
        SETUP_TABLE = 2, "GNTTABOP_setup_table";
        DUMP_TABLE = 3, "GNTTABOP_dump_table";
        TRANSFER = 4, "GNTTABOP_transfer";
        COPY = 5, "GNTTABOP_copy";
        QUERY_SIZE = 6, "GNTTABOP_query_size";
        UNMAP_AND_REPLACE = 7, "GNTTABOP_unmap_and_replace";
        SET_VERSION = 8, "GNTTABOP_set_version";
        GET_STATUS_FRAMES = 9, "GNTTABOP_get_status_frames";
        GET_VERSION = 10, "GNTTABOP_get_version";
        SWAP_GRANT_REF = 11, "GNTTABOP_swap_grant_ref";
        CACHE_FLUSH = 12, "GNTTABOP_cache_flush";
    }

    /// Per-entry result that the operations write into the caller's array.
    pub struct GrantStatus(i16) {
        OKAY = 0, "GNTST_okay";
        GENERAL_ERROR = -1, "GNTST_general_error";
        BAD_DOMAIN = -2, "GNTST_bad_domain";
        BAD_GNTREF = -3, "GNTST_bad_gntref";
        BAD_HANDLE = -4, "GNTST_bad_handle";
        BAD_VIRT_ADDR = -5, "GNTST_bad_virt_addr";
        BAD_DEV_ADDR = -6, "GNTST_bad_dev_addr";
        NO_DEVICE_SPACE = -7, "GNTST_no_device_space";
        PERMISSION_DENIED = -8, "GNTST_permission_denied";
        BAD_PAGE = -9, "GNTST_bad_page";
        BAD_COPY_ARG = -10, "GNTST_bad_copy_arg";
        ADDRESS_TOO_BIG = -11, "GNTST_address_too_big";
        EAGAIN = -12, "GNTST_eagain";
        NO_SPACE = -13, "GNTST_no_space";
    }

    /// Flags word of a shared entry, of both versions.
    pub struct EntryFlags(u16) {
        INVALID = 0, "GTF_invalid";
        PERMIT_ACCESS = 1, "GTF_permit_access";
        ACCEPT_TRANSFER = 2, "GTF_accept_transfer";
        TRANSITIVE = 3, "GTF_transitive";
        TYPE_MASK = 3, "GTF_type_mask";
        READONLY = 1 << 2, "GTF_readonly";
        READING = 1 << 3, "GTF_reading";
        WRITING = 1 << 4, "GTF_writing";
        PWT = 1 << 5, "GTF_PWT";
        PCD = 1 << 6, "GTF_PCD";
        PAT = 1 << 7, "GTF_PAT";
        SUB_PAGE = 1 << 8, "GTF_sub_page";
        /// Of accept_transfer entries.
        TRANSFER_COMMITTED = 1 << 2, "GTF_transfer_committed";
        /// Of accept_transfer entries.
        TRANSFER_COMPLETED = 1 << 3, "GTF_transfer_completed";
    }

    /// Flags of map_grant_ref.
    pub struct MapFlags(u32) {
        DEVICE_MAP = 1 << 0, "GNTMAP_device_map";
        HOST_MAP = 1 << 1, "GNTMAP_host_map";
        READONLY = 1 << 2, "GNTMAP_readonly";
        APPLICATION_MAP = 1 << 3, "GNTMAP_application_map";
        CONTAINS_PTE = 1 << 4, "GNTMAP_contains_pte";
        GUEST_AVAIL_MASK = 0xFFFF_0000, "GNTMAP_guest_avail_mask";
    }

    /// Flags of copy.
    pub struct CopyFlags(u16) {
        SOURCE_GREF = 1 << 0, "GNTCOPY_source_gref";
        DEST_GREF = 1 << 1, "GNTCOPY_dest_gref";
    }

    /// Operation word of cache_flush.
    pub struct CacheFlushFlags(u32) {
        CLEAN = 1 << 0, "GNTTAB_CACHE_CLEAN";
        INVALIDATE = 1 << 1, "GNTTAB_CACHE_INVAL";
        SOURCE_GREF = 1 << 31, "GNTTAB_CACHE_SOURCE_GREF";
    }
}

constants! {
    /// First entries of a table that survive a change of version.
    pub const RESERVED_ENTRIES: u32 = 8, "GNTTAB_NR_RESERVED_ENTRIES";
    /// Entry of the console ring.
    pub const RESERVED_CONSOLE: u32 = 0, "GNTTAB_RESERVED_CONSOLE";
    /// Entry of the xenstore ring.
    pub const RESERVED_XENSTORE: u32 = 1, "GNTTAB_RESERVED_XENSTORE";
    /// First of the PTE bits that map_grant_ref flags carry for the guest.
    pub const GUEST_AVAIL_SHIFT: u32 = 16, "_GNTMAP_guest_avail0";
}

/// Version 1 entries per page.
pub const V1_ENTRIES_PER_PAGE: u32 = 512;
/// Version 2 entries per page.
pub const V2_ENTRIES_PER_PAGE: u32 = 256;
/// Status words of a version 2 table per page.
pub const STATUS_WORDS_PER_PAGE: u32 = 2048;

wire! {
    /// Shared entry, version 1. Lives in guest-writable memory: touched through atomics only, this type gives offsets.
    pub struct EntryV1 = "struct grant_entry_v1", 8 {
        /// Type and flags.
        pub flags: EntryFlags = "flags",
        /// Who may use it.
        pub domain: DomainId = "domid",
        /// Granted frame.
        pub frame: u32 = "frame",
    }

    /// First half-word pair of an entry of either version.
    pub struct EntryHeader = "struct grant_entry_header", 4 {
        /// Type and flags.
        pub flags: EntryFlags = "flags",
        /// Who may use it.
        pub domain: DomainId = "domid",
    }

    /// Shared entry, version 2. The fields are those of a sub-page grant; a full-page grant uses the frame only.
    pub struct EntryV2 = "union grant_entry_v2", 16 {
        /// Type, flags and grantee.
        pub header: EntryHeader = "sub_page.hdr",
        /// First granted byte.
        pub page_offset: u16 = "sub_page.page_off",
        /// Number of granted bytes.
        pub length: u16 = "sub_page.length",
        /// Granted frame.
        pub frame: u64 = "full_page.frame",
    }

    /// Shared entry, version 2, of a transitive grant.
    pub struct EntryV2Transitive = "union grant_entry_v2", 16 {
        /// Type, flags and grantee.
        pub header: EntryHeader = "transitive.hdr",
        /// Domain that holds the original grant.
        pub domain: DomainId = "transitive.trans_domid",
        /// Padding.
        pub reserved: u16 = "transitive.pad0",
        /// Original grant.
        pub reference: GrantRef = "transitive.gref",
        /// Padding.
        pub spacer: u32 = "",
    }

    /// Entry of map_grant_ref.
    pub struct MapGrantRef = "struct gnttab_map_grant_ref", 32 {
        /// Virtual address, or machine address of the PTE, for a host mapping.
        pub host_address: u64 = "host_addr",
        /// What to map and how.
        pub flags: MapFlags = "flags",
        /// Granted reference.
        pub reference: GrantRef = "ref",
        /// Granting domain.
        pub domain: DomainId = "dom",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Out: names the mapping.
        pub handle: GrantHandle = "handle",
        /// Out: machine address for devices.
        pub device_bus_address: u64 = "dev_bus_addr",
    }

    /// Entry of unmap_grant_ref.
    pub struct UnmapGrantRef = "struct gnttab_unmap_grant_ref", 24 {
        /// Virtual or PTE address of the host mapping, 0 for none.
        pub host_address: u64 = "host_addr",
        /// Address of the device mapping, 0 for none.
        pub device_bus_address: u64 = "dev_bus_addr",
        /// The mapping.
        pub handle: GrantHandle = "handle",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Padding.
        pub reserved: u16 = "",
    }

    /// Argument of setup_table.
    pub struct SetupTable = "struct gnttab_setup_table", 24 {
        /// Whose table.
        pub domain: DomainId = "dom",
        /// Padding.
        pub reserved0: u16 = "",
        /// Frames wanted.
        pub frames: u32 = "nr_frames",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Padding.
        pub reserved1: [u8; 6] = "",
        /// Out: frame numbers go here.
        pub frame_list: GuestHandle<Gfn> = "frame_list",
    }

    /// Argument of dump_table, which Xen does not have.
    pub struct DumpTable = "struct gnttab_dump_table", 4 {
        /// Whose table.
        pub domain: DomainId = "dom",
        /// Out: result.
        pub status: GrantStatus = "status",
    }

    /// Entry of transfer.
    pub struct Transfer = "struct gnttab_transfer", 24 {
        /// Frame to give away.
        pub mfn: Mfn = "mfn",
        /// Receiver.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved0: u16 = "",
        /// Receiver's accept_transfer entry.
        pub reference: GrantRef = "ref",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Padding.
        pub reserved1: [u8; 6] = "",
    }

    /// One side of a copy.
    pub struct CopyPointer = "struct gnttab_copy_ptr", 16 {
        /// A grant reference (low 32 bits) or a frame of `domain`, as the flags say.
        pub target: u64 = "u",
        /// Granting domain, or owner of the frame.
        pub domain: DomainId = "domid",
        /// Byte offset in the page.
        pub offset: u16 = "offset",
        /// Padding.
        pub reserved: u32 = "",
    }

    /// Entry of copy.
    pub struct Copy = "struct gnttab_copy", 40 {
        /// From.
        pub source: CopyPointer = "source",
        /// To.
        pub destination: CopyPointer = "dest",
        /// Bytes.
        pub length: u16 = "len",
        /// Which sides are references.
        pub flags: CopyFlags = "flags",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Padding.
        pub reserved: u16 = "",
    }

    /// Argument of query_size.
    pub struct QuerySize = "struct gnttab_query_size", 16 {
        /// Whose table.
        pub domain: DomainId = "dom",
        /// Padding.
        pub reserved0: u16 = "",
        /// Out: frames in use.
        pub frames: u32 = "nr_frames",
        /// Out: limit.
        pub max_frames: u32 = "max_nr_frames",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Padding.
        pub reserved1: u16 = "",
    }

    /// Entry of unmap_and_replace.
    pub struct UnmapAndReplace = "struct gnttab_unmap_and_replace", 24 {
        /// Address of the mapping.
        pub host_address: u64 = "host_addr",
        /// Address whose PTE takes its place and becomes empty.
        pub new_address: u64 = "new_addr",
        /// The mapping.
        pub handle: GrantHandle = "handle",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Padding.
        pub reserved: u16 = "",
    }

    /// Argument of set_version.
    pub struct SetVersion = "struct gnttab_set_version", 4 {
        /// In: wanted, out: current.
        pub version: u32 = "version",
    }

    /// Argument of get_status_frames.
    pub struct GetStatusFrames = "struct gnttab_get_status_frames", 16 {
        /// Frames wanted.
        pub frames: u32 = "nr_frames",
        /// Whose table.
        pub domain: DomainId = "dom",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Out: frame numbers go here.
        pub frame_list: GuestHandle<u64> = "frame_list",
    }

    /// Argument of get_version.
    pub struct GetVersion = "struct gnttab_get_version", 8 {
        /// Whose table.
        pub domain: DomainId = "dom",
        /// Padding.
        pub reserved: u16 = "pad",
        /// Out: current version.
        pub version: u32 = "version",
    }

    /// Entry of swap_grant_ref.
    pub struct SwapGrantRef = "struct gnttab_swap_grant_ref", 12 {
        /// One entry.
        pub reference_a: GrantRef = "ref_a",
        /// The other.
        pub reference_b: GrantRef = "ref_b",
        /// Out: result.
        pub status: GrantStatus = "status",
        /// Padding.
        pub reserved: u16 = "",
    }

    /// Entry of cache_flush.
    pub struct CacheFlush = "struct gnttab_cache_flush", 16 {
        /// Machine address, or a grant reference (low 32 bits).
        pub target: u64 = "a",
        /// Byte offset in the page.
        pub offset: u16 = "offset",
        /// Bytes.
        pub length: u16 = "length",
        /// What to do.
        pub operation: CacheFlushFlags = "op",
    }
}
