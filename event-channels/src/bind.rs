//! Giving ports a meaning: unbound, interdomain, VIRQ, IPI and physical interrupt.
//!
//! A port is found first, then everything is checked, then it is taken: an error leaves nothing behind. Two ports are
//! locked in the order of (domain, number).

use alloc::sync::Arc;
use core::sync::atomic::Ordering::{Acquire, Release};

use abi::{DomainId, Errno, Pirq, Port as Number, Result, VcpuId, Virq};
use locks::Guard;

use crate::{
    PirqControl, PirqSharing, Platform, Ports, Wake,
    port::{Binding, Notify, Peer, Port},
};

/// The guards of two ports, in the order asked for.
pub(crate) type Both<'a, P> = (Guard<'a, Binding<P>>, Guard<'a, Binding<P>>);

/// Locks two different ports.
pub(crate) fn lock_both<'a, P: Platform>(
    (near_owner, near_number, near): (&Ports<P>, Number, &'a Port<P>),
    (far_owner, far_number, far): (&Ports<P>, Number, &'a Port<P>),
) -> Both<'a, P> {
    if (near_owner.domain(), near_number) < (far_owner.domain(), far_number) {
        let first = near.binding.lock();
        let second = far.binding.lock_second(&first);
        (first, second)
    } else {
        let first = far.binding.lock();
        let second = near.binding.lock_second(&first);
        (second, first)
    }
}

impl<P: Platform> Ports<P> {
    /// A new port that `remote` may bind to. Errors: `EINVAL` the domain is dying, `ENOSPC`, `ENOMEM`.
    pub fn alloc_unbound(&self, remote: DomainId) -> Result<Number> {
        let mut table = self.table.lock();
        let (number, port) = self.find_free(&mut table)?;
        self.occupy(&mut table, (number, port), Notify::RESET, Binding::Unbound { remote });
        Ok(number)
    }

    /// A new port bound to `remote_port` of `remote` (which may be the domain itself), pending from the start because
    /// events sent before are lost. Errors: `EINVAL`, `ENOSPC`, `ENOMEM` as for [`Self::alloc_unbound`], then `EINVAL` when
    /// the far port is invalid, not unbound, or waits for somebody else.
    pub fn bind_interdomain(self: &Arc<Self>, remote: &Arc<Self>, remote_port: Number) -> Result<(Number, Wake<P>)> {
        let mut table = self.table.lock();
        let (number, near) = self.find_free(&mut table)?;
        let far = remote.valid_port(remote_port)?;
        if core::ptr::eq(near, far) {
            return Err(Errno::EINVAL);
        }
        let (mut near_binding, mut far_binding) = lock_both((self, number, near), (remote, remote_port, far));
        match *far_binding {
            Binding::Unbound { remote } if remote == self.domain() => {}
            _ => return Err(Errno::EINVAL),
        }
        *near_binding = Binding::Interdomain { peer: Peer::of(self, remote), port: remote_port.0 };
        *far_binding = Binding::Interdomain { peer: Peer::of(remote, self), port: number.0 };
        self.occupy_locked(&mut table, number, near, Notify::RESET);
        Ok((number, self.set_pending(number, near)))
    }

    /// A new port for a virtual interrupt. Errors: `EINVAL` no such VIRQ or a global one not on vCPU 0, `ENOENT` no such
    /// vCPU, `EEXIST`, then as for [`Self::alloc_unbound`].
    pub fn bind_virq(&self, virq: Virq, vcpu: VcpuId) -> Result<Number> {
        if virq.0 >= Virq::COUNT || !virq.is_per_vcpu() && vcpu.0 != 0 {
            return Err(Errno::EINVAL);
        }
        let slot = self.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let cell = slot.virqs.get(virq.0 as usize).ok_or(Errno::EINVAL)?;
        let mut table = self.table.lock();
        if cell.load(Acquire) != 0 {
            return Err(Errno::EEXIST);
        }
        let (number, port) = self.find_free(&mut table)?;
        self.occupy(&mut table, (number, port), Notify::of_vcpu(vcpu), Binding::Virq(virq));
        cell.store(number.0, Release);
        Ok(number)
    }

    /// A new port for events among the domain's own vCPUs. Errors: `ENOENT` no such vCPU, then as for
    /// [`Self::alloc_unbound`].
    pub fn bind_ipi(&self, vcpu: VcpuId) -> Result<Number> {
        self.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let mut table = self.table.lock();
        let (number, port) = self.find_free(&mut table)?;
        self.occupy(&mut table, (number, port), Notify::of_vcpu(vcpu), Binding::Ipi);
        Ok(number)
    }

    /// A new port for a physical interrupt. Errors: `EINVAL` no such interrupt, `EPERM` not this domain's, `EEXIST`, then as
    /// for [`Self::alloc_unbound`], then what the host answers.
    pub fn bind_pirq(&self, pirq: Pirq, sharing: PirqSharing, control: &impl PirqControl) -> Result<Number> {
        let cell = self.pirqs.get(pirq.0 as usize).ok_or(Errno::EINVAL)?;
        if !control.permitted(pirq) {
            return Err(Errno::EPERM);
        }
        let mut table = self.table.lock();
        if cell.load(Acquire) != 0 {
            return Err(Errno::EEXIST);
        }
        let (number, port) = self.find_free(&mut table)?;
        // The first interrupt may come before bind returns and must find the port.
        self.occupy(&mut table, (number, port), Notify::RESET, Binding::Pirq(pirq));
        cell.store(number.0, Release);
        if let Err(errno) = control.bind(pirq, sharing) {
            cell.store(0, Release);
            *port.binding.lock() = Binding::Reserved;
            self.vacate(&mut table, number, port);
            return Err(errno);
        }
        Ok(number)
    }
}
