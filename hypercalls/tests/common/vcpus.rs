//! vCPUs, timers and the scheduler of the fake host.

use abi::sched::ShutdownReason;
use abi::shared_info::VcpuTimeInfo;
use abi::vcpu::RunstateInfo;
use abi::{Errno, GuestHandle, Mfn, Port, Result, VcpuId};
use hypercalls::authority::{HardwareDomain, Target};
use hypercalls::op::sched::SchedulerHost;
use hypercalls::op::timer::TimerHost;
use hypercalls::op::vcpu::{PhysicalId, Progress, TakenDown, VcpuHost};
use hypercalls::op::vcpu_context::CheckedContext;

use super::Fake;

/// One vCPU's facts.
#[derive(Clone, Default)]
pub struct Vcpu {
    pub has_info: bool,
    pub info_registered: bool,
    pub initialised: bool,
    pub up: bool,
    pub physical: Option<PhysicalId>,
    /// Times its initialisation is preempted before it succeeds.
    pub preemptions: u32,
}

impl Vcpu {
    pub fn new() -> Self {
        Self { has_info: true, ..Self::default() }
    }
    pub fn running() -> Self {
        Self { initialised: true, up: true, ..Self::new() }
    }
    pub fn without_info() -> Self {
        Self::default()
    }
}

impl TimerHost for Fake {
    fn system_time(&self) -> u64 {
        self.now
    }
    fn singleshot_timer_set(&mut self, deadline: u64) {
        self.note(format!("timer {deadline}"));
    }
    fn singleshot_timer_stop(&mut self) {
        self.note("timer off");
    }
}

impl SchedulerHost for Fake {
    fn yield_now(&mut self) {
        self.note("yield");
    }
    fn block(&mut self) {
        self.note("block");
    }
    fn poll_prepare(&mut self) {
        self.note("poll prepared");
    }
    fn poll_cancel(&mut self) {
        self.note("poll cancelled");
    }
    fn poll_wait(&mut self, only: Option<Port>, deadline: Option<u64>) {
        self.note(format!("poll {:?} {deadline:?}", only.map(|port| port.0)));
    }
    fn upcall_deliverable(&self) -> bool {
        self.upcall
    }
    fn port_is_pending(&self, port: Port) -> Result<bool> {
        self.pending_ports.get(&port.0).copied().ok_or(Errno::EINVAL)
    }
    fn shutdown(&mut self, reason: ShutdownReason) {
        self.note(format!("shutdown {}", reason.0));
    }
    fn shutdown_other(&mut self, target: Target, reason: ShutdownReason) -> Result<()> {
        self.attempt("shutdown of", (target.id().0, reason.0))
    }
    fn latch_shutdown_code(&mut self, reason: ShutdownReason) {
        self.note(format!("code {}", reason.0));
    }
    fn watchdog_start(&mut self, seconds: u32) -> Option<u32> {
        let free = self.watchdogs.iter().position(|used| !used)?;
        self.watchdogs[free] = true;
        self.note(format!("watchdog {free} in {seconds}"));
        Some(free as u32)
    }
    fn watchdog_rewind(&mut self, index: u32, seconds: u32) -> bool {
        self.note(format!("watchdog {index} again in {seconds}"));
        self.watchdogs[index as usize]
    }
    fn watchdog_stop(&mut self, index: u32) -> bool {
        std::mem::take(&mut self.watchdogs[index as usize])
    }
    fn pin_override(&mut self, _authority: HardwareDomain, cpu: Option<u32>) -> Result<()> {
        self.attempt("pin", cpu)
    }
}

impl VcpuHost for Fake {
    fn caller_vcpu(&self) -> VcpuId {
        self.caller_vcpu
    }
    fn vcpu_exists(&self, vcpu: VcpuId) -> bool {
        self.vcpus.contains_key(&vcpu.0)
    }
    fn vcpu_has_info(&self, vcpu: VcpuId) -> bool {
        self.vcpus[&vcpu.0].has_info
    }
    fn vcpu_is_initialised(&self, vcpu: VcpuId) -> bool {
        self.vcpus[&vcpu.0].initialised
    }
    fn vcpu_initialise(&mut self, vcpu: VcpuId, context: CheckedContext<'_>) -> Result<Progress> {
        self.attempt("initialise", (vcpu.0, context.values().registers.cs))?;
        let state = self.vcpus.get_mut(&vcpu.0).expect("known");
        if state.preemptions > 0 {
            state.preemptions -= 1;
            return Ok(Progress::Preempted);
        }
        state.initialised = true;
        Ok(Progress::Done)
    }
    fn vcpu_is_up(&self, vcpu: VcpuId) -> bool {
        self.vcpus[&vcpu.0].up
    }
    fn vcpu_bring_up(&mut self, vcpu: VcpuId) {
        self.vcpus.get_mut(&vcpu.0).expect("known").up = true;
    }
    fn vcpu_take_down(&mut self, vcpu: VcpuId) -> TakenDown {
        if !self.vcpus.iter().any(|(id, other)| *id != vcpu.0 && other.up) {
            return TakenDown::LastOne;
        }
        self.vcpus.get_mut(&vcpu.0).expect("known").up = false;
        TakenDown::Down
    }
    fn vcpu_runstate(&self, _vcpu: VcpuId) -> RunstateInfo {
        RunstateInfo { state_entry_time: self.now, ..RunstateInfo::default() }
    }
    fn vcpu_runstate_area(&mut self, vcpu: VcpuId, area: GuestHandle<RunstateInfo>) {
        self.note(format!("runstate {} {:#x}", vcpu.0, area.address().0));
    }
    fn vcpu_time_area(&mut self, vcpu: VcpuId, area: GuestHandle<VcpuTimeInfo>) {
        self.note(format!("time {} {:#x}", vcpu.0, area.address().0));
    }
    fn vcpu_periodic_timer(&mut self, vcpu: VcpuId, period: Option<u64>) {
        self.note(format!("period {} {period:?}", vcpu.0));
    }
    fn vcpu_info_registered(&self, vcpu: VcpuId) -> bool {
        self.vcpus[&vcpu.0].info_registered
    }
    fn vcpu_info_register(&mut self, vcpu: VcpuId, frame: Mfn, offset: u32) -> Result<()> {
        self.attempt("vcpu_info", (vcpu.0, frame.0, offset))?;
        self.vcpus.get_mut(&vcpu.0).expect("known").info_registered = true;
        Ok(())
    }
    fn vcpu_send_nmi(&mut self, vcpu: VcpuId) {
        self.note(format!("nmi {}", vcpu.0));
    }
    fn vcpu_physical_id(&self, vcpu: VcpuId) -> Option<PhysicalId> {
        self.vcpus[&vcpu.0].physical
    }
}
