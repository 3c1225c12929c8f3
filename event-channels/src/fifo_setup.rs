//! Changing over to the FIFO ABI and back: control blocks and array pages.

use alloc::sync::Arc;

use abi::{Errno, Port as Number, Result, VcpuId};

use crate::{
    Platform, Ports, Wake,
    port::Port,
    ports::EventAbi,
    queue::{ARRAY_PAGES, CONTROL_WORDS, ControlBlock, Queues},
    sync::{BUCKET_PORTS, PAGE_WORDS},
    table::Table,
};

impl<P: Platform> Ports<P> {
    /// Gives a vCPU its control block, at `offset` bytes into the page that `map` pins; the first one switches the domain
    /// to the FIFO ABI, and what was pending before is carried over to the pages that [`Self::expand_array`] adds.
    ///
    /// `map` runs with [`locks::Level::EventPorts`] held. Errors: `ENOENT` no such vCPU, `EINVAL` offset or block present,
    /// those of `map`.
    pub fn init_control(&self, vcpu: VcpuId, offset: u32, map: impl FnOnce() -> Result<P::Page>) -> Result<()> {
        let slot = self.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let first_word = offset as usize / 4;
        if first_word > PAGE_WORDS - CONTROL_WORDS || !offset.is_multiple_of(8) {
            return Err(Errno::EINVAL);
        }
        let table = self.table.lock();
        if slot.delivery.lock().queues.as_ref().is_some_and(|queues| queues.control.is_some()) {
            return Err(Errno::EINVAL);
        }
        if table.dying {
            return Err(Errno::EINVAL);
        }
        let block = ControlBlock::new(map()?, first_word);
        if self.event_abi() == EventAbi::TwoLevel {
            self.enter_fifo(&table);
        }
        if let Some(queues) = &mut slot.delivery.lock().queues {
            queues.control = Some(block);
        }
        Ok(())
    }

    /// Every vCPU gets its queues before the domain counts as FIFO. A sender that still saw the 2-level ABI sets its
    /// bit before it looks again, so the bit is here to be found or the sender comes to the queues by itself.
    fn enter_fifo(&self, table: &Table<P>) {
        for slot in self.all_vcpus() {
            slot.delivery.lock().queues = Some(Queues::new(Arc::clone(&table.array)));
        }
        self.set_event_abi(EventAbi::Fifo);
        crate::sync::full_fence();
        for number in (1..EventAbi::TwoLevel.ports()).map(Number) {
            let Some(port) = self.port(number) else { break };
            if self.two_level_is_pending(number) {
                port.set_waiting();
            }
        }
    }

    /// Adds a page to the array of event words and delivers what waited for it, through `wake`, without locks held.
    ///
    /// `map` runs with [`locks::Level::EventPorts`] held. Errors: `EOPNOTSUPP` without FIFO ABI, `ENOSPC` when the array is
    /// complete, those of `map`.
    pub fn expand_array(
        self: &Arc<Self>,
        map: impl FnOnce() -> Result<P::Page>,
        mut wake: impl FnMut(Wake<P>),
    ) -> Result<()> {
        let mut table = self.table.lock();
        if self.event_abi() != EventAbi::Fifo {
            return Err(Errno::EOPNOTSUPP);
        }
        let slot = table.array_pages;
        if slot >= ARRAY_PAGES {
            return Err(Errno::ENOSPC);
        }
        table.array.add(slot, map()?);
        table.array_pages += 1;
        // Whoever found no page has left its mark when the locks have been had once; whoever comes now finds the page.
        for slot in self.all_vcpus() {
            drop(slot.delivery.lock());
        }
        drop(table);
        for index in slot * PAGE_WORDS..(slot + 1) * PAGE_WORDS {
            // Below the FIFO ABI's 131072 ports.
            let number = Number(index as u32);
            if index % BUCKET_PORTS == 0 && self.port(number).is_none() {
                break;
            }
            self.deliver_waiting(number, &mut wake);
        }
        Ok(())
    }

    fn deliver_waiting(self: &Arc<Self>, number: Number, wake: &mut impl FnMut(Wake<P>)) {
        let Some(port) = self.port(number).filter(|port| port.is_waiting()) else {
            return;
        };
        let binding = port.binding.lock();
        if port.take_waiting() && binding.is_bound() {
            let woken = self.fifo_set_pending(number, port);
            drop(binding);
            wake(woken);
        }
    }

    /// Back to the 2-level ABI: all control blocks and array pages go.
    pub(crate) fn leave_fifo(&self, table: &mut Table<P>) {
        if self.event_abi() == EventAbi::TwoLevel {
            return;
        }
        self.set_event_abi(EventAbi::TwoLevel);
        for slot in self.all_vcpus() {
            let queues = slot.delivery.lock().queues.take();
            // Not inside the lock: the pages' guards go back to the memory manager.
            drop(queues);
        }
        table.array_pages = 0;
        // The queues held the only other references, and nobody takes new ones without the table.
        match Arc::get_mut(&mut table.array) {
            Some(array) => array.clear(),
            None => debug_assert!(false, "a vCPU's queues outlived the FIFO ABI"),
        }
    }

    /// Clears a port's event for good, with the table locked and the port out of senders' reach.
    #[inline]
    pub(crate) fn clear_pending(&self, table: &Table<P>, number: Number, port: &Port<P>) {
        match self.event_abi() {
            EventAbi::TwoLevel => self.two_level_clear_pending(number),
            EventAbi::Fifo => table.array.clear_pending(number),
        }
        port.take_waiting();
    }
}
