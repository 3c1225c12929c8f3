//! Which ports are taken, under the one lock for slow changes: allocation, binding, closing, the event ABI.
//!
//! The lowest free port is always the next one given out; guests and toolstacks have come to see that.

use alloc::{boxed::Box, sync::Arc};

use abi::{Errno, Port as Number, Result};
use locks::Guard;

use crate::{
    Platform, Ports, memory,
    port::{Binding, Notify, Port},
    ports::{Bucket, EventAbi},
    queue::EventArray,
    sync::BUCKET_PORTS,
};

const FULL: u64 = u64::MAX >> (64 - BUCKET_PORTS);

pub(crate) struct Table<P: Platform> {
    /// A bit per port that is not free, a word per bucket.
    used: Box<[u64]>,
    /// No bucket below this one has a free port.
    lowest_open: usize,
    /// Ports that are not free, port 0 aside.
    active: u32,
    /// Those of them that belong to the hypervisor.
    hypervisor: u32,
    /// The domain is being torn down: nothing may be allocated.
    pub(crate) dying: bool,
    /// Bucket a preempted reset goes on with; `None` when none is under way.
    pub(crate) reset_next: Option<usize>,
    /// Bucket a preempted teardown goes on with.
    pub(crate) teardown_next: usize,
    /// The FIFO array, filled while the FIFO ABI is in use; vCPUs' queues hold the other references.
    pub(crate) array: Arc<EventArray<P>>,
    /// Pages in the array.
    pub(crate) array_pages: usize,
}

impl<P: Platform> Table<P> {
    pub(crate) fn new(buckets: usize) -> Result<Self> {
        Ok(Self {
            used: memory::boxed_slice(buckets, || 0)?,
            lowest_open: 0,
            active: 0,
            hypervisor: 0,
            dying: false,
            reset_next: None,
            teardown_next: 0,
            array: memory::shared(EventArray::new())?,
            array_pages: 0,
        })
    }

    pub(crate) fn reserve_zero(&mut self) {
        if let Some(word) = self.used.first_mut() {
            *word |= 1;
        }
    }

    fn take(&mut self, number: Number, notify: Notify) {
        if let Some(word) = self.used.get_mut(number.0 as usize / BUCKET_PORTS) {
            *word |= 1 << (number.0 as usize % BUCKET_PORTS);
        }
        self.active += 1;
        self.hypervisor += u32::from(notify.consumer().is_some());
    }

    fn give_back(&mut self, number: Number, notify: Notify) {
        let bucket = number.0 as usize / BUCKET_PORTS;
        if let Some(word) = self.used.get_mut(bucket) {
            *word &= !(1 << (number.0 as usize % BUCKET_PORTS));
        }
        self.lowest_open = self.lowest_open.min(bucket);
        self.active -= 1;
        self.hypervisor -= u32::from(notify.consumer().is_some());
    }

    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// Ports that a guest's reset should have closed and that are still there.
    pub(crate) fn guest_ports(&self) -> u32 {
        self.active - self.hypervisor
    }

    /// The ports of a bucket that are not free, port 0 aside; `None` behind the last bucket.
    pub(crate) fn used_in(&self, bucket: usize) -> Option<impl Iterator<Item = Number> + use<P>> {
        let mut word = *self.used.get(bucket)?;
        if bucket == 0 {
            word &= !1;
        }
        Some((0..BUCKET_PORTS).filter(move |bit| word & 1 << bit != 0).map(move |bit| {
            // Bounded by the FIFO ABI's 131072 ports.
            Number((bucket * BUCKET_PORTS + bit) as u32)
        }))
    }
}

impl<P: Platform> Ports<P> {
    /// The lowest free port; nothing is changed but that its bucket exists. It stays free until [`Self::occupy`].
    /// Errors: `EINVAL` the domain is dying, `ENOSPC` no port left, `ENOMEM`.
    #[inline(always)]
    pub(crate) fn find_free(&self, table: &mut Table<P>) -> Result<(Number, &Port<P>)> {
        match self.find_free_once(table) {
            Some(found) => Ok(found),
            None => self.find_free_slowly(table),
        }
    }

    /// The first port that is not taken, if that is a free one with memory: `None` says that the long way must decide.
    #[inline(always)]
    fn find_free_once(&self, table: &Table<P>) -> Option<(Number, &Port<P>)> {
        let bucket = table.lowest_open;
        // Behind the last port, and so nothing, where all are taken.
        let index = (!table.used.get(bucket)? & FULL).trailing_zeros() as usize;
        let port = self.buckets.get(bucket)?.get()?.get(index)?;
        let number = Number((bucket * BUCKET_PORTS + index) as u32);
        let abi = self.event_abi();
        let may_hang = abi == EventAbi::Fifo && table.array.is_linked(number);
        let is_free = !table.dying && number.0 <= self.max_port && number.0 < abi.ports() && !may_hang;
        is_free.then_some((number, port))
    }

    #[cold]
    #[inline(never)]
    fn find_free_slowly(&self, table: &mut Table<P>) -> Result<(Number, &Port<P>)> {
        if table.dying {
            return Err(Errno::EINVAL);
        }
        let limit = self.event_abi().ports().min(self.max_port.saturating_add(1));
        for bucket in table.lowest_open..self.buckets.len() {
            let mut open = !table.used.get(bucket).copied().unwrap_or(FULL) & FULL;
            if open == 0 && table.lowest_open == bucket {
                table.lowest_open = bucket + 1;
            }
            while open != 0 {
                let index = open.trailing_zeros() as usize;
                open &= open - 1;
                let number = Number((bucket * BUCKET_PORTS + index) as u32);
                if number.0 >= limit {
                    return Err(Errno::ENOSPC);
                }
                self.bucket_or_allocate(table, bucket)?;
                // A closed port may still hang in a queue that the guest has not read.
                if !table.array.is_linked(number) {
                    return Ok((number, self.valid_port(number)?));
                }
            }
        }
        Err(Errno::ENOSPC)
    }

    /// Gives a free port its life.
    #[inline(always)]
    pub(crate) fn occupy(
        &self,
        table: &mut Table<P>,
        (number, port): (Number, &Port<P>),
        notify: Notify,
        binding: Binding<P>,
    ) {
        let mut current = port.binding.lock();
        self.occupy_locked(table, number, port, notify);
        *current = binding;
    }

    /// The same, when the caller has the port's lock and writes the binding itself.
    #[inline]
    pub(crate) fn occupy_locked(&self, table: &mut Table<P>, number: Number, port: &Port<P>, notify: Notify) {
        self.start_queue(number, port, notify);
        port.set_notify(notify);
        table.take(number, notify);
    }

    /// The end of it; the port is out of everybody's reach already.
    pub(crate) fn vacate(&self, table: &mut Table<P>, number: Number, port: &Port<P>) {
        self.vacate_locked(table, number, port, port.binding.lock());
    }

    /// The same for a port whose senders all take its own lock, which the caller has.
    #[inline]
    pub(crate) fn vacate_locked(
        &self,
        table: &mut Table<P>,
        number: Number,
        port: &Port<P>,
        mut binding: Guard<'_, Binding<P>>,
    ) {
        self.clear_pending(table, number, port);
        table.give_back(number, port.notify());
        port.set_notify(Notify::RESET);
        *binding = Binding::Free;
    }

    pub(crate) fn bucket_or_allocate(&self, _table: &mut Table<P>, bucket: usize) -> Result<&Bucket<P>> {
        let cell = self.buckets.get(bucket).ok_or(Errno::ENOSPC)?;
        if let Some(ports) = cell.get() {
            return Ok(ports);
        }
        let ports = memory::boxed_slice(BUCKET_PORTS, Port::new)?;
        let ports: Box<Bucket<P>> = ports.try_into().map_err(|_| Errno::ENOMEM)?;
        Ok(cell.call_once(|| ports))
    }
}
