//! Domains of the fake host, as domctl sees them. Every change is an effect, and the next one can be refused.

use abi::domctl_domain::{DomainCapabilities, DomainInfo, DomainState, FrameKind, GetDomainState};
use abi::domctl_vcpu::{VcpuInformation, VcpuMsr};
use abi::version::DomainHandle;
use abi::xen_x86::{CpuidLeaf, MsrEntry, VcpuGuestContext};
use abi::{DomainId, Errno, Gfn, Mfn, Pirq, Port, Result, VcpuId, Virq};
use hypercalls::authority::{ControlDomain, Target};
use hypercalls::op::domctl::{
    Affinity, AffinityWish, Components, CpuPolicyHost, Debugging, DirtyLog, DomainMemoryHost, DomainTimeHost,
    EntryCallbacks, Grant, GrantLimits, InformationHost, LifecycleHost, PlacementHost, PolicyFault, PolicyOf,
    RightsHost, Share, TscState, VcpuPresence, VcpuRegistersHost, VcpuStateHost, WantedDomain,
};
use hypercalls::op::vcpu::Progress;
use hypercalls::op::vcpu_context::CheckedContext;
use hypercalls::op::virtual_numa::{VirtualNumaHost, VirtualTopology};

use super::Fake;

/// vCPUs that every domain may have; 1 is not made, 2 has no context.
pub const VCPUS: u32 = 3;

impl Fake {
    /// One step of a long operation.
    fn step(&self, what: &str, target: Target) -> Result<Progress> {
        if self.budget.get() == Some(0) {
            self.budget.set(None);
            return Ok(Progress::Preempted);
        }
        self.attempt(what, target.id().0).map(|()| Progress::Done)
    }
}

impl LifecycleHost for Fake {
    fn max_grant_version(&self) -> u32 {
        1
    }
    fn grant_limits(&self) -> GrantLimits {
        GrantLimits { frames: 64, maptrack_frames: 1024 }
    }
    fn choose_domain_id(&mut self, _authority: ControlDomain, wanted: Option<DomainId>) -> Result<DomainId> {
        match wanted {
            Some(id) if self.domains.contains(&id.0) => Err(Errno::EEXIST),
            _ => Ok(wanted.unwrap_or(DomainId(7))),
        }
    }
    fn create_domain(&mut self, _authority: ControlDomain, id: DomainId, wanted: &WantedDomain) -> Result<()> {
        self.attempt("create", (id.0, wanted.vcpus, wanted.grants.frames, wanted.max_port))
    }
    fn destroy_domain(&mut self, target: Target) -> Result<Progress> {
        self.step("destroy", target)
    }
    fn pause_domain(&mut self, target: Target) -> Result<()> {
        self.attempt("pause", target.id().0)
    }
    fn unpause_domain(&mut self, target: Target) -> Result<()> {
        self.attempt("unpause", target.id().0)
    }
    fn resume_domain(&mut self, target: Target) -> Result<()> {
        self.attempt("resume", target.id().0)
    }
    fn vcpu_maximum(&self, _target: Target) -> Result<u32> {
        Ok(VCPUS)
    }
    fn make_vcpus(&mut self, target: Target) -> Result<()> {
        self.attempt("vcpus", target.id().0)
    }
    fn set_handle(&mut self, _target: Target, handle: DomainHandle) -> Result<()> {
        self.attempt("handle", handle.bytes)
    }
    fn set_debugging(&mut self, _target: Target, debugging: Debugging) -> Result<()> {
        self.attempt("debugging", debugging)
    }
    fn set_suspend_port(&mut self, _target: Target, port: Port) -> Result<()> {
        self.attempt("suspend port", port.0)
    }
    fn set_virq_handler(&mut self, _target: Target, virq: Virq) -> Result<()> {
        self.attempt("virq", virq.0)
    }
}

impl InformationHost for Fake {
    fn domain_info(&self, id: DomainId) -> Option<DomainInfo> {
        self.domains.contains(&id.0).then(|| DomainInfo { domain: id, total_pages: 77, ..DomainInfo::default() })
    }
    fn domain_from(&self, id: DomainId) -> Option<DomainId> {
        self.domains.range(id.0..).next().map(|&id| DomainId(id))
    }
    fn domain_state(&self, id: DomainId) -> Option<GetDomainState> {
        self.domains.contains(&id.0).then(|| GetDomainState {
            state: DomainState(DomainState::EXIST.0 | DomainState::DYING.0),
            capabilities: DomainCapabilities::XENSTORE,
            pad: 0,
            unique_id: 0x1_0000_0000 + u64::from(id.0),
        })
    }
    fn follows_domains(&self) -> bool {
        self.follows
    }
    fn take_changed(&self) -> Option<DomainId> {
        self.changed.borrow_mut().pop_first().map(DomainId)
    }
    fn put_changed_back(&self, id: DomainId) {
        self.changed.borrow_mut().insert(id.0);
    }
    fn vcpu_information(&self, target: Target, vcpu: VcpuId) -> Result<VcpuInformation> {
        match self.vcpu_presence(target, vcpu)? {
            VcpuPresence::Impossible => Err(Errno::EINVAL),
            VcpuPresence::NotMade => Err(Errno::ESRCH),
            _ => Ok(VcpuInformation { online: 1, cpu_time: 99, ..VcpuInformation::default() }),
        }
    }
}

impl DomainMemoryHost for Fake {
    fn set_max_pages(&mut self, _target: Target, pages: u64) -> Result<()> {
        self.attempt("max pages", pages)
    }
    fn frame_kind(&self, _target: Target, frame: Gfn) -> FrameKind {
        FrameKind((frame.0 as u32) << 28)
    }
    fn fill_hypercall_page(&mut self, _target: Target, frame: Mfn) -> Result<()> {
        self.attempt("hypercall page", frame.0)
    }
    fn log_dirty_begin(&mut self, target: Target) -> Result<()> {
        self.attempt("log", target.id().0)
    }
    fn log_dirty_end(&mut self, target: Target) -> Result<()> {
        self.attempt("no log", target.id().0)
    }
    fn dirty_log(&self, _target: Target) -> Result<Option<DirtyLog>> {
        Ok(self.dirty_log)
    }
}

impl VcpuStateHost for Fake {
    fn vcpu_presence(&self, target: Target, vcpu: VcpuId) -> Result<VcpuPresence> {
        Ok(match vcpu.0 {
            0 if target.is_caller() => VcpuPresence::Caller,
            0 => VcpuPresence::Initialised,
            1 => VcpuPresence::NotMade,
            2 => VcpuPresence::Uninitialised,
            _ => VcpuPresence::Impossible,
        })
    }
    fn vcpu_reset(&mut self, target: Target, _vcpu: VcpuId) -> Result<Progress> {
        self.step("reset", target)
    }
    fn vcpu_set_context(&mut self, target: Target, _vcpu: VcpuId, context: CheckedContext<'_>) -> Result<Progress> {
        let progress = self.step("context", target)?;
        self.note(format!("cs {:#x}", context.values().registers.cs));
        Ok(progress)
    }
    fn vcpu_get_context(&mut self, target: Target, _vcpu: VcpuId, into: &mut VcpuGuestContext) -> Result<Progress> {
        into.registers.rip = 0x1234;
        self.step("describe", target)
    }
    fn vcpu_callbacks(&mut self, target: Target, _vcpu: VcpuId) -> Result<Option<EntryCallbacks>> {
        Ok((self.step("callbacks", target)? == Progress::Done).then(EntryCallbacks::default))
    }
    fn vcpu_set_callbacks(&mut self, target: Target, _vcpu: VcpuId, _callbacks: EntryCallbacks) -> Result<Progress> {
        self.step("set callbacks", target)
    }
    fn machine_check_capabilities(&self) -> u64 {
        2
    }
    fn vcpu_trigger_nmi(&mut self, _target: Target, vcpu: VcpuId) -> Result<()> {
        self.attempt("nmi", vcpu.0)
    }
}

impl VcpuRegistersHost for Fake {
    fn extended_state_format(&self) -> Option<(u64, usize)> {
        Some((0x207, 2696))
    }
    fn extended_state_size(&self, components: u64) -> usize {
        if components & 0x200 != 0 { 2696 } else { 832 }
    }
    fn extended_state(&mut self, target: Target, _vcpu: VcpuId, into: &mut [u8]) -> Result<(Components, Progress)> {
        into.fill(0xAB);
        Ok((Components { enabled: 3, ever: 7 }, self.step("state", target)?))
    }
    fn set_extended_state(&mut self, target: Target, _vcpu: VcpuId, has: Components, state: &[u8]) -> Result<Progress> {
        let progress = self.step("set state", target)?;
        self.note(format!("{} {} {}", has.enabled, has.ever, state.len()));
        Ok(progress)
    }
    fn saved_msr(&mut self, target: Target, _vcpu: VcpuId, position: u32) -> Result<(Option<VcpuMsr>, Progress)> {
        let progress = self.step("msr", target)?;
        let msr = VcpuMsr { index: 0x48 + position, reserved: 0, value: u64::from(position) };
        Ok(((position < 3).then_some(msr), progress))
    }
    fn set_saved_msr(&mut self, _target: Target, _vcpu: VcpuId, msr: VcpuMsr) -> Result<Progress> {
        self.attempt("set msr", (msr.index, msr.value)).map(|()| Progress::Done)
    }
}

impl PlacementHost for Fake {
    fn cpu_limit(&self) -> u32 {
        4
    }
    fn pool_cpus(&self, _target: Target) -> Result<u64> {
        Ok(0b0111)
    }
    fn affinity(&self, _target: Target, _vcpu: VcpuId) -> Result<Affinity> {
        Ok(Affinity { hard: u64::MAX, soft: 0b0010 })
    }
    fn set_affinity(&mut self, target: Target, vcpu: VcpuId, wish: AffinityWish) -> Result<Affinity> {
        self.attempt("affinity", (wish.hard, wish.soft, wish.pin))?;
        let is = self.affinity(target, vcpu)?;
        Ok(Affinity { hard: wish.hard.unwrap_or(is.hard), soft: wish.soft.unwrap_or(is.soft) })
    }
    fn nodes(&self, _target: Target) -> Result<u64> {
        Ok(0b0101)
    }
    fn set_nodes(&mut self, _target: Target, nodes: u64) -> Result<()> {
        self.attempt("nodes", nodes)
    }
    fn share(&self, _target: Target) -> Result<Share> {
        Ok(Share { weight: 256, cap: 50 })
    }
    fn set_share(&mut self, _target: Target, share: Share) -> Result<()> {
        self.attempt("share", (share.weight, share.cap))
    }
}

impl CpuPolicyHost for Fake {
    fn policy_leaves(&self, _policy: PolicyOf, each: &mut dyn FnMut(CpuidLeaf) -> Result<()>) -> Result<()> {
        (0..3).try_for_each(|leaf| each(CpuidLeaf { leaf, a: leaf + 10, ..CpuidLeaf::default() }))
    }
    fn policy_msrs(&self, _policy: PolicyOf, each: &mut dyn FnMut(MsrEntry) -> Result<()>) -> Result<()> {
        each(MsrEntry { index: 0xCE, ..MsrEntry::default() })
    }
    fn policy_may_change(&self, target: Target) -> Result<()> {
        if self.started.contains(&target.id().0) { Err(Errno::EEXIST) } else { Ok(()) }
    }

    fn set_policy(
        &mut self,
        _target: Target,
        leaves: &[CpuidLeaf],
        msrs: &[MsrEntry],
    ) -> std::result::Result<(), PolicyFault> {
        if let Some(leaf) = leaves.iter().find(|leaf| leaf.leaf == 99) {
            return Err(PolicyFault { errno: Errno::EINVAL, leaf: Some((leaf.leaf, leaf.subleaf)), msr: None });
        }
        Ok(self.attempt("policy", (leaves.len(), msrs.len()))?)
    }
}

impl RightsHost for Fake {
    fn machine_address_bits(&self) -> u32 {
        40
    }
    fn pirq_exists(&self, pirq: Pirq) -> bool {
        pirq.0 < 16
    }
    fn grant_interrupt(&mut self, _target: Target, pirq: Pirq, grant: Grant) -> Result<()> {
        self.attempt("interrupt", (pirq.0, grant))
    }
    fn grant_line(&mut self, _target: Target, line: u32, grant: Grant) -> Result<()> {
        self.attempt("line", (line, grant))
    }
    fn grant_frames(&mut self, _target: Target, first: Mfn, count: u64, grant: Grant) -> Result<()> {
        self.attempt("frames", (first.0, count, grant))
    }
    fn grant_ports(&mut self, _target: Target, first: u16, count: u32, grant: Grant) -> Result<()> {
        self.attempt("ports", (first, count, grant))
    }
}

impl VirtualNumaHost for Fake {
    fn set_virtual_numa(&mut self, target: Target, topology: VirtualTopology) -> Result<()> {
        self.topologies.insert(target.id().0, topology);
        Ok(())
    }
    fn read_virtual_numa<R>(&self, target: Target, read: impl FnOnce(&VirtualTopology) -> R) -> Result<R> {
        self.topologies.get(&target.id().0).map(read).ok_or(Errno::EOPNOTSUPP)
    }
}

impl DomainTimeHost for Fake {
    fn set_time_offset(&mut self, _target: Target, seconds: i64) -> Result<()> {
        self.attempt("time offset", seconds)
    }
    fn tsc_state(&self, _target: Target) -> Result<TscState> {
        Ok(TscState { mode: 2, kilohertz: 1000, incarnation: 1, elapsed: 5 })
    }
    fn set_tsc_state(&mut self, _target: Target, state: TscState) -> Result<()> {
        self.attempt("tsc", state.mode)
    }
}
