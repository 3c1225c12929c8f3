//! physdev_op. Source: Xen public header `physdev.h`.

use crate::{
    DomainId, Gfn, GuestHandle,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of physdev_op.
    pub struct PhysdevOperation(u32) {
        IRQ_UNMASK_NOTIFY = 4, "PHYSDEVOP_IRQ_UNMASK_NOTIFY";
        IRQ_STATUS_QUERY = 5, "PHYSDEVOP_irq_status_query";
        SET_IOPL = 6, "PHYSDEVOP_set_iopl";
        SET_IOBITMAP = 7, "PHYSDEVOP_set_iobitmap";
        APIC_READ = 8, "PHYSDEVOP_apic_read";
        APIC_WRITE = 9, "PHYSDEVOP_apic_write";
        ALLOC_IRQ_VECTOR = 10, "PHYSDEVOP_alloc_irq_vector";
        FREE_IRQ_VECTOR = 11, "PHYSDEVOP_free_irq_vector";
        EOI = 12, "PHYSDEVOP_eoi";
        MAP_PIRQ = 13, "PHYSDEVOP_map_pirq";
        UNMAP_PIRQ = 14, "PHYSDEVOP_unmap_pirq";
        MANAGE_PCI_ADD = 15, "PHYSDEVOP_manage_pci_add";
        MANAGE_PCI_REMOVE = 16, "PHYSDEVOP_manage_pci_remove";
        PIRQ_EOI_GMFN_V1 = 17, "PHYSDEVOP_pirq_eoi_gmfn_v1";
        RESTORE_MSI = 19, "PHYSDEVOP_restore_msi";
        MANAGE_PCI_ADD_EXT = 20, "PHYSDEVOP_manage_pci_add_ext";
        SETUP_GSI = 21, "PHYSDEVOP_setup_gsi";
        GET_FREE_PIRQ = 23, "PHYSDEVOP_get_free_pirq";
        PCI_MMCFG_RESERVED = 24, "PHYSDEVOP_pci_mmcfg_reserved";
        PCI_DEVICE_ADD = 25, "PHYSDEVOP_pci_device_add";
        PCI_DEVICE_REMOVE = 26, "PHYSDEVOP_pci_device_remove";
        RESTORE_MSI_EXT = 27, "PHYSDEVOP_restore_msi_ext";
        PIRQ_EOI_GMFN_V2 = 28, "PHYSDEVOP_pirq_eoi_gmfn_v2";
        DBGP_OP = 29, "PHYSDEVOP_dbgp_op";
        PREPARE_MSIX = 30, "PHYSDEVOP_prepare_msix";
        RELEASE_MSIX = 31, "PHYSDEVOP_release_msix";
        /// From Xen 4.20 on.
        PCI_DEVICE_RESET = 32, "PHYSDEVOP_pci_device_reset";
    }

    /// What map_pirq maps.
    pub struct MapPirqType(i32) {
        MSI = 0, "MAP_PIRQ_TYPE_MSI";
        GSI = 1, "MAP_PIRQ_TYPE_GSI";
        UNKNOWN = 2, "MAP_PIRQ_TYPE_UNKNOWN";
        MSI_SEG = 3, "MAP_PIRQ_TYPE_MSI_SEG";
        MULTI_MSI = 4, "MAP_PIRQ_TYPE_MULTI_MSI";
    }

    /// Result flags of irq_status_query.
    pub struct IrqStatusFlags(u32) {
        NEEDS_EOI = 1 << 0, "XENIRQSTAT_needs_eoi";
        SHARED = 1 << 1, "XENIRQSTAT_shared";
    }

    /// Flags of pci_device_add.
    pub struct PciDeviceFlags(u32) {
        EXTENDED_FUNCTION = 1 << 0, "XEN_PCI_DEV_EXTFN";
        VIRTUAL_FUNCTION = 1 << 1, "XEN_PCI_DEV_VIRTFN";
        PROXIMITY = 1 << 2, "XEN_PCI_DEV_PXM";
    }

    /// What dbgp_op announces.
    pub struct DebugPortOperation(u8) {
        RESET_PREPARE = 1, "PHYSDEVOP_DBGP_RESET_PREPARE";
        RESET_DONE = 2, "PHYSDEVOP_DBGP_RESET_DONE";
    }

    /// Bus of a debug port.
    pub struct DebugPortBus(u8) {
        UNKNOWN = 0, "PHYSDEVOP_DBGP_BUS_UNKNOWN";
        PCI = 1, "PHYSDEVOP_DBGP_BUS_PCI";
    }
}

constants! {
    /// Flag of pci_mmcfg_reserved: the range is reserved in the memory map.
    pub const MMCFG_RESERVED: u32 = 1, "XEN_PCI_MMCFG_RESERVED";
}

wire! {
    /// Argument of eoi.
    pub struct Eoi = "struct physdev_eoi", 4 {
        /// A pirq.
        pub irq: u32 = "irq",
    }

    /// Argument of pirq_eoi_gmfn_v1 and v2.
    pub struct PirqEoiGmfn = "struct physdev_pirq_eoi_gmfn", 8 {
        /// Page for the bitmap.
        pub gfn: Gfn = "gmfn",
    }

    /// Argument of irq_status_query.
    pub struct IrqStatusQuery = "struct physdev_irq_status_query", 8 {
        /// A pirq.
        pub irq: u32 = "irq",
        /// Out.
        pub flags: IrqStatusFlags = "flags",
    }

    /// Argument of set_iopl.
    pub struct SetIopl = "struct physdev_set_iopl", 4 {
        /// 0 to 3.
        pub iopl: u32 = "iopl",
    }

    /// Argument of set_iobitmap.
    pub struct SetIobitmap = "struct physdev_set_iobitmap", 16 {
        /// Bit per port, clear for allowed.
        pub bitmap: GuestHandle<u8> = "bitmap",
        /// Ports it covers.
        pub port_count: u32 = "nr_ports",
        /// Padding.
        pub reserved: u32 = "",
    }

    /// Argument of apic_read and apic_write.
    pub struct Apic = "struct physdev_apic", 16 {
        /// Physical address of the I/O APIC.
        pub physical_base: u64 = "apic_physbase",
        /// Register.
        pub register: u32 = "reg",
        /// In or out.
        pub value: u32 = "value",
    }

    /// Argument of alloc_irq_vector and free_irq_vector.
    pub struct IrqVector = "struct physdev_irq", 8 {
        /// Interrupt.
        pub irq: u32 = "irq",
        /// Out: a made-up vector.
        pub vector: u32 = "vector",
    }

    /// Argument of map_pirq.
    pub struct MapPirq = "struct physdev_map_pirq", 40 {
        /// Whose.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved0: u16 = "",
        /// Kind.
        pub kind: MapPirqType = "type",
        /// GSI, or -1 for MSI.
        pub index: i32 = "index",
        /// In: wanted or negative, out: the pirq.
        pub pirq: i32 = "pirq",
        /// Bus, and segment in the upper half for the `MSI_SEG` kinds.
        pub bus: i32 = "bus",
        /// Device and function.
        pub devfn: i32 = "devfn",
        /// MSI-X entry, or number of vectors (in and out) for multi-MSI.
        pub entry: i32 = "entry_nr",
        /// Padding.
        pub reserved1: u32 = "",
        /// Physical address of the MSI-X table, 0 for MSI.
        pub table_base: u64 = "table_base",
    }

    /// Argument of unmap_pirq.
    pub struct UnmapPirq = "struct physdev_unmap_pirq", 8 {
        /// Whose.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved: u16 = "",
        /// Which.
        pub pirq: i32 = "pirq",
    }

    /// Argument of manage_pci_add and manage_pci_remove.
    pub struct ManagePci = "struct physdev_manage_pci", 2 {
        /// Bus.
        pub bus: u8 = "bus",
        /// Device and function.
        pub devfn: u8 = "devfn",
    }

    /// Argument of restore_msi.
    pub struct RestoreMsi = "struct physdev_restore_msi", 2 {
        /// Bus.
        pub bus: u8 = "bus",
        /// Device and function.
        pub devfn: u8 = "devfn",
    }

    /// Argument of manage_pci_add_ext.
    pub struct ManagePciExt = "struct physdev_manage_pci_ext", 16 {
        /// Bus.
        pub bus: u8 = "bus",
        /// Device and function.
        pub devfn: u8 = "devfn",
        /// Padding.
        pub reserved0: u16 = "",
        /// Nonzero for an extended function.
        pub is_extended_function: u32 = "is_extfn",
        /// Nonzero for a virtual function.
        pub is_virtual_function: u32 = "is_virtfn",
        /// Bus of the physical function.
        pub physical_bus: u8 = "physfn.bus",
        /// Device and function of the physical function.
        pub physical_devfn: u8 = "physfn.devfn",
        /// Padding.
        pub reserved1: u16 = "",
    }

    /// Argument of the old physdev_op_compat: command and argument in one.
    pub struct PhysdevOpCompat = "struct physdev_op", 24 {
        /// Sub-operation, up to free_irq_vector.
        pub command: PhysdevOperation = "cmd",
        /// Padding.
        pub reserved: u32 = "",
        /// The argument struct of the sub-operation.
        pub argument: [u64; 2] = "u",
    }

    /// Argument of setup_gsi.
    pub struct SetupGsi = "struct physdev_setup_gsi", 8 {
        /// Which.
        pub gsi: i32 = "gsi",
        /// 0 edge, 1 level.
        pub triggering: u8 = "triggering",
        /// 0 high, 1 low.
        pub polarity: u8 = "polarity",
        /// Padding.
        pub reserved: u16 = "",
    }

    /// Argument of get_free_pirq.
    pub struct GetFreePirq = "struct physdev_get_free_pirq", 8 {
        /// Kind.
        pub kind: MapPirqType = "type",
        /// Out.
        pub pirq: u32 = "pirq",
    }

    /// Argument of pci_mmcfg_reserved.
    pub struct PciMmcfgReserved = "struct physdev_pci_mmcfg_reserved", 16 {
        /// Physical address.
        pub address: u64 = "address",
        /// Segment.
        pub segment: u16 = "segment",
        /// First bus.
        pub start_bus: u8 = "start_bus",
        /// Last bus.
        pub end_bus: u8 = "end_bus",
        /// [`MMCFG_RESERVED`] or 0.
        pub flags: u32 = "flags",
    }

    /// Head of the argument of pci_device_add; optional words follow at offset 12.
    pub struct PciDeviceAdd = "struct physdev_pci_device_add", 12 {
        /// Segment.
        pub segment: u16 = "seg",
        /// Bus.
        pub bus: u8 = "bus",
        /// Device and function.
        pub devfn: u8 = "devfn",
        /// What it is.
        pub flags: PciDeviceFlags = "flags",
        /// Bus of the physical function.
        pub physical_bus: u8 = "physfn.bus",
        /// Device and function of the physical function.
        pub physical_devfn: u8 = "physfn.devfn",
        /// Padding.
        pub reserved: u16 = "",
    }

    /// Argument of pci_device_remove, restore_msi_ext, prepare_msix, release_msix.
    pub struct PciDevice = "struct physdev_pci_device", 4 {
        /// Segment.
        pub segment: u16 = "seg",
        /// Bus.
        pub bus: u8 = "bus",
        /// Device and function.
        pub devfn: u8 = "devfn",
    }

    /// Argument of dbgp_op.
    pub struct DebugPort = "struct physdev_dbgp_op", 6 {
        /// What.
        pub operation: DebugPortOperation = "op",
        /// Which bus.
        pub bus: DebugPortBus = "bus",
        /// The controller.
        pub device: PciDevice = "u.pci",
    }
}
