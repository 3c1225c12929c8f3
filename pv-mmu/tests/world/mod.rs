//! A small machine for tests: RAM with contents, a TLB that keeps everything it ever saw, a budget that can run out
//! at any step, and an audit that counts every reference anew.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use abi::{DomainId, Errno, Mfn, Result};
use pv_mmu::{
    DropQueue, Entry, FrameInfo, FrameType, Frames, IoAccess, MmuHost, PageTable, Stop, finish_drops,
    is_hypervisor_slot,
};

pub const GUEST: DomainId = DomainId(1);
pub const OTHER: DomainId = DomainId(2);
/// A domain with I/O rights.
pub const DRIVER: DomainId = DomainId(3);
pub const RAM: u64 = 64;
/// I/O memory inside the frame table, and beyond it.
pub const HOLE: Mfn = Mfn(60);
pub const DEVICE: Mfn = Mfn(0x1000);
pub const DEVICE_READ_ONLY: Mfn = Mfn(0x1001);
/// A descriptor that is not allowed.
pub const BAD_DESCRIPTOR: u64 = 0xBAD;

pub const P: u64 = Entry::PRESENT;
pub const RW: u64 = Entry::PRESENT | Entry::WRITABLE;
pub const US: u64 = Entry::USER;

/// By frame: general and type references, or linear entries and uses.
type Sums = BTreeMap<u64, (u64, u64)>;

pub struct World {
    frames: Vec<FrameInfo>,
    memory: Vec<Box<PageTable>>,
    drops: DropQueue,
    clock: Cell<u32>,
    last_flush: Cell<u32>,
    /// Every writable translation that any CPU may still use.
    pub tlb: RefCell<BTreeSet<u64>>,
    /// How often `out_of_budget` still answers no; `None` for always.
    pub budget: Cell<Option<u32>>,
    pub flushes: Cell<u32>,
    pub cleaned: RefCell<Vec<Mfn>>,
    pub dying: Cell<bool>,
    /// The domain is found dying from this look on.
    pub dies_at_look: Cell<Option<u32>>,
    pub refuse_memory_type: Cell<bool>,
    pub descriptor_pages_unmapped: Cell<u32>,
    pub freed: RefCell<Vec<Mfn>>,
    /// General and type references that a test holds itself.
    pub held: RefCell<BTreeMap<u64, (u64, u64)>>,
    /// Whether tables may map tables of their own level.
    pub linear: Cell<bool>,
}

impl World {
    pub fn new() -> Self {
        let world = Self {
            frames: (0..RAM).map(|_| FrameInfo::new()).collect(),
            memory: (0..RAM).map(|_| Box::new([const { AtomicU64::new(0) }; 512])).collect(),
            drops: DropQueue::new(),
            clock: Cell::new(1),
            last_flush: Cell::new(0),
            tlb: RefCell::default(),
            budget: Cell::new(None),
            flushes: Cell::new(0),
            cleaned: RefCell::default(),
            dying: Cell::new(false),
            dies_at_look: Cell::new(None),
            refuse_memory_type: Cell::new(false),
            descriptor_pages_unmapped: Cell::new(0),
            freed: RefCell::default(),
            linear: Cell::new(true),
            held: RefCell::default(),
        };
        world.frame(HOLE).mark_io();
        world
    }

    pub fn frame(&self, mfn: Mfn) -> &FrameInfo {
        &self.frames[mfn.0 as usize]
    }

    /// Gives `count` frames from `first` to `owner`.
    pub fn give(&self, owner: DomainId, first: u64, count: u64) {
        for mfn in first..first + count {
            self.frame(Mfn(mfn)).assign(owner);
        }
    }

    pub fn word(&self, mfn: Mfn, slot: usize) -> u64 {
        self.memory[mfn.0 as usize][slot].load(Relaxed)
    }

    pub fn set(&self, mfn: Mfn, slot: usize, value: u64) {
        self.memory[mfn.0 as usize][slot].store(value, Relaxed);
    }

    pub fn entry(&self, table: u64, slot: usize, target: u64, bits: u64) {
        self.set(Mfn(table), slot, target << 12 | bits);
    }

    pub fn hold(&self, mfn: Mfn, general: u64, types: u64) {
        let mut held = self.held.borrow_mut();
        let entry = held.entry(mfn.0).or_default();
        entry.0 += general;
        entry.1 += types;
    }

    pub fn unhold(&self, mfn: Mfn, general: u64, types: u64) {
        let mut held = self.held.borrow_mut();
        let entry = held.get_mut(&mfn.0).unwrap();
        entry.0 -= general;
        entry.1 -= types;
    }

    /// Repeats a request until it is not preempted, auditing between the rounds; how many rounds, and the outcome.
    pub fn insist(&self, mut request: impl FnMut() -> std::result::Result<(), Stop>) -> (u32, Result<()>) {
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 10_000, "no progress");
            let outcome = finish_drops(self).and_then(|()| request());
            self.audit();
            match outcome {
                Err(Stop::Preempted) => {}
                Err(Stop::Errno(errno)) => break (rounds, Err(errno)),
                Ok(()) => break (rounds, Ok(())),
            }
        }
    }

    /// Finishes what is left over.
    pub fn settle(&self) -> u32 {
        self.insist(|| Ok(())).0
    }

    fn references_of(&self, mfn: u64, level: FrameType, entries: usize, sums: &mut Sums, linear: &mut Sums) {
        for slot in 0..entries {
            let entry = Entry(self.word(Mfn(mfn), slot));
            let counted =
                self.frames.get(entry.mfn().0 as usize).is_some_and(|f| f.reference().owner() != DomainId::IO);
            if !entry.is_present() || !counted || level == FrameType::L4 && is_hypervisor_slot(slot) {
                continue;
            }
            // A table that maps itself holds nothing by that.
            if level != FrameType::L1 && entry.mfn() == Mfn(mfn) {
                continue;
            }
            if level != FrameType::L1 && self.frame(entry.mfn()).type_word().frame_type() == level {
                linear.entry(mfn).or_default().0 += 1;
                linear.entry(entry.mfn().0).or_default().1 += 1;
            }
            let sum = sums.entry(entry.mfn().0).or_default();
            sum.0 += 1;
            sum.1 += u64::from(level != FrameType::L1 || entry.is_writable());
        }
    }

    /// Every count equals the references that exist, and no table or descriptor page can be written.
    pub fn audit(&self) {
        let mut sums = self.held.borrow().clone();
        let mut linear = Sums::new();
        for (mfn, frame) in self.frames.iter().enumerate() {
            let (general, types) = (frame.reference(), frame.type_word());
            let level = types.frame_type();
            let own = sums.entry(mfn as u64).or_default();
            own.0 += u64::from(general.is_allocated()) + u64::from(types.is_pinned()) + u64::from(types.is_partial());
            own.1 += u64::from(types.is_pinned()) + u64::from(types.is_partial());
            own.1 += u64::from(general.is_allocated() && general.is_xen_heap());
            if level.is_table() && types.count() != 0 {
                let entries = if types.is_partial() { frame.progress() } else { 512 };
                assert!(types.is_partial() || types.is_validated(), "busy frame {mfn} left behind");
                self.references_of(mfn as u64, level, entries, &mut sums, &mut linear);
            }
        }
        for mfn in self.drops.frames() {
            sums.entry(mfn.0).or_default().0 += 1;
        }
        for (mfn, frame) in self.frames.iter().enumerate() {
            let expected = sums.get(&(mfn as u64)).copied().unwrap_or_default();
            let actual = (frame.reference().count(), frame.type_word().count());
            let (entries, uses) = linear.get(&(mfn as u64)).copied().unwrap_or_default();
            assert!(entries == 0 || uses == 0, "frame {mfn} has linear entries and is named by some");
            assert_eq!(i64::from(frame.linear_entries()), entries as i64 - uses as i64, "linear count of frame {mfn}");
            let words = (frame.reference(), frame.type_word());
            assert_eq!(actual, expected, "references of frame {mfn}: {words:?}");
        }
        self.refill_tlb();
        for mfn in self.tlb.borrow().iter() {
            let word = self.frames[*mfn as usize].type_word();
            let sealed = word.frame_type().is_table() || word.frame_type() == FrameType::Segment;
            assert!(!(sealed && word.count() != 0), "frame {mfn} is {word:?} and can be written");
        }
    }

    /// The worst CPU: it caches every writable translation of every table as soon as it exists.
    fn refill_tlb(&self) {
        for (mfn, frame) in self.frames.iter().enumerate() {
            let word = frame.type_word();
            if word.frame_type() == FrameType::L1 && word.count() != 0 && word.is_validated() {
                for slot in 0..512 {
                    let entry = Entry(self.word(Mfn(mfn as u64), slot));
                    if entry.is_writable() && entry.mfn().0 < RAM {
                        self.tlb.borrow_mut().insert(entry.mfn().0);
                    }
                }
            }
        }
    }

    fn flush(&self) {
        self.clock.set(self.clock.get() + 1);
        self.last_flush.set(self.clock.get());
        self.flushes.set(self.flushes.get() + 1);
        self.tlb.borrow_mut().clear();
    }
}

impl MmuHost for World {
    type Table<'a> = &'a PageTable;

    fn frames(&self) -> Frames<'_> {
        Frames::new(&self.frames)
    }

    fn table(&self, frame: Mfn) -> &PageTable {
        &self.memory[frame.0 as usize]
    }

    fn out_of_budget(&self) -> bool {
        match self.budget.get() {
            None => false,
            Some(0) => true,
            Some(left) => {
                self.budget.set(Some(left - 1));
                false
            }
        }
    }

    fn relax(&self) {
        panic!("nobody to wait for");
    }

    fn flush_clock(&self) -> u32 {
        self.clock.get()
    }

    fn flush_before_retype(&self, frame: Mfn, stamp: u32) {
        let word = self.frame(frame).type_word();
        assert!(word.count() == 1 && !word.is_validated(), "new type visible and not usable during the flush");
        if self.last_flush.get() <= stamp {
            self.flush();
        }
    }

    fn clean_cache(&self, frame: Mfn) {
        self.cleaned.borrow_mut().push(frame);
    }

    fn set_cache_attribute(&self, _frame: Mfn, _cache_bits: u64) -> Result<()> {
        if self.refuse_memory_type.get() { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    fn fill_hypervisor_slots(&self, _frame: Mfn, table: &PageTable, owner: DomainId) {
        for (slot, cell) in table.iter().enumerate().filter(|(slot, _)| is_hypervisor_slot(*slot)) {
            cell.store((slot as u64) << 20 | u64::from(owner.0) << 12 | P, Relaxed);
        }
    }

    fn check_descriptor(&self, _owner: DomainId, descriptor: u64) -> Option<u64> {
        // Odd ones are adjusted.
        if descriptor == BAD_DESCRIPTOR { None } else { Some(descriptor & !1) }
    }

    fn descriptor_page_unmapped(&self, _frame: Mfn, _owner: DomainId) {
        self.descriptor_pages_unmapped.set(self.descriptor_pages_unmapped.get() + 1);
    }

    fn may_set_memory_types(&self, domain: DomainId) -> bool {
        domain == DRIVER
    }

    fn allows_linear_tables(&self) -> bool {
        self.linear.get()
    }

    fn io_access(&self, domain: DomainId, frame: Mfn) -> IoAccess {
        match (domain, frame) {
            (DRIVER, DEVICE | HOLE) => IoAccess::ReadWrite,
            (DRIVER, DEVICE_READ_ONLY) => IoAccess::ReadOnly,
            _ => IoAccess::Denied,
        }
    }

    fn is_dying(&self, _domain: DomainId) -> bool {
        if let Some(looks) = self.dies_at_look.get() {
            self.dies_at_look.set(looks.checked_sub(1));
            self.dying.set(looks == 0);
        }
        self.dying.get()
    }

    fn release_frame(&self, frame: Mfn, owner: DomainId) {
        assert_eq!(self.frame(frame).reference().owner(), owner);
        self.frame(frame).reset();
        self.freed.borrow_mut().push(frame);
        // The allocator's flush before reuse.
        if self.last_flush.get() <= self.frame(frame).flush_stamp() {
            self.flush();
        }
    }

    fn drops(&self) -> &DropQueue {
        &self.drops
    }
}

/// A tree: level-4 table 1, level-3 table 2, level-2 table 3, level-1 table 4, which maps data frames 10 (writable),
/// 11 (read-only), the tables themselves read-only, and 12 for user mode. Further level-2 and level-1 tables 5 to 8.
pub fn tree(world: &World) {
    world.give(GUEST, 1, 30);
    world.entry(1, 0, 2, RW | US);
    world.entry(1, 300, 2, RW);
    world.entry(1, 256, 0x99, RW);
    world.entry(2, 0, 3, RW);
    world.entry(2, 511, 5, RW | US);
    world.entry(3, 7, 4, RW);
    world.entry(3, 8, 6, RW);
    world.entry(5, 0, 7, RW);
    world.entry(5, 1, 8, P);
    world.entry(5, 2, 4, P);
    world.entry(4, 0, 10, RW);
    world.entry(4, 1, 11, P);
    world.entry(4, 2, 12, RW | US);
    for table in 1..=8 {
        world.entry(4, 100 + table as usize, table, P);
    }
    for slot in 0..20 {
        world.entry(6, slot * 3, 13 + (slot as u64 % 5), if slot % 2 == 0 { RW } else { P });
        world.entry(7, slot * 5, 13 + (slot as u64 % 5), RW);
        world.entry(8, slot * 7, 13 + (slot as u64 % 5), P | US);
    }
}

/// The tables of [`tree`] with their levels.
pub const TABLES: [(u64, FrameType); 8] = [
    (1, FrameType::L4),
    (2, FrameType::L3),
    (3, FrameType::L2),
    (5, FrameType::L2),
    (4, FrameType::L1),
    (6, FrameType::L1),
    (7, FrameType::L1),
    (8, FrameType::L1),
];
