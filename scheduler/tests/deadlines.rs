//! Deadlines against the plainest model, and their cost against the number of others.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::collections::BTreeMap;

use scheduler::{Deadlines, EntityId};

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

#[test]
fn agrees_with_a_model() {
    const ENTITIES: u32 = 50;
    let mut random = Random(11);
    let mut deadlines = Deadlines::with_room(ENTITIES).unwrap();
    let mut model: BTreeMap<u32, u64> = BTreeMap::new();
    let mut now = 0;
    for _ in 0..50_000 {
        if random.next(3) < 2 {
            let (id, deadline) = (random.next(u64::from(ENTITIES)) as u32, now + random.next(1000));
            let is_first = deadlines.bring_forward(EntityId(id), deadline);
            let before = model.values().min().copied();
            let known = model.get(&id).copied().unwrap_or(u64::MAX);
            model.insert(id, known.min(deadline));
            if before.is_none_or(|before| deadline < before) {
                assert!(is_first, "{deadline} is before {before:?}");
            }
            if known <= deadline {
                assert!(!is_first, "nothing changed");
            }
        } else {
            now += random.next(200);
            while let Some(EntityId(id)) = deadlines.take_due(now) {
                let deadline = model.remove(&id).unwrap();
                assert!(deadline <= now);
            }
            assert!(model.values().all(|&deadline| deadline > now), "nobody is late");
        }
        assert_eq!(deadlines.first(), model.values().min().copied());
    }
    while let Some((EntityId(id), deadline)) = deadlines.take_any() {
        assert_eq!(model.remove(&id), Some(deadline));
    }
    assert!(model.is_empty());
}

#[test]
fn numbers_without_room_are_left_out() {
    let mut deadlines = Deadlines::with_room(4).unwrap();
    assert!(!deadlines.bring_forward(EntityId(4), 7));
    assert_eq!(deadlines.first(), None);
    assert!(deadlines.bring_forward(EntityId(3), 7));
    assert_eq!(deadlines.take_due(6), None);
    assert_eq!(deadlines.take_due(7), Some(EntityId(3)));
}
