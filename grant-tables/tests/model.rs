//! Random operations against a reference model: per entry the multiset of (part, access) uses, per handle what is left of
//! it. After each operation counts, shared bits, references and page-table entries must be what the model says.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use std::collections::BTreeMap;

use abi::{
    DomainId, Errno, GrantHandle, GrantRef,
    grant_table::{Copy, CopyFlags, CopyPointer, EntryFlags, GrantStatus, MapFlags},
};
use grant_tables::{CopyBatch, Limits, Version};
use proptest::prelude::*;
use world::{ALICE, BOB, World, map, request, unmap};

const REFERENCES: u32 = 4;
const FIRST: u32 = 8;

#[derive(Clone, Debug)]
enum Step {
    Map {
        by: bool,
        reference: u32,
        flags: u32,
    },
    Unmap {
        by: bool,
        pick: usize,
        host: bool,
        device: bool,
        wrong: bool,
    },
    Copy {
        by: bool,
        reference: u32,
        write: bool,
    },
    /// The granter revokes the entry if it sees it unused, as a guest should.
    EndAccess {
        reference: u32,
    },
    Grant {
        reference: u32,
        grantee: bool,
        readonly: bool,
    },
    /// The granter changes the version of its table.
    SetVersion {
        two: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let reference = 0..REFERENCES;
    prop_oneof![
        4 => (any::<bool>(), reference.clone(), 0u32..8)
            .prop_map(|(by, reference, flags)| Step::Map { by, reference, flags }),
        4 => (any::<bool>(), any::<usize>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(by, pick, host, device, wrong)| Step::Unmap { by, pick, host, device, wrong }),
        1 => (any::<bool>(), reference.clone(), any::<bool>())
            .prop_map(|(by, reference, write)| Step::Copy { by, reference, write }),
        1 => reference.clone().prop_map(|reference| Step::EndAccess { reference }),
        1 => any::<bool>().prop_map(|two| Step::SetVersion { two }),
        2 => (reference, any::<bool>(), any::<bool>())
            .prop_map(|(reference, grantee, readonly)| Step::Grant { reference, grantee, readonly }),
    ]
}

#[derive(Clone, Debug)]
struct Left {
    reference: u32,
    readonly: bool,
    address: u64,
    host: bool,
    device: bool,
}

#[derive(Default)]
struct Model {
    /// By domain and handle.
    handles: BTreeMap<(u16, u32), Left>,
    /// Who may use which entry, and whether only for reading.
    granted: BTreeMap<u32, (DomainId, bool)>,
    /// Next free address, so that no mapping overwrites another.
    fresh: u64,
}

fn mapper(by: bool) -> DomainId {
    if by { BOB } else { ALICE }
}

impl Model {
    fn uses(&self, reference: u32) -> [u8; 4] {
        let mut counts = [0; 4];
        for left in self.handles.values().filter(|left| left.reference == reference) {
            counts[usize::from(!left.readonly)] += u8::from(left.host);
            counts[2 + usize::from(!left.readonly)] += u8::from(left.device);
        }
        counts
    }

    fn user(&self, reference: u32) -> Option<DomainId> {
        let mut users = self.handles.iter().filter(|(_, left)| left.reference == reference);
        users.next().map(|((domain, _), _)| DomainId(*domain))
    }

    fn may_use(&self, world: &World, by: DomainId, reference: u32, write: bool) -> bool {
        let in_use = self.user(reference);
        let counts = self.uses(reference);
        let granted = self.granted.get(&reference);
        let permitted = match in_use {
            Some(user) => user == by,
            None => granted.is_some_and(|(grantee, _)| *grantee == by),
        };
        let had_writer = counts[1] + counts[3] > 0;
        let readonly = world.flags(ALICE, FIRST + reference).contains(EntryFlags::READONLY);
        permitted && (!write || had_writer || !readonly)
    }

    fn check(&self, world: &World) {
        for reference in 0..REFERENCES {
            let counts = self.uses(reference);
            assert_eq!(world.pins(ALICE, FIRST + reference), counts);
            let flags = world.flags(ALICE, FIRST + reference);
            assert_eq!(flags.contains(EntryFlags::READING), counts != [0; 4]);
            assert_eq!(flags.contains(EntryFlags::WRITING), counts[1] + counts[3] > 0);
            let uses: u32 = counts.iter().map(|count| u32::from(*count)).sum();
            let writers = u32::from(counts[1]) + u32::from(counts[3]);
            assert_eq!(world.counts(0x100 + u64::from(reference)), (1 + uses + u32::from(uses > 0), writers));
        }
        let entries = self.handles.values().filter(|left| left.host).count();
        assert_eq!(world.entries.borrow().len(), entries);
        for domain in [ALICE, BOB] {
            let table = world.table(domain);
            for handle in 0..table.maptrack().handle_count() {
                let expected = self.handles.contains_key(&(domain.0, handle));
                assert_eq!(table.maptrack().get(GrantHandle(handle)).is_some(), expected);
            }
        }
    }

    fn run(&mut self, world: &World, step: &Step) {
        match *step {
            Step::Map { by, reference, flags } => self.map(world, mapper(by), reference, MapFlags(flags)),
            Step::Unmap { by, pick, host, device, wrong } => {
                self.unmap(world, mapper(by), pick, (host, device), wrong);
            }
            Step::Copy { by, reference, write } => self.copy(world, mapper(by), reference, write),
            Step::SetVersion { two } => self.set_version(world, if two { Version::Two } else { Version::One }),
            Step::EndAccess { reference } => {
                if self.uses(reference) == [0; 4] {
                    world.grant(ALICE, FIRST + reference, EntryFlags::INVALID, DomainId(0), 0);
                    self.granted.remove(&reference);
                }
            }
            Step::Grant { reference, grantee, readonly } => {
                if self.uses(reference) == [0; 4] {
                    let mut flags = EntryFlags::PERMIT_ACCESS;
                    if readonly {
                        flags = flags.with(EntryFlags::READONLY);
                    }
                    world.grant(ALICE, FIRST + reference, flags, mapper(grantee), 0x100 + u64::from(reference));
                    self.granted.insert(reference, (mapper(grantee), readonly));
                }
            }
        }
    }

    /// No entry may be in use, and none that is not reserved survives.
    fn set_version(&mut self, world: &World, wanted: Version) {
        let table = world.table(ALICE);
        let now = table.version();
        let in_use = (0..REFERENCES).any(|reference| self.uses(reference) != [0; 4]);
        let refused = now != wanted && in_use;
        let expected = if refused { Err(Errno::EBUSY) } else { Ok(()) };
        assert_eq!(table.set_version(wanted, world), expected);
        assert_eq!(table.version(), if refused { now } else { wanted });
        if !refused && now != wanted {
            self.granted.clear();
        }
    }

    fn map(&mut self, world: &World, by: DomainId, reference: u32, flags: MapFlags) {
        self.fresh += 0x1000;
        let readonly = flags.contains(MapFlags::READONLY);
        let what = request(ALICE, FIRST + reference, flags, self.fresh);
        let (host, device) = (flags.contains(MapFlags::HOST_MAP), flags.contains(MapFlags::DEVICE_MAP));
        let allowed = self.may_use(world, by, reference, !readonly);
        let result = map(&world.caller(by), &what);
        if !host && !device {
            assert_eq!(result, Err(GrantStatus::BAD_GNTREF));
        } else if allowed {
            let mapped = result.expect("the model allows it");
            let left = Left { reference, readonly, address: self.fresh, host, device };
            assert!(self.handles.insert((by.0, mapped.handle.0), left).is_none(), "handle in use");
        } else {
            assert_eq!(result, Err(GrantStatus::GENERAL_ERROR));
        }
    }

    fn unmap(&mut self, world: &World, by: DomainId, pick: usize, (host, device): (bool, bool), wrong: bool) {
        let keys: Vec<_> = self.handles.keys().filter(|(domain, _)| *domain == by.0).copied().collect();
        let Some(key) = keys.get(pick % keys.len().max(1)) else {
            assert_eq!(unmap(&world.caller(by), GrantHandle(pick as u32), 0x1000, 0), GrantStatus::BAD_HANDLE);
            return;
        };
        let left = self.handles.get_mut(key).unwrap();
        let address = if wrong { 0x7FFF_0000 } else { left.address };
        let device_address = (0x100 + u64::from(left.reference)) << 12;
        let status = unmap(
            &world.caller(by),
            GrantHandle(key.1),
            if host { address } else { 0 },
            if device { device_address } else { 0 },
        );
        if device {
            left.device = false;
        }
        let refused = host && left.host && wrong;
        assert_eq!(status, if refused { GrantStatus::GENERAL_ERROR } else { GrantStatus::OKAY });
        if host && !wrong {
            left.host = false;
        }
        if !left.host && !left.device {
            self.handles.remove(key);
        }
    }

    fn copy(&mut self, world: &World, by: DomainId, reference: u32, write: bool) {
        let grant = CopyPointer { target: u64::from(FIRST + reference), domain: ALICE, ..Default::default() };
        let frame = if by == BOB { 0x207 } else { 0x107 };
        let own = CopyPointer { target: frame, domain: DomainId::SELF, ..Default::default() };
        let (source, destination, flags) =
            if write { (own, grant, CopyFlags::DEST_GREF) } else { (grant, own, CopyFlags::SOURCE_GREF) };
        let operation = Copy { source, destination, length: 64, flags, ..Default::default() };
        let allowed = self.may_use(world, by, reference, write);
        let status = CopyBatch::new(&world.caller(by)).copy(&operation);
        assert_eq!(status, if allowed { GrantStatus::OKAY } else { GrantStatus::GENERAL_ERROR });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_follow_the_model(steps in prop::collection::vec(step(), 1..200)) {
        let world = World::new(Limits { version: Version::Two, ..Limits::default() });
        let mut model = Model::default();
        for step in &steps {
            model.run(&world, step);
            model.check(&world);
        }
        // Everything given back leaves nothing.
        for ((domain, handle), left) in model.handles {
            let status = unmap(
                &world.caller(DomainId(domain)), GrantHandle(handle),
                left.address, (0x100 + u64::from(left.reference)) << 12,
            );
            prop_assert_eq!(status, GrantStatus::OKAY);
        }
        for reference in 0..REFERENCES {
            prop_assert_eq!(world.counts(0x100 + u64::from(reference)), (1, 0));
            prop_assert!(world.table(ALICE).active(GrantRef(FIRST + reference)).unwrap().pins.is_empty());
        }
    }
}
