//! Where everything goes in a new PV domain: the initial region, what lies behind it, and what start_info says of it.
//!
//! Pure: sizes in, numbers out; `hv` allocates the frames and fills them. In the region, page i of pseudo-physical
//! memory is at VIRT_BASE + i * 4096, all of it mapped by 4 KiB pages. In order: the kernel, the initrd unless it may
//! stay unmapped, the p2m list unless the kernel wants it elsewhere, start_info, page tables, one page of stack; then
//! at least 512 KiB of slack up to a multiple of 4 MiB. Behind the region come, in this order, the frames of an
//! unmapped initrd, of a p2m list with a place of its own and its tables, and the rest of the domain's memory.
//! Source: the description of the start-of-day memory layout in Xen's public header `xen.h`.

use crate::image::KernelImage;
use crate::tables::{P2mTables, RegionTables, Table};
use abi::GuestVirtual;
use abi::frame::{PAGE_SHIFT, PAGE_SIZE};
use core::fmt;

const PAGE: u64 = PAGE_SIZE as u64;
const REGION_ALIGNMENT: u64 = 4 << 20;
const LEAST_SLACK: u64 = 512 << 10;
const LARGE_PAGE: u64 = 2 << 20;
/// Bytes of an entry of the p2m list.
const P2M_ENTRY: u64 = 8;
/// start_info and, directly behind it, dom0's VGA console information.
const START_INFO: u64 = 1168 + 40;

/// Consecutive pseudo-physical frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PageRange {
    /// The first frame.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl PageRange {
    /// The first frame behind the range.
    pub fn end(self) -> u64 {
        self.first + self.count
    }
}

/// How a p2m list outside of the initial region is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum P2mLeaf {
    /// By 4 KiB pages only.
    Small,
    /// By 2 MiB pages as far as the list fills them, which then need contiguous, aligned machine memory.
    Large,
}

/// What the layout depends on besides the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayoutInput {
    /// Size of the initrd in bytes; 0 for none.
    pub initrd_length: u64,
    /// Frames of the whole domain.
    pub nr_pages: u64,
    /// How to map a p2m list that has a place of its own.
    pub p2m_leaf: P2mLeaf,
}

/// Where the initrd is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Initrd {
    /// There is none.
    Absent,
    /// In the initial region, at this virtual address.
    Mapped {
        /// Its frames.
        pages: PageRange,
        /// Virtual address of its first byte.
        address: u64,
    },
    /// Behind the initial region, in no mapping.
    Unmapped {
        /// Its frames.
        pages: PageRange,
    },
}

/// Where the p2m list is: nr_pages entries of 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct P2mList {
    /// Virtual address of its first entry.
    pub address: u64,
    /// Its frames. If `large_pages` is not 0, the first `large_pages` * 512 are mapped by large pages.
    pub pages: PageRange,
    /// Number of 2 MiB pages that map the list's head.
    pub large_pages: u64,
    /// Its own page tables, if it lies outside of the region.
    pub tables: Option<P2mTables>,
}

/// The whole layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitialLayout {
    /// First virtual address of the initial region: that of frame 0.
    pub virt_start: u64,
    /// First virtual address behind it.
    pub virt_end: u64,
    /// The region's frames, from frame 0 on.
    pub region: PageRange,
    /// Frames that the kernel's segments touch.
    pub kernel: PageRange,
    /// The initrd.
    pub initrd: Initrd,
    /// The p2m list.
    pub p2m: P2mList,
    /// Frame of start_info.
    pub start_info_pfn: u64,
    /// The region's page tables.
    pub tables: RegionTables,
    /// Frame of the boot stack.
    pub stack_pfn: u64,
    /// Frames that nothing above has claimed, up to nr_pages.
    pub rest: PageRange,
}

/// Why a kernel has no place in a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// The domain has too few frames.
    TooLittleMemory {
        /// Frames that everything takes.
        need: u64,
        /// Frames of the domain.
        have: u64,
    },
    /// The region would leave the guest's part of the address space; the value is where it starts.
    RegionTooLarge(u64),
    /// INIT_P2M is not page aligned.
    P2mUnaligned(u64),
    /// A list at INIT_P2M would leave the guest's part of the address space.
    P2mOutside(u64),
    /// A list at INIT_P2M would overlap the initial region.
    P2mOverlap {
        /// INIT_P2M.
        address: u64,
        /// Start of the region.
        start: u64,
        /// End of the region.
        end: u64,
    },
    /// The hypercall page is not in the initial region.
    HypercallPageOutside {
        /// Its address.
        address: u64,
        /// Start of the region.
        start: u64,
        /// End of the region.
        end: u64,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLittleMemory { need, have } => {
                write!(formatter, "domain has {have} pages, but kernel, initrd and tables need {need}")
            }
            Self::RegionTooLarge(start) => {
                write!(formatter, "initial region at {start:#x} does not fit the guest's address space")
            }
            Self::P2mUnaligned(address) => write!(formatter, "INIT_P2M {address:#x} is not page aligned"),
            Self::P2mOutside(address) => {
                write!(formatter, "p2m list at INIT_P2M {address:#x} does not fit the guest's address space")
            }
            Self::P2mOverlap { address, start, end } => {
                write!(formatter, "p2m list at INIT_P2M {address:#x} overlaps the initial region {start:#x}-{end:#x}")
            }
            Self::HypercallPageOutside { address, start, end } => {
                write!(formatter, "HYPERCALL_PAGE {address:#x} is outside the initial region {start:#x}-{end:#x}")
            }
        }
    }
}

/// Virtual addresses inside the region, found before frames behind it are.
struct Region {
    initrd: u64,
    p2m: u64,
    start_info: u64,
    tables: u64,
    stack: u64,
    end: u64,
}

impl InitialLayout {
    /// Places `image` and what it needs.
    ///
    /// # Errors
    /// See [`LayoutError`].
    pub fn compute(image: &KernelImage<'_>, input: &LayoutInput) -> Result<Self, LayoutError> {
        let start = image.virt_base;
        let region = place_region(image, input).ok_or(LayoutError::RegionTooLarge(start))?;
        if !GuestVirtual(start).is_guest_range(region.end - start) {
            return Err(LayoutError::RegionTooLarge(start));
        }
        check_hypercall_page(image, region.end)?;
        let pfn = |address: u64| (address - start) >> PAGE_SHIFT;
        let mut next = pfn(region.end);
        let initrd_count = pages(input.initrd_length);
        let initrd = match (input.initrd_length, image.mod_start_pfn) {
            (0, _) => Initrd::Absent,
            (_, false) => {
                let pages = PageRange { first: pfn(region.initrd), count: initrd_count };
                Initrd::Mapped { pages, address: region.initrd }
            }
            (_, true) => {
                let pages = PageRange { first: next, count: initrd_count };
                next = next.saturating_add(initrd_count);
                Initrd::Unmapped { pages }
            }
        };
        let p2m = match image.init_p2m {
            Some(address) => place_p2m(address, next, input, (start, region.end))?,
            None => P2mList {
                address: region.p2m,
                pages: PageRange { first: pfn(region.p2m), count: p2m_pages(input.nr_pages) },
                large_pages: 0,
                tables: None,
            },
        };
        if let Some(tables) = p2m.tables {
            next = tables.first_pfn + tables.count;
        }
        if next > input.nr_pages {
            return Err(LayoutError::TooLittleMemory { need: next, have: input.nr_pages });
        }
        let kernel = pfn(image.virt_start);
        Ok(Self {
            virt_start: start,
            virt_end: region.end,
            region: PageRange { first: 0, count: pfn(region.end) },
            kernel: PageRange { first: kernel, count: pages(image.virt_end - start) - kernel },
            initrd,
            p2m,
            start_info_pfn: pfn(region.start_info),
            tables: RegionTables::new(pfn(region.tables), start, region.end),
            stack_pfn: pfn(region.stack),
            rest: PageRange { first: next, count: input.nr_pages - next },
        })
    }

    /// The most frames, up to `input.nr_pages`, for which the p2m list of `image` fits the address space. A kernel
    /// without INIT_P2M near the top of the address space cannot have more, and its domain is to be made smaller.
    pub fn clip_pages(image: &KernelImage<'_>, input: &LayoutInput) -> u64 {
        let fits = |nr_pages: u64| {
            let input = LayoutInput { nr_pages, ..*input };
            place_region(image, &input)
                .is_some_and(|region| GuestVirtual(image.virt_base).is_guest_range(region.end - image.virt_base))
        };
        if image.init_p2m.is_some() || fits(input.nr_pages) {
            return input.nr_pages;
        }
        let (mut low, mut high) = (0, input.nr_pages);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Virtual address of a frame of the region.
    pub fn address_of(&self, pfn: u64) -> u64 {
        self.virt_start + (pfn << PAGE_SHIFT)
    }

    /// Where vCPU 0's stack pointer starts: the end of the stack page.
    pub fn stack_top(&self) -> u64 {
        self.address_of(self.stack_pfn + 1)
    }

    /// `start_info.mod_start`: a virtual address, or a frame number if the initrd is unmapped, or 0.
    pub fn mod_start(&self) -> u64 {
        match self.initrd {
            Initrd::Absent => 0,
            Initrd::Mapped { address, .. } => address,
            Initrd::Unmapped { pages } => pages.first,
        }
    }

    /// `start_info.first_p2m_pfn` and `nr_p2m_frames`: all frames of a list that has a place of its own, tables
    /// included; both 0 otherwise.
    pub fn p2m_frames(&self) -> PageRange {
        self.p2m.tables.map_or(PageRange::default(), |tables| PageRange {
            first: self.p2m.pages.first,
            count: self.p2m.pages.count + tables.count,
        })
    }

    /// All page tables: those of the region in walk order, then those of the p2m list.
    pub fn all_tables(&self) -> impl Iterator<Item = Table> + use<> {
        let own = self.p2m.tables;
        self.tables.iter().chain(own.into_iter().flat_map(|tables| tables.iter()))
    }

    /// The frame of the table of `level` (1 to 4) that translates `address`.
    pub fn table_of(&self, level: u32, address: u64) -> Option<u64> {
        let own = || self.p2m.tables.and_then(|tables| tables.pfn_of(level, address));
        self.tables.pfn_of(level, address).or_else(own)
    }
}

/// Bytes to whole pages.
fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE)
}

/// Frames of a p2m list for `nr_pages` frames.
fn p2m_pages(nr_pages: u64) -> u64 {
    pages(nr_pages.saturating_mul(P2M_ENTRY))
}

/// Lays the region out; `None` if addresses wrap. The number of tables depends on the region's end and the other way
/// round: both only grow, so the least solution is found from below.
fn place_region(image: &KernelImage<'_>, input: &LayoutInput) -> Option<Region> {
    let after = |address: u64, bytes: u64| address.checked_add(bytes)?.checked_next_multiple_of(PAGE);
    let initrd = after(image.virt_end, 0)?;
    let p2m = if image.mod_start_pfn { initrd } else { after(initrd, input.initrd_length)? };
    let list = if image.init_p2m.is_some() { 0 } else { input.nr_pages.checked_mul(P2M_ENTRY)? };
    let start_info = after(p2m, list)?;
    let tables = after(start_info, START_INFO)?;
    let mut count = 1;
    loop {
        let stack = tables.checked_add(count * PAGE)?;
        let stack_end = stack.checked_add(PAGE)?;
        let mut end = stack_end.checked_next_multiple_of(REGION_ALIGNMENT)?;
        if end - stack_end < LEAST_SLACK {
            end = end.checked_add(REGION_ALIGNMENT)?;
        }
        let needed = RegionTables::needed(image.virt_base, end);
        if needed <= count {
            return Some(Region { initrd, p2m, start_info, tables, stack, end });
        }
        count = needed;
    }
}

/// Places a list at INIT_P2M, its frames from `first` on.
fn place_p2m(address: u64, first: u64, input: &LayoutInput, region: (u64, u64)) -> Result<P2mList, LayoutError> {
    if !address.is_multiple_of(PAGE) {
        return Err(LayoutError::P2mUnaligned(address));
    }
    // A size that wraps is far above any address space, and refused as such.
    let bytes = input.nr_pages.checked_mul(P2M_ENTRY).ok_or(LayoutError::P2mOutside(address))?;
    let count = pages(bytes);
    let end = address.checked_add(count * PAGE).ok_or(LayoutError::P2mOutside(address))?;
    if !GuestVirtual(address).is_guest_range(end - address) {
        return Err(LayoutError::P2mOutside(address));
    }
    if address < region.1 && end > region.0 {
        return Err(LayoutError::P2mOverlap { address, start: region.0, end: region.1 });
    }
    let can_be_large = address.is_multiple_of(LARGE_PAGE) && !P2mTables::shares_level_1((address, end), region);
    let large_pages = match input.p2m_leaf {
        P2mLeaf::Large if can_be_large => (end - address) / LARGE_PAGE,
        _ => 0,
    };
    let small_start = address + large_pages * LARGE_PAGE;
    let pages = PageRange { first, count };
    let tables = P2mTables::new(pages.end(), (address, end), small_start, region);
    Ok(P2mList { address, pages, large_pages, tables: Some(tables) })
}

/// The builder writes a whole page there.
fn check_hypercall_page(image: &KernelImage<'_>, end: u64) -> Result<(), LayoutError> {
    let start = image.virt_base;
    match image.hypercall_page {
        Some(address) if address < start || address.checked_add(PAGE).is_none_or(|top| top > end) => {
            Err(LayoutError::HypercallPageOutside { address, start, end })
        }
        _ => Ok(()),
    }
}
