//! What a call ends in: a result, a continuation, a dead guest, or registers that were replaced whole.
//!
//! Handlers return [`Reply`]; [`crate::dispatch`] turns it into an [`Outcome`] that `hv` applies to the caller's
//! registers. Progress of a preempted call is data: it lives in the new arguments or in the guest's own memory, so a
//! vCPU can be descheduled, migrated or killed between two steps without anything to undo.

use abi::{Call, Errno};

/// Arguments of a call, as they stand in rdi, rsi, rdx, r10, r8 (the sixth, r9, exists in multicall entries only).
pub type Arguments = [u64; 6];

/// How many arguments a call that can be preempted has. The registers of the others are the caller's and must be left
/// alone: compilers keep values in them across a call.
pub const fn argument_count(call: Call) -> usize {
    match call {
        Call::SET_TRAP_TABLE | Call::DOMCTL | Call::SYSCTL | Call::PLATFORM_OP => 1,
        Call::MULTICALL | Call::MEMORY_OP | Call::EVENT_CHANNEL_OP | Call::PHYSDEV_OP => 2,
        Call::GRANT_TABLE_OP | Call::VCPU_OP | Call::CONSOLE_IO => 3,
        Call::MMU_UPDATE | Call::MMUEXT_OP => 4,
        _ => 6,
    }
}

/// `before` with those arguments replaced that `call` has.
pub fn continued(call: u32, mut before: Arguments, arguments: &Arguments) -> Arguments {
    for (register, value) in before.iter_mut().zip(arguments).take(argument_count(Call(call))) {
        *register = *value;
    }
    before
}

/// Why a handler did not produce a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The guest's mistake: the negated number goes into its result register.
    Errno(Errno),
    /// Out of budget: run the same call again with these arguments.
    Preempted(Arguments),
    /// The guest is beyond repair; the text says why, for the console.
    Crash(&'static str),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Errno(errno)
    }
}

/// What a handler returns: the value for the result register, or why there is none.
pub type Reply = Result<u64, Failure>;

/// What `hv` does to the calling vCPU before it goes through the exit gate.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Put the value into rax.
    Done(u64),
    /// Put `call` and `arguments` into the registers and rewind rip over the two-byte instruction.
    Continue {
        /// Hypercall number to issue again.
        call: u32,
        /// Its arguments.
        arguments: Arguments,
    },
    /// Crash the caller's domain.
    CrashGuest(&'static str),
    /// The call replaced the registers itself (iret): leave rax alone.
    RegistersReplaced,
}

impl Outcome {
    /// The outcome of a reply to hypercall number `call`.
    #[inline(always)]
    pub fn of(reply: Reply, call: u32) -> Self {
        // Success first, rather than a jump table.
        if let Ok(value) = reply {
            return Outcome::Done(value);
        }
        core::hint::cold_path();
        match reply {
            Ok(value) => Outcome::Done(value),
            Err(Failure::Errno(errno)) => Outcome::Done(errno.to_register()),
            Err(Failure::Preempted(arguments)) => Outcome::Continue { call, arguments },
            Err(Failure::Crash(why)) => Outcome::CrashGuest(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Outcome, continued};
    use abi::Call;

    #[test]
    fn a_continued_call_leaves_other_registers_alone() {
        let caller = [1, 2, 3, 4, 5, 6];
        for (call, expected) in [
            (Call::MMU_UPDATE, [10, 20, 30, 40, 5, 6]),
            (Call::GRANT_TABLE_OP, [10, 20, 30, 4, 5, 6]),
            (Call::MULTICALL, [10, 20, 3, 4, 5, 6]),
        ] {
            let Outcome::Continue { call, arguments } =
                Outcome::of(Err(Failure::Preempted([10, 20, 30, 40, 0, 0])), call.0)
            else {
                panic!("not continued");
            };
            assert_eq!(continued(call, caller, &arguments), expected);
        }
    }
}
