//! Public constants and types of this crate outside the blocks that leave lists behind, with what they are in C.

use abi::{DomainId, Virq};

/// Path below `abi`, C expression, value.
pub const CONSTANTS: &[(&str, &str, i64)] = &[
    ("ids::DomainId::FIRST_RESERVED", "DOMID_FIRST_RESERVED", DomainId::FIRST_RESERVED.0 as i64),
    ("ids::DomainId::SELF", "DOMID_SELF", DomainId::SELF.0 as i64),
    ("ids::DomainId::IO", "DOMID_IO", DomainId::IO.0 as i64),
    ("ids::DomainId::XEN", "DOMID_XEN", DomainId::XEN.0 as i64),
    ("ids::DomainId::COW", "DOMID_COW", DomainId::COW.0 as i64),
    ("ids::DomainId::INVALID", "DOMID_INVALID", DomainId::INVALID.0 as i64),
    ("ids::DomainId::IDLE", "DOMID_IDLE", DomainId::IDLE.0 as i64),
    ("ids::Virq::COUNT", "NR_VIRQS", Virq::COUNT as i64),
    ("ids::Virq::TIMER", "VIRQ_TIMER", Virq::TIMER.0 as i64),
    ("ids::Virq::DEBUG", "VIRQ_DEBUG", Virq::DEBUG.0 as i64),
    ("ids::Virq::CONSOLE", "VIRQ_CONSOLE", Virq::CONSOLE.0 as i64),
    ("ids::Virq::DOM_EXC", "VIRQ_DOM_EXC", Virq::DOM_EXC.0 as i64),
    ("ids::Virq::TBUF", "VIRQ_TBUF", Virq::TBUF.0 as i64),
    ("ids::Virq::DEBUGGER", "VIRQ_DEBUGGER", Virq::DEBUGGER.0 as i64),
    ("ids::Virq::XENOPROF", "VIRQ_XENOPROF", Virq::XENOPROF.0 as i64),
    ("ids::Virq::CON_RING", "VIRQ_CON_RING", Virq::CON_RING.0 as i64),
    ("ids::Virq::PCPU_STATE", "VIRQ_PCPU_STATE", Virq::PCPU_STATE.0 as i64),
    ("ids::Virq::MEM_EVENT", "VIRQ_MEM_EVENT", Virq::MEM_EVENT.0 as i64),
    ("ids::Virq::ARGO", "VIRQ_ARGO", Virq::ARGO.0 as i64),
    ("ids::Virq::ENOMEM", "VIRQ_ENOMEM", Virq::ENOMEM.0 as i64),
    ("ids::Virq::XENPMU", "VIRQ_XENPMU", Virq::XENPMU.0 as i64),
    ("ids::Virq::MCA", "VIRQ_MCA", Virq::MCA.0 as i64),
    (
        "event_channel::FIFO_WORDS_PER_PAGE",
        "4096 / sizeof(event_word_t)",
        abi::event_channel::FIFO_WORDS_PER_PAGE as i64,
    ),
    ("frame::HYPERVISOR_START", "HYPERVISOR_VIRT_START", abi::frame::HYPERVISOR_START as i64),
    ("frame::HYPERVISOR_END", "HYPERVISOR_VIRT_END", abi::frame::HYPERVISOR_END as i64),
    (
        "grant_table::V1_ENTRIES_PER_PAGE",
        "4096 / sizeof(grant_entry_v1_t)",
        abi::grant_table::V1_ENTRIES_PER_PAGE as i64,
    ),
    (
        "grant_table::V2_ENTRIES_PER_PAGE",
        "4096 / sizeof(grant_entry_v2_t)",
        abi::grant_table::V2_ENTRIES_PER_PAGE as i64,
    ),
    (
        "grant_table::STATUS_WORDS_PER_PAGE",
        "4096 / sizeof(grant_status_t)",
        abi::grant_table::STATUS_WORDS_PER_PAGE as i64,
    ),
    ("version::INTERFACE_VERSION", "__XEN_LATEST_INTERFACE_VERSION__ @4.17", abi::version::INTERFACE_VERSION as i64),
];

/// Types that are one number: path below `abi`, C type, size.
pub const NUMBER_TYPES: &[(&str, &str, usize)] = &[
    ("ids::DomainId", "domid_t", size_of::<DomainId>()),
    ("ids::Port", "evtchn_port_t", size_of::<abi::Port>()),
    ("ids::GrantRef", "grant_ref_t", size_of::<abi::GrantRef>()),
    ("ids::GrantHandle", "grant_handle_t", size_of::<abi::GrantHandle>()),
    ("frame::Mfn", "xen_pfn_t", size_of::<abi::Mfn>()),
    ("frame::Gfn", "xen_pfn_t", size_of::<abi::Gfn>()),
    ("frame::Pfn", "xen_pfn_t", size_of::<abi::Pfn>()),
    ("frame::MachineAddress", "uint64_t", size_of::<abi::MachineAddress>()),
    ("frame::GuestVirtual", "unsigned long", size_of::<abi::GuestVirtual>()),
    ("ids::VcpuId", "((evtchn_bind_vcpu_t *)0)->vcpu", size_of::<abi::VcpuId>()),
    ("ids::Virq", "((evtchn_bind_virq_t *)0)->virq", size_of::<Virq>()),
    ("ids::Pirq", "((evtchn_bind_pirq_t *)0)->pirq", size_of::<abi::Pirq>()),
    ("handle::GuestHandle", "XEN_GUEST_HANDLE(void)", size_of::<abi::GuestHandle<u8>>()),
];
