//! Copies between the hypervisor and the calling guest, authority facts, and the caller's registers as a call.

use abi::{DomainId, Errno, GuestVirtual, Result};
use hypercalls::{
    authority::Policy,
    dispatch::CallRegisters,
    guest::{GuestMemory, Preemption},
};

use super::{Caller, budget};
use crate::{
    domain,
    entry::stubs,
    fail_point::{Point, hit},
};

impl GuestMemory for Caller<'_> {
    #[inline]
    fn copy_in(&self, from: GuestVirtual, to: &mut [u8]) -> Result<()> {
        hit(Point::inside_call(self.registers.rax));
        if stubs::copy_from_guest(to, from.0) { Ok(()) } else { Err(Errno::EFAULT) }
    }

    #[inline]
    fn copy_out(&self, to: GuestVirtual, from: &[u8]) -> Result<()> {
        hit(Point::inside_call(self.registers.rax));
        if stubs::copy_to_guest(to.0, from) { Ok(()) } else { Err(Errno::EFAULT) }
    }
}

impl Preemption for Caller<'_> {
    #[inline]
    fn preempted(&self) -> bool {
        budget::is_spent()
    }
}

impl Policy for Caller<'_> {
    #[inline(always)]
    fn caller(&self) -> DomainId {
        self.domain.id
    }

    #[inline(always)]
    fn is_control_domain(&self) -> bool {
        self.domain.rights.is_control
    }

    #[inline(always)]
    fn is_hardware_domain(&self) -> bool {
        self.domain.rights.has_io()
    }

    fn is_device_model_of(&self, _target: DomainId) -> bool {
        false
    }

    fn domain_exists(&self, id: DomainId) -> bool {
        domain::find(id).is_some()
    }
}

impl CallRegisters for Caller<'_> {
    #[inline(always)]
    fn call_number(&self) -> u64 {
        self.registers.rax
    }

    #[inline(always)]
    fn call_argument(&self, index: usize) -> u64 {
        match index {
            0 => self.registers.rdi,
            1 => self.registers.rsi,
            2 => self.registers.rdx,
            3 => self.registers.r10,
            4 => self.registers.r8,
            _ => self.registers.r9,
        }
    }
}
