//! The layout against a plain model: no overlap, nothing forgotten, tables that a real walk would find.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops there"
)]

mod common;

use common::*;
use guest_image::{InitialLayout, Initrd, KernelImage, LayoutError, LayoutInput, P2mLeaf, PageRange, Table};
use proptest::prelude::*;
use std::collections::BTreeMap;

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn input(initrd_length: u64, nr_pages: u64) -> LayoutInput {
    LayoutInput { initrd_length, nr_pages, p2m_leaf: P2mLeaf::Large }
}

/// Walks [start, end) page by page as a builder would, and gives the tables in order of first use.
fn walk_order(start: u64, end: u64) -> Vec<(u32, u64)> {
    let mut seen = vec![(4, 0)];
    let mut address = start;
    while address < end {
        for level in [3, 2, 1] {
            let table = (level, address >> (12 + 9 * level) << (12 + 9 * level));
            if !seen.contains(&table) {
                seen.push(table);
            }
        }
        address = (address >> 21 << 21) + (2 << 20);
    }
    seen
}

/// Everything that has to hold for any layout.
fn check(image: &KernelImage<'_>, input: &LayoutInput, layout: &InitialLayout) {
    assert_eq!(layout.virt_start, image.virt_base);
    assert_eq!(layout.virt_end % (4 * MIB), 0);
    let slack = layout.virt_end - layout.stack_top();
    assert!((512 * 1024..512 * 1024 + 4 * MIB).contains(&slack), "slack {slack}");
    assert_eq!(layout.region, PageRange { first: 0, count: (layout.virt_end - layout.virt_start) / PAGE });

    // In order, page aligned, no gap inside of the region.
    assert_eq!(layout.kernel.first, (image.virt_start - image.virt_base) / PAGE);
    assert_eq!(layout.kernel.end(), (image.virt_end - image.virt_base).div_ceil(PAGE));
    let mut next = layout.kernel.end();
    let mut behind = layout.region.end();
    let initrd_pages = input.initrd_length.div_ceil(PAGE);
    match layout.initrd {
        Initrd::Absent => assert_eq!((input.initrd_length, layout.mod_start()), (0, 0)),
        Initrd::Mapped { pages, address } => {
            assert!(!image.mod_start_pfn);
            assert_eq!(pages, PageRange { first: next, count: initrd_pages });
            assert_eq!((layout.address_of(pages.first), layout.mod_start()), (address, address));
            next = pages.end();
        }
        Initrd::Unmapped { pages } => {
            assert!(image.mod_start_pfn);
            assert_eq!(pages, PageRange { first: behind, count: initrd_pages });
            assert_eq!(layout.mod_start(), pages.first);
            behind = pages.end();
        }
    }
    let list_pages = (input.nr_pages * 8).div_ceil(PAGE);
    match layout.p2m.tables {
        None => {
            assert_eq!(layout.p2m.pages, PageRange { first: next, count: list_pages });
            assert_eq!(layout.address_of(next), layout.p2m.address);
            assert_eq!(layout.p2m_frames(), PageRange::default());
            next = layout.p2m.pages.end();
        }
        Some(tables) => {
            assert_eq!(Some(layout.p2m.address), image.init_p2m);
            assert_eq!(layout.p2m.pages, PageRange { first: behind, count: list_pages });
            assert_eq!(tables.first_pfn, layout.p2m.pages.end());
            assert_eq!(layout.p2m_frames(), PageRange { first: behind, count: list_pages + tables.count });
            behind = layout.p2m_frames().end();
        }
    }
    assert_eq!(layout.start_info_pfn, next);
    assert_eq!(layout.tables.first_pfn, next + 1);
    assert_eq!(layout.stack_pfn, layout.tables.first_pfn + layout.tables.count);
    assert_eq!(layout.rest, PageRange { first: behind, count: input.nr_pages - behind });
    check_tables(layout);
}

/// Tables are numbered without gaps, in walk order, each found by look-up, and together map exactly what they should.
fn check_tables(layout: &InitialLayout) {
    let region: Vec<Table> = layout.tables.iter().collect();
    assert_eq!(region.len() as u64, layout.tables.count);
    let order: Vec<_> = region.iter().map(|table| (table.level, table.base)).collect();
    assert_eq!(order, walk_order(layout.virt_start, layout.virt_end));
    let own: Vec<Table> = layout.p2m.tables.iter().flat_map(|tables| tables.iter()).collect();
    assert_eq!(own.len() as u64, layout.p2m.tables.map_or(0, |tables| tables.count));
    for (group, first) in [(&region, layout.tables.first_pfn), (&own, layout.p2m.tables.map_or(0, |own| own.first_pfn))]
    {
        for (index, table) in group.iter().enumerate() {
            assert_eq!(table.pfn, first + index as u64);
        }
    }
    let all: Vec<Table> = layout.all_tables().collect();
    let by_place: BTreeMap<_, _> = all.iter().map(|table| ((table.level, table.base), table.pfn)).collect();
    assert_eq!(by_place.len(), all.len(), "no two tables for one place");
    let mut used = std::collections::BTreeSet::new();
    let mut translate = |address: u64, lowest: u32| {
        for level in (lowest..=4).rev() {
            let base = if level == 4 { 0 } else { address >> (12 + 9 * level) << (12 + 9 * level) };
            let pfn = by_place.get(&(level, base)).copied();
            assert!(pfn.is_some(), "level {level} table for {address:#x}");
            assert_eq!(layout.table_of(level, address), pfn);
            used.insert(pfn);
        }
    };
    let mut address = layout.virt_start;
    while address < layout.virt_end {
        translate(address, 1);
        address = (address >> 21 << 21) + 2 * MIB;
    }
    if layout.p2m.tables.is_some() {
        let (mut address, end) = (layout.p2m.address, layout.p2m.address + layout.p2m.pages.count * PAGE);
        for _ in 0..layout.p2m.large_pages {
            assert_eq!(address % (2 * MIB), 0);
            translate(address, 2);
            address += 2 * MIB;
        }
        while address < end {
            translate(address, 1);
            address = ((address >> 21 << 21) + 2 * MIB).min(end);
        }
    }
    assert_eq!(used.len(), all.len(), "no table without use");
}

#[test]
fn linux_with_a_gigabyte() {
    let file = elf(&linux_notes());
    let image = KernelImage::parse(&file).unwrap();
    let input = input(30 * MIB + 1, GIB / PAGE);
    let layout = InitialLayout::compute(&image, &input).unwrap();
    check(&image, &input, &layout);
    // Kernel ends at 16 MiB + 12 KiB: start_info, 13 tables (L4, L3, L2, ten L1), the stack, slack: 20 MiB.
    assert_eq!(layout.virt_end, VIRT_BASE + 20 * MIB);
    assert_eq!(layout.tables.count, 13);
    assert_eq!(layout.start_info_pfn, 4096 + 3);
    assert_eq!(layout.stack_top(), VIRT_BASE + 16 * MIB + (3 + 1 + 13 + 1) * PAGE);
    assert_eq!(layout.mod_start(), 20 * MIB / PAGE);
    let p2m = layout.p2m.tables.unwrap();
    assert_eq!((layout.p2m.large_pages, p2m.count), (1, 2), "2 MiB of list: one large page, an L3 and an L2");
    assert_eq!(layout.p2m_frames(), PageRange { first: 20 * MIB / PAGE + 7681, count: 512 + 2 });
}

#[test]
fn small_pages_cost_level_1_tables() {
    let file = elf(&linux_notes());
    let image = KernelImage::parse(&file).unwrap();
    for (nr_pages, large, tables_large, tables_small) in
        [(262_144, 1, 2, 3), (262_145, 1, 3, 4), (262_143, 1, 2, 3), (200_000, 0, 3, 3), (8 * 262_144, 8, 2, 10)]
    {
        for (leaf, pages, tables) in [(P2mLeaf::Large, large, tables_large), (P2mLeaf::Small, 0, tables_small)] {
            let input = LayoutInput { initrd_length: 0, nr_pages, p2m_leaf: leaf };
            let layout = InitialLayout::compute(&image, &input).unwrap();
            check(&image, &input, &layout);
            assert_eq!(
                (layout.p2m.large_pages, layout.p2m.tables.unwrap().count),
                (pages, tables),
                "{nr_pages} {leaf:?}"
            );
        }
    }
}

#[test]
fn everything_in_the_region() {
    let file = elf(&without(without(linux_notes(), 15), 16));
    let image = KernelImage::parse(&file).unwrap();
    for initrd in [0, 1, 4096, 5 * MIB] {
        for nr_pages in [16_384, 16_385, 262_144, 2 * 262_144] {
            let input = input(initrd, nr_pages);
            check(&image, &input, &InitialLayout::compute(&image, &input).unwrap());
        }
    }
}

#[test]
fn every_end_around_a_table_boundary() {
    // An initrd that grows page by page across 4 MiB, 1 GiB and slack boundaries.
    let file = elf(&without(linux_notes(), 16));
    let image = KernelImage::parse(&file).unwrap();
    for around in [4 * MIB, 1008 * MIB - 5 * MIB, 1008 * MIB] {
        for step in 0..1100 {
            let input = input(around - 300 * PAGE + step * PAGE, 8 * GIB / PAGE);
            let layout = InitialLayout::compute(&image, &input).unwrap();
            if step % 50 == 0 || (280..320).contains(&step) {
                check(&image, &input, &layout);
            }
        }
    }
}

#[test]
fn refusals_name_the_value() {
    let file = elf(&linux_notes());
    let image = KernelImage::parse(&file).unwrap();
    let need = |nr_pages| InitialLayout::compute(&image, &input(0, nr_pages)).unwrap_err();
    assert_eq!(need(0), LayoutError::TooLittleMemory { need: 5120, have: 0 });
    assert_eq!(
        need(5000).to_string(),
        "domain has 5000 pages, but kernel, initrd and tables need 5133",
        "region 5120, list 10, tables 3"
    );
    let with = |note: Note, nr_pages| {
        let mut notes = linux_notes();
        replace(&mut notes, note);
        let file = elf(&notes);
        InitialLayout::compute(&KernelImage::parse(&file).unwrap(), &input(0, nr_pages))
    };
    assert_eq!(with(number(15, 0x8008), 262_144), Err(LayoutError::P2mUnaligned(0x8008)));
    assert!(matches!(with(number(15, VIRT_BASE + 19 * MIB), 262_144), Err(LayoutError::P2mOverlap { .. })));
    assert!(matches!(with(number(15, VIRT_BASE - PAGE), 262_144), Err(LayoutError::P2mOverlap { .. })));
    for outside in
        [0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_8000_0000_0000, 0xffff_87ff_ffff_f000, 0u64.wrapping_sub(PAGE)]
    {
        assert_eq!(with(number(15, outside), 262_144), Err(LayoutError::P2mOutside(outside)), "{outside:#x}");
    }
    assert!(matches!(with(number(15, 1 << 39), u64::MAX), Err(LayoutError::P2mOutside(_))));
    for inside in [VIRT_BASE, VIRT_BASE + 20 * MIB - PAGE] {
        assert!(with(number(2, inside), 262_144).is_ok());
    }
    for outside in [VIRT_BASE - 1, VIRT_BASE + 20 * MIB - PAGE + 1, u64::MAX] {
        assert!(matches!(with(number(2, outside), 262_144), Err(LayoutError::HypercallPageOutside { .. })));
    }
}

#[test]
fn the_list_may_share_upper_tables_with_the_region() {
    for base in
        [VIRT_BASE + GIB, VIRT_BASE + 20 * MIB, VIRT_BASE - 4 * MIB, VIRT_BASE - 600 * MIB, 0xffff_ff00_0000_0000]
    {
        let mut notes = linux_notes();
        replace(&mut notes, number(15, base));
        let file = elf(&notes);
        let image = KernelImage::parse(&file).unwrap();
        for p2m_leaf in [P2mLeaf::Small, P2mLeaf::Large] {
            let input = LayoutInput { initrd_length: 0, nr_pages: 400_000, p2m_leaf };
            check(&image, &input, &InitialLayout::compute(&image, &input).unwrap());
        }
    }
}

#[test]
fn memory_is_clipped_to_what_the_address_space_holds() {
    let file = elf(&without(linux_notes(), 15));
    let image = KernelImage::parse(&file).unwrap();
    let wanted = input(0, 1 << 40);
    let clipped = InitialLayout::clip_pages(&image, &wanted);
    assert!(clipped < (2 * GIB) / 8 && clipped > (2 * GIB - 64 * MIB) / 8, "{clipped}");
    assert!(InitialLayout::compute(&image, &input(0, clipped)).is_ok());
    assert_eq!(InitialLayout::compute(&image, &input(0, clipped + 1)), Err(LayoutError::RegionTooLarge(VIRT_BASE)));
    assert_eq!(InitialLayout::clip_pages(&image, &input(0, 1000)), 1000);
    let file = elf(&linux_notes());
    let image = KernelImage::parse(&file).unwrap();
    assert_eq!(InitialLayout::clip_pages(&image, &wanted), 1 << 40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_layout_is_consistent(
        initrd in 0..80 * MIB, nr_pages in 1u64..3_000_000, own_p2m: bool, pfn: bool, large: bool,
        base in 0u64..0x7000_0000, p2m_base in 0u64..0x8_0000_0000,
    ) {
        let mut notes = linux_notes();
        let base = base * PAGE;
        replace(&mut notes, number(3, base));
        replace(&mut notes, number(1, base + KERNEL_PHYSICAL));
        replace(&mut notes, number(15, p2m_base * PAGE));
        let notes = if own_p2m { notes } else { without(notes, 15) };
        let notes = if pfn { notes } else { without(notes, 16) };
        let file = elf(&notes);
        if let Ok(image) = KernelImage::parse(&file) {
            let p2m_leaf = if large { P2mLeaf::Large } else { P2mLeaf::Small };
            let input = LayoutInput { initrd_length: initrd, nr_pages, p2m_leaf };
            if let Ok(layout) = InitialLayout::compute(&image, &input) {
                check(&image, &input, &layout);
            }
        }
    }

    #[test]
    fn no_input_panics(initrd: u64, nr_pages: u64, base: u64, p2m: Option<u64>, pfn: bool, large: bool) {
        let mut notes = linux_notes();
        let base = base >> 12 << 12;
        replace(&mut notes, number(3, base));
        replace(&mut notes, number(1, base.wrapping_add(KERNEL_PHYSICAL)));
        match p2m {
            Some(p2m) => replace(&mut notes, number(15, p2m)),
            None => notes = without(notes, 15),
        }
        let notes = if pfn { notes } else { without(notes, 16) };
        let file = elf(&notes);
        if let Ok(image) = KernelImage::parse(&file) {
            let p2m_leaf = if large { P2mLeaf::Large } else { P2mLeaf::Small };
            let input = LayoutInput { initrd_length: initrd, nr_pages, p2m_leaf };
            let _ = InitialLayout::compute(&image, &input);
            let _ = InitialLayout::clip_pages(&image, &input);
        }
    }
}
