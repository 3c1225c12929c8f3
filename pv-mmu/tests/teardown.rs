//! Frames that leave their domain, alone or with it.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod world;

use abi::{Errno, Mfn};
use pv_mmu::{
    EditMode, EntryRules, FrameList, FrameType, MmuHost, OpenFrame, SharedAccess, Stop, get_page, pin, put_page,
    release_shared, relinquish_frame, steal,
};
use world::*;

fn relinquish_all(world: &World) -> u32 {
    (1..31).map(|mfn| world.insist(|| relinquish_frame(world, Mfn(mfn), GUEST)).0).sum()
}

#[test]
fn a_domain_goes_whole_whatever_state_its_tables_are_in() {
    for preempted_pin in [None, Some(0), Some(1), Some(2), Some(5)] {
        for preempted_drop in [None, Some(0), Some(1)] {
            for budget in [None, Some(0)] {
                let world = World::new();
                tree(&world);
                world.budget.set(preempted_pin);
                let pinned = pin(&world, Mfn(1), GUEST, FrameType::L4);
                if pinned.is_ok() {
                    world.budget.set(preempted_drop);
                    pv_mmu::unpin(&world, Mfn(1), GUEST).unwrap();
                }
                world.audit();
                world.dying.set(true);
                world.budget.set(budget);
                relinquish_all(&world);
                world.settle();
                let mut freed = world.freed.borrow().clone();
                freed.sort();
                assert_eq!(freed, (1..31).map(Mfn).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn frames_mapped_elsewhere_wait_for_the_last_mapping() {
    let world = World::new();
    tree(&world);
    pin(&world, Mfn(1), GUEST, FrameType::L4).unwrap();
    world.give(OTHER, 40, 1);
    world.entry(40, 5, 11, P);
    pin(&world, Mfn(40), OTHER, FrameType::L1).unwrap_err();
    world.set(Mfn(40), 5, 0);
    pin(&world, Mfn(40), OTHER, FrameType::L1).unwrap();
    let table = OpenFrame::open(&world, Mfn(40), OTHER).unwrap();
    table.write(&EntryRules::new(&world, OTHER, GUEST), 5, 11 << 12 | P, EditMode::Replace).unwrap();
    drop(table);
    relinquish_all(&world);
    assert_eq!(world.freed.borrow().len(), 29);
    assert_eq!(get_page(&world, Mfn(11), OTHER).err(), Some(Errno::EINVAL));
    world.insist(|| relinquish_frame(&world, Mfn(40), OTHER)).1.unwrap();
    assert_eq!(world.freed.borrow().len(), 31);
    world.audit();
}

#[test]
fn only_an_unused_frame_can_be_stolen() {
    let world = World::new();
    tree(&world);
    pin(&world, Mfn(1), GUEST, FrameType::L4).unwrap();
    for mfn in [1, 4, 10, 11] {
        assert_eq!(steal(&world, Mfn(mfn), GUEST), Err(Errno::EINVAL), "in use");
    }
    assert_eq!(steal(&world, Mfn(20), OTHER), Err(Errno::EINVAL));
    assert_eq!(steal(&world, DEVICE, GUEST), Err(Errno::EINVAL));
    steal(&world, Mfn(20), GUEST).unwrap();
    assert_eq!(steal(&world, Mfn(20), GUEST), Err(Errno::EINVAL));
    assert_eq!(get_page(&world, Mfn(20), GUEST).err(), Some(Errno::EINVAL));
    world.frame(Mfn(20)).assign(OTHER);
    world.audit();
}

#[test]
fn shared_frames_keep_their_type_and_survive_their_mappings() {
    let world = World::new();
    world.give(GUEST, 1, 5);
    world.frame(Mfn(20)).assign_shared(GUEST, SharedAccess::ReadWrite);
    world.entry(1, 0, 20, RW);
    pin(&world, Mfn(1), GUEST, FrameType::L1).unwrap();
    assert_eq!(pin(&world, Mfn(20), GUEST, FrameType::L1), Err(Stop::Errno(Errno::EINVAL)));
    assert_eq!(pv_mmu::release_allocation(&world, Mfn(20), GUEST), Err(Errno::EINVAL), "not the guest's to give");
    assert_eq!(steal(&world, Mfn(20), GUEST), Err(Errno::EINVAL));
    release_shared(&world, Mfn(20), GUEST).unwrap();
    assert_eq!(release_shared(&world, Mfn(20), GUEST), Err(Errno::EINVAL));
    world.audit();
    assert!(world.freed.borrow().is_empty());
    pv_mmu::unpin(&world, Mfn(1), GUEST).unwrap();
    assert_eq!(*world.freed.borrow(), [Mfn(20)]);
    world.audit();
}

#[test]
fn lists_of_frames() {
    let world = World::new();
    let frames = world.frames();
    let mut list = FrameList::new();
    let contents = |list: &FrameList| {
        std::iter::successors(list.first(), |mfn| list.after(frames, *mfn)).map(|mfn| mfn.0).collect::<Vec<_>>()
    };
    for mfn in [3, 0, 7, 5] {
        list.push(frames, Mfn(mfn));
    }
    assert_eq!((contents(&list), list.len()), (vec![3, 0, 7, 5], 4));
    list.remove(frames, Mfn(7));
    list.remove(frames, Mfn(5));
    list.push(frames, Mfn(9));
    assert_eq!(contents(&list), [3, 0, 9]);
    assert_eq!(list.pop(frames), Some(Mfn(3)));
    assert_eq!(list.pop(frames), Some(Mfn(0)));
    assert_eq!(list.pop(frames), Some(Mfn(9)));
    assert_eq!((list.pop(frames), list.is_empty()), (None, true));
}

#[test]
fn the_last_reference_frees() {
    let world = World::new();
    world.give(GUEST, 1, 1);
    let frame = get_page(&world, Mfn(1), GUEST).unwrap();
    pv_mmu::release_allocation(&world, Mfn(1), GUEST).unwrap();
    assert!(world.freed.borrow().is_empty());
    put_page(&world, Mfn(1), frame);
    assert_eq!(*world.freed.borrow(), [Mfn(1)]);
    assert_eq!(get_page(&world, Mfn(1), GUEST).err(), Some(Errno::EINVAL));
}

#[test]
fn a_free_frame_tells_whose_content_it_has() {
    use abi::DomainId;
    use pv_mmu::FrameInfo;
    let frame = FrameInfo::new();
    assert!(!frame.has_content_of(GUEST) && !frame.has_content_of(DomainId::INVALID), "a fresh frame is nobody's");

    let world = World::new();
    world.give(GUEST, 1, 20);
    let mfn = Mfn(9);
    assert!(pv_mmu::release_allocation(&world, mfn, GUEST).is_ok());
    let frame = world.frame(mfn);
    assert!(frame.has_content_of(GUEST) && !frame.has_content_of(OTHER));
    // The hypervisor had it in between.
    frame.forget_content();
    assert!(!frame.has_content_of(GUEST));

    // What the hypervisor shares with a domain is not the domain's content.
    frame.assign_shared(GUEST, SharedAccess::ReadWrite);
    assert_eq!(release_shared(&world, mfn, GUEST), Ok(()));
    assert!(!world.frame(mfn).has_content_of(GUEST));
}
