//! Closing a port, and what that means for whatever it was bound to.
//!
//! First the port is put out of everybody's reach (under its lock, or as `Reserved`, peer unbound, VIRQ or interrupt
//! released), then its event is wiped, then it becomes free. The far end of a pair goes back to waiting for the closer.

use alloc::sync::Arc;
use core::{
    mem,
    sync::atomic::Ordering::{AcqRel, Acquire, Release},
};

use abi::{Errno, Pirq, Port as Number, Result, Virq};

use crate::{
    PirqControl, Platform, Ports,
    bind::lock_both,
    port::{Binding, Peer, Port},
    table::Table,
};

/// How far a call that may be preempted has come.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Finished.
    Done,
    /// To be called again; what is done is recorded.
    Preempted,
}

/// On whose behalf a port is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closer {
    /// The guest, which cannot touch the hypervisor's ports.
    Guest,
    Hypervisor,
}

impl<P: Platform> Ports<P> {
    /// Closes a port. Errors: `EINVAL` invalid, free, reserved, or the hypervisor's.
    pub fn close(self: &Arc<Self>, number: Number, control: &impl PirqControl) -> Result<()> {
        let mut table = self.table.lock();
        self.close_locked(&mut table, number, Closer::Guest, control)
    }

    pub(crate) fn close_locked(
        self: &Arc<Self>,
        table: &mut Table<P>,
        number: Number,
        closer: Closer,
        control: &impl PirqControl,
    ) -> Result<()> {
        let port = self.valid_port(number)?;
        if closer == Closer::Guest && port.notify().consumer().is_some() {
            return Err(Errno::EINVAL);
        }
        loop {
            let mut binding = port.binding.lock();
            match &*binding {
                Binding::Free | Binding::Reserved => return Err(Errno::EINVAL),
                // Who sends to these has the port's own lock, so nothing can come in between.
                Binding::Unbound { .. } | Binding::Ipi => {
                    self.vacate_locked(table, number, port, binding);
                    return Ok(());
                }
                Binding::Virq(virq) => {
                    self.release_virq(*virq, number);
                    self.vacate_locked(table, number, port, binding);
                    return Ok(());
                }
                Binding::Pirq(pirq) => {
                    let pirq = *pirq;
                    *binding = Binding::Reserved;
                    drop(binding);
                    self.release_pirq(pirq, control);
                    break;
                }
                // Locking both ends has to start over in the right order. Only the far end's own closing can come
                // between; then there is no pair any more.
                Binding::Interdomain { peer, port: far } => {
                    let (peer, far) = (peer.clone(), Number(*far));
                    drop(binding);
                    if self.unpair(number, port, &peer, far) {
                        break;
                    }
                }
            }
        }
        self.vacate(table, number, port);
        Ok(())
    }

    #[inline(never)]
    fn release_pirq(&self, pirq: Pirq, control: &impl PirqControl) {
        control.unbind(pirq);
        if let Some(cell) = self.pirqs.get(pirq.0 as usize) {
            cell.store(0, Release);
        }
    }

    #[inline(never)]
    fn release_virq(&self, virq: Virq, number: Number) {
        for slot in self.all_vcpus() {
            if let Some(cell) = slot.virqs.get(virq.0 as usize) {
                let _ = cell.compare_exchange(number.0, 0, AcqRel, Acquire);
            }
        }
    }

    /// Takes a pair apart, if it still is one.
    #[inline(never)]
    fn unpair(self: &Arc<Self>, number: Number, near: &Port<P>, peer: &Peer<P>, far_number: Number) -> bool {
        let remote = peer.ports(self);
        let Some(far) = remote.port(far_number) else {
            return false;
        };
        let (mut near_binding, mut far_binding) = lock_both((self, number, near), (remote, far_number, far));
        match &*near_binding {
            Binding::Interdomain { peer, port } if *port == far_number.0 && Arc::ptr_eq(peer.ports(self), remote) => {}
            _ => return false,
        }
        let old_far = mem::replace(&mut *far_binding, Binding::Unbound { remote: self.domain() });
        let old_near = mem::replace(&mut *near_binding, Binding::Reserved);
        drop((near_binding, far_binding));
        // References to both domains go with these, outside the locks.
        drop((old_near, old_far));
        true
    }
}
