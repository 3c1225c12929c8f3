//! An in-memory host: facts a test sets, effects it can look at. One caller, vCPU 0 of domain 0 unless changed.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod domains;
mod machine;
mod memory;
mod reservation;
mod toolstack;
mod vcpus;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;

use abi::version::DomainHandle;
use abi::{DomainId, Errno, GuestVirtual, Result, VcpuId};
use hypercalls::authority::Policy;
use hypercalls::behalf::{Accountable, Behalf};
use hypercalls::guest::{GuestMemory, Preemption};
use hypercalls::op::console::ConsoleHost;
use hypercalls::op::domctl::DirtyLog;
use hypercalls::op::platform::CpuChange;
use hypercalls::op::version::{BuildFacts, VersionHost};
use hypercalls::op::virtual_numa::VirtualTopology;
use hypercalls::outcome::{Failure, Reply};

pub use memory::{BASE, Memory, SIZE, at, hypervisor, nowhere};
pub use reservation::Frames;
pub use toolstack::Ring;
pub use vcpus::Vcpu;

/// The host and the facts its answers come from.
pub struct Fake {
    pub memory: Memory,
    /// Everything that was done, in words.
    pub effects: RefCell<Vec<String>>,
    pub caller: DomainId,
    pub control: bool,
    pub hardware: bool,
    pub model_of: BTreeSet<u16>,
    pub domains: BTreeSet<u16>,
    /// Domains that have changed, also some that are gone.
    pub changed: RefCell<BTreeSet<u16>>,
    /// Whether the caller hears of those.
    pub follows: bool,
    /// Those of them that have run.
    pub started: BTreeSet<u16>,
    pub topologies: BTreeMap<u16, VirtualTopology>,
    /// How far a change of a CPU gets.
    pub cpu_change: CpuChange,
    /// Looks at the clock that find time left; none means forever.
    pub budget: Cell<Option<u32>>,
    pub assist: u64,
    /// The minor version it answers with.
    pub minor: u32,
    pub build_id: &'static [u8],
    pub console_input: VecDeque<u8>,
    pub console_output: Vec<u8>,
    pub console_domain: bool,
    pub now: u64,
    pub caller_vcpu: VcpuId,
    pub vcpus: BTreeMap<u32, Vcpu>,
    pub pending_ports: BTreeMap<u32, bool>,
    pub upcall: bool,
    pub watchdogs: [bool; 2],
    /// What the next fallible effect answers.
    pub refuse: Cell<Option<Errno>>,
    pub frames: Frames,
    pub ring: Ring,
    pub idle_limits: [u32; 2],
    pub held: std::collections::BTreeMap<u64, hypercalls::op::sysctl::FrameHold>,
    pub dirty_log: Option<DirtyLog>,
    pub domain_map: Vec<abi::memory::E820Entry>,
    pub machine_map: Vec<abi::memory::E820Entry>,
    /// On whose behalf calls worked, in order.
    pub behalves: Vec<Behalf>,
}

impl Fake {
    /// Dom0 with domain 5 beside it.
    pub fn new() -> Self {
        Self {
            memory: Memory::new(),
            dirty_log: None,
            effects: RefCell::default(),
            caller: DomainId(0),
            control: true,
            hardware: true,
            model_of: BTreeSet::new(),
            domains: BTreeSet::from([0, 5]),
            changed: RefCell::default(),
            follows: true,
            started: BTreeSet::new(),
            topologies: BTreeMap::new(),
            cpu_change: CpuChange::Done,
            budget: Cell::new(None),
            assist: 0,
            minor: 17,
            build_id: &[7; 20],
            console_input: VecDeque::new(),
            console_output: Vec::new(),
            console_domain: false,
            now: 1_000_000_000,
            caller_vcpu: VcpuId(0),
            vcpus: BTreeMap::from([(0, Vcpu::running()), (1, Vcpu::new()), (40, Vcpu::without_info())]),
            pending_ports: BTreeMap::new(),
            upcall: false,
            watchdogs: [false; 2],
            refuse: Cell::new(None),
            frames: Frames::new(),
            ring: Ring::default(),
            idle_limits: [1, u32::MAX],
            held: Default::default(),
            behalves: Vec::new(),
            domain_map: Vec::new(),
            machine_map: vec![
                abi::memory::E820Entry::new(0, 0x9_F000, 1),
                abi::memory::E820Entry::new(0xF_0000, 0x1_0000, 2),
            ],
        }
    }

    /// An ordinary domain instead.
    pub fn unprivileged() -> Self {
        Self { caller: DomainId(5), control: false, hardware: false, ..Self::new() }
    }

    /// Starts another call: what was read may be read again.
    pub fn next_call(&self) -> &Self {
        self.memory.forget_reads();
        self
    }

    /// The same, for a call at once.
    pub fn next_call_mut(&mut self) -> &mut Self {
        self.memory.forget_reads();
        self
    }

    pub fn note(&self, effect: impl Into<String>) {
        self.effects.borrow_mut().push(effect.into());
    }

    /// Notes an effect that can be refused.
    pub fn attempt(&self, what: &str, with: impl Debug) -> Result<()> {
        match self.refuse.take() {
            Some(errno) => Err(errno),
            None => {
                self.note(format!("{what} {with:?}"));
                Ok(())
            }
        }
    }

    /// The effects so far, and forgets them.
    pub fn take_effects(&self) -> Vec<String> {
        std::mem::take(&mut *self.effects.borrow_mut())
    }
}

/// The error a reply carries.
#[track_caller]
pub fn errno(reply: Reply) -> Errno {
    match reply {
        Err(Failure::Errno(errno)) => errno,
        other => panic!("not an error number: {other:?}"),
    }
}

/// The arguments with which a preempted call goes on.
#[track_caller]
pub fn preempted(reply: Reply) -> [u64; 6] {
    match reply {
        Err(Failure::Preempted(arguments)) => arguments,
        other => panic!("not preempted: {other:?}"),
    }
}

impl GuestMemory for Fake {
    fn copy_in(&self, from: GuestVirtual, to: &mut [u8]) -> Result<()> {
        self.memory.copy_in(from, to)
    }

    fn copy_out(&self, to: GuestVirtual, from: &[u8]) -> Result<()> {
        self.memory.copy_out(to, from)
    }
}

impl Accountable for Fake {
    fn act_for(&mut self, behalf: Behalf) {
        self.behalves.push(behalf);
    }
}

impl Preemption for Fake {
    fn preempted(&self) -> bool {
        match self.budget.get() {
            None => false,
            Some(0) => true,
            Some(left) => {
                self.budget.set(Some(left - 1));
                false
            }
        }
    }
}

impl Policy for Fake {
    fn caller(&self) -> DomainId {
        self.caller
    }
    fn is_control_domain(&self) -> bool {
        self.control
    }
    fn is_hardware_domain(&self) -> bool {
        self.hardware
    }
    fn is_device_model_of(&self, target: DomainId) -> bool {
        self.model_of.contains(&target.0)
    }
    fn domain_exists(&self, id: DomainId) -> bool {
        self.domains.contains(&id.0)
    }
}

impl VersionHost for Fake {
    fn minor_version(&self) -> u32 {
        self.minor
    }
    fn build_facts(&self) -> BuildFacts {
        BuildFacts {
            compiler: "rustc",
            built_by: "someone with a rather long name",
            built_on: "somewhere",
            built_at: "once",
            changeset: "abc",
            build_id: self.build_id,
        }
    }
    fn command_line(&self) -> &str {
        "dom0_mem=512M"
    }
    fn domain_handle(&self) -> DomainHandle {
        DomainHandle { bytes: [9; 16] }
    }
    fn vm_assist(&self) -> u64 {
        self.assist
    }
}

impl ConsoleHost for Fake {
    fn is_console_domain(&self) -> bool {
        self.console_domain
    }
    fn console_write(&mut self, bytes: &[u8]) {
        self.console_output.extend_from_slice(bytes);
    }
    fn console_input_peek(&self, into: &mut [u8]) -> usize {
        into.iter_mut().zip(&self.console_input).map(|(to, byte)| *to = *byte).count()
    }
    fn console_input_consume(&mut self, count: usize) {
        self.console_input.drain(..count);
    }
}
