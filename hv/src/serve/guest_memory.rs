//! Copies between the hypervisor and the calling guest, authority facts, and the caller's registers as a call.

use abi::{DomainId, Errno, GuestVirtual, Result};
use hypercalls::{
    authority::Policy,
    dispatch::CallRegisters,
    guest::{GuestMemory, Preemption},
    outcome::{self, Outcome},
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Caller, budget};
use crate::{
    domain,
    entry::{
        guest_access::{self, Words},
        stubs,
    },
    fail_point::{Point, hit},
};

/// Length of the SYSCALL instruction, which a continued call runs again.
const SYSCALL_LENGTH: u64 = 2;

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

    #[inline(always)]
    fn copy_value_in<T: FromBytes + IntoBytes>(&self, from: GuestVirtual) -> Result<T> {
        hit(Point::inside_call(self.registers.rax));
        let value = match const { size_of::<T>() } {
            4 => guest_access::read_half(from.0).and_then(|value| T::read_from_bytes(value.as_bytes()).ok()),
            8 => value_of::<T, 1>(from),
            16 => value_of::<T, 2>(from),
            24 => value_of::<T, 3>(from),
            32 => value_of::<T, 4>(from),
            40 => value_of::<T, 5>(from),
            48 => value_of::<T, 6>(from),
            56 => value_of::<T, 7>(from),
            64 => value_of::<T, 8>(from),
            _ => {
                let mut value = T::new_zeroed();
                stubs::copy_from_guest(value.as_mut_bytes(), from.0).then_some(value)
            }
        };
        value.ok_or(Errno::EFAULT)
    }

    #[inline(always)]
    fn copy_value_out<T: IntoBytes + Immutable>(&self, to: GuestVirtual, value: &T) -> Result<()> {
        hit(Point::inside_call(self.registers.rax));
        let written = match const { size_of::<T>() } {
            2 => u16::read_from_bytes(value.as_bytes()).is_ok_and(|quarter| guest_access::write_quarter(to.0, quarter)),
            4 => u32::read_from_bytes(value.as_bytes()).is_ok_and(|half| guest_access::write_half(to.0, half)),
            8 => write_words::<T, 1>(to, value),
            16 => write_words::<T, 2>(to, value),
            24 => write_words::<T, 3>(to, value),
            32 => write_words::<T, 4>(to, value),
            _ => stubs::copy_to_guest(to.0, value.as_bytes()),
        };
        if written { Ok(()) } else { Err(Errno::EFAULT) }
    }
}

/// A value of `WORDS` words.
#[inline(always)]
fn value_of<T: FromBytes, const WORDS: usize>(from: GuestVirtual) -> Option<T>
where
    [u64; WORDS]: Words,
{
    let words = <[u64; WORDS]>::read(from.0)?;
    T::read_from_bytes(words.as_bytes()).ok()
}

/// Writes a value of `WORDS` words.
#[inline(always)]
fn write_words<T: IntoBytes + Immutable, const WORDS: usize>(to: GuestVirtual, value: &T) -> bool
where
    [u64; WORDS]: Words,
{
    <[u64; WORDS]>::read_from_bytes(value.as_bytes()).is_ok_and(|words| words.write(to.0))
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
        self.domain.rights.is_hardware()
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

    #[inline(always)]
    fn complete(&mut self, outcome: Outcome) {
        hit(Point::after_call(match outcome {
            Outcome::RegistersReplaced => u64::from(abi::Call::IRET.0),
            _ => self.registers.rax,
        }));
        match outcome {
            Outcome::Done(value) => self.registers.rax = value,
            Outcome::Continue { call, arguments } => {
                let registers = &mut *self.registers;
                registers.rax = u64::from(call);
                let before = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
                let now = outcome::continued(call, before, &arguments);
                [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = now;
                registers.rip = registers.rip.wrapping_sub(SYSCALL_LENGTH);
            }
            Outcome::CrashGuest(why) => self.crash(why),
            Outcome::RegistersReplaced => {}
        }
    }
}
