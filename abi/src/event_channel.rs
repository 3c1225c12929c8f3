//! Event channels: operations, their arguments, and the words of both ABIs. Source: Xen public header `event_channel.h`.

use crate::{
    DomainId, Gfn, Pirq, Port, VcpuId, Virq,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of event_channel_op.
    pub struct EventChannelOperation(u32) {
        BIND_INTERDOMAIN = 0, "EVTCHNOP_bind_interdomain";
        BIND_VIRQ = 1, "EVTCHNOP_bind_virq";
        BIND_PIRQ = 2, "EVTCHNOP_bind_pirq";
        CLOSE = 3, "EVTCHNOP_close";
        SEND = 4, "EVTCHNOP_send";
        STATUS = 5, "EVTCHNOP_status";
        ALLOC_UNBOUND = 6, "EVTCHNOP_alloc_unbound";
        BIND_IPI = 7, "EVTCHNOP_bind_ipi";
        BIND_VCPU = 8, "EVTCHNOP_bind_vcpu";
        UNMASK = 9, "EVTCHNOP_unmask";
        RESET = 10, "EVTCHNOP_reset";
        INIT_CONTROL = 11, "EVTCHNOP_init_control";
        EXPAND_ARRAY = 12, "EVTCHNOP_expand_array";
        SET_PRIORITY = 13, "EVTCHNOP_set_priority";
        /// Continuation of reset inside Xen; in the header for Xen itself only (`EVTCHNOP_reset_cont`).
        RESET_CONTINUATION = 14, "";
    }

    /// State of a port as `status` reports it.
    pub struct ChannelStatus(u32) {
        CLOSED = 0, "EVTCHNSTAT_closed";
        UNBOUND = 1, "EVTCHNSTAT_unbound";
        INTERDOMAIN = 2, "EVTCHNSTAT_interdomain";
        PIRQ = 3, "EVTCHNSTAT_pirq";
        VIRQ = 4, "EVTCHNSTAT_virq";
        IPI = 5, "EVTCHNSTAT_ipi";
    }
}

constants! {
    /// Flag of bind_pirq: the interrupt line may be shared.
    pub const BIND_PIRQ_WILL_SHARE: u32 = 1, "BIND_PIRQ__WILL_SHARE";
    /// Ports of the 2-level ABI for a 64-bit guest.
    pub const TWO_LEVEL_PORTS: u32 = 4096, "EVTCHN_2L_NR_CHANNELS";
    /// Most urgent FIFO priority.
    pub const FIFO_PRIORITY_MAX: u32 = 0, "EVTCHN_FIFO_PRIORITY_MAX";
    /// Priority of a new FIFO port.
    pub const FIFO_PRIORITY_DEFAULT: u32 = 7, "EVTCHN_FIFO_PRIORITY_DEFAULT";
    /// Least urgent FIFO priority.
    pub const FIFO_PRIORITY_MIN: u32 = 15, "EVTCHN_FIFO_PRIORITY_MIN";
    /// FIFO queues per vCPU.
    pub const FIFO_QUEUES: usize = 16, "EVTCHN_FIFO_MAX_QUEUES";
    /// Bit number of "event pending" in an event word.
    pub const FIFO_PENDING: u32 = 31, "EVTCHN_FIFO_PENDING";
    /// Bit number of "masked by the guest".
    pub const FIFO_MASKED: u32 = 30, "EVTCHN_FIFO_MASKED";
    /// Bit number of "linked into a queue".
    pub const FIFO_LINKED: u32 = 29, "EVTCHN_FIFO_LINKED";
    /// Bit number of "being linked".
    pub const FIFO_BUSY: u32 = 28, "EVTCHN_FIFO_BUSY";
    /// Width of the link field.
    pub const FIFO_LINK_BITS: u32 = 17, "EVTCHN_FIFO_LINK_BITS";
    /// Mask of the link field.
    pub const FIFO_LINK_MASK: u32 = 0x1_FFFF, "EVTCHN_FIFO_LINK_MASK";
    /// Ports of the FIFO ABI.
    pub const FIFO_PORTS: u32 = 131_072, "EVTCHN_FIFO_NR_CHANNELS";
}

/// Event words per page of the FIFO array.
pub const FIFO_WORDS_PER_PAGE: u32 = 1024;

wire! {
    /// Argument of alloc_unbound.
    pub struct AllocUnbound = "struct evtchn_alloc_unbound", 8 {
        /// Owner of the new port.
        pub domain: DomainId = "dom",
        /// Who may bind to it.
        pub remote_domain: DomainId = "remote_dom",
        /// Out: the new port.
        pub port: Port = "port",
    }

    /// Argument of bind_interdomain.
    pub struct BindInterdomain = "struct evtchn_bind_interdomain", 12 {
        /// Owner of the unbound port.
        pub remote_domain: DomainId = "remote_dom",
        /// Padding.
        pub reserved: u16 = "",
        /// The unbound port.
        pub remote_port: Port = "remote_port",
        /// Out: the caller's new port.
        pub local_port: Port = "local_port",
    }

    /// Argument of bind_virq.
    pub struct BindVirq = "struct evtchn_bind_virq", 12 {
        /// Virtual interrupt.
        pub virq: Virq = "virq",
        /// vCPU; 0 for global VIRQs.
        pub vcpu: VcpuId = "vcpu",
        /// Out: the new port.
        pub port: Port = "port",
    }

    /// Argument of bind_pirq.
    pub struct BindPirq = "struct evtchn_bind_pirq", 12 {
        /// Physical interrupt as the caller knows it.
        pub pirq: Pirq = "pirq",
        /// [`BIND_PIRQ_WILL_SHARE`] or 0.
        pub flags: u32 = "flags",
        /// Out: the new port.
        pub port: Port = "port",
    }

    /// Argument of bind_ipi.
    pub struct BindIpi = "struct evtchn_bind_ipi", 8 {
        /// vCPU to notify.
        pub vcpu: VcpuId = "vcpu",
        /// Out: the new port.
        pub port: Port = "port",
    }

    /// Argument of close.
    pub struct Close = "struct evtchn_close", 4 {
        /// Port to close.
        pub port: Port = "port",
    }

    /// Argument of send.
    pub struct Send = "struct evtchn_send", 4 {
        /// Local port.
        pub port: Port = "port",
    }

    /// Argument of status.
    pub struct Status = "struct evtchn_status", 24 {
        /// Owner of the port.
        pub domain: DomainId = "dom",
        /// Padding.
        pub reserved: u16 = "",
        /// Port asked about.
        pub port: Port = "port",
        /// Out: state.
        pub status: ChannelStatus = "status",
        /// Out: vCPU that is notified.
        pub vcpu: VcpuId = "vcpu",
        /// Out: pirq or virq; or in the low 16 bits the domain of an unbound or interdomain port (`u.*.dom`).
        pub target: u32 = "u.pirq",
        /// Out: the remote port of an interdomain port.
        pub remote_port: Port = "u.interdomain.port",
    }

    /// Argument of bind_vcpu.
    pub struct BindVcpu = "struct evtchn_bind_vcpu", 8 {
        /// Local port.
        pub port: Port = "port",
        /// vCPU to notify.
        pub vcpu: VcpuId = "vcpu",
    }

    /// Argument of unmask.
    pub struct Unmask = "struct evtchn_unmask", 4 {
        /// Local port.
        pub port: Port = "port",
    }

    /// Argument of reset.
    pub struct Reset = "struct evtchn_reset", 2 {
        /// Whose ports.
        pub domain: DomainId = "dom",
    }

    /// Argument of init_control.
    pub struct InitControl = "struct evtchn_init_control", 24 {
        /// Page that holds the control block.
        pub control_gfn: Gfn = "control_gfn",
        /// Offset of the block in the page; a multiple of 8.
        pub offset: u32 = "offset",
        /// vCPU it belongs to.
        pub vcpu: VcpuId = "vcpu",
        /// Out: [`FIFO_LINK_BITS`].
        pub link_bits: u8 = "link_bits",
        /// Padding.
        pub reserved: [u8; 7] = "_pad",
    }

    /// Argument of expand_array.
    pub struct ExpandArray = "struct evtchn_expand_array", 8 {
        /// Page to add.
        pub array_gfn: Gfn = "array_gfn",
    }

    /// Argument of set_priority.
    pub struct SetPriority = "struct evtchn_set_priority", 8 {
        /// Local port.
        pub port: Port = "port",
        /// 0 (most urgent) to 15.
        pub priority: u32 = "priority",
    }

    /// Argument of the old event_channel_op_compat: command and argument in one.
    pub struct EventChannelOpCompat = "struct evtchn_op", 28 {
        /// Sub-operation, up to unmask.
        pub command: EventChannelOperation = "cmd",
        /// The argument struct of the sub-operation.
        pub argument: [u8; 24] = "u",
    }

    /// Control block of one vCPU in guest memory; touched through atomics only, this type gives the offsets.
    pub struct FifoControlBlock = "struct evtchn_fifo_control_block", 72 {
        /// Bit per queue that is not empty.
        pub ready: u32 = "ready",
        /// Padding.
        pub reserved: u32 = "_rsvd",
        /// First port of each queue, 0 for none.
        pub head: [u32; 16] = "head",
    }
}
