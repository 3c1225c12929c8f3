//! CPU pools: who may have which CPU.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use scheduler::{FIRST_POOL, PoolError, Pools, Population::Empty, Population::Inhabited};

#[test]
fn the_first_pool_has_all_and_stays() {
    let mut pools = Pools::new(0b1111).unwrap();
    assert_eq!(pools.get(0).unwrap().cpus, 0b1111);
    assert_eq!(pools.free_cpus(), 0);
    assert_eq!(pools.destroy(0, Empty), Err(PoolError::Busy));
    for cpu in [3, 2, 1] {
        assert_eq!(pools.remove_cpu(0, Some(cpu), Inhabited, 0), Ok(cpu));
    }
    assert_eq!(pools.remove_cpu(0, Some(0), Inhabited, 0), Err(PoolError::Needed));
    assert_eq!(pools.remove_cpu(0, None, Inhabited, 0), Err(PoolError::Needed));
    assert_eq!(pools.free_cpus(), 0b1110);
}

#[test]
fn numbers_are_chosen_behind_the_last() {
    let mut pools = Pools::new(1).unwrap();
    assert_eq!(pools.create(Some(7)), Ok(7));
    assert_eq!(pools.create(Some(7)), Err(PoolError::Exists));
    assert_eq!(pools.create(None), Ok(8));
    assert_eq!(pools.create(Some(3)), Ok(3));
    let found = [0, 1, 3, 4, 8].map(|id| pools.get_from(id).unwrap().id);
    assert_eq!(found, [0, 3, 3, 7, 8]);
    assert_eq!(pools.get_from(9), None);
    assert_eq!(pools.get(1), None);
    assert_eq!(pools.create(Some(u32::MAX - 1)), Ok(u32::MAX - 1));
    assert_eq!(pools.create(None), Err(PoolError::Exists), "no number is left behind the last");
}

#[test]
fn a_cpu_is_in_one_pool_or_free() {
    let mut pools = Pools::new(0b1111).unwrap();
    pools.create(Some(1)).unwrap();
    assert_eq!(pools.add_cpu(1, Some(2)), Err(PoolError::NotFree));
    assert_eq!(pools.add_cpu(1, None), Err(PoolError::NotFree));
    assert_eq!(pools.remove_cpu(1, Some(2), Empty, 0), Err(PoolError::NotMember));
    assert_eq!(pools.remove_cpu(1, None, Empty, 0), Err(PoolError::Needed));
    assert_eq!(pools.remove_cpu(0, None, Inhabited, 0), Ok(3));
    assert_eq!(pools.remove_cpu(0, Some(2), Inhabited, 0), Ok(2));
    assert_eq!(pools.remove_cpu(0, Some(2), Inhabited, 0), Err(PoolError::NotMember));
    assert_eq!(pools.add_cpu(1, None), Ok(2), "the first free one");
    assert_eq!(pools.add_cpu(1, Some(3)), Ok(3));
    assert_eq!(pools.destroy(1, Empty), Err(PoolError::Busy));
    assert_eq!(pools.remove_cpu(1, Some(2), Inhabited, 0), Ok(2));
    assert_eq!(pools.remove_cpu(1, Some(3), Inhabited, 0), Err(PoolError::Needed));
    assert_eq!(pools.remove_cpu(1, Some(3), Empty, 0), Ok(3));
    assert_eq!(pools.destroy(1, Inhabited), Err(PoolError::Busy));
    assert_eq!(pools.destroy(1, Empty), Ok(()));
    for refused in
        [pools.add_cpu(1, None).err(), pools.remove_cpu(1, None, Empty, 0).err(), pools.destroy(1, Empty).err()]
    {
        assert_eq!(refused, Some(PoolError::Absent));
    }
}

#[test]
fn a_cpu_out_of_service_is_nobodys_until_it_comes_back() {
    let mut pools = Pools::new(0b111).expect("room");
    pools.remove_cpu(FIRST_POOL, Some(2), Inhabited, 0).expect("two are left");
    assert_eq!(pools.withdraw_cpu(2, 0), Err(PoolError::Busy), "it is in no pool");
    pools.withdraw_cpu(1, 0).expect("one is left");
    assert_eq!((pools.get(FIRST_POOL).map(|pool| pool.cpus), pools.free_cpus()), (Some(0b001), 0b100));
    assert_eq!(pools.withdraw_cpu(0, 0), Err(PoolError::Busy), "the last one");
    assert_eq!(pools.add_cpu(FIRST_POOL, Some(1)), Err(PoolError::NotFree));
    pools.restore_cpu(1);
    pools.restore_cpu(2);
    assert_eq!((pools.get(FIRST_POOL).map(|pool| pool.cpus), pools.free_cpus()), (Some(0b011), 0b100));
}

#[test]
fn a_cpu_that_a_vcpu_is_bound_to_stays_where_it_is() {
    let mut pools = Pools::new(0b1111).expect("memory");
    let bound = 0b0100;
    assert_eq!(pools.remove_cpu(FIRST_POOL, Some(2), Inhabited, bound), Err(PoolError::Bound));
    assert_eq!(pools.withdraw_cpu(2, bound), Err(PoolError::Bound));
    assert_eq!(pools.get(FIRST_POOL).map(|pool| pool.cpus), Some(0b1111), "nothing has changed");
    assert_eq!(pools.remove_cpu(1, Some(2), Empty, bound), Err(PoolError::Absent), "other reasons come first");
    assert_eq!(pools.remove_cpu(FIRST_POOL, Some(3), Inhabited, bound), Ok(3));
    assert_eq!(pools.remove_cpu(FIRST_POOL, Some(2), Inhabited, 0), Ok(2));
}
