//! The host that the page-table calls are tested against: a small machine, flat guest memory, a log of consequences.

use std::cell::{Cell, RefCell};

use abi::mmu::{MmuCommand, MmuUpdate, MmuextCommand, MmuextOp};
use abi::{DomainId, Errno, GuestHandle, GuestVirtual, Mfn, Pfn, Result};
use hypercalls::authority::Policy;
use hypercalls::guest::{GuestMemory, Preemption};
use hypercalls::op::mmu::*;
use hypercalls::outcome::{Failure, Reply};
use pv_mmu::{DropQueue, FrameType, Frames, IoAccess, MmuHost, PageTable, pin};
use zerocopy::IntoBytes;

use crate::world::*;

/// Guest addresses of a flat piece of memory that calls read and write.
pub const MEMORY: u64 = 0x10_0000;
pub const DONE: u64 = MEMORY + 0x8000;
pub const ROOT: Mfn = Mfn(1);
/// Translated by slot 0 of level-1 table 4.
pub const BASE: GuestVirtual = GuestVirtual(7 << 21);
pub const SELF: u32 = DomainId::SELF.0 as u32;

pub struct Host {
    pub world: World,
    pub memory: RefCell<Vec<u8>>,
    pub control: Cell<bool>,
    pub io: Cell<bool>,
    pub preempt_after: Cell<Option<u32>>,
    pub roots: Cell<(Mfn, Option<Mfn>)>,
    pub log: RefCell<Vec<String>>,
}

pub fn host() -> Host {
    let host = Host {
        world: World::new(),
        memory: RefCell::new(vec![0; 0x10000]),
        control: Cell::new(false),
        io: Cell::new(false),
        preempt_after: Cell::new(None),
        roots: Cell::new((ROOT, None)),
        log: RefCell::default(),
    };
    tree(&host.world);
    host.world.give(OTHER, 40, 4);
    pin(&host.world, ROOT, GUEST, FrameType::L4).unwrap();
    pv_mmu::acquire_root(&host.world, ROOT, GUEST).unwrap();
    host.world.hold(ROOT, 1, 1);
    host
}

macro_rules! delegate {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> $result { self.world.$name($($argument),*) })*
    };
}

impl MmuHost for Host {
    type Table<'a> = &'a PageTable;

    delegate! {
        frames() -> Frames<'_>;
        table(frame: Mfn) -> &PageTable;
        out_of_budget() -> bool;
        relax() -> ();
        flush_clock() -> u32;
        flush_before_retype(frame: Mfn, stamp: u32) -> ();
        clean_cache(frame: Mfn) -> ();
        set_cache_attribute(frame: Mfn, bits: u64) -> Result<()>;
        fill_hypervisor_slots(frame: Mfn, table: &PageTable, owner: DomainId) -> ();
        check_descriptor(owner: DomainId, descriptor: u64) -> Option<u64>;
        descriptor_page_unmapped(frame: Mfn, owner: DomainId) -> ();
        may_set_memory_types(domain: DomainId) -> bool;
        io_access(domain: DomainId, frame: Mfn) -> IoAccess;
        is_dying(domain: DomainId) -> bool;
        release_frame(frame: Mfn, owner: DomainId) -> ();
        drops() -> &DropQueue;
    }
}

impl Policy for Host {
    fn caller(&self) -> DomainId {
        GUEST
    }
    fn is_control_domain(&self) -> bool {
        self.control.get()
    }
    fn is_hardware_domain(&self) -> bool {
        false
    }
    fn is_device_model_of(&self, _target: DomainId) -> bool {
        false
    }
    fn domain_exists(&self, id: DomainId) -> bool {
        [GUEST, OTHER, DRIVER].contains(&id)
    }
}

impl GuestMemory for Host {
    fn copy_in(&self, from: GuestVirtual, to: &mut [u8]) -> Result<()> {
        if to.is_empty() {
            return Ok(());
        }
        let start = from.0.checked_sub(MEMORY).ok_or(Errno::EFAULT)? as usize;
        to.copy_from_slice(self.memory.borrow().get(start..start + to.len()).ok_or(Errno::EFAULT)?);
        Ok(())
    }
    fn copy_out(&self, to: GuestVirtual, from: &[u8]) -> Result<()> {
        let start = to.0.checked_sub(MEMORY).ok_or(Errno::EFAULT)? as usize;
        self.memory.borrow_mut().get_mut(start..start + from.len()).ok_or(Errno::EFAULT)?.copy_from_slice(from);
        Ok(())
    }
}

impl Preemption for Host {
    fn preempted(&self) -> bool {
        match self.preempt_after.get() {
            Some(0) => true,
            Some(left) => {
                self.preempt_after.set(Some(left - 1));
                false
            }
            None => false,
        }
    }
}

impl Host {
    pub fn note(&self, what: String) {
        self.log.borrow_mut().push(what);
    }

    pub fn log(&self) -> Vec<String> {
        self.log.take()
    }

    pub fn put<T: IntoBytes + zerocopy::Immutable>(&self, at: u64, values: &[T]) {
        self.copy_out(GuestVirtual(at), values.as_bytes()).unwrap();
    }

    pub fn done(&self) -> u32 {
        let mut bytes = [0; 4];
        self.copy_in(GuestVirtual(DONE), &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    pub fn update(&self, requests: &[MmuUpdate], foreign: u32) -> Reply {
        self.put(MEMORY, requests);
        let reply = mmu_update(self, GuestHandle::new(MEMORY), requests.len() as u32, GuestHandle::new(DONE), foreign);
        self.world.audit();
        reply
    }

    pub fn extended(&self, requests: &[MmuextOp], foreign: u32) -> Reply {
        self.put(MEMORY, requests);
        let reply = mmuext_op(self, GuestHandle::new(MEMORY), requests.len() as u32, GuestHandle::new(DONE), foreign);
        self.world.audit();
        reply
    }
}

impl MmuCalls for Host {
    fn is_paravirtual(&self, domain: DomainId) -> bool {
        domain != DRIVER
    }
    fn kernel_root(&self) -> Mfn {
        self.roots.get().0
    }
    fn user_root(&self) -> Option<Mfn> {
        self.roots.get().1
    }
    fn load_kernel_root(&self, root: Mfn) {
        let old = self.roots.get().0;
        if old != root {
            self.world.unhold(old, 1, 1);
            self.world.hold(root, 1, 1);
        }
        self.roots.set((root, self.roots.get().1));
        self.note(format!("cr3 {}", root.0));
    }
    fn set_user_root(&self, root: Option<Mfn>) {
        self.roots.get().1.into_iter().for_each(|old| self.world.unhold(old, 1, 1));
        root.into_iter().for_each(|root| self.world.hold(root, 1, 1));
        self.roots.set((self.roots.get().0, root));
    }
    fn set_machine_to_physical(&self, frame: Mfn, pfn: Pfn) {
        self.note(format!("m2p {} = {}", frame.0, pfn.0));
    }
    fn flush_local(&self, scope: FlushScope) {
        self.note(format!("local {scope:?}"));
    }
    fn flush_domain(&self, scope: FlushScope) {
        self.note(format!("domain {scope:?}"));
    }
    fn flush_vcpus(&self, first: u32, mask: u64, scope: FlushScope) {
        self.note(format!("vcpus {first}+{mask:#x} {scope:?}"));
    }
    fn vcpu_limit(&self) -> u32 {
        66
    }
    fn may_flush_caches(&self) -> bool {
        self.io.get()
    }
    fn flush_cache_local(&self) {
        self.note("wbinvd".into());
    }
    fn flush_cache_everywhere(&self) {
        self.note("wbinvd all".into());
    }
    fn set_ldt(&self, base: GuestVirtual, entries: u32) {
        self.note(format!("ldt {base:#x} {entries}"));
    }
    fn clear_page(&self, frame: Mfn) {
        (0..512).for_each(|slot| self.world.set(frame, slot, 0));
    }
    fn copy_page(&self, to: Mfn, from: Mfn) {
        (0..512).for_each(|slot| self.world.set(to, slot, self.world.word(from, slot)));
    }
}

impl DescriptorCalls for Host {
    fn replace_gdt(&self, frames: &[Mfn], entries: u32, former: &mut [Mfn; GDT_FRAMES]) -> usize {
        frames.iter().for_each(|frame| self.world.hold(*frame, 1, 1));
        self.note(format!("gdt {frames:?} {entries}"));
        former[0] = Mfn(29);
        let had = self.world.held.borrow().get(&29).is_some_and(|held| held.0 != 0);
        if had {
            self.world.unhold(Mfn(29), 1, 1);
        }
        usize::from(had)
    }
}

pub fn at(table: u64, slot: u64, command: MmuCommand, value: u64) -> MmuUpdate {
    MmuUpdate { pointer: (table << 12) | (slot * 8) | u64::from(command.0), value }
}

pub fn normal(table: u64, slot: u64, value: u64) -> MmuUpdate {
    at(table, slot, MmuCommand::NORMAL_PT_UPDATE, value)
}

pub fn ext(command: MmuextCommand, argument1: u64, argument2: u64) -> MmuextOp {
    MmuextOp { command, reserved: 0, argument1, argument2 }
}

pub fn failed(errno: Errno) -> Reply {
    Err(Failure::Errno(errno))
}
