//! What the attacker plays with: victim pages it can afford to lose, scratch memory for arguments, values worth trying.
//!
//! Arguments name only victims and nonsense, never the guest's own image, so that a call that succeeds does not end the
//! guest by its own hand and the run goes on.

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call2, call3, mmuext, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, READ_ONLY, entry, mfn_of};
use compat_guests::number::{self, DOMID_SELF, mmuext as ext};

use crate::random::Random;

/// Pages that calls may do anything to.
pub const VICTIMS: usize = 24;
const SCRATCH_WORDS: u64 = 1024;

/// The attacker's belongings.
pub struct World {
    /// The source of all choices.
    pub random: Random,
    addresses: [u64; VICTIMS],
    pfns: [u64; VICTIMS],
    /// Whether PCI commands are tried: Xen 4.17 itself does not survive some of them.
    pub pci: bool,
    /// Victim frames.
    pub frames: [u64; VICTIMS],
    /// Where argument blocks are made.
    pub scratch: u64,
    /// Where lists that argument blocks point to are made.
    pub list: u64,
    /// The first page of its grant table, and the first of the status words if the table has had version 2.
    grants: u64,
    status: u64,
}

impl World {
    /// Takes pages from the pool.
    pub fn new(seed: u64, pci: bool) -> Self {
        let addresses: [u64; VICTIMS] = core::array::from_fn(|_| memory::page());
        let frames = addresses.map(mfn_of);
        let (scratch, list) = (memory::pages(2), memory::pages(2));
        let pfns = frames.map(memory::pfn_of);
        let (grants, status) = (memory::page(), memory::page());
        let world = Self { random: Random::new(seed), pci, addresses, pfns, frames, scratch, list, grants, status };
        let mut setup = Buffer::<24>::new().u16(0, DOMID_SELF as u16).u32(4, 1).u64(16, list);
        call3(number::GRANT_TABLE_OP, 2, setup.address(), 1);
        update_va_mapping(grants, entry(memory::read(list), DATA), INVLPG);
        world
    }

    /// Makes an entry of its grant table, of either shape whichever version the table has, and meddles with the status.
    pub fn offer(&mut self) {
        let reference = self.random.below(40);
        let flags = self.random.pick(&[0, 1, 1, 1, 5, 2, 3, 0x19, 0x101, 0x105, 0xffff]);
        let domain = self.random.pick(&[0, 0, 0, 0, 1, DOMID_SELF]);
        let head = flags | domain << 16;
        // Nothing of the guest's own image, which a copy would overwrite, in whichever version the entry is read.
        let frame = if self.random.below(8) == 0 { self.strange_frame() } else { self.frame() };
        if self.random.below(2) == 0 {
            memory::write(self.grants + reference * 8, head | frame << 32);
        } else {
            let range = self.random.below(5000) | (1 + self.random.below(5000)) << 16;
            memory::write(self.grants + reference * 16 + 8, frame);
            memory::write(self.grants + reference * 16, head | range << 32);
        }
        if self.random.below(8) == 0 {
            let mut request = Buffer::<16>::new().u32(0, 1).u16(4, DOMID_SELF as u16).u64(8, self.list);
            let listed = call3(number::GRANT_TABLE_OP, 9, request.address(), 1) == 0 && request.get_u16(6) == 0;
            let maps = listed && self.random.below(2) == 0;
            let mapping = if maps { entry(memory::read(self.list), DATA) } else { 0 };
            if update_va_mapping(self.status, mapping, INVLPG) == 0 && maps {
                memory::write(self.status + reference * 2 / 8 * 8, self.random.next());
            }
        }
    }

    /// A victim's frame.
    pub fn frame(&mut self) -> u64 {
        let index = self.random.below(VICTIMS as u64) as usize;
        self.frames[index]
    }

    /// A victim's address, or an address of nothing.
    pub fn address(&mut self) -> u64 {
        if self.random.below(4) == 0 {
            return self.nonsense_address();
        }
        let index = self.random.below(VICTIMS as u64) as usize;
        self.addresses[index] + self.random.pick(&[0, 0, 0, 4, 8, 0xff8, 0xfff])
    }

    fn nonsense_address(&mut self) -> u64 {
        let base = self.random.pick(&[
            0,
            0x1000,
            0x7fff_ffff_f000,
            0x8000_0000_0000,
            0xffff_7fff_ffff_f000,
            0xffff_8000_0000_0000,
            0xffff_8200_0000_0000,
            0xffff_82d0_0000_0000,
            0xffff_8300_0000_0000,
            0xffff_87ff_ffff_f000,
            0xffff_8800_0000_0000,
            0xffff_ffff_ffff_f000,
        ]);
        base.wrapping_add(self.random.pick(&[0, 8, 0xfff]))
    }

    /// A page-table entry: a victim or a strange frame with likely and unlikely flags.
    pub fn entry(&mut self) -> u64 {
        let frame = if self.random.below(5) == 0 { self.strange_frame() } else { self.frame() };
        let flags = match self.random.below(6) {
            0 => 0,
            1 | 2 => DATA,
            3 | 4 => READ_ONLY,
            _ => self.random.next() & 0xfff0_0000_0000_0fff,
        };
        frame << 12 | flags
    }

    fn strange_frame(&mut self) -> u64 {
        self.random.pick(&[0, 1, 0xb8, 0xf0, 0xfee00, 0xfec00, 0x3ffff, 0x4_0000, 0xff_ffff_ffff, 0xf_ffff_ffff_ffff])
    }

    /// A value that could stand anywhere.
    pub fn value(&mut self) -> u64 {
        match self.random.below(12) {
            0 => 0,
            1 => self.random.below(8),
            2 => self.random.below(70),
            3 => self.random.next(),
            4 => self.random.pick(&[DOMID_SELF, 0, 1, 0x7ff1, 0x7ff2, 0x7ff4, 0xffff]),
            5 => self.random.pick(&[u64::MAX, 0x8000_0000, 0xffff_ffff, 1 << 63, 0x7fff_ffff, 1 << 32]),
            6 => self.frame(),
            7 => (self.frame() << 12) | (self.random.below(512) * 8) | self.random.below(4),
            8 => self.entry(),
            9 => self.nonsense_address(),
            10 => self.random.below(4096),
            _ => self.address(),
        }
    }

    /// Fills the argument block, with pointers into the list where `lists` says so; gives back its address or a bad one.
    pub fn block(&mut self, lists: Lists) -> u64 {
        for word in 0..32 {
            let value = match (self.random.below(6), lists) {
                (0, Lists::Allowed) => self.list + self.random.below(64) * 8,
                (1, _) => self.value() & 0xffff_ffff | self.value() << 32,
                (2, _) => self.random.below(16) | self.random.below(16) << 32,
                _ => self.value(),
            };
            memory::write(self.scratch + word * 8, value);
        }
        match self.random.below(16) {
            0 => self.nonsense_address(),
            1 => self.scratch + self.random.below(8),
            2 => self.scratch + SCRATCH_WORDS * 8 - 8,
            _ => self.scratch,
        }
    }

    /// Fills the list that argument blocks may point to.
    pub fn fill_list(&mut self) {
        for word in 0..64 {
            let value = self.value();
            memory::write(self.list + word * 8, value);
        }
    }

    /// Gets victims back into shape: unpinned, owned, mapped.
    pub fn mend(&mut self) {
        for index in 0..VICTIMS {
            let (address, frame) = (self.addresses[index], self.frames[index]);
            if update_va_mapping(address, entry(frame, DATA), INVLPG) == 0 {
                continue;
            }
            mmuext(ext::UNPIN, frame, 0);
            call2(number::SET_GDT, 0, 0);
            if update_va_mapping(address, entry(frame, DATA), INVLPG) == 0 {
                continue;
            }
            update_va_mapping(address, 0, INVLPG);
            let extent = [self.pfns[index]];
            let mut populate = Buffer::<32>::new().u64(0, extent.as_ptr() as u64).u64(8, 1).u16(24, DOMID_SELF as u16);
            if call2(number::MEMORY_OP, number::memory::POPULATE_PHYSMAP, populate.address()) == 1 {
                // SAFETY: the call replaced the pfn by a frame.
                self.frames[index] = unsafe { core::ptr::read_volatile(extent.as_ptr()) };
                update_va_mapping(address, entry(self.frames[index], DATA), INVLPG);
            }
        }
    }
}

/// Whether argument blocks may point at the list (not where a call would map something over what it points at).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// They may.
    Allowed,
    /// They may not.
    Forbidden,
}
