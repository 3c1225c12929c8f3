//! Random page-table work in a small machine, audited after every step: counts equal references, no CPU can write a
//! table or descriptor page however long its TLB remembers, and afterwards everything can be had back.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod world;

use abi::{GuestVirtual, MachineAddress, Mfn};
use proptest::prelude::*;
use pv_mmu::{
    EditMode, Entry, EntryRules, FrameType, GuestWrite, OpenFrame, apply_guest_write, finish_drops, get_page_and_type,
    grant_entry, pin, put_page_and_type, relinquish_frame, unpin,
};
use world::*;

#[derive(Clone, Debug)]
enum Step {
    Edit { table: u64, slot: usize, target: u64, bits: u64, preserve: bool },
    Raw { frame: u64, slot: usize, target: u64, bits: u64 },
    Pin { frame: u64, level: u64 },
    Unpin { frame: u64 },
    Root { frame: u64 },
    Segment { frame: u64 },
    Grant { table: u64, slot: usize },
    GuestWrite { root: u64, slot: usize, byte: u64, size: usize, value: u64 },
    Release { frame: u64 },
    Finish,
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => prop::sample::select(vec![P, RW, P | US, RW | US, 0]),
        1 => any::<u64>().prop_map(|bits| bits & !Entry::ADDRESS),
    ]
}

fn frame() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1u64..14, 1 => 14u64..17, 1 => prop::sample::select(vec![HOLE.0, DEVICE.0, 40])]
}

/// Few slots, so that steps meet.
fn slot() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0usize, 1, 2, 256, 300, 511])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (frame(), slot(), frame(), bits(), any::<bool>())
            .prop_map(|(table, slot, target, bits, preserve)| Step::Edit { table, slot, target, bits, preserve }),
        6 => (frame(), slot(), frame(), bits())
            .prop_map(|(frame, slot, target, bits)| Step::Raw { frame, slot, target, bits }),
        6 => (frame(), 1u64..5).prop_map(|(frame, level)| Step::Pin { frame, level }),
        3 => frame().prop_map(|frame| Step::Unpin { frame }),
        1 => frame().prop_map(|frame| Step::Root { frame }),
        1 => frame().prop_map(|frame| Step::Segment { frame }),
        1 => (frame(), slot()).prop_map(|(table, slot)| Step::Grant { table, slot }),
        2 => (frame(), slot(), 0u64..8, prop::sample::select(vec![1usize, 2, 4, 8]), any::<u64>())
            .prop_map(|(root, slot, byte, size, value)| Step::GuestWrite { root, slot, byte, size, value }),
        1 => frame().prop_map(|frame| Step::Release { frame }),
        1 => Just(Step::Finish),
    ]
}

fn level(number: u64) -> FrameType {
    [FrameType::L1, FrameType::L2, FrameType::L3, FrameType::L4][number as usize - 1]
}

/// Whether the guest could write the frame directly: only then may its contents change behind the validator's back.
fn can_write(world: &World, mfn: u64) -> bool {
    mfn < RAM && {
        let word = world.frame(Mfn(mfn)).type_word();
        word.count() == 0 || word.frame_type() == FrameType::Writable
    }
}

struct Run {
    world: World,
    roots: Vec<u64>,
    segments: Vec<u64>,
}

impl Run {
    fn apply(&mut self, step: &Step) {
        let world = &self.world;
        match *step {
            Step::Edit { table, slot, target, bits, preserve } => {
                let mode = if preserve { EditMode::PreserveAccessedDirty } else { EditMode::Replace };
                if let Ok(open) = OpenFrame::open(world, Mfn(table), GUEST) {
                    let _ = open.write(&EntryRules::new(world, GUEST, GUEST), slot, target << 12 | bits, mode);
                }
            }
            Step::Raw { frame, slot, target, bits } if can_write(world, frame) => {
                world.set(Mfn(frame), slot, target << 12 | bits);
            }
            Step::Raw { .. } => {}
            Step::Pin { frame, level: number } => {
                let _ = pin(world, Mfn(frame), GUEST, level(number));
            }
            Step::Unpin { frame } => {
                let _ = unpin(world, Mfn(frame), GUEST);
            }
            Step::Root { frame } => {
                if pv_mmu::acquire_root(world, Mfn(frame), GUEST).is_ok() {
                    world.hold(Mfn(frame), 1, 1);
                    self.roots.push(frame);
                }
            }
            Step::Segment { frame } => {
                if pv_mmu::acquire_segment_page(world, Mfn(frame), GUEST).is_ok() {
                    world.hold(Mfn(frame), 1, 1);
                    self.segments.push(frame);
                }
            }
            Step::Grant { table, slot } => {
                get_page_and_type(world, Mfn(41), OTHER, FrameType::Writable).unwrap();
                let place = MachineAddress((table << 12) | (slot as u64 * 8));
                let entry = grant_entry(Mfn(41), Entry::WRITABLE);
                if pv_mmu::map_grant_at_entry(world, GUEST, place, entry).is_err() {
                    put_page_and_type(world, Mfn(41), world.frame(Mfn(41)));
                }
            }
            Step::GuestWrite { root, slot, byte, size, value } => {
                let address = GuestVirtual((slot as u64 * 8 + byte) & !(size as u64 - 1));
                let root = Mfn(root);
                if root.0 < RAM {
                    apply_guest_write(world, GUEST, root, address, size, GuestWrite::Store(value));
                }
            }
            Step::Release { frame } => {
                let _ = pv_mmu::release_allocation(world, Mfn(frame), GUEST);
            }
            Step::Finish => {
                let _ = finish_drops(world);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn counts_equal_references_and_tables_stay_sealed(
        steps in prop::collection::vec((step(), prop::option::of(0u32..6)), 1..60),
    ) {
        let world = World::new();
        world.give(GUEST, 1, 16);
        world.give(OTHER, 40, 2);
        // A start that makes deep trees likely: 4 -> 3 -> 2 -> 1 through slots 0.
        for (table, target) in [(4, 3), (3, 2), (2, 1), (1, 13), (8, 7), (7, 6), (6, 5), (5, 14)] {
            world.entry(table, 0, target, P);
            world.entry(table, 1, target, P);
        }
        let mut run = Run { world, roots: Vec::new(), segments: Vec::new() };
        for (step, budget) in &steps {
            run.world.budget.set(*budget);
            // As every call does: left-overs first.
            if finish_drops(&run.world).is_ok() {
                run.apply(step);
            }
            run.world.audit();
        }
        let Run { world, roots, segments } = run;
        world.budget.set(None);
        world.settle();
        for root in roots {
            pv_mmu::release_root(&world, Mfn(root));
            world.unhold(Mfn(root), 1, 1);
        }
        for page in segments {
            pv_mmu::release_segment_page(&world, Mfn(page));
            world.unhold(Mfn(page), 1, 1);
        }
        world.audit();
        world.dying.set(true);
        world.budget.set(Some(1));
        for mfn in 1..17 {
            prop_assert_eq!(world.insist(|| relinquish_frame(&world, Mfn(mfn), GUEST)).1, Ok(()));
        }
        for mfn in 1..17 {
            prop_assert_eq!(world.frame(Mfn(mfn)).reference().count(), 0, "frame {} was not freed", mfn);
        }
        prop_assert_eq!(world.frame(Mfn(41)).reference().count(), 1);
    }
}
