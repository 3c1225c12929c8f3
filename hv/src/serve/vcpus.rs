//! vcpu_op: bringing vCPUs up and down, their clocks, timers and areas.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use abi::{Errno, GuestHandle, Mfn, Result, VcpuId, shared_info::VcpuTimeInfo, vcpu::RunstateInfo};
use event_channels::InfoPlace;
use hypercalls::op::{
    timer::TimerHost,
    vcpu::{PhysicalId, Progress, TakenDown, VcpuHost},
    vcpu_context::CheckedContext,
};
use pv_mmu::{FrameType, get_page_and_type};

use super::{Caller, areas, context};
use crate::{
    cpu,
    domain::{GuestVcpuInfo, PendingWork, RunFlags, Vcpu},
    memory::mmu::{Machine, to_errno},
    sched::{timers, wake},
    time::clock,
};

impl TimerHost for Caller<'_> {
    #[inline]
    fn system_time(&self) -> u64 {
        clock::now()
    }

    #[inline]
    fn singleshot_timer_set(&mut self, deadline: u64) {
        timers::change(self.vcpu, |time| time.singleshot = Some(deadline));
    }

    #[inline]
    fn singleshot_timer_stop(&mut self) {
        self.vcpu.time.lock().singleshot = None;
    }
}

impl Caller<'_> {
    /// A vCPU of the caller's domain; the handlers ask for existing ones only.
    fn sibling(&self, id: VcpuId) -> &'static Vcpu {
        self.domain.vcpu(id).unwrap_or(self.vcpu)
    }
}

impl VcpuHost for Caller<'_> {
    #[inline(always)]
    fn caller_vcpu(&self) -> VcpuId {
        self.vcpu.id
    }

    #[inline(always)]
    fn vcpu_exists(&self, vcpu: VcpuId) -> bool {
        self.domain.vcpu(vcpu).is_some()
    }

    fn vcpu_has_info(&self, vcpu: VcpuId) -> bool {
        self.domain.ports.info_place(vcpu).is_ok_and(|place| place != InfoPlace::Dummy)
    }

    fn vcpu_is_initialised(&self, vcpu: VcpuId) -> bool {
        self.sibling(vcpu).initialised.load(Acquire)
    }

    fn vcpu_initialise(&mut self, vcpu: VcpuId, wanted: CheckedContext<'_>) -> Result<Progress> {
        context::initialise(self.sibling(vcpu), wanted.values())
    }

    fn vcpu_is_up(&self, vcpu: VcpuId) -> bool {
        self.sibling(vcpu).run_flags().0 & RunFlags::DOWN.0 == 0
    }

    fn vcpu_bring_up(&mut self, vcpu: VcpuId) {
        wake::release(self.sibling(vcpu), RunFlags::DOWN);
    }

    fn vcpu_take_down(&mut self, vcpu: VcpuId) -> TakenDown {
        let target = self.sibling(vcpu);
        // Under the control lock, so that two vCPUs cannot each leave the other as the last.
        let control = self.domain.control.lock();
        let is_down = |vcpu: &Vcpu| vcpu.run_flags().0 & RunFlags::DOWN.0 != 0;
        if is_down(target) {
            return TakenDown::Down;
        }
        if self.domain.vcpus().iter().filter(|vcpu| !is_down(vcpu)).count() == 1 {
            return TakenDown::LastOne;
        }
        target.stop(RunFlags::DOWN);
        drop(control);
        wake::stop(target, RunFlags::DOWN);
        TakenDown::Down
    }

    fn vcpu_runstate(&self, vcpu: VcpuId) -> RunstateInfo {
        self.sibling(vcpu).time.lock().info(clock::now())
    }

    fn vcpu_runstate_area(&mut self, vcpu: VcpuId, area: GuestHandle<RunstateInfo>) {
        let target = self.sibling(vcpu);
        let address = (!area.is_null()).then_some(area.address().0);
        target.time.lock().runstate_area = address;
        self.write_areas_of(target);
    }

    fn vcpu_time_area(&mut self, vcpu: VcpuId, area: GuestHandle<VcpuTimeInfo>) {
        let target = self.sibling(vcpu);
        let address = (!area.is_null()).then_some(area.address().0);
        target.time.lock().time_area = address;
        self.write_areas_of(target);
    }

    fn vcpu_periodic_timer(&mut self, vcpu: VcpuId, period: Option<u64>) {
        let target = self.sibling(vcpu);
        let now = clock::now();
        timers::change(target, |time| time.periodic = period.map(|period| (period, now + period)));
    }

    fn vcpu_info_registered(&self, vcpu: VcpuId) -> bool {
        self.domain.ports.info_place(vcpu).is_ok_and(|place| place == InfoPlace::Registered)
    }

    fn vcpu_info_register(&mut self, vcpu: VcpuId, frame: Mfn, offset: u32) -> Result<()> {
        let target = self.sibling(vcpu);
        get_page_and_type(&Machine, frame, self.domain.id, FrameType::Writable)
            .map_err(|stop| if to_errno(stop) == Errno::ENOMEM { Errno::ENOMEM } else { Errno::EINVAL })?;
        let guard = GuestVcpuInfo::in_guest_page(frame, offset).ok_or(Errno::EINVAL)?;
        let info = guard.get();
        self.domain.ports.move_vcpu_info(vcpu, guard)?;
        target.set_info(info);
        if core::ptr::eq(target, self.vcpu) {
            areas::update_clock(target);
        }
        Ok(())
    }

    fn vcpu_send_nmi(&mut self, vcpu: VcpuId) {
        let target = self.sibling(vcpu);
        if target.note(PendingWork::NMI) {
            wake::event(target);
        }
    }

    fn vcpu_physical_id(&self, vcpu: VcpuId) -> Option<PhysicalId> {
        if !self.domain.rights.has_io() {
            return None;
        }
        // Pinned is who can run on one CPU only: on a machine that has one, everybody.
        let affinity = self.sibling(vcpu).affinity.load(Acquire);
        let mut usable = cpu::all().filter(|cpu| cpu.is_online() && affinity >> (cpu.index & 63) & 1 != 0);
        let only = usable.next()?;
        usable.next().is_none().then_some(PhysicalId { apic: only.apic_id, acpi: only.acpi_id })
    }
}

impl Caller<'_> {
    /// Writes a vCPU's areas for the first time: through the caller's tables, as the addresses are the kernel's.
    fn write_areas_of(&mut self, target: &'static Vcpu) {
        if core::ptr::eq(target, self.vcpu) {
            areas::update(self);
        } else {
            target.note(PendingWork::AREAS);
            let info = target.time.lock().info(clock::now());
            let area = target.time.lock().runstate_area;
            if let Some(address) = area {
                areas::write_offline(address, &info);
            }
        }
    }
}

/// CPUs in service, for placing vCPUs.
pub fn place(index: u32) -> u32 {
    let online = cpu::all().filter(|cpu| cpu.is_online()).count().max(1) as u32;
    index % online
}

/// Marks a vCPU as having its first context; `EEXIST` for the second.
pub fn claim_initialisation(vcpu: &Vcpu) -> Result<()> {
    vcpu.initialised.compare_exchange(false, true, AcqRel, Acquire).map(|_| ()).map_err(|_| Errno::EEXIST)
}

/// Takes the claim back after a failure.
pub fn unclaim_initialisation(vcpu: &Vcpu) {
    vcpu.initialised.store(false, Release);
}
