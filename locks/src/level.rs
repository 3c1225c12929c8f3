//! The one list of lock levels. `docs/locking.md` says what each protects; keep both in step.

/// Position in the order: a CPU may take a lock only above all that it holds. Two locks of one level are taken only
/// through [`crate::Lock::lock_second`], in an order the caller states.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    /// The list of domains.
    DomainList = 1,
    /// Slow changes of one domain: start, shutdown, teardown, hotplug.
    DomainControl = 2,
    /// Allocation and binding of one domain's event ports.
    EventPorts = 3,
    /// A physical interrupt's binding.
    PhysicalInterrupt = 4,
    /// One domain's grant table: sizes and version.
    GrantTable = 5,
    /// One active grant entry.
    GrantEntry = 6,
    /// One domain's maptrack free list.
    MapTrack = 7,
    /// One page-table page being changed.
    PageTable = 8,
    /// One domain's list of frames and its accounting.
    DomainFrames = 9,
    /// One event port's state.
    EventPort = 10,
    /// One FIFO event queue.
    EventQueue = 11,
    /// A run queue, and the run state of the vCPUs on it.
    RunQueue = 12,
    /// A CPU's timer queue.
    Timers = 13,
    /// Interrupt controllers and PCI configuration access.
    InterruptController = 14,
    /// The byte heap.
    Heap = 15,
    /// The frame allocator: above the heap, which grows by frames.
    FrameAllocator = 16,
    /// The console ring and its devices: last, so that anything may print.
    Console = 17,
}
