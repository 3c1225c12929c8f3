//! From a call's number to its handler: one flat match, compiled to one jump table.
//!
//! Arguments are read where they stand (the guest's saved registers, or a multicall entry) and only those that a call
//! has. What a number means is in the `op` modules; no logic lives in an arm.

use abi::callback::CallbackOperation;
use abi::console::ConsoleOperation;
use abi::event_channel::EventChannelOperation;
use abi::hvm::HvmOperation;
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
use crate::op::event::EventHost;
use crate::op::grant::GrantCalls;
use crate::op::memory::MemoryHost;
use crate::op::mmu::DescriptorCalls;
use crate::op::physdev::PhysdevHost;
use crate::op::platform::PlatformHost;
use crate::op::sched::SchedulerHost;
use crate::op::vcpu::VcpuHost;
use crate::op::version::VersionHost;
use crate::op::{
    absent, console, cpu, domctl, event, grant, memory, mmu, multicall, physdev, platform, sched, sysctl, timer, vcpu,
    version,
};
use crate::outcome::{Arguments, Outcome};
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
{
}

/// The calling vCPU's registers, as far as they make a call.
pub trait CallRegisters {
    /// rax: the call's number.
    fn call_number(&self) -> u64;
    /// Argument 0 to 4: rdi, rsi, rdx, r10, r8. Inlined with a constant index it is one load.
    fn call_argument(&self, index: usize) -> u64;
}

/// Where a call's arguments stand.
pub(crate) trait ArgumentSource<H> {
    fn argument(&self, host: &H, index: usize) -> u64;
}

/// In the caller's registers.
struct InRegisters;

impl<H: CallRegisters> ArgumentSource<H> for InRegisters {
    #[inline(always)]
    fn argument(&self, host: &H, index: usize) -> u64 {
        host.call_argument(index)
    }
}

impl<H> ArgumentSource<H> for Arguments {
    #[inline(always)]
    fn argument(&self, _host: &H, index: usize) -> u64 {
        self.get(index).copied().unwrap_or(0)
    }
}

/// Carries out the call in the caller's registers.
#[inline]
pub fn dispatch<H: Host>(host: &mut H) -> Outcome {
    let call = host.call_number();
    route(host, call, &InRegisters)
}

/// Carries out call number `call` with arguments from `source`.
#[inline]
pub(crate) fn route<H: Host, A: ArgumentSource<H>>(host: &mut H, call: u64, source: &A) -> Outcome {
    let number = Call(u32::try_from(call).unwrap_or(u32::MAX));
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| source.argument(host, index));
    let reply = match number {
        Call::MMU_UPDATE => mmu::mmu_update(host, GuestHandle::new(a), b as u32, GuestHandle::new(c), d as u32),
        Call::SET_GDT => mmu::set_gdt(host, GuestHandle::new(a), b as u32),
        Call::UPDATE_DESCRIPTOR => mmu::update_descriptor(host, MachineAddress(a), b),
        Call::UPDATE_VA_MAPPING => mmu::update_va_mapping(host, GuestVirtual(a), b, UpdateFlags(c)),
        Call::UPDATE_VA_MAPPING_OTHERDOMAIN => {
            mmu::update_va_mapping_otherdomain(host, GuestVirtual(a), b, UpdateFlags(c), DomainId(d as u16))
        }
        Call::MMUEXT_OP => mmu::mmuext_op(host, GuestHandle::new(a), b as u32, GuestHandle::new(c), d as u32),
        Call::IRET => return cpu::iret(host),
        Call::SET_TRAP_TABLE => cpu::set_trap_table(host, GuestHandle::new(a)),
        Call::STACK_SWITCH => cpu::stack_switch(host, a, b),
        Call::SET_CALLBACKS => cpu::set_callbacks(host, GuestVirtual(a), GuestVirtual(b), GuestVirtual(c)),
        Call::FPU_TASKSWITCH => cpu::fpu_taskswitch(host, a as u32),
        Call::SET_DEBUGREG => cpu::set_debugreg(host, a as u32, b),
        Call::GET_DEBUGREG => cpu::get_debugreg(host, a as u32),
        Call::VM_ASSIST => cpu::vm_assist(host, AssistCommand(a as u32), Assist(b as u32)),
        Call::SET_SEGMENT_BASE => cpu::set_segment_base(host, SegmentBase(a as u32), b),
        Call::NMI_OP => cpu::nmi(host, NmiOperation(a as u32), GuestHandle::new(b)),
        Call::CALLBACK_OP => cpu::callback(host, CallbackOperation(a as u32), GuestHandle::new(b)),
        Call::SCHED_OP_COMPAT => sched::sched_compat(host, SchedOperation(a as u32), b),
        Call::PLATFORM_OP => platform::platform(host, GuestHandle::new(a)),
        Call::MEMORY_OP => memory::memory(host, a, GuestHandle::new(b)),
        Call::MULTICALL => return batch(host, GuestHandle::new(a), b as u32),
        Call::SET_TIMER_OP => timer::set_timer(host, a),
        Call::EVENT_CHANNEL_OP_COMPAT => event::event_channel_compat(host, GuestHandle::new(a)),
        Call::EVENT_CHANNEL_OP => event::event_channel(host, EventChannelOperation(a as u32), GuestHandle::new(b)),
        Call::GRANT_TABLE_OP => grant::grant_table(host, a as u32, GuestHandle::new(b), c as u32),
        Call::XEN_VERSION => version::xen_version(host, VersionOperation(a as u32), GuestHandle::new(b)),
        Call::CONSOLE_IO => console::console_io(host, ConsoleOperation(a as u32), b as u32, GuestHandle::new(c)),
        Call::PHYSDEV_OP_COMPAT => physdev::physdev_compat(host, GuestHandle::new(a)),
        Call::VCPU_OP => vcpu::vcpu(host, VcpuOperation(a as u32), VcpuId(b as u32), GuestHandle::new(c)),
        Call::SCHED_OP => sched::sched(host, SchedOperation(a as u32), GuestHandle::new(b)),
        Call::PHYSDEV_OP => physdev::physdev(host, PhysdevOperation(a as u32), GuestHandle::new(b)),
        Call::SYSCTL => sysctl::sysctl(host, GuestHandle::new(a)),
        Call::DOMCTL => domctl::domctl(host, GuestHandle::new(a)),
        Call::XENPMU_OP => absent::pmu(),
        Call::HVM_OP => absent::hvm(host, HvmOperation(a as u32), GuestHandle::new(b)),
        Call::DM_OP => absent::device_model(host, DomainId(a as u16), b as u32, GuestHandle::new(c)),
        Call::MCA => absent::machine_check(host, GuestHandle::new(a)),
        Call::PAGING_DOMCTL_CONTINUATION => absent::paging_continuation(host, GuestHandle::new(a)),
        _ => Err(Errno::ENOSYS.into()),
    };
    Outcome::of(reply, number.0)
}

/// A list of calls; out of line, for it contains the whole match once more.
#[inline(never)]
fn batch<H: Host>(host: &mut H, list: GuestHandle<MulticallEntry>, count: u32) -> Outcome {
    multicall::multicall(host, list, count, |host, call, arguments| route(host, call, arguments))
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
