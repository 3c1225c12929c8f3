//! From a call's number to its handler: one flat match, compiled to one jump table.
//!
//! Arguments are read where they stand (the guest's saved registers, or a multicall entry) and only those that a call
//! has. What a number means is in the `op` modules; no logic lives in an arm.

use abi::callback::CallbackOperation;
use abi::console::ConsoleOperation;
use abi::event_channel::EventChannelOperation;
use abi::hvm::HvmOperation;
use abi::hypfs::HypfsOperation;
use abi::mmu::UpdateFlags;
use abi::multicall::MulticallEntry;
use abi::nmi::NmiOperation;
use abi::physdev::PhysdevOperation;
use abi::sched::SchedOperation;
use abi::vcpu::VcpuOperation;
use abi::version::VersionOperation;
use abi::vm_assist::{Assist, AssistCommand};
use abi::xen_x86::SegmentBase;
use abi::{Call, DomainId, Errno, GuestHandle, GuestVirtual, MachineAddress, VcpuId};

use crate::authority::Policy;
use crate::guest::{GuestMemory, Preemption};
use crate::op::console::ConsoleHost;
use crate::op::cpu::CpuHost;
use crate::op::domctl::DomctlHost;
use crate::op::event::EventHost;
use crate::op::grant::GrantCalls;
use crate::op::hypfs::{Extent, ParameterHost};
use crate::op::memory::MemoryHost;
use crate::op::mmu::DescriptorCalls;
use crate::op::physdev::PhysdevHost;
use crate::op::platform::PlatformHost;
use crate::op::sched::SchedulerHost;
use crate::op::sysctl::SysctlHost;
use crate::op::vcpu::VcpuHost;
use crate::op::version::VersionHost;
use crate::op::{
    absent, console, cpu, domctl, event, grant, hypfs, machine_check, memory, mmu, multicall, physdev, platform, sched,
    sysctl, timer, vcpu, version,
};
use crate::outcome::{Arguments, Outcome, Reply};
use crate::table::{Row, rows};

/// Everything the calls ask of the hypervisor for the running vCPU.
pub trait Host:
    GuestMemory
    + Preemption
    + Policy
    + CallRegisters
    + VersionHost
    + ConsoleHost
    + SchedulerHost
    + VcpuHost
    + MemoryHost
    + CpuHost
    + DescriptorCalls
    + EventHost
    + GrantCalls
    + PhysdevHost
    + PlatformHost
    + DomctlHost
    + SysctlHost
    + ParameterHost
{
}

impl<H> Host for H where
    H: GuestMemory
        + Preemption
        + Policy
        + CallRegisters
        + VersionHost
        + ConsoleHost
        + SchedulerHost
        + VcpuHost
        + MemoryHost
        + CpuHost
        + DescriptorCalls
        + EventHost
        + GrantCalls
        + PhysdevHost
        + PlatformHost
        + DomctlHost
        + SysctlHost
        + ParameterHost
{
}

/// The calling vCPU's registers, as far as they make a call.
pub trait CallRegisters {
    /// rax: the call's number.
    fn call_number(&self) -> u64;
    /// Argument 0 to 4: rdi, rsi, rdx, r10, r8. Inlined with a constant index it is one load.
    fn call_argument(&self, index: usize) -> u64;
    /// Ends the call: puts its outcome where the vCPU goes on.
    fn complete(&mut self, outcome: Outcome);
}

/// Where a call stands: its number, its arguments, and the place for its outcome.
trait Place<H>: Copy {
    /// What is left to the code that asked for the call.
    type Completed;

    fn call(self, host: &H) -> u64;
    fn argument(self, host: &H, index: usize) -> u64;
    fn complete(self, host: &mut H, outcome: Outcome) -> Self::Completed;

    /// Lets `work` carry out the call.
    fn run(self, host: &mut H, work: impl FnOnce(&mut H, [u64; 4]) -> Reply) -> Self::Completed;

    /// The same for work that says itself how the vCPU goes on.
    fn replace(self, host: &mut H, work: impl FnOnce(&mut H, [u64; 4]) -> Outcome) -> Self::Completed;

    #[inline(always)]
    fn arguments(self, host: &H) -> [u64; 4] {
        [0, 1, 2, 3].map(|index| self.argument(host, index))
    }

    #[inline(always)]
    fn complete_reply(self, host: &mut H, reply: Reply) -> Self::Completed {
        let outcome = Outcome::of(reply, self.call(host) as u32);
        self.complete(host, outcome)
    }
}

/// The highest number of a call.
const LAST_CALL: u64 = Call::PAGING_DOMCTL_CONTINUATION.0 as u64;

/// In the caller's registers.
#[derive(Clone, Copy)]
struct InRegisters;

impl<H: CallRegisters> Place<H> for InRegisters {
    type Completed = ();

    #[inline(always)]
    fn call(self, host: &H) -> u64 {
        host.call_number()
    }

    #[inline(always)]
    fn argument(self, host: &H, index: usize) -> u64 {
        host.call_argument(index)
    }

    #[inline(always)]
    fn complete(self, host: &mut H, outcome: Outcome) {
        host.complete(outcome);
    }

    // Out of line, so that the match is nothing but a jump table: each call saves the registers that it needs itself.
    #[inline(never)]
    fn run(self, host: &mut H, work: impl FnOnce(&mut H, [u64; 4]) -> Reply) {
        let reply = work(host, self.arguments(host));
        self.complete_reply(host, reply);
    }

    #[inline(never)]
    fn replace(self, host: &mut H, work: impl FnOnce(&mut H, [u64; 4]) -> Outcome) {
        let outcome = work(host, self.arguments(host));
        self.complete(host, outcome);
    }
}

/// In an entry of a multicall.
#[derive(Clone, Copy)]
struct InList<'a> {
    call: u64,
    arguments: &'a Arguments,
}

impl<H> Place<H> for InList<'_> {
    type Completed = Outcome;

    #[inline(always)]
    fn call(self, _host: &H) -> u64 {
        self.call
    }

    #[inline(always)]
    fn argument(self, _host: &H, index: usize) -> u64 {
        self.arguments.get(index).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn complete(self, _host: &mut H, outcome: Outcome) -> Outcome {
        outcome
    }

    #[inline(always)]
    fn run(self, host: &mut H, work: impl FnOnce(&mut H, [u64; 4]) -> Reply) -> Outcome {
        let reply = work(host, self.arguments(host));
        self.complete_reply(host, reply)
    }

    #[inline(always)]
    fn replace(self, host: &mut H, work: impl FnOnce(&mut H, [u64; 4]) -> Outcome) -> Outcome {
        work(host, self.arguments(host))
    }
}

/// Carries out the call in the caller's registers, to its end.
#[inline(never)]
pub fn dispatch<H: Host>(host: &mut H) {
    route(host, InRegisters);
}

/// Carries out the call at `at`.
#[inline(always)]
fn route<H: Host, P: Place<H>>(host: &mut H, at: P) -> P::Completed {
    use GuestHandle as Handle;
    let number = at.call(host);
    if number > LAST_CALL {
        return at.complete(host, Outcome::Done(Errno::ENOSYS.to_register()));
    }
    match Call(number as u32) {
        Call::MMU_UPDATE => {
            at.run(host, |host, [a, b, c, d]| mmu::mmu_update(host, Handle::new(a), b as u32, Handle::new(c), d as u32))
        }
        Call::SET_GDT => at.run(host, |host, [a, b, ..]| mmu::set_gdt(host, Handle::new(a), b as u32)),
        Call::UPDATE_DESCRIPTOR => at.run(host, |host, [a, b, ..]| mmu::update_descriptor(host, MachineAddress(a), b)),
        Call::UPDATE_VA_MAPPING => {
            at.run(host, |host, [a, b, c, _]| mmu::update_va_mapping(host, GuestVirtual(a), b, UpdateFlags(c)))
        }
        Call::UPDATE_VA_MAPPING_OTHERDOMAIN => at.run(host, |host, [a, b, c, d]| {
            mmu::update_va_mapping_otherdomain(host, GuestVirtual(a), b, UpdateFlags(c), DomainId(d as u16))
        }),
        Call::MMUEXT_OP => {
            at.run(host, |host, [a, b, c, d]| mmu::mmuext_op(host, Handle::new(a), b as u32, Handle::new(c), d as u32))
        }
        Call::IRET => at.replace(host, |host, _| cpu::iret(host)),
        Call::SET_TRAP_TABLE => at.run(host, |host, [a, ..]| cpu::set_trap_table(host, Handle::new(a))),
        Call::STACK_SWITCH => at.run(host, |host, [a, b, ..]| cpu::stack_switch(host, a, b)),
        Call::SET_CALLBACKS => at.run(host, |host, [a, b, c, _]| {
            cpu::set_callbacks(host, GuestVirtual(a), GuestVirtual(b), GuestVirtual(c))
        }),
        Call::FPU_TASKSWITCH => at.run(host, |host, [a, ..]| cpu::fpu_taskswitch(host, a as u32)),
        Call::SET_DEBUGREG => at.run(host, |host, [a, b, ..]| cpu::set_debugreg(host, a as u32, b)),
        Call::GET_DEBUGREG => at.run(host, |host, [a, ..]| cpu::get_debugreg(host, a as u32)),
        Call::VM_ASSIST => {
            at.run(host, |host, [a, b, ..]| cpu::vm_assist(host, AssistCommand(a as u32), Assist(b as u32)))
        }
        Call::SET_SEGMENT_BASE => {
            at.run(host, |host, [a, b, ..]| cpu::set_segment_base(host, SegmentBase(a as u32), b))
        }
        Call::NMI_OP => at.run(host, |host, [a, b, ..]| cpu::nmi(host, NmiOperation(a as u32), Handle::new(b))),
        Call::CALLBACK_OP => {
            at.run(host, |host, [a, b, ..]| cpu::callback(host, CallbackOperation(a as u32), Handle::new(b)))
        }
        Call::SCHED_OP_COMPAT => {
            at.run(host, |host, [a, b, ..]| sched::sched_compat(host, SchedOperation(a as u32), b))
        }
        Call::PLATFORM_OP => at.run(host, |host, [a, ..]| platform::platform(host, Handle::new(a))),
        Call::MEMORY_OP => at.run(host, |host, [a, b, ..]| memory::memory(host, a, Handle::new(b))),
        Call::MULTICALL => at.replace(host, |host, [a, b, ..]| batch(host, Handle::new(a), b as u32)),
        Call::SET_TIMER_OP => at.run(host, |host, [a, ..]| timer::set_timer(host, a)),
        Call::EVENT_CHANNEL_OP_COMPAT => {
            at.run(host, |host, [a, ..]| event::event_channel_compat(host, Handle::new(a)))
        }
        Call::EVENT_CHANNEL_OP => {
            at.run(host, |host, [a, b, ..]| event::event_channel(host, EventChannelOperation(a as u32), Handle::new(b)))
        }
        Call::GRANT_TABLE_OP => {
            at.run(host, |host, [a, b, c, _]| grant::grant_table(host, a as u32, Handle::new(b), c as u32))
        }
        Call::XEN_VERSION => {
            at.run(host, |host, [a, b, ..]| version::xen_version(host, VersionOperation(a as u32), Handle::new(b)))
        }
        Call::CONSOLE_IO => at.run(host, |host, [a, b, c, _]| {
            console::console_io(host, ConsoleOperation(a as u32), b as u32, Handle::new(c))
        }),
        Call::PHYSDEV_OP_COMPAT => at.run(host, |host, [a, ..]| physdev::physdev_compat(host, Handle::new(a))),
        Call::VCPU_OP => at.run(host, |host, [a, b, c, _]| {
            vcpu::vcpu(host, VcpuOperation(a as u32), VcpuId(b as u32), Handle::new(c))
        }),
        Call::SCHED_OP => at.run(host, |host, [a, b, ..]| sched::sched(host, SchedOperation(a as u32), Handle::new(b))),
        Call::PHYSDEV_OP => {
            at.run(host, |host, [a, b, ..]| physdev::physdev(host, PhysdevOperation(a as u32), Handle::new(b)))
        }
        Call::SYSCTL => at.run(host, |host, [a, ..]| sysctl::sysctl(host, Handle::new(a))),
        Call::DOMCTL => at.run(host, |host, [a, ..]| domctl::domctl(host, Handle::new(a))),
        Call::HYPFS_OP => at.run(host, |host, [a, b, c, d]| {
            let data = Extent { at: Handle::new(d), length: at.argument(host, 4) };
            hypfs::hypfs(host, HypfsOperation(a as u32), Extent { at: Handle::new(b), length: c }, data)
        }),
        Call::XENPMU_OP => at.run(host, |_, _| absent::pmu()),
        Call::HVM_OP => at.run(host, |host, [a, b, ..]| absent::hvm(host, HvmOperation(a as u32), Handle::new(b))),
        Call::DM_OP => {
            at.run(host, |host, [a, b, c, _]| absent::device_model(host, DomainId(a as u16), b as u32, Handle::new(c)))
        }
        Call::MCA => at.run(host, |host, [a, ..]| machine_check::machine_check(host, Handle::new(a))),
        Call::PAGING_DOMCTL_CONTINUATION => {
            at.run(host, |host, [a, ..]| absent::paging_continuation(host, Handle::new(a)))
        }
        _ => at.complete(host, Outcome::Done(Errno::ENOSYS.to_register())),
    }
}

/// A list of calls; out of line, for it contains the whole match once more.
#[inline(never)]
fn batch<H: Host>(host: &mut H, list: GuestHandle<MulticallEntry>, count: u32) -> Outcome {
    multicall::multicall(host, list, count, |host, call, arguments| route(host, InList { call, arguments }))
}

/// What the calls without sub-operations are here. The status page checks against the match above that each of those
/// that work is led to, so this list names no call the way an arm does.
pub const ROWS: &[Row] = rows!(
    Call {
        works: SET_GDT UPDATE_DESCRIPTOR UPDATE_VA_MAPPING UPDATE_VA_MAPPING_OTHERDOMAIN SCHED_OP_COMPAT MULTICALL
            EVENT_CHANNEL_OP_COMPAT SET_TIMER_OP PHYSDEV_OP_COMPAT SET_TRAP_TABLE STACK_SWITCH SET_CALLBACKS
            FPU_TASKSWITCH SET_DEBUGREG GET_DEBUGREG IRET SET_SEGMENT_BASE;
        (absent "gone from Xen"): TMEM_OP;
        (absent "unassigned in Xen"): ARCH_2 ARCH_3 ARCH_4 ARCH_5 ARCH_6 ARCH_7;
        (absent "continues a domctl inside Xen; never a guest's"): PAGING_DOMCTL_CONTINUATION;
    }
);
