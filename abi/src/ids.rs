//! Small identifiers that cross the interface, each its own type so that they cannot be mixed up.
//!
//! Source: Xen public headers `xen.h` (domids, VIRQs), `event_channel.h` (ports), `grant_table.h` (references),
//! `physdev.h` (pirqs). All are numbers from outside: any value can turn up, and only a lookup gives one meaning.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

macro_rules! id {
    ($(#[$attribute:meta])* $name:ident($inner:ty)) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl core::fmt::Display for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

id! {
    /// A domain, or one of the special values below.
    DomainId(u16)
}
id! {
    /// A virtual CPU within its domain.
    VcpuId(u32)
}
id! {
    /// An event channel port within its domain; port 0 is never valid.
    Port(u32)
}
id! {
    /// An index into a domain's grant table.
    GrantRef(u32)
}
id! {
    /// A handle of the mapping domain that names one grant mapping.
    GrantHandle(u32)
}
id! {
    /// A virtual interrupt number, 0 to 23.
    Virq(u32)
}
id! {
    /// A physical interrupt as its domain knows it.
    Pirq(u32)
}

impl DomainId {
    /// The first value that is not an ordinary domain.
    pub const FIRST_RESERVED: DomainId = DomainId(0x7FF0);
    /// The caller itself.
    pub const SELF: DomainId = DomainId(0x7FF0);
    /// Owner of I/O memory.
    pub const IO: DomainId = DomainId(0x7FF1);
    /// Owner of hypervisor pages that are shared with guests.
    pub const XEN: DomainId = DomainId(0x7FF2);
    /// Owner of copy-on-write shared pages.
    pub const COW: DomainId = DomainId(0x7FF3);
    /// No domain.
    pub const INVALID: DomainId = DomainId(0x7FF4);
    /// The idle domain.
    pub const IDLE: DomainId = DomainId(0x7FFF);

    /// Whether the value can name an ordinary domain.
    pub const fn is_ordinary(self) -> bool {
        self.0 < Self::FIRST_RESERVED.0
    }
}

impl Virq {
    /// Number of VIRQs a domain has.
    pub const COUNT: u32 = 24;
    /// Timer, per vCPU.
    pub const TIMER: Virq = Virq(0);
    /// Debug request, per vCPU.
    pub const DEBUG: Virq = Virq(1);
    /// Console input for dom0, global.
    pub const CONSOLE: Virq = Virq(2);
    /// A domain died or shut down, global.
    pub const DOM_EXC: Virq = Virq(3);
    /// Trace buffer, global.
    pub const TBUF: Virq = Virq(4);
    /// Debugger, global.
    pub const DEBUGGER: Virq = Virq(6);
    /// Profiler, per vCPU.
    pub const XENOPROF: Virq = Virq(7);
    /// Console ring grew, global.
    pub const CON_RING: Virq = Virq(8);
    /// A physical CPU changed state, global.
    pub const PCPU_STATE: Virq = Virq(9);
    /// Memory event, global.
    pub const MEM_EVENT: Virq = Virq(10);
    /// Argo, per domain.
    pub const ARGO: Virq = Virq(11);
    /// Low memory, global.
    pub const ENOMEM: Virq = Virq(12);
    /// Performance counters, per vCPU.
    pub const XENPMU: Virq = Virq(13);
    /// Machine check (architecture VIRQ 0), global.
    pub const MCA: Virq = Virq(16);

    /// Whether each vCPU has one of its own; the others are global, and bound on vCPU 0 only.
    pub const fn is_per_vcpu(self) -> bool {
        matches!(self, Virq::TIMER | Virq::DEBUG | Virq::XENOPROF | Virq::XENPMU)
    }
}
