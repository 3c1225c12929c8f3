//! The one list of lock levels. `docs/locking.md` says what each protects; keep both in step.

/// Position in the order: a CPU may take a lock only above all that it holds. Two locks of one level are taken only
/// through [`crate::Lock::lock_second`], in an order the caller states.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    /// Which CPUs and domains are in which CPU pool.
    CpuPools = 1,
    /// The list of domains.
    DomainList = 2,
    /// Slow changes of one domain: start, shutdown, teardown, hotplug.
    DomainControl = 3,
    /// Allocation and binding of one domain's event ports.
    EventPorts = 4,
    /// A physical interrupt's binding.
    PhysicalInterrupt = 5,
    /// One domain's grant table: sizes and version.
    GrantTable = 6,
    /// One active grant entry.
    GrantEntry = 7,
    /// One domain's maptrack free list.
    MapTrack = 8,
    /// One page-table page being changed.
    PageTable = 9,
    /// One domain's list of frames and its accounting.
    DomainFrames = 10,
    /// One event port's state.
    EventPort = 11,
    /// One FIFO event queue.
    EventQueue = 12,
    /// A run queue, and the run state of the vCPUs on it.
    RunQueue = 13,
    /// A CPU's timer queue.
    Timers = 14,
    /// Interrupt controllers and PCI configuration access.
    InterruptController = 15,
    /// The byte heap.
    Heap = 16,
    /// The frame allocator: above the heap, which grows by frames.
    FrameAllocator = 17,
    /// The console ring and its devices: last, so that anything may print.
    Console = 18,
}
