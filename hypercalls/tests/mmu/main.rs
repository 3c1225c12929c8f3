//! The page-table calls on a small machine: results, order of checks, continuations, flushes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod host;
#[path = "../../../pv-mmu/tests/world/mod.rs"]
mod world;

use abi::mmu::{MMU_UPDATE_PREEMPTED, MmuCommand, MmuUpdate, MmuextCommand, MmuextOp, UpdateFlags};
use abi::{DomainId, Errno, GuestHandle, GuestVirtual, MachineAddress, Mfn};
use host::*;
use hypercalls::op::mmu::*;
use hypercalls::outcome::Failure;
use pv_mmu::Entry;
use world::*;

#[test]
fn updates_of_all_kinds() {
    let host = host();
    let marker = Entry::GUEST_KERNEL | US;
    host.world.set(Mfn(4), 1, host.world.word(Mfn(4), 1) | Entry::ACCESSED);
    let requests = [
        normal(4, 0, 11 << 12 | RW),
        at(4, 1, MmuCommand::PT_UPDATE_PRESERVE_AD, 12 << 12 | P),
        at(4, 2, MmuCommand::PT_UPDATE_NO_TRANSLATE, 0),
        at(10, 1, MmuCommand::MACHPHYS_UPDATE, 77),
        normal(10, 5, 0x1234),
        normal(3, 20, 4 << 12 | P),
    ];
    assert_eq!(host.update(&requests, SELF), Ok(0));
    assert_eq!(host.done(), 6);
    assert_eq!(host.world.word(Mfn(4), 0), 11 << 12 | RW | marker);
    assert_eq!(host.world.word(Mfn(4), 1), 12 << 12 | P | marker | Entry::ACCESSED);
    assert_eq!(host.world.word(Mfn(10), 5), 0x1234);
    assert_eq!(host.log(), ["m2p 10 = 77"]);
    host.world.audit();
}

#[test]
fn a_batch_stops_at_the_first_error_and_says_how_far_it_came() {
    let cases = [
        (normal(4, 0, 4 << 12 | RW), Errno::EBUSY),
        (normal(4, 0, 10 << 12 | P | Entry::PAT), Errno::EINVAL),
        (normal(4, 0, DEVICE.0 << 12 | P), Errno::EPERM),
        (normal(40, 0, 0), Errno::EINVAL),
        (normal(1, 260, 0), Errno::EINVAL),
        (MmuUpdate { pointer: 4 << 12 | 4, value: 0 }, Errno::ENOSYS),
        (MmuUpdate { pointer: 40 << 12 | 7, value: 0 }, Errno::ENOSYS),
        (at(40, 0, MmuCommand::MACHPHYS_UPDATE, 1), Errno::EINVAL),
    ];
    for (bad, errno) in cases {
        let host = host();
        assert_eq!(host.update(&[normal(4, 30, 0), bad, normal(4, 31, 0)], SELF), failed(errno), "{bad:?}");
        assert_eq!(host.done(), 1);
    }
    let host = host();
    let last = MEMORY + 0x10000 - 16;
    host.put(last, &[normal(4, 0, 0)]);
    let reply = mmu_update(&host, GuestHandle::new(last), 2, GuestHandle::new(0), SELF);
    assert_eq!(reply, failed(Errno::EFAULT));
    assert_eq!(host.world.word(Mfn(4), 0), 0, "the first one was done");
    let hypervisor = GuestHandle::new(0xFFFF_87FF_FFFF_FFF8);
    assert_eq!(mmu_update(&host, hypervisor, 1, GuestHandle::new(0), SELF), failed(Errno::EFAULT));
    assert_eq!(mmu_update(&host, GuestHandle::new(last), 0, GuestHandle::new(0), SELF), Ok(0));
}

#[test]
fn foreign_owners() {
    let host = host();
    let request = [normal(4, 9, 40 << 12 | RW)];
    let other = u32::from(OTHER.0);
    assert_eq!(host.update(&request, 55), failed(Errno::ESRCH));
    assert_eq!(host.update(&request, u32::from(GUEST.0)), failed(Errno::ESRCH), "has to say DOMID_SELF");
    assert_eq!(host.update(&request, 56 << 16 | SELF), failed(Errno::ESRCH));
    assert_eq!(host.update(&request, other), failed(Errno::EPERM));
    assert_eq!(host.update(&request, u32::from(DomainId::XEN.0)), failed(Errno::EPERM));
    assert_eq!(host.update(&request, u32::from(DomainId::IO.0)), failed(Errno::EBUSY));
    host.control.set(true);
    assert_eq!(host.update(&request, other), Ok(0));
    assert_eq!(host.update(&[normal(4, 9, 10 << 12 | P)], other), failed(Errno::EBUSY));
    assert_eq!(host.update(&request, (u32::from(GUEST.0) + 1) << 16 | other), Ok(0), "own tables by number");
    let foreign_table = (other + 1) << 16 | SELF;
    assert_eq!(host.update(&[normal(41, 0, 5)], foreign_table), Ok(0), "a plain page of the other domain's");
    let machphys = [at(10, 0, MmuCommand::MACHPHYS_UPDATE, 1)];
    assert_eq!(host.update(&machphys, foreign_table), failed(Errno::EPERM));
    let translated = u32::from(DRIVER.0);
    assert_eq!(host.update(&[at(10, 0, MmuCommand::MACHPHYS_UPDATE, 1)], translated), failed(Errno::EINVAL));
    assert_eq!(host.update(&[normal(4, 9, 10 << 12 | P)], translated), failed(Errno::EINVAL), "a hole");
    assert_eq!(host.update(&[normal(4, 9, 0)], (translated + 1) << 16 | SELF), failed(Errno::EOPNOTSUPP));
}

#[test]
fn preempted_batches_go_on_where_they_stopped() {
    let host = host();
    let requests: Vec<_> = (0..5).map(|index| normal(4, 40 + index, 10 << 12 | P)).collect();
    host.preempt_after.set(Some(1));
    let Err(Failure::Preempted(mut arguments)) = host.update(&requests, SELF) else { panic!("not preempted") };
    assert_eq!(arguments, [MEMORY + 32, 3 | u64::from(MMU_UPDATE_PREEMPTED), DONE, SELF.into(), 0, 0]);
    assert_eq!(host.done(), 2);
    let mut rounds = 0;
    loop {
        rounds += 1;
        host.preempt_after.set(Some(0));
        let [list, count, done, foreign, ..] = arguments;
        match mmu_update(&host, GuestHandle::new(list), count as u32, GuestHandle::new(done), foreign as u32) {
            Err(Failure::Preempted(again)) => arguments = again,
            reply => break assert_eq!(reply, Ok(0)),
        }
    }
    assert_eq!((rounds, host.done()), (3, 5));
    host.world.audit();
}

#[test]
fn a_result_is_kept_back_until_the_old_table_is_gone() {
    let host = host();
    // Nothing else holds the level-3 table below slots 0 and 300 once the last of them goes.
    assert_eq!(host.update(&[normal(1, 300, 0)], SELF), Ok(0));
    host.world.budget.set(Some(0));
    let reply = host.update(&[normal(1, 0, 0), normal(4, 0, 4 << 12 | RW)], SELF);
    let Err(Failure::Preempted(arguments)) = reply else { panic!("{reply:?}") };
    assert_eq!(arguments, [MEMORY + 16, 1 | u64::from(MMU_UPDATE_PREEMPTED), DONE, SELF.into(), 0, 0]);
    let mut arguments = arguments;
    let mut rounds = 0;
    let reply = loop {
        rounds += 1;
        let [list, count, done, foreign, ..] = arguments;
        let reply = mmu_update(&host, GuestHandle::new(list), count as u32, GuestHandle::new(done), foreign as u32);
        host.world.audit();
        match reply {
            Err(Failure::Preempted(again)) => arguments = again,
            reply => break reply,
        }
    };
    assert!(rounds > 1);
    assert_eq!(reply, Ok(0), "table 4 is no table any more but a plain page");
    assert_eq!(host.done(), 2);
    // The convention itself.
    let deliver =
        |result: u32| mmu_update(&host, GuestHandle::new(0), MMU_UPDATE_PREEMPTED, GuestHandle::new(0), result);
    assert_eq!(deliver(-16i32 as u32), Ok(Errno::EBUSY.to_register()));
    assert_eq!(deliver(5), Ok(5));
    // One request whose drop is left over keeps its success back.
    let host = self::host();
    host.world.budget.set(Some(0));
    assert_eq!(host.update(&[normal(2, 511, 0)], SELF), Err(Failure::Preempted([0, 1 << 31, 0, 0, 0, 0])));
    assert_eq!(host.done(), 1);
}

#[test]
fn pins_and_base_pointers() {
    use MmuextCommand as Command;
    let host = host();
    let invalid = failed(Errno::EINVAL);
    assert_eq!(host.extended(&[ext(Command::PIN_L1_TABLE, 4, 0), ext(Command::PIN_L4_TABLE, 20, 0)], SELF), Ok(0));
    assert_eq!(host.done(), 2);
    assert_eq!(host.extended(&[ext(Command::PIN_L1_TABLE, 4, 0)], SELF), invalid);
    assert_eq!(host.extended(&[ext(Command::PIN_L2_TABLE, 4, 0)], SELF), invalid);
    assert_eq!(host.extended(&[ext(Command::PIN_L1_TABLE, 40, 0)], SELF), invalid);
    assert_eq!(host.extended(&[ext(Command::UNPIN_TABLE, 4, 0)], SELF), Ok(0));
    assert_eq!(host.extended(&[ext(Command::UNPIN_TABLE, 4, 0)], SELF), invalid);
    assert_eq!(host.extended(&[ext(Command::NEW_BASEPTR, 10, 0)], SELF), invalid);
    assert_eq!(host.extended(&[ext(Command::NEW_BASEPTR, ROOT.0, 0)], SELF), Ok(0));
    assert_eq!(host.log(), ["cr3 1"], "the same value reloads");
    assert_eq!(host.extended(&[ext(Command::NEW_BASEPTR, 20, 0), ext(Command::UNPIN_TABLE, ROOT.0, 0)], SELF), Ok(0));
    assert_eq!(host.log(), ["cr3 20"]);
    assert_eq!(host.world.frame(ROOT).type_word().count(), 0);
    assert_eq!(host.extended(&[ext(Command::NEW_USER_BASEPTR, 20, 0)], SELF), Ok(0));
    assert_eq!(host.extended(&[ext(Command::NEW_USER_BASEPTR, 20, 0)], SELF), Ok(0));
    assert_eq!(host.user_root(), Some(Mfn(20)));
    assert_eq!(host.extended(&[ext(Command::NEW_USER_BASEPTR, 0, 0)], SELF), Ok(0));
    assert_eq!(host.user_root(), None);
    // A foreign owner: pins only.
    let other = u32::from(OTHER.0);
    assert_eq!(host.extended(&[ext(Command::PIN_L1_TABLE, 40, 0)], other), failed(Errno::EPERM));
    host.control.set(true);
    assert_eq!(host.extended(&[ext(Command::PIN_L1_TABLE, 40, 0)], other), Ok(0));
    for command in [5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 18].map(MmuextCommand) {
        assert_eq!(host.extended(&[ext(command, 0, 0)], other), failed(Errno::EPERM), "{command:?}");
    }
    for command in [14, 21, u32::MAX].map(MmuextCommand) {
        assert_eq!(host.extended(&[ext(command, 0, 0)], other), failed(Errno::ENOSYS), "{command:?}");
        assert_eq!(host.extended(&[ext(command, 0, 0)], SELF), failed(Errno::ENOSYS), "{command:?}");
    }
    assert_eq!(host.extended(&[ext(Command::MARK_SUPER, 0, 0)], SELF), failed(Errno::EOPNOTSUPP));
    assert_eq!(host.extended(&[], u32::from(DRIVER.0)), invalid, "not a PV domain");
    assert_eq!(host.extended(&[], 77), failed(Errno::ESRCH));
}

#[test]
fn a_large_pin_and_the_drop_of_a_root_are_preempted_and_finished() {
    use MmuextCommand as Command;
    let host = host();
    host.extended(&[ext(Command::PIN_L4_TABLE, 20, 0)], SELF).unwrap();
    let run = |requests: &[MmuextOp]| {
        host.put(MEMORY, requests);
        let mut arguments = [MEMORY, requests.len() as u64, DONE, SELF.into(), 0, 0];
        let mut rounds = 0;
        loop {
            rounds += 1;
            host.world.budget.set(Some(0));
            let [list, count, done, foreign, ..] = arguments;
            let reply = mmuext_op(&host, GuestHandle::new(list), count as u32, GuestHandle::new(done), foreign as u32);
            host.world.audit();
            match reply {
                Err(Failure::Preempted(again)) => arguments = again,
                reply => break (rounds, reply),
            }
        }
    };
    let (rounds, reply) = run(&[ext(Command::UNPIN_TABLE, ROOT.0, 0), ext(Command::NEW_BASEPTR, 20, 0)]);
    assert_eq!(reply, Ok(0));
    assert!(rounds > 4, "{rounds}");
    assert_eq!(host.world.frame(ROOT).type_word().count(), 0);
    let (rounds, reply) = run(&[ext(Command::PIN_L4_TABLE, ROOT.0, 0), ext(Command::PIN_L4_TABLE, ROOT.0, 0)]);
    assert_eq!((reply, host.done()), (failed(Errno::EINVAL), 1));
    assert!(rounds > 4, "{rounds}");
}

#[test]
fn flushes_and_the_rest_of_mmuext() {
    use MmuextCommand as Command;
    let host = host();
    let bitmap = MEMORY + 0x9000;
    host.put(bitmap, &[0b101u64, !0]);
    let one = |command, argument1, argument2| {
        let reply = host.extended(&[ext(command, argument1, argument2)], SELF);
        (reply, host.log().join(", "))
    };
    let everything = "Everything";
    let page = "Page(GuestVirtual(0x5000))";
    let gone = (Ok(0), String::new());
    assert_eq!(one(Command::TLB_FLUSH_LOCAL, 0, 0), (Ok(0), format!("local {everything}")));
    assert_eq!(one(Command::TLB_FLUSH_ALL, 0, 0), (Ok(0), format!("domain {everything}")));
    let both = format!("vcpus 0+0x5 {everything}, vcpus 64+0x3 {everything}");
    assert_eq!(one(Command::TLB_FLUSH_MULTI, 0, bitmap), (Ok(0), both));
    assert_eq!(one(Command::TLB_FLUSH_MULTI, 0, 0), (failed(Errno::EINVAL), String::new()));
    assert_eq!(one(Command::INVLPG_LOCAL, 0x5000, 0), (Ok(0), format!("local {page}")));
    assert_eq!(one(Command::INVLPG_ALL, 0x5000, 0), (Ok(0), format!("domain {page}")));
    assert_eq!(one(Command::INVLPG_LOCAL, 0xFFFF_8000_0000_0000, 0), gone);
    assert_eq!(one(Command::INVLPG_ALL, 1 << 60, 0), gone, "not canonical");
    let both = format!("vcpus 0+0x5 {page}, vcpus 64+0x3 {page}");
    assert_eq!(one(Command::INVLPG_MULTI, 0x5000, bitmap), (Ok(0), both));
    assert_eq!(one(Command::FLUSH_CACHE, 0, 0).0, failed(Errno::EACCES));
    assert_eq!(one(Command::FLUSH_CACHE_GLOBAL, 0, 0).0, failed(Errno::EINVAL));
    host.io.set(true);
    assert_eq!(one(Command::FLUSH_CACHE, 0, 0), (Ok(0), "wbinvd".into()));
    assert_eq!(one(Command::FLUSH_CACHE_GLOBAL, 0, 0), (Ok(0), "wbinvd all".into()));
    assert_eq!(one(Command::SET_LDT, 0x7000, 8192), (Ok(0), "ldt 0x7000 8192".into()));
    assert_eq!(one(Command::SET_LDT, 0, 0), (Ok(0), "ldt 0x0 0".into()));
    assert_eq!(one(Command::SET_LDT, 0x7001, 0), (Ok(0), "ldt 0x0 0".into()), "no entries lie nowhere");
    for (base, entries) in [(0x7001, 1), (0x7000, 8193), (0xFFFF_8000_0000_0000, 1)] {
        assert_eq!(one(Command::SET_LDT, base, entries), (failed(Errno::EINVAL), String::new()));
    }
    // Several flushes of one batch are paid once, and also when a later request fails.
    let batch = [
        ext(Command::INVLPG_LOCAL, 0x5000, 0),
        ext(Command::INVLPG_LOCAL, 0x6000, 0),
        ext(Command::TLB_FLUSH_ALL, 0, 0),
        ext(Command::UNPIN_TABLE, 10, 0),
    ];
    assert_eq!(host.extended(&batch, SELF), failed(Errno::EINVAL));
    assert_eq!(host.log(), [format!("domain {everything}")]);
    // Whole pages.
    host.world.set(Mfn(10), 3, 33);
    assert_eq!(one(Command::COPY_PAGE, 25, 10), gone);
    assert_eq!(host.world.word(Mfn(25), 3), 33);
    assert_eq!(one(Command::CLEAR_PAGE, 25, 0), gone);
    assert_eq!(host.world.word(Mfn(25), 3), 0);
    assert_eq!(one(Command::COPY_PAGE, 25, 4).0, Ok(0), "a table can be read");
    for (command, to, from) in [
        (Command::CLEAR_PAGE, 4, 0),
        (Command::CLEAR_PAGE, 40, 0),
        (Command::COPY_PAGE, 4, 10),
        (Command::COPY_PAGE, 25, 40),
    ] {
        assert_eq!(one(command, to, from).0, failed(Errno::EINVAL));
    }
}

#[test]
fn update_va_mapping_with_every_flush() {
    let host = host();
    let bitmap = MEMORY + 0x9000;
    host.put(bitmap, &[2u64, 0]);
    let update = |value, flags: u64| {
        let reply = update_va_mapping(&host, BASE, value, UpdateFlags(flags));
        host.world.audit();
        (reply, host.log().join(", "))
    };
    let page = format!("Page({BASE:?})");
    let value = 11 << 12 | RW;
    assert_eq!(update(value, 0), (Ok(0), String::new()));
    assert_eq!(host.world.word(Mfn(4), 0), value | US | Entry::GUEST_KERNEL);
    assert_eq!(update(value, 1), (Ok(0), "local Everything".into()));
    assert_eq!(update(value, 2), (Ok(0), format!("local {page}")));
    assert_eq!(update(value, 5), (Ok(0), "domain Everything".into()));
    assert_eq!(update(value, 6), (Ok(0), format!("domain {page}")));
    assert_eq!(update(value, 1 | bitmap), (Ok(0), "vcpus 0+0x2 Everything".into()));
    assert_eq!(update(value, 2 | bitmap), (Ok(0), format!("vcpus 0+0x2 {page}")));
    assert_eq!(update(4 << 12 | RW, 5), (failed(Errno::EBUSY), String::new()), "no flush of a refused update");
    assert_eq!(update(10 << 12 | P, 2 | 0x50), (failed(Errno::EFAULT), String::new()));
    assert_eq!(host.world.word(Mfn(4), 0) >> 12 & 0xFF, 10, "changed nevertheless");
    assert_eq!(update(0, 3), (Ok(0), String::new()));
    for address in [9 << 21, 0xFFFF_8000_0000_0000, 1 << 60] {
        let reply = update_va_mapping(&host, GuestVirtual(address), 0, UpdateFlags(0));
        assert_eq!(reply, failed(Errno::EINVAL));
    }
    let other = |owner| update_va_mapping_otherdomain(&host, BASE, 40 << 12 | RW, UpdateFlags(6), owner);
    assert_eq!(other(DomainId(99)), failed(Errno::ESRCH));
    assert_eq!(other(GUEST), failed(Errno::ESRCH));
    assert_eq!(other(OTHER), failed(Errno::EPERM));
    assert_eq!(other(DomainId::IO), failed(Errno::EPERM));
    host.control.set(true);
    assert_eq!(other(OTHER), Ok(0));
    assert_eq!(host.log(), [format!("domain {page}")]);
    assert_eq!(update(0, 0).0, Ok(0));
    assert_eq!(other(DomainId::SELF), failed(Errno::EBUSY));
    host.world.audit();
}

#[test]
fn descriptor_tables() {
    let host = host();
    host.put(MEMORY, &[25u64, 26, 10]);
    let list = GuestHandle::new(MEMORY);
    assert_eq!(set_gdt(&host, list, 7169), failed(Errno::EINVAL));
    assert_eq!(set_gdt(&host, GuestHandle::new(8), 1), failed(Errno::EFAULT));
    assert_eq!(set_gdt(&host, list, 1025), failed(Errno::EINVAL), "frame 10 is mapped writable");
    host.world.audit();
    pv_mmu::acquire_segment_page(&host.world, Mfn(29), GUEST).unwrap();
    host.world.hold(Mfn(29), 1, 1);
    assert_eq!(set_gdt(&host, list, 1024), Ok(0));
    assert_eq!(host.log(), ["gdt [Mfn(0x19), Mfn(0x1a)] 1024"]);
    host.world.audit();
    assert_eq!(set_gdt(&host, GuestHandle::new(0), 0), Ok(0));
    let at = |mfn: u64, offset: u64| MachineAddress(mfn << 12 | offset);
    assert_eq!(update_descriptor(&host, at(25, 16), 0x1235), Ok(0));
    assert_eq!(host.world.word(Mfn(25), 2), 0x1234);
    assert_eq!(update_descriptor(&host, at(10, 8), 0x77), Ok(0), "any page that can be writable");
    for (address, descriptor) in [(at(25, 4), 0), (at(25, 16), BAD_DESCRIPTOR), (at(4, 0), 0), (at(40, 0), 0)] {
        assert_eq!(update_descriptor(&host, address, descriptor), failed(Errno::EINVAL));
    }
    host.world.audit();
}
