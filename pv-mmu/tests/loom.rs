//! Every interleaving of two or three CPUs on one frame. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p pv-mmu --test loom --release`;
//! `LOOM_MAX_PREEMPTIONS=2` goes deeper where the default is one interruption, in some minutes.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use abi::{DomainId, Mfn, Result};
use loom::{
    sync::{Arc, atomic::AtomicU64},
    thread,
};
use pv_mmu::{
    DropQueue, EditMode, EntryRules, FrameInfo, FrameType, Frames, IoAccess, MmuHost, OpenFrame, PageTable, Stop,
    finish_drops, get_page, get_page_and_type, get_type, put_page, put_page_and_type, put_type, release_allocation,
};

const GUEST: DomainId = DomainId(1);
const FRAMES: usize = 4;

/// What all CPUs share. Clock and counters are plain: loom interleaves at frames and contents.
struct Machine {
    frames: Vec<FrameInfo>,
    memory: Vec<PageTable>,
    clock: AtomicU32,
    freed: AtomicU32,
    /// The clock when the latest writable translation went away.
    latest_removal: AtomicU32,
}

/// One CPU.
struct Cpu {
    machine: Arc<Machine>,
    drops: DropQueue,
    budget: Cell<Option<u32>>,
}

/// All schedules in which CPUs are interrupted at most `interruptions` times where they need not wait.
fn explore(interruptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(interruptions));
    builder.check(test);
}

fn machine() -> Arc<Machine> {
    let frames: Vec<_> = (0..FRAMES).map(|_| FrameInfo::new()).collect();
    frames.iter().for_each(|frame| frame.assign(GUEST));
    Arc::new(Machine {
        frames,
        memory: (0..FRAMES).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
        clock: AtomicU32::new(1),
        freed: AtomicU32::new(0),
        latest_removal: AtomicU32::new(0),
    })
}

fn cpu(machine: &Arc<Machine>, budget: Option<u32>) -> Cpu {
    Cpu { machine: machine.clone(), drops: DropQueue::new(), budget: Cell::new(budget) }
}

impl Cpu {
    fn frame(&self, mfn: u64) -> &FrameInfo {
        &self.machine.frames[mfn as usize]
    }

    fn counts(&self, mfn: u64) -> (u64, u64) {
        (self.frame(mfn).reference().count(), self.frame(mfn).type_word().count())
    }
}

impl MmuHost for Cpu {
    type Table<'a> = &'a PageTable;

    fn frames(&self) -> Frames<'_> {
        Frames::new(&self.machine.frames)
    }
    fn table(&self, frame: Mfn) -> &PageTable {
        &self.machine.memory[frame.0 as usize]
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
        thread::yield_now();
    }
    fn flush_clock(&self) -> u32 {
        self.machine.clock.load(Relaxed)
    }
    fn flush_before_retype(&self, frame: Mfn, stamp: u32) {
        let word = self.frame(frame.0).type_word();
        assert!(word.count() == 1 && !word.is_validated());
        assert!(stamp >= self.machine.latest_removal.load(Relaxed), "stamp is older than a translation");
    }
    fn clean_cache(&self, _frame: Mfn) {}
    fn set_cache_attribute(&self, _frame: Mfn, _cache_bits: u64) -> Result<()> {
        Ok(())
    }
    fn fill_hypervisor_slots(&self, _frame: Mfn, _table: &PageTable, _owner: DomainId) {}
    fn check_descriptor(&self, _owner: DomainId, descriptor: u64) -> Option<u64> {
        Some(descriptor)
    }
    fn descriptor_page_unmapped(&self, _frame: Mfn, _owner: DomainId) {}
    fn may_set_memory_types(&self, _domain: DomainId) -> bool {
        false
    }
    fn io_access(&self, _domain: DomainId, _frame: Mfn) -> IoAccess {
        IoAccess::Denied
    }
    fn is_dying(&self, _domain: DomainId) -> bool {
        false
    }
    fn release_frame(&self, _frame: Mfn, _owner: DomainId) {
        self.machine.freed.fetch_add(1, Relaxed);
    }
    fn drops(&self) -> &DropQueue {
        &self.drops
    }
}

fn use_as(cpu: &Cpu, wanted: FrameType) {
    if let Ok(frame) = get_page_and_type(cpu, Mfn(0), GUEST, wanted) {
        let word = frame.type_word();
        assert!(word.frame_type() == wanted && word.is_validated() && word.count() != 0);
        if wanted == FrameType::Writable {
            // The mapping goes; only then its reference.
            cpu.machine.latest_removal.fetch_max(cpu.flush_clock(), Relaxed);
        }
        put_page_and_type(cpu, Mfn(0), frame);
    }
}

fn together(machine: &Arc<Machine>, cpus: Vec<Box<dyn FnOnce(Arc<Machine>)>>) {
    let handles: Vec<_> = cpus
        .into_iter()
        .map(|work| {
            let machine = machine.clone();
            thread::spawn(move || work(machine))
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
}

#[test]
fn two_types_never_at_once() {
    explore(3, || {
        let machine = machine();
        let work = |wanted| Box::new(move |machine| use_as(&cpu(&machine, None), wanted)) as Box<dyn FnOnce(_)>;
        together(&machine, vec![work(FrameType::Writable), work(FrameType::L1)]);
        assert_eq!(cpu(&machine, None).counts(0), (1, 0));
    });
}

/// The stamp that two writers leave behind is not older than the later one's mapping.
#[test]
fn the_later_writer_stamps() {
    explore(3, || {
        let machine = machine();
        let work = |machine: Arc<Machine>| {
            machine.clock.fetch_add(1, Relaxed);
            use_as(&cpu(&machine, None), FrameType::Writable);
        };
        let other = thread::spawn({
            let machine = machine.clone();
            move || work(machine)
        });
        work(machine.clone());
        other.join().unwrap();
        use_as(&cpu(&machine, None), FrameType::L1);
        assert_eq!(cpu(&machine, None).counts(0), (1, 0));
    });
}

#[test]
fn three_cpus_two_writers_one_table() {
    explore(1, || {
        let machine = machine();
        let writer = |machine| {
            let cpu = cpu(&machine, None);
            machine.clock.fetch_add(1, Relaxed);
            use_as(&cpu, FrameType::Writable);
        };
        let table = |machine| use_as(&cpu(&machine, None), FrameType::L1);
        let main = cpu(&machine, None);
        let handles = [
            thread::spawn({
                let m = machine.clone();
                move || writer(m)
            }),
            thread::spawn({
                let m = machine.clone();
                move || table(m)
            }),
        ];
        machine.clock.fetch_add(1, Relaxed);
        use_as(&main, FrameType::Writable);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(main.counts(0), (1, 0));
    });
}

fn insist(cpu: &Cpu, mut request: impl FnMut() -> std::result::Result<(), Stop>) {
    loop {
        cpu.budget.set(Some(0));
        if finish_drops(cpu).and_then(|()| request()).is_ok() {
            return;
        }
    }
}

/// Frame 0 is a level-2 table that maps frames 1 and 2; both CPUs want it, run out of budget after each entry, and
/// drop it again.
#[test]
fn a_partial_table_is_finished_by_either_cpu() {
    explore(1, || {
        let machine = machine();
        machine.memory[0][0].store(1 << 12 | 1, Relaxed);
        machine.memory[0][1].store(2 << 12 | 1, Relaxed);
        let work = |machine: Arc<Machine>| {
            let cpu = cpu(&machine, Some(0));
            let frame = get_page(&cpu, Mfn(0), GUEST).unwrap();
            insist(&cpu, || get_type(&cpu, Mfn(0), frame, FrameType::L2));
            assert_eq!(cpu.frame(1).type_word().frame_type(), FrameType::L1);
            assert!(cpu.frame(2).type_word().is_validated());
            put_type(&cpu, Mfn(0), frame);
            put_page(&cpu, Mfn(0), frame);
            insist(&cpu, || Ok(()));
        };
        let other = thread::spawn({
            let machine = machine.clone();
            move || work(machine)
        });
        work(machine.clone());
        other.join().unwrap();
        let cpu = cpu(&machine, None);
        assert_eq!([0, 1, 2].map(|mfn| cpu.counts(mfn)), [(1, 0); 3]);
    });
}

#[test]
fn edits_of_one_entry_release_what_they_took_out() {
    explore(3, || {
        let machine = machine();
        let main = cpu(&machine, None);
        get_page_and_type(&main, Mfn(0), GUEST, FrameType::L1).unwrap();
        let edit = |machine: Arc<Machine>, values: &[u64]| {
            let cpu = cpu(&machine, None);
            for value in values {
                let rules = EntryRules::new(&cpu, GUEST, GUEST);
                OpenFrame::open(&cpu, Mfn(0), GUEST).unwrap().write(&rules, 1, *value, EditMode::Replace).unwrap();
            }
        };
        let other = thread::spawn({
            let machine = machine.clone();
            move || edit(machine, &[2 << 12 | 3, 0])
        });
        edit(machine.clone(), &[1 << 12 | 3]);
        other.join().unwrap();
        let stays = machine.memory[0][1].load(Relaxed) >> 12 & 0xF;
        for mfn in [1, 2] {
            let references = u64::from(stays == mfn);
            assert_eq!(main.counts(mfn), (1 + references, references));
        }
        put_page_and_type(&main, Mfn(0), main.frame(0));
        assert_eq!([0, 1, 2].map(|mfn| main.counts(mfn)), [(1, 0); 3]);
    });
}

/// Each CPU enters the other's table into its own: a circle must not come about, and nothing may stay counted.
#[test]
fn two_tables_never_map_each_other() {
    explore(3, || {
        let machine = machine();
        let main = cpu(&machine, None);
        for mfn in [0, 1] {
            get_page_and_type(&main, Mfn(mfn), GUEST, FrameType::L2).unwrap();
        }
        let link = |machine: Arc<Machine>, table: u64, target: u64| {
            let cpu = cpu(&machine, None);
            let rules = EntryRules::new(&cpu, GUEST, GUEST);
            let table = OpenFrame::open(&cpu, Mfn(table), GUEST).unwrap();
            table.write(&rules, 1, target << 12 | 5, EditMode::Replace).is_ok()
        };
        let other = thread::spawn({
            let machine = machine.clone();
            move || link(machine, 1, 0)
        });
        let here = link(machine.clone(), 0, 1);
        let there = other.join().unwrap();
        assert!(!(here && there));
        for (table, target, linked) in [(0, 1, here), (1, 0, there)] {
            let expected = if linked { (1, -1) } else { (0, 0) };
            if linked || !(here || there) {
                let counts = [table, target].map(|mfn| main.frame(mfn).linear_entries());
                assert_eq!((counts[0], counts[1]), expected);
            }
        }
        for mfn in [0, 1] {
            put_page_and_type(&main, Mfn(mfn), main.frame(mfn));
        }
        let left = [0, 1].map(|mfn| (main.counts(mfn), main.frame(mfn).linear_entries()));
        assert_eq!(left, [((1, 0), 0); 2]);
    });
}

#[test]
fn a_frame_is_freed_once() {
    explore(3, || {
        let machine = machine();
        let main = cpu(&machine, None);
        let other = thread::spawn({
            let machine = machine.clone();
            move || {
                let cpu = cpu(&machine, None);
                if let Ok(frame) = get_page(&cpu, Mfn(3), GUEST) {
                    assert_eq!(machine.freed.load(Relaxed), 0);
                    let _ = release_allocation(&cpu, Mfn(3), GUEST);
                    put_page(&cpu, Mfn(3), frame);
                }
            }
        });
        let released = release_allocation(&main, Mfn(3), GUEST).is_ok();
        let stolen = !released && pv_mmu::steal(&main, Mfn(3), GUEST).is_ok();
        other.join().unwrap();
        assert_eq!(machine.freed.load(Relaxed), 1);
        assert!(!stolen);
    });
}

#[test]
fn steal_against_map() {
    explore(3, || {
        let machine = machine();
        let main = cpu(&machine, None);
        let other = thread::spawn({
            let machine = machine.clone();
            move || get_page_and_type(&cpu(&machine, None), Mfn(3), GUEST, FrameType::Writable).is_ok()
        });
        let stolen = pv_mmu::steal(&main, Mfn(3), GUEST).is_ok();
        let mapped = other.join().unwrap();
        assert!(stolen != mapped, "one of them, not both");
    });
}
