//! Closing all ports: reset on a guest's or toolstack's request, and teardown of a dying domain. Both in bounded steps of
//! one bucket; progress is recorded in the table, so that either may be called again by anybody.

use alloc::sync::Arc;

use abi::{Errno, Result};

use crate::{PirqControl, Platform, Ports, Progress, close::Closer, table::Table};

/// Whether a reset begins or goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetStart {
    /// `EVTCHNOP_reset`.
    Fresh,
    /// Its continuation (operation 14).
    Continued,
}

impl<P: Platform> Ports<P> {
    /// Closes all ports but the hypervisor's and goes back to the 2-level ABI. `preempted` is asked after each bucket, with
    /// no lock held. Errors: `EBUSY` a reset is under way (or, continued, is not), `EAGAIN` the guest bound new ports
    /// meanwhile.
    pub fn reset(
        self: &Arc<Self>,
        start: ResetStart,
        control: &impl PirqControl,
        preempted: impl Fn() -> bool,
    ) -> Result<Progress> {
        let mut bucket = self.begin_reset(start)?;
        loop {
            let mut table = self.table.lock();
            if !self.close_bucket(&mut table, bucket, Closer::Guest, control) {
                return self.finish_reset(&mut table);
            }
            bucket += 1;
            if preempted_without(table, &preempted, |table| table.reset_next = Some(bucket)) {
                return Ok(Progress::Preempted);
            }
        }
    }

    fn begin_reset(&self, start: ResetStart) -> Result<usize> {
        let mut table = self.table.lock();
        match (start, table.reset_next) {
            (ResetStart::Fresh, None) => {
                table.reset_next = Some(0);
                Ok(0)
            }
            (ResetStart::Continued, Some(bucket)) => Ok(bucket),
            (ResetStart::Fresh, Some(_)) | (ResetStart::Continued, None) => Err(Errno::EBUSY),
        }
    }

    fn finish_reset(&self, table: &mut Table<P>) -> Result<Progress> {
        table.reset_next = None;
        if table.guest_ports() != 0 {
            return Err(Errno::EAGAIN);
        }
        self.leave_fifo(table);
        Ok(Progress::Done)
    }

    /// Closes everything of a dying domain, the hypervisor's ports too, and gives its FIFO pages back; no port can be
    /// allocated from the first call on. `preempted` as for [`Self::reset`]. Done again, it does nothing.
    pub fn teardown(self: &Arc<Self>, control: &impl PirqControl, preempted: impl Fn() -> bool) -> Progress {
        loop {
            let mut table = self.table.lock();
            table.dying = true;
            let bucket = table.teardown_next;
            if !self.close_bucket(&mut table, bucket, Closer::Hypervisor, control) {
                self.leave_fifo(&mut table);
                return Progress::Done;
            }
            if preempted_without(table, &preempted, |table| table.teardown_next = bucket + 1) {
                return Progress::Preempted;
            }
        }
    }

    /// Closes the ports of one bucket; false when there is no such bucket.
    fn close_bucket(
        self: &Arc<Self>,
        table: &mut Table<P>,
        bucket: usize,
        closer: Closer,
        control: &impl PirqControl,
    ) -> bool {
        let Some(numbers) = table.used_in(bucket) else {
            return false;
        };
        for number in numbers {
            // The hypervisor's ports refuse a guest's reset.
            let _ = self.close_locked(table, number, closer, control);
        }
        true
    }
}

/// Records progress, lets the table go, and asks.
fn preempted_without<P: Platform>(
    mut table: locks::Guard<'_, Table<P>>,
    preempted: impl Fn() -> bool,
    record: impl FnOnce(&mut Table<P>),
) -> bool {
    record(&mut table);
    drop(table);
    preempted()
}
