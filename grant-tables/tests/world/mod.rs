//! A small machine for the tests: frames with counts, page-table entries, domains with grant tables, and a call counter
//! that can make any one call of the host fail.
// Each test binary uses a part of it; the lints that tests are free of do not know helper modules.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write,
    sync::Arc,
};

use abi::{
    DomainId, Errno, Gfn, GrantHandle, GrantRef, GuestVirtual, Mfn, Pfn, VcpuId,
    grant_table::{CacheFlushFlags, EntryFlags, GrantStatus, MapFlags, MapGrantRef, UnmapGrantRef},
};
use grant_tables::{
    Access, Caches, Contents, DomainCache, GrantTable, Host, Limits, Mapped, Mappings, OutOfMemory, Place, Refused,
    SharedPage, TableMemory, Transfers, UnmapBatch, UnmapRequest, Version,
    sync::{AtomicU32, Ordering},
};

pub const ALICE: DomainId = DomainId(1);
pub const BOB: DomainId = DomainId(2);
pub const NOBODY: DomainId = DomainId(99);

pub struct Page {
    frame: Mfn,
    words: Arc<Vec<AtomicU32>>,
    /// Of all pages of the owner.
    mapped: Arc<AtomicU32>,
}

impl SharedPage for Page {
    fn frame(&self) -> Mfn {
        self.frame
    }
    fn words(&self) -> &[AtomicU32] {
        &self.words
    }
    fn is_mapped(&self) -> bool {
        self.mapped.load(Ordering::Relaxed) != 0
    }
}

pub type Table = GrantTable<Page>;

#[derive(Clone, Debug)]
pub struct Frame {
    pub owner: DomainId,
    pub references: u32,
    pub writers: u32,
    pub page_table: bool,
    pub data: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Clear,
    Flush,
    Put(Mfn),
}

type EntryKey = (DomainId, u8, u64);

#[derive(Default)]
pub struct World {
    pub pages: RefCell<BTreeMap<u16, Vec<Arc<Vec<AtomicU32>>>>>,
    pub mapped: RefCell<BTreeMap<u16, Arc<AtomicU32>>>,
    pub frames: RefCell<BTreeMap<u64, Frame>>,
    pub entries: RefCell<BTreeMap<EntryKey, (Mfn, u32)>>,
    pub domains: RefCell<BTreeMap<u16, Arc<Table>>>,
    pub charged: RefCell<BTreeMap<u16, i64>>,
    pub events: RefCell<Vec<Event>>,
    pub calls: Cell<u32>,
    pub fail_at: Cell<Option<u32>>,
    /// Runs inside `take`, as another CPU of the granter might.
    pub on_take: RefCell<Option<Box<dyn FnMut()>>>,
    pub headroom: Cell<bool>,
    pub cache_rights: Cell<bool>,
    pub lookups: Cell<u32>,
    /// The callers' memory, from address 0, for tests of whole calls.
    pub memory: RefCell<Vec<u8>>,
    /// How many more times a caller is told to go on.
    pub budget: Cell<u32>,
}

impl World {
    /// Two domains with two pages of entries each; frames 0x100.. are Alice's, 0x200.. Bob's.
    pub fn new(limits: Limits) -> Self {
        let world = World::default();
        world.headroom.set(true);
        for (domain, base) in [(ALICE, 0x100u64), (BOB, 0x200)] {
            let table = Arc::new(Table::new(domain, limits, limits.frames.min(2), 2, &world).unwrap());
            world.domains.borrow_mut().insert(domain.0, table);
            for frame in base..base + 8 {
                let data = vec![frame as u8; 4096];
                let state = Frame { owner: domain, references: 1, writers: 0, page_table: false, data };
                world.frames.borrow_mut().insert(frame, state);
            }
        }
        world
    }

    pub fn table(&self, domain: DomainId) -> Arc<Table> {
        self.domains.borrow()[&domain.0].clone()
    }

    pub fn caller(&self, domain: DomainId) -> Caller<'_> {
        Caller { world: self, domain, own: self.table(domain), vcpu: 0 }
    }

    /// The shared word of a domain's table that holds flags and domid; the frame's is the next one.
    pub fn word(&self, granter: DomainId, index: u32) -> impl Fn(u32) + use<> {
        let page = self.pages.borrow()[&granter.0][index as usize / 1024].clone();
        move |value| page[index as usize % 1024].store(value, Ordering::Release)
    }

    /// What a guest does to offer a frame.
    pub fn grant(&self, granter: DomainId, reference: u32, flags: EntryFlags, grantee: DomainId, frame: u64) {
        let head = u32::from(flags.0) | u32::from(grantee.0) << 16;
        match self.table(granter).version() {
            Version::One => {
                self.word(granter, 2 * reference + 1)(frame as u32);
                self.word(granter, 2 * reference)(head);
            }
            Version::Two => {
                self.word(granter, 4 * reference + 2)(frame as u32);
                self.word(granter, 4 * reference + 3)((frame >> 32) as u32);
                self.word(granter, 4 * reference)(head);
            }
        }
    }

    /// Flags and in-use bits, which version 2 keeps apart.
    pub fn flags(&self, granter: DomainId, reference: u32) -> EntryFlags {
        let table = self.table(granter);
        let flags = EntryFlags(table.shared_words(GrantRef(reference)).unwrap().0 as u16);
        flags.with(table.status_word(GrantRef(reference)).unwrap_or(EntryFlags::INVALID))
    }

    pub fn pins(&self, granter: DomainId, reference: u32) -> [u8; 4] {
        self.table(granter).active(GrantRef(reference)).unwrap().pins.counts()
    }

    pub fn counts(&self, frame: u64) -> (u32, u32) {
        let frames = self.frames.borrow();
        (frames[&frame].references, frames[&frame].writers)
    }

    /// Everything that an operation without effect must leave as it was.
    pub fn snapshot(&self) -> String {
        let mut text = String::new();
        for (number, frame) in self.frames.borrow().iter() {
            let Frame { owner, references, writers, .. } = frame;
            writeln!(text, "frame {number:#x} {owner} {references} {writers} {:?}", &frame.data[..32]).unwrap();
        }
        writeln!(text, "{:?} {:?}", self.entries.borrow(), self.charged.borrow()).unwrap();
        for (domain, table) in self.domains.borrow().iter() {
            for reference in (0..table.entry_count()).map(GrantRef) {
                let words = table.shared_words(reference).unwrap();
                let active = table.active(reference).unwrap();
                if words != (0, 0) || !active.pins.is_empty() {
                    writeln!(text, "d{domain} {reference} {words:x?} {active:?}").unwrap();
                }
            }
            for handle in (0..table.maptrack().handle_count()).map(GrantHandle) {
                if let Some(mapping) = table.maptrack().get(handle) {
                    writeln!(text, "d{domain} {handle:?} {mapping:?}").unwrap();
                }
            }
        }
        text
    }

    fn fails(&self) -> bool {
        let call = self.calls.get();
        self.calls.set(call + 1);
        self.fail_at.get() == Some(call)
    }
}

impl TableMemory for World {
    type Page = Page;
    fn shared_page(&self, owner: DomainId) -> Result<Page, OutOfMemory> {
        if self.fails() {
            return Err(OutOfMemory);
        }
        let number = 0x8000 + u64::from(owner.0) * 0x100 + self.calls.get() as u64;
        let words: Arc<Vec<_>> = Arc::new((0..1024).map(|_| AtomicU32::new(0)).collect());
        self.pages.borrow_mut().entry(owner.0).or_default().push(words.clone());
        let mapped = self.mapped.borrow_mut().entry(owner.0).or_default().clone();
        Ok(Page { frame: Mfn(number), words, mapped })
    }
    fn charge(&self, owner: DomainId, bytes: usize) -> Result<(), OutOfMemory> {
        if self.fails() {
            return Err(OutOfMemory);
        }
        *self.charged.borrow_mut().entry(owner.0).or_default() += bytes as i64;
        Ok(())
    }
    fn uncharge(&self, owner: DomainId, bytes: usize) {
        *self.charged.borrow_mut().entry(owner.0).or_default() -= bytes as i64;
    }
}

/// A domain making calls.
pub struct Caller<'w> {
    pub world: &'w World,
    pub domain: DomainId,
    pub own: Arc<Table>,
    pub vcpu: u32,
}

impl TableMemory for Caller<'_> {
    type Page = Page;
    fn shared_page(&self, owner: DomainId) -> Result<Page, OutOfMemory> {
        self.world.shared_page(owner)
    }
    fn charge(&self, owner: DomainId, bytes: usize) -> Result<(), OutOfMemory> {
        self.world.charge(owner, bytes)
    }
    fn uncharge(&self, owner: DomainId, bytes: usize) {
        self.world.uncharge(owner, bytes);
    }
}

impl Host for Caller<'_> {
    type Domain = Arc<Table>;
    fn current(&self) -> DomainId {
        self.domain
    }
    fn vcpu(&self) -> VcpuId {
        VcpuId(self.vcpu)
    }
    fn own_table(&self) -> &Table {
        &self.own
    }
    fn domain(&self, id: DomainId) -> Option<Arc<Table>> {
        self.world.lookups.set(self.world.lookups.get() + 1);
        self.world.domains.borrow().get(&id.0).cloned()
    }
    fn take(&self, owner: DomainId, gfn: Gfn, access: Access) -> Result<Mfn, Refused> {
        if let Some(action) = self.world.on_take.borrow_mut().as_mut() {
            action();
        }
        self.take_again(owner, Mfn(gfn.0), access).map(|()| Mfn(gfn.0))
    }
    fn take_again(&self, owner: DomainId, frame: Mfn, access: Access) -> Result<(), Refused> {
        if self.world.fails() {
            return Err(Refused::NotOwned);
        }
        let mut frames = self.world.frames.borrow_mut();
        let state = frames.get_mut(&frame.0).filter(|state| state.owner == owner).ok_or(Refused::NotOwned)?;
        if access == Access::Write {
            if state.page_table {
                return Err(Refused::NotWritable);
            }
            state.writers += 1;
        }
        state.references += 1;
        Ok(())
    }
    fn put(&self, frame: Mfn, access: Access) {
        let mut frames = self.world.frames.borrow_mut();
        let state = frames.get_mut(&frame.0).unwrap();
        state.references = state.references.checked_sub(1).unwrap();
        if access == Access::Write {
            state.writers = state.writers.checked_sub(1).unwrap();
        }
        self.world.events.borrow_mut().push(Event::Put(frame));
    }
}

fn key(domain: DomainId, place: Place) -> EntryKey {
    match place {
        Place::Virtual(address) => (domain, 0, address.0 & !0xFFF),
        Place::Entry(address) => (domain, 1, address.0),
    }
}

const KIND: u32 = MapFlags::READONLY.0;

impl Mappings for Caller<'_> {
    fn map(&self, place: Place, frame: Mfn, flags: MapFlags) -> Result<(), GrantStatus> {
        if self.world.fails() {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        self.world.entries.borrow_mut().insert(key(self.domain, place), (frame, flags.0 & KIND));
        Ok(())
    }
    fn unmap(&self, place: Place, frame: Mfn, flags: MapFlags) -> Result<(), GrantStatus> {
        let mut entries = self.world.entries.borrow_mut();
        let key = key(self.domain, place);
        if self.world.fails() || entries.get(&key) != Some(&(frame, flags.0 & KIND)) {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        entries.remove(&key);
        self.world.events.borrow_mut().push(Event::Clear);
        Ok(())
    }
    fn replace(&self, at: GuestVirtual, frame: Mfn, flags: MapFlags, donor: GuestVirtual) -> Result<(), GrantStatus> {
        self.unmap(Place::Virtual(at), frame, flags)?;
        let mut entries = self.world.entries.borrow_mut();
        if let Some(content) = entries.remove(&key(self.domain, Place::Virtual(donor))) {
            entries.insert(key(self.domain, Place::Virtual(at)), content);
        }
        Ok(())
    }
    fn flush(&self) {
        self.world.events.borrow_mut().push(Event::Flush);
    }
}

impl Contents for Caller<'_> {
    type Window = Mfn;
    fn window(&self, frame: Mfn, _access: Access) -> Mfn {
        frame
    }
    fn copy_bytes(&self, from: &Mfn, from_offset: usize, to: &Mfn, to_offset: usize, length: usize) {
        let mut frames = self.world.frames.borrow_mut();
        let bytes = frames[&from.0].data[from_offset..from_offset + length].to_vec();
        assert!(frames[&from.0].references > 1 && frames[&to.0].writers > 0, "copy without pins");
        frames.get_mut(&to.0).unwrap().data[to_offset..to_offset + length].copy_from_slice(&bytes);
    }
}

impl Transfers for Caller<'_> {
    type Stolen = Mfn;
    fn steal(&self, frame: Gfn) -> Result<Mfn, Refused> {
        let mut frames = self.world.frames.borrow_mut();
        let state = frames.get_mut(&frame.0).filter(|state| state.owner == self.domain && state.references == 1);
        state.ok_or(Refused::NotOwned)?.owner = DomainId::INVALID;
        Ok(Mfn(frame.0))
    }
    fn give(&self, frame: Mfn, to: &Arc<Table>, accept: impl FnOnce() -> Option<Pfn>) -> Option<Mfn> {
        let accepted = self.world.headroom.get().then(accept).flatten();
        let mut frames = self.world.frames.borrow_mut();
        if accepted.is_none() {
            frames.remove(&frame.0);
            return None;
        }
        frames.get_mut(&frame.0)?.owner = to.owner();
        Some(frame)
    }
}

impl Caches for Caller<'_> {
    fn may_flush_caches(&self) -> bool {
        self.world.cache_rights.get()
    }
    fn take_any(&self, frame: Mfn) -> Result<DomainId, Errno> {
        let mut frames = self.world.frames.borrow_mut();
        let state = frames.get_mut(&frame.0).ok_or(Errno::EINVAL)?;
        state.references += 1;
        Ok(state.owner)
    }
    fn flush_cache(&self, _: Mfn, _: usize, _: usize, operation: CacheFlushFlags) -> Result<(), Errno> {
        if operation == CacheFlushFlags::INVALIDATE { Err(Errno::EOPNOTSUPP) } else { Ok(()) }
    }
}

/// A map operation with fewer words.
pub fn request(granter: DomainId, reference: u32, flags: MapFlags, address: u64) -> MapGrantRef {
    MapGrantRef { host_address: address, flags, reference: GrantRef(reference), domain: granter, ..Default::default() }
}

pub fn map(caller: &Caller<'_>, request: &MapGrantRef) -> Result<Mapped, GrantStatus> {
    grant_tables::map(caller, &mut DomainCache::default(), request)
}

pub fn unmap(caller: &Caller<'_>, handle: GrantHandle, host: u64, device: u64) -> GrantStatus {
    let operation = UnmapGrantRef { host_address: host, device_bus_address: device, handle, ..Default::default() };
    UnmapBatch::<_, 1>::new(caller).unmap(&UnmapRequest::from(&operation))
}
