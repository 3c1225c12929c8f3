//! Every interleaving (within a bound on preemptions where said) of vCPUs that map, unmap and copy while the granter
//! revokes. Run with `RUSTFLAGS="--cfg loom" cargo test -p grant-tables --release --test loom`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::RefCell;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI32, Ordering::SeqCst},
};

use abi::{
    DomainId, Gfn, GrantHandle, GrantRef, GuestVirtual, Mfn, VcpuId,
    grant_table::{Copy, CopyFlags, CopyPointer, EntryFlags, GrantStatus, MapFlags, MapGrantRef},
};
use grant_tables::{
    Access, Contents, CopyBatch, DomainCache, GrantTable, Host, Limits, Mappings, OutOfMemory, Place, Refused,
    SharedPage, TableMemory, UnmapBatch, UnmapRequest, Version, map,
    sync::{AtomicU32, Ordering, fence},
};
use loom::thread;

const ALICE: DomainId = DomainId(1);
const BOB: DomainId = DomainId(2);
const IN_USE: u16 = EntryFlags::READING.0 | EntryFlags::WRITING.0;
const HEAD: u32 = 1 | 2 << 16;

struct Page(Arc<Vec<AtomicU32>>);

impl SharedPage for Page {
    fn frame(&self) -> Mfn {
        Mfn(0x8000)
    }
    fn words(&self) -> &[AtomicU32] {
        &self.0
    }
    fn is_mapped(&self) -> bool {
        false
    }
}

/// Counts are bookkeeping of the test, not part of what loom explores.
struct World {
    words: Arc<Vec<AtomicU32>>,
    /// Alice's status words, if her table has version 2.
    status: Arc<Vec<AtomicU32>>,
    /// Alice took her frame back.
    revoked: AtomicBool,
    alice: Arc<GrantTable<Page>>,
    bob: Arc<GrantTable<Page>>,
    references: AtomicI32,
    writers: AtomicI32,
}

/// Hands out the pages of a table: entries first, then status words.
struct Memory(RefCell<Vec<Arc<Vec<AtomicU32>>>>);

impl TableMemory for Memory {
    type Page = Page;
    fn shared_page(&self, _: DomainId) -> Result<Page, OutOfMemory> {
        self.0.borrow_mut().pop().map(Page).ok_or(OutOfMemory)
    }
    fn charge(&self, _: DomainId, _: usize) -> Result<(), OutOfMemory> {
        Ok(())
    }
    fn uncharge(&self, _: DomainId, _: usize) {}
}

impl World {
    fn new(maptrack_frames: u32) -> Arc<Self> {
        Self::of_version(maptrack_frames, Version::One)
    }

    fn of_version(maptrack_frames: u32, version: Version) -> Arc<Self> {
        let words = || Arc::new((0..4).map(|_| AtomicU32::new(0)).collect::<Vec<_>>());
        let (alice_words, alice_status) = (words(), words());
        let memory = Memory(RefCell::new(vec![alice_status.clone(), alice_words.clone()]));
        let limits = Limits { frames: 1, maptrack_frames, version: Version::Two };
        let alice = Arc::new(GrantTable::new(ALICE, limits, 1, 2, &memory).ok().unwrap());
        alice.set_version(version, &memory).unwrap();
        let frame = if version == Version::One { 1 } else { 2 };
        alice_words[frame].store(0x100, Ordering::Relaxed);
        alice_words[0].store(HEAD, Ordering::Release);
        let limits = Limits { frames: 1, maptrack_frames, ..Limits::default() };
        let bob = GrantTable::new(BOB, limits, 1, 2, &Memory(RefCell::new(vec![words()])));
        Arc::new(Self {
            words: alice_words,
            status: alice_status,
            revoked: AtomicBool::new(false),
            alice,
            bob: Arc::new(bob.ok().unwrap()),
            references: AtomicI32::new(0),
            writers: AtomicI32::new(0),
        })
    }

    /// The granter revokes a version 2 entry as the public header tells guests to: flags first, then a look at the status.
    fn end_access_v2(&self) -> bool {
        self.words[0].store(0, Ordering::Release);
        fence(Ordering::SeqCst);
        let revoked = self.status[0].load(Ordering::Acquire) as u16 & IN_USE == 0;
        self.revoked.store(revoked, SeqCst);
        revoked
    }

    /// The granter revokes as the public header tells guests to: compare-and-swap once it sees no use.
    fn end_access(&self) -> bool {
        let head = self.words[0].load(Ordering::Acquire);
        head as u16 & IN_USE == 0
            && self.words[0].compare_exchange(head, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn is_idle(&self) {
        assert!(self.alice.active(GrantRef(0)).unwrap().pins.is_empty());
        assert_eq!(self.words[0].load(Ordering::Acquire) as u16 & IN_USE, 0);
        assert_eq!((self.references.load(SeqCst), self.writers.load(SeqCst)), (0, 0));
    }
}

struct Vcpu {
    world: Arc<World>,
    vcpu: u32,
}

impl TableMemory for Vcpu {
    type Page = Page;
    fn shared_page(&self, _: DomainId) -> Result<Page, OutOfMemory> {
        Err(OutOfMemory)
    }
    fn charge(&self, _: DomainId, _: usize) -> Result<(), OutOfMemory> {
        Ok(())
    }
    fn uncharge(&self, _: DomainId, _: usize) {}
}

impl Host for Vcpu {
    type Domain = Arc<GrantTable<Page>>;
    fn current(&self) -> DomainId {
        BOB
    }
    fn vcpu(&self) -> VcpuId {
        VcpuId(self.vcpu)
    }
    fn own_table(&self) -> &GrantTable<Page> {
        &self.world.bob
    }
    fn domain(&self, id: DomainId) -> Option<Self::Domain> {
        (id == ALICE).then(|| self.world.alice.clone())
    }
    fn take(&self, owner: DomainId, gfn: Gfn, access: Access) -> Result<Mfn, Refused> {
        // A granter that was revoked before must not be reached.
        self.world.references.fetch_add(1, SeqCst);
        assert_eq!((owner, access), (ALICE, Access::Read));
        Ok(Mfn(gfn.0))
    }
    fn take_again(&self, _: DomainId, frame: Mfn, access: Access) -> Result<(), Refused> {
        assert_eq!(frame, Mfn(0x100));
        // The caller says the frame is referenced already.
        assert!(self.world.references.fetch_add(1, SeqCst) > 0);
        if access == Access::Write {
            self.world.writers.fetch_add(1, SeqCst);
        }
        Ok(())
    }
    fn put(&self, _: Mfn, access: Access) {
        assert!(self.world.references.fetch_sub(1, SeqCst) > 0);
        if access == Access::Write {
            assert!(self.world.writers.fetch_sub(1, SeqCst) > 0);
        }
    }
}

impl Mappings for Vcpu {
    fn map(&self, _: Place, _: Mfn, _: MapFlags) -> Result<(), GrantStatus> {
        Ok(())
    }
    fn unmap(&self, _: Place, frame: Mfn, _: MapFlags) -> Result<(), GrantStatus> {
        assert_eq!(frame, Mfn(0x100));
        Ok(())
    }
    fn replace(&self, _: GuestVirtual, _: Mfn, _: MapFlags, _: GuestVirtual) -> Result<(), GrantStatus> {
        Ok(())
    }
    fn flush(&self) {}
}

impl Contents for Vcpu {
    type Window = Mfn;
    fn window(&self, frame: Mfn, _: Access) -> Mfn {
        frame
    }
    fn copy_bytes(&self, from: &Mfn, _: usize, to: &Mfn, _: usize, _: usize) {
        // Bytes move only while the granter cannot revoke and the frame cannot go.
        let granted = [from, to].contains(&&Mfn(0x100));
        let in_use = match self.world.alice.version() {
            Version::One => self.world.words[0].load(Ordering::Acquire),
            Version::Two => self.world.status[0].load(Ordering::Acquire),
        };
        assert!(!granted || in_use as u16 & EntryFlags::READING.0 != 0);
        assert!(!granted || !self.world.revoked.load(SeqCst), "copied what was taken back");
        assert!(self.world.references.load(SeqCst) > 0);
    }
}

impl Vcpu {
    fn new(world: &Arc<World>, vcpu: u32) -> Self {
        Self { world: world.clone(), vcpu }
    }

    fn map(&self, flags: MapFlags) -> Result<GrantHandle, GrantStatus> {
        let request = MapGrantRef { host_address: 0x5000, flags, domain: ALICE, ..Default::default() };
        Ok(map(self, &mut DomainCache::default(), &request)?.handle)
    }

    fn unmap(&self, handle: GrantHandle) -> GrantStatus {
        let request = UnmapRequest { host_address: 0x5000, device_bus_address: 0, new_address: 0, handle };
        UnmapBatch::<_, 1>::new(self).unmap(&request)
    }

    fn map_and_unmap(&self, flags: MapFlags) {
        if let Ok(handle) = self.map(flags) {
            assert_ne!(self.world.words[0].load(Ordering::Acquire) as u16 & EntryFlags::READING.0, 0);
            assert_eq!(self.unmap(handle), GrantStatus::OKAY);
        }
    }

    /// Copies between the granted frame and itself, so that both sides pin the same entry.
    fn copy(&self) -> GrantStatus {
        let side = CopyPointer { target: 0, domain: ALICE, ..Default::default() };
        let flags = CopyFlags::SOURCE_GREF.with(CopyFlags::DEST_GREF);
        let operation = Copy { source: side, destination: side, length: 1, flags, ..Default::default() };
        CopyBatch::new(self).copy(&operation)
    }
}

const HOST: MapFlags = MapFlags::HOST_MAP;
const HOST_RO: MapFlags = MapFlags(MapFlags::HOST_MAP.0 | MapFlags::READONLY.0);

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Two vCPUs and the granter; each runs once, in all orders up to the bound.
fn against_revocation(preemptions: usize, first: fn(&Vcpu), second: fn(&Vcpu)) {
    explore(preemptions, move || {
        let world = World::new(1);
        // Grow the handle space first: growth is not what is looked at here.
        let warm = Vcpu::new(&world, 0);
        assert_eq!(warm.unmap(warm.map(HOST_RO).unwrap()), GrantStatus::OKAY);
        let other = Vcpu::new(&world, 1);
        let other = thread::spawn(move || second(&other));
        let granter = {
            let world = world.clone();
            thread::spawn(move || world.end_access())
        };
        first(&warm);
        other.join().unwrap();
        let revoked = granter.join().unwrap();
        world.is_idle();
        assert_eq!(world.words[0].load(Ordering::Acquire), if revoked { 0 } else { HEAD });
    });
}

#[test]
fn map_against_map() {
    against_revocation(4, |vcpu| vcpu.map_and_unmap(HOST), |vcpu| vcpu.map_and_unmap(HOST_RO));
}

#[test]
fn map_against_copy() {
    against_revocation(4, |vcpu| vcpu.map_and_unmap(HOST_RO), |vcpu| assert_ne!(vcpu.copy(), GrantStatus::BAD_DOMAIN));
}

#[test]
fn copy_against_copy() {
    against_revocation(
        4,
        |vcpu| assert_ne!(vcpu.copy(), GrantStatus::BAD_DOMAIN),
        |vcpu| assert_ne!(vcpu.copy(), GrantStatus::BAD_DOMAIN),
    );
}

/// Version 2: granter and grantee each write their own word and look at the other's.
#[test]
fn copy_against_revocation_in_version_two() {
    explore(4, || {
        let world = World::of_version(1, Version::Two);
        let other = Vcpu::new(&world, 0);
        let other = thread::spawn(move || other.copy());
        let revoked = world.end_access_v2();
        let copied = other.join().unwrap();
        assert!(matches!(copied, GrantStatus::OKAY | GrantStatus::GENERAL_ERROR));
        assert!(world.alice.active(GrantRef(0)).unwrap().pins.is_empty());
        assert_eq!(world.status[0].load(Ordering::Acquire) as u16 & IN_USE, 0);
        assert_eq!(world.references.load(SeqCst), 0);
        assert!(revoked || copied == GrantStatus::OKAY || world.words[0].load(Ordering::Acquire) == 0);
    });
}

/// A kept entry is mapped before, during or after the change, and unmapped in whichever version that is.
#[test]
fn mappings_of_kept_entries_live_through_a_change() {
    explore(3, || {
        let world = World::of_version(1, Version::Two);
        // Entry 0 is kept; grow the handle space first.
        let warm = Vcpu::new(&world, 0);
        assert_eq!(warm.unmap(warm.map(HOST_RO).unwrap()), GrantStatus::OKAY);
        let changer = {
            let world = world.clone();
            thread::spawn(move || world.alice.set_version(Version::One, &Memory(RefCell::default())))
        };
        let mapped = warm.map(HOST);
        if let Ok(handle) = mapped {
            assert_eq!(warm.unmap(handle), GrantStatus::OKAY);
        }
        assert_eq!((changer.join().unwrap(), mapped.is_ok()), (Ok(()), true));
        assert_eq!(world.alice.version(), Version::One);
        world.is_idle();
        assert_eq!(world.words[0].load(Ordering::Acquire), HEAD);
    });
}

#[test]
fn a_handle_is_unmapped_once() {
    explore(4, || {
        let world = World::new(1);
        let first = Vcpu::new(&world, 0);
        let handle = first.map(HOST).unwrap();
        let second = Vcpu::new(&world, 1);
        let other = thread::spawn(move || second.unmap(handle));
        let here = first.unmap(handle);
        let there = other.join().unwrap();
        let mut statuses = [here, there];
        statuses.sort();
        assert_eq!(statuses, [GrantStatus::BAD_HANDLE, GrantStatus::OKAY]);
        world.is_idle();
    });
}

#[test]
fn host_and_device_parts_leave_together() {
    explore(4, || {
        let world = World::new(1);
        let first = Vcpu::new(&world, 0);
        let handle = first.map(HOST.with(MapFlags::DEVICE_MAP)).unwrap();
        let second = Vcpu::new(&world, 1);
        let other = thread::spawn(move || {
            let request = UnmapRequest { host_address: 0, device_bus_address: 0x100 << 12, new_address: 0, handle };
            assert_eq!(UnmapBatch::<_, 1>::new(&second).unmap(&request), GrantStatus::OKAY);
        });
        assert_eq!(first.unmap(handle), GrantStatus::OKAY);
        other.join().unwrap();
        world.is_idle();
        // The handle is free exactly once: both handles of the only chunk can be had, and no third.
        let again = [first.map(HOST), first.map(HOST), first.map(HOST)];
        assert!(again[0].is_ok() && again[1].is_ok() && again[0] != again[1], "{again:?}");
        assert_eq!(again[2], Err(GrantStatus::NO_SPACE));
    });
}

#[test]
fn handles_are_owned_once_while_lists_are_raided_and_grow() {
    explore(3, || {
        let world = World::new(2);
        let threads: Vec<_> = [1, 0]
            .into_iter()
            .map(|vcpu| {
                let vcpu = Vcpu::new(&world, vcpu);
                thread::spawn(move || {
                    let table = &vcpu.world.bob;
                    let first = table.maptrack().reserve(VcpuId(vcpu.vcpu), &vcpu).unwrap();
                    drop(first);
                    let second = table.maptrack().reserve(VcpuId(vcpu.vcpu), &vcpu).unwrap();
                    let mapping = grant_tables::maptrack::Mapping::new(ALICE, GrantRef(vcpu.vcpu), HOST);
                    second.publish(mapping, Mfn(1))
                })
            })
            .collect();
        let mut handles: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let vcpu = Vcpu::new(&world, 0);
        while let Some(free) = world.bob.maptrack().reserve(VcpuId(0), &vcpu) {
            handles.push(free.publish(grant_tables::maptrack::Mapping::new(ALICE, GrantRef(9), HOST), Mfn(1)));
        }
        handles.sort();
        assert_eq!(handles, (0..4).map(GrantHandle).collect::<Vec<_>>());
    });
}

/// One vCPU is about to take the first of two free slots while another takes both and frees the first again: a list that
/// looked at its head only would believe that nothing had changed.
#[test]
fn a_slot_that_comes_back_is_noticed() {
    explore(4, || {
        let world = World::new(1);
        let warm = Vcpu::new(&world, 0);
        drop(world.bob.maptrack().reserve(VcpuId(0), &warm).unwrap());
        let mapping = grant_tables::maptrack::Mapping::new(ALICE, GrantRef(0), HOST);
        let other = Vcpu::new(&world, 0);
        let other = thread::spawn(move || {
            let maptrack = other.world.bob.maptrack();
            let first = maptrack.reserve(VcpuId(0), &other);
            let second = maptrack.reserve(VcpuId(0), &other);
            drop(first);
            second.map(|second| second.publish(mapping, Mfn(1)))
        });
        let mut handles = Vec::new();
        handles.extend(world.bob.maptrack().reserve(VcpuId(0), &warm).map(|free| free.publish(mapping, Mfn(1))));
        handles.extend(other.join().unwrap());
        while let Some(free) = world.bob.maptrack().reserve(VcpuId(0), &warm) {
            assert!(handles.len() < 2, "{handles:?}");
            handles.push(free.publish(mapping, Mfn(1)));
        }
        handles.sort();
        assert_eq!(handles, [GrantHandle(0), GrantHandle(1)]);
    });
}
