//! memory_op. Source: Xen public header `memory.h`.

use crate::{
    DomainId, Gfn, GuestHandle, Mfn,
    layout::{constants, numbers, wire},
    physdev::PciDevice,
};

numbers! {
    /// Sub-operation of memory_op: the low [`OPERATION_BITS`] bits of the command; the rest is the progress.
    pub struct MemoryOperation(u32) {
        INCREASE_RESERVATION = 0, "XENMEM_increase_reservation";
        DECREASE_RESERVATION = 1, "XENMEM_decrease_reservation";
        MAXIMUM_RAM_PAGE = 2, "XENMEM_maximum_ram_page";
        CURRENT_RESERVATION = 3, "XENMEM_current_reservation";
        MAXIMUM_RESERVATION = 4, "XENMEM_maximum_reservation";
        MACHPHYS_MFN_LIST = 5, "XENMEM_machphys_mfn_list";
        POPULATE_PHYSMAP = 6, "XENMEM_populate_physmap";
        ADD_TO_PHYSMAP = 7, "XENMEM_add_to_physmap";
        MEMORY_MAP = 9, "XENMEM_memory_map";
        MACHINE_MEMORY_MAP = 10, "XENMEM_machine_memory_map";
        EXCHANGE = 11, "XENMEM_exchange";
        MACHPHYS_MAPPING = 12, "XENMEM_machphys_mapping";
        SET_MEMORY_MAP = 13, "XENMEM_set_memory_map";
        MAXIMUM_GPFN = 14, "XENMEM_maximum_gpfn";
        REMOVE_FROM_PHYSMAP = 15, "XENMEM_remove_from_physmap";
        SET_POD_TARGET = 16, "XENMEM_set_pod_target";
        GET_POD_TARGET = 17, "XENMEM_get_pod_target";
        GET_SHARING_FREED_PAGES = 18, "XENMEM_get_sharing_freed_pages";
        GET_SHARING_SHARED_PAGES = 19, "XENMEM_get_sharing_shared_pages";
        PAGING_OP = 20, "XENMEM_paging_op";
        ACCESS_OP = 21, "XENMEM_access_op";
        SHARING_OP = 22, "XENMEM_sharing_op";
        ADD_TO_PHYSMAP_BATCH = 23, "XENMEM_add_to_physmap_batch";
        CLAIM_PAGES = 24, "XENMEM_claim_pages";
        MACHPHYS_COMPAT_MFN_LIST = 25, "XENMEM_machphys_compat_mfn_list";
        GET_VNUMAINFO = 26, "XENMEM_get_vnumainfo";
        RESERVED_DEVICE_MEMORY_MAP = 27, "XENMEM_reserved_device_memory_map";
        ACQUIRE_RESOURCE = 28, "XENMEM_acquire_resource";
        /// Qubes only: translates PFNs of another domain.
        GET_MFN_FROM_PFN = 29, "";
    }

    /// Flags of a reservation. Bits 7:0 are a limit of the address width, bits 15:8 a node plus one.
    pub struct MemoryFlags(u32) {
        POPULATE_ON_DEMAND = 1 << 16, "XENMEMF_populate_on_demand";
        EXACT_NODE_REQUEST = 1 << 17, "XENMEMF_exact_node_request";
        VNODE = 1 << 18, "XENMEMF_vnode";
    }

    /// What add_to_physmap maps.
    pub struct MapSpace(u32) {
        SHARED_INFO = 0, "XENMAPSPACE_shared_info";
        GRANT_TABLE = 1, "XENMAPSPACE_grant_table";
        GMFN = 2, "XENMAPSPACE_gmfn";
        GMFN_RANGE = 3, "XENMAPSPACE_gmfn_range";
        GMFN_FOREIGN = 4, "XENMAPSPACE_gmfn_foreign";
        DEV_MMIO = 5, "XENMAPSPACE_dev_mmio";
    }

    /// What acquire_resource asks for.
    pub struct ResourceType(u16) {
        IOREQ_SERVER = 0, "XENMEM_resource_ioreq_server";
        GRANT_TABLE = 1, "XENMEM_resource_grant_table";
        VMTRACE_BUFFER = 2, "XENMEM_resource_vmtrace_buf";
    }
}

constants! {
    /// Bit of a grant-table index that selects the status frames.
    pub const MAP_INDEX_GRANT_STATUS: u64 = 0x8000_0000, "XENMAPIDX_grant_table_status";
    /// acquire_resource id of the shared grant frames.
    pub const RESOURCE_GRANT_TABLE_SHARED: u32 = 0, "XENMEM_resource_grant_table_id_shared";
    /// acquire_resource id of the grant status frames.
    pub const RESOURCE_GRANT_TABLE_STATUS: u32 = 1, "XENMEM_resource_grant_table_id_status";
    /// acquire_resource frame of the buffered ioreq page.
    pub const RESOURCE_FRAME_BUFIOREQ: u64 = 0, "XENMEM_resource_ioreq_server_frame_bufioreq";
    /// Flag of reserved_device_memory_map: all devices.
    pub const RESERVED_MEMORY_ALL: u32 = 1, "XENMEM_RDM_ALL";
}

/// Bits of the command that are the sub-operation; the start extent lies above. Not in the public headers.
pub const OPERATION_BITS: u32 = 6;

impl MemoryFlags {
    /// Limit of the machine address width in bits, 0 for none.
    pub const fn address_bits(self) -> u32 {
        self.0 & 0xFF
    }

    /// The wanted NUMA node, 0xFF for none.
    pub const fn node(self) -> u32 {
        (self.0 >> 8).wrapping_sub(1) & 0xFF
    }
}

wire! {
    /// Argument of increase_reservation, decrease_reservation, populate_physmap, claim_pages; half of exchange.
    pub struct MemoryReservation = "struct xen_memory_reservation", 32 {
        /// Frames in or out, as the operation says.
        pub extent_start: GuestHandle<Gfn> = "extent_start",
        /// Number of extents.
        pub extent_count: u64 = "nr_extents",
        /// log2 of the pages of an extent.
        pub extent_order: u32 = "extent_order",
        /// Where the memory may lie.
        pub flags: MemoryFlags = "mem_flags",
        /// Whose memory.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved: [u8; 6] = "",
    }

    /// Argument of exchange.
    pub struct MemoryExchange = "struct xen_memory_exchange", 72 {
        /// Extents given.
        pub input: MemoryReservation = "in",
        /// Extents wanted.
        pub output: MemoryReservation = "out",
        /// Out, and in on continuation: input extents done. Must be 0 at first.
        pub exchanged: u64 = "nr_exchanged",
    }

    /// Argument of current_reservation, maximum_reservation and maximum_gpfn.
    pub struct MemoryDomain = "struct xen_memory_domain", 2 {
        /// Which domain.
        pub domain: DomainId = "domid",
    }

    /// Argument of machphys_mfn_list and machphys_compat_mfn_list.
    pub struct MachphysMfnList = "struct xen_machphys_mfn_list", 24 {
        /// Room in the array.
        pub max_extents: u32 = "max_extents",
        /// Padding.
        pub reserved0: u32 = "",
        /// Out: MFNs of the table's 2 MiB pieces.
        pub extent_start: GuestHandle<Mfn> = "extent_start",
        /// Out: how many were written.
        pub extent_count: u32 = "nr_extents",
        /// Padding.
        pub reserved1: u32 = "",
    }

    /// Result of machphys_mapping.
    pub struct MachphysMapping = "struct xen_machphys_mapping", 24 {
        /// First virtual address.
        pub start: u64 = "v_start",
        /// First virtual address after it.
        pub end: u64 = "v_end",
        /// Highest MFN with an entry.
        pub max_mfn: Mfn = "max_mfn",
    }

    /// Argument of add_to_physmap.
    pub struct AddToPhysmap = "struct xen_add_to_physmap", 24 {
        /// Whose address space.
        pub domain: DomainId = "domid",
        /// Pages, for a range.
        pub size: u16 = "size",
        /// What to map.
        pub space: MapSpace = "space",
        /// Index in the space.
        pub index: u64 = "idx",
        /// Where.
        pub gfn: Gfn = "gpfn",
    }

    /// Argument of add_to_physmap_batch.
    pub struct AddToPhysmapBatch = "struct xen_add_to_physmap_batch", 32 {
        /// Whose address space.
        pub domain: DomainId = "domid",
        /// A [`MapSpace`].
        pub space: u16 = "space",
        /// Entries of the arrays.
        pub size: u16 = "size",
        /// Owner of the pages if the space is foreign, else 0.
        pub foreign_domain: DomainId = "u.foreign_domid",
        /// Indices in the space.
        pub indices: GuestHandle<u64> = "idxs",
        /// Where.
        pub gfns: GuestHandle<Gfn> = "gpfns",
        /// Out: result of each.
        pub errors: GuestHandle<i32> = "errs",
    }

    /// Argument of remove_from_physmap.
    pub struct RemoveFromPhysmap = "struct xen_remove_from_physmap", 16 {
        /// Whose address space.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved: [u8; 6] = "",
        /// What to remove.
        pub gfn: Gfn = "gpfn",
    }

    /// Argument of memory_map and machine_memory_map.
    pub struct MemoryMap = "struct xen_memory_map", 16 {
        /// In: room, out: entries.
        pub entry_count: u32 = "nr_entries",
        /// Padding.
        pub reserved: u32 = "",
        /// Out: the map.
        pub buffer: GuestHandle<E820Entry> = "buffer",
    }

    /// Argument of set_memory_map.
    pub struct ForeignMemoryMap = "struct xen_foreign_memory_map", 24 {
        /// Whose map.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved: [u8; 6] = "",
        /// The map.
        pub map: MemoryMap = "map",
    }

    /// An entry of a memory map, as the BIOS call E820 defines it. Not in the public headers.
    pub struct E820Entry = "", 20 {
        /// First byte; unaligned halves, low first.
        pub address: [u32; 2] = "",
        /// Bytes, halves as above.
        pub size: [u32; 2] = "",
        /// 1 RAM, 2 reserved, 3 ACPI, 4 NVS, 5 unusable.
        pub kind: u32 = "",
    }

    /// Argument of set_pod_target and get_pod_target.
    pub struct PodTarget = "struct xen_pod_target", 40 {
        /// Pages wanted.
        pub target_pages: u64 = "target_pages",
        /// Out.
        pub total_pages: u64 = "tot_pages",
        /// Out.
        pub cache_pages: u64 = "pod_cache_pages",
        /// Out.
        pub entries: u64 = "pod_entries",
        /// Whose.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved: [u8; 6] = "",
    }

    /// A range that devices need mapped one to one.
    pub struct ReservedDeviceMemory = "struct xen_reserved_device_memory", 16 {
        /// First frame.
        pub start: Mfn = "start_pfn",
        /// Frames.
        pub pages: u64 = "nr_pages",
    }

    /// Argument of reserved_device_memory_map.
    pub struct ReservedDeviceMemoryMap = "struct xen_reserved_device_memory_map", 24 {
        /// [`RESERVED_MEMORY_ALL`] or 0.
        pub flags: u32 = "flags",
        /// In: room, out: needed.
        pub entry_count: u32 = "nr_entries",
        /// Out: the ranges.
        pub buffer: GuestHandle<ReservedDeviceMemory> = "buffer",
        /// Which device, without the flag.
        pub device: PciDevice = "dev.pci",
        /// Padding.
        pub reserved: u32 = "",
    }

    /// Argument of access_op.
    pub struct AccessOperation = "struct xen_mem_access_op", 32 {
        /// Sub-operation.
        pub command: u8 = "op",
        /// Rights.
        pub access: u8 = "access",
        /// Whose pages.
        pub domain: DomainId = "domid",
        /// How many.
        pub count: u32 = "nr",
        /// First page, or an index.
        pub pfn: u64 = "pfn",
        /// List of pages.
        pub pfn_list: GuestHandle<u64> = "pfn_list",
        /// List of rights.
        pub access_list: GuestHandle<u8> = "access_list",
    }

    /// Argument of acquire_resource.
    pub struct AcquireResource = "struct xen_mem_acquire_resource", 32 {
        /// Owner.
        pub domain: DomainId = "domid",
        /// Kind.
        pub kind: ResourceType = "type",
        /// Which one of the kind.
        pub id: u32 = "id",
        /// In: frames wanted, out for a null list: frames there are.
        pub frame_count: u32 = "nr_frames",
        /// Must be 0.
        pub reserved: u32 = "pad",
        /// First frame of the resource.
        pub frame: u64 = "frame",
        /// In for translated callers: where to map; out for PV callers: MFNs.
        pub frame_list: GuestHandle<Gfn> = "frame_list",
    }

    /// Range of a vNUMA node.
    pub struct VirtualMemoryRange = "struct xen_vmemrange", 24 {
        /// First byte.
        pub start: u64 = "start",
        /// First byte after it.
        pub end: u64 = "end",
        /// Flags.
        pub flags: u32 = "flags",
        /// Node.
        pub node: u32 = "nid",
    }

    /// Argument of get_vnumainfo.
    pub struct VnumaTopology = "struct xen_vnuma_topology_info", 40 {
        /// Whose.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved: u16 = "pad",
        /// In: room, out: nodes.
        pub vnode_count: u32 = "nr_vnodes",
        /// In: room, out: vCPUs.
        pub vcpu_count: u32 = "nr_vcpus",
        /// In: room, out: ranges.
        pub range_count: u32 = "nr_vmemranges",
        /// Out: distances.
        pub distance: GuestHandle<u32> = "vdistance",
        /// Out: node of each vCPU.
        pub vcpu_to_vnode: GuestHandle<u32> = "vcpu_to_vnode",
        /// Out: ranges.
        pub ranges: GuestHandle<VirtualMemoryRange> = "vmemrange",
    }
}

impl E820Entry {
    /// An entry for `size` bytes from `address`.
    pub const fn new(address: u64, size: u64, kind: u32) -> Self {
        Self { address: [address as u32, (address >> 32) as u32], size: [size as u32, (size >> 32) as u32], kind }
    }

    /// First byte.
    pub const fn start(self) -> u64 {
        let [low, high] = self.address;
        (high as u64) << 32 | low as u64
    }

    /// Number of bytes.
    pub const fn bytes(self) -> u64 {
        let [low, high] = self.size;
        (high as u64) << 32 | low as u64
    }
}
