//! The machine's own CPU as a list: order, ends, and what is the moment's or the answering CPU's own.

use std::convert::Infallible;

use pv_cpu::cpuid::{CpuidPolicy, Leaf};
use pv_cpu::cpuid_host::for_each_raw_leaf;
use pv_cpu::msr::Role;

type List = Vec<(u32, Option<u32>, Leaf)>;

/// An AMD CPU with protection keys whose state has kinds 0 to 2 and 9.
fn host(leaf: u32, subleaf: u32) -> Leaf {
    let answer = |eax, ebx, ecx, edx| Leaf { eax, ebx, ecx, edx };
    match (leaf, subleaf) {
        (0, _) => answer(0xD, 0x6874_7541, 0x444D_4163, 0x6974_6E65),
        (1, _) => answer(0x00A0_0F11, 0x0702_0800, 0xFED8_320B, 0x178B_FBFD),
        (7, 0) => answer(0, 0x219C_03A9, 0x0040_001C, 0x10),
        (0xB, 0) => answer(0, 1, 0x100, 7),
        (0xB, 1) => answer(1, 2, 0x201, 7),
        (0xD, 0) => answer(0x207, 0x240, 0xA88, 0),
        (0xD, 1) => answer(5, 0x348, 0, 0),
        (0xD, 2) => answer(0x100, 0x240, 0, 0),
        (0xD, 9) => answer(8, 0xA80, 0, 0),
        (0x8000_0000, _) => answer(0x8000_0008, 0x6874_7541, 0x444D_4163, 0x6974_6E65),
        (0x8000_0001, _) => answer(0x00A0_0F11, 0, 0x177, 0x2DD3_FBFD),
        (0x8000_0008, _) => answer(0x3028, 0x204, 1, 0),
        _ => Leaf::default(),
    }
}

fn collect(run: impl FnOnce(&mut dyn FnMut(u32, Option<u32>, Leaf) -> Result<(), Infallible>)) -> List {
    let mut list = List::new();
    run(&mut |number, subleaf, leaf| {
        list.push((number, subleaf, leaf));
        Ok(())
    });
    assert!(list.iter().map(|(number, subleaf, _)| (number, subleaf)).is_sorted(), "ascending");
    list
}

fn find(list: &List, number: u32, subleaf: Option<u32>) -> Leaf {
    let found: Vec<_> = list.iter().filter(|entry| (entry.0, entry.1) == (number, subleaf)).collect();
    assert_eq!(found.len(), 1, "{number:#x} {subleaf:?}");
    found.first().map(|entry| entry.2).unwrap_or_default()
}

fn state_kinds(list: &List) -> Vec<Option<u32>> {
    list.iter().filter(|entry| entry.0 == 0xD).map(|entry| entry.1).collect()
}

#[test]
fn raw_is_what_cpuid_says_but_for_the_answering_cpu_and_the_moment() {
    let list = collect(|mut each| {
        let _ = for_each_raw_leaf(&host, &mut each);
    });
    assert_eq!(find(&list, 1, None), Leaf { ebx: 0x0002_0800, ..host(1, 0) });
    assert_eq!(find(&list, 7, Some(0)), host(7, 0));
    assert_eq!(find(&list, 0xB, Some(1)), Leaf { edx: 0, ..host(0xB, 1) });
    assert_eq!(find(&list, 0xD, Some(0)).ebx, 0xA88, "all state enabled");
    assert_eq!(state_kinds(&list), (0..=9).map(Some).collect::<Vec<_>>());
    assert_eq!(find(&list, 0x8000_0008, None), host(0x8000_0008, 0));
    assert_eq!(list.last().map(|entry| entry.0), Some(0x8000_0008));
}

#[test]
fn used_has_all_features_and_nothing_of_an_operating_system() {
    let policy = CpuidPolicy::new(Role::HardwareDomain, host);
    let list = collect(|mut each| {
        let _ = policy.for_each_used_leaf(&host, &mut each);
    });
    let features = find(&list, 1, None);
    assert_eq!((features.ecx, features.edx), (0xF6D8_320B, 0x178B_F3FD));
    assert_eq!(find(&list, 7, Some(0)), Leaf { ecx: 0x0040_000C, ..host(7, 0) });
    assert_eq!(find(&list, 0xD, Some(0)), Leaf { ebx: 0, ..host(0xD, 0) });
    assert_eq!(state_kinds(&list).len(), 10);
    assert_eq!(find(&list, 0x8000_0001, None).edx, 0x2DD3_FBFD);
}

#[test]
fn the_most_a_guest_can_have_is_more_than_its_default() {
    let policy = CpuidPolicy::new(Role::Guest, host);
    let list = collect(|mut each| {
        let _ = policy.for_each_most_leaf(&mut each);
    });
    assert_ne!(find(&list, 1, None).ecx & 1 << 21, 0);
    assert_eq!(find(&list, 7, Some(0)).eax, 2);
    assert_eq!((find(&list, 7, Some(1)), find(&list, 7, Some(2))), (Leaf::default(), Leaf::default()));
}
