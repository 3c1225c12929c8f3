//! event_channel_op as a guest sees it: arguments in guest memory, results and errors in its registers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    cell::{Cell, RefCell},
    ops::Deref,
    sync::Arc,
};

use abi::event_channel::{
    AllocUnbound, BindInterdomain, BindIpi, BindPirq, BindVcpu, BindVirq, ChannelStatus, Close, EventChannelOpCompat,
    EventChannelOperation as Operation, ExpandArray, InitControl, Reset, Send, SetPriority, Status, Unmask,
};
use abi::{DomainId, Errno, Gfn, GuestHandle, GuestVirtual, Pirq, Port, Result, VcpuId, Virq};
use event_channels::{
    EventPage, InfoPlace, Kick, Limits, PirqControl, PirqSharing, Platform, Ports, SharedInfo, VcpuInfo, Wake,
};
use hypercalls::authority::Policy;
use hypercalls::guest::{GuestMemory, Preemption};
use hypercalls::op::event::{EventHost, event_channel, event_channel_compat};
use hypercalls::outcome::{Failure, Reply};
use zerocopy::{FromBytes, Immutable, IntoBytes};

struct Fake;

struct Slot(Arc<SharedInfo>, usize);

impl Deref for Slot {
    type Target = VcpuInfo;
    fn deref(&self) -> &VcpuInfo {
        &self.0.vcpu_info[self.1]
    }
}

impl Platform for Fake {
    type SharedInfo = Arc<SharedInfo>;
    type VcpuInfo = Slot;
    type Page = Arc<EventPage>;
    type Target = (DomainId, u32);
}

struct Pirqs;

impl PirqControl for Pirqs {
    fn permitted(&self, pirq: Pirq) -> bool {
        pirq.0 != 5
    }
    fn bind(&self, _: Pirq, sharing: PirqSharing) -> Result<()> {
        if sharing == PirqSharing::Shared { Ok(()) } else { Err(Errno::EBUSY) }
    }
    fn unbind(&self, _: Pirq) {}
    fn set_affinity(&self, _: Pirq, _: VcpuId) {}
}

/// Domain `caller` of a machine with domains 0, 1 and 2; 0 is the control domain. Guest memory is one page at
/// [`MEMORY`], of which bytes from `read_only` on cannot be written.
struct Host {
    caller: DomainId,
    domains: Vec<Arc<Ports<Fake>>>,
    memory: RefCell<Vec<u8>>,
    read_only: Cell<usize>,
    preempt: Cell<bool>,
    paused: Cell<bool>,
    woken: RefCell<Vec<(DomainId, u32)>>,
    heard: RefCell<Vec<Virq>>,
}

const MEMORY: u64 = 0x10_0000;
const SIZE: usize = 4096;

impl Host {
    fn new(caller: u16) -> Self {
        let domain = |id| {
            let shared = Arc::new(SharedInfo::default());
            let limits = Limits { vcpus: 2, max_port: 8, pirqs: 8 };
            let ports = Ports::new(DomainId(id), limits, shared.clone()).unwrap();
            for vcpu in 0..2 {
                let info = Slot(shared.clone(), vcpu as usize);
                ports.add_vcpu(VcpuId(vcpu), (DomainId(id), vcpu), info, InfoPlace::SharedPage).unwrap();
            }
            ports
        };
        Self {
            caller: DomainId(caller),
            domains: (0..3).map(domain).collect(),
            memory: RefCell::new(vec![0; SIZE]),
            read_only: Cell::new(SIZE),
            preempt: Cell::new(false),
            paused: Cell::new(false),
            woken: RefCell::default(),
            heard: RefCell::default(),
        }
    }

    /// The same machine, seen by another domain.
    fn become_domain(&mut self, caller: u16) {
        self.caller = DomainId(caller);
    }

    fn call<T: IntoBytes + FromBytes + Immutable>(&self, operation: Operation, argument: &mut T) -> Reply {
        self.memory.borrow_mut()[..size_of::<T>()].copy_from_slice(argument.as_bytes());
        let reply = event_channel(self, operation, GuestHandle::new(MEMORY));
        *argument = T::read_from_bytes(&self.memory.borrow()[..size_of::<T>()]).unwrap();
        reply
    }

    fn errno<T: IntoBytes + FromBytes + Immutable>(&self, operation: Operation, mut argument: T) -> Errno {
        match self.call(operation, &mut argument) {
            Err(Failure::Errno(errno)) => errno,
            other => panic!("{operation:?} answered {other:?}"),
        }
    }

    fn alloc(&self, domain: DomainId, remote: DomainId) -> Port {
        let mut argument = AllocUnbound { domain, remote_domain: remote, port: Port(99) };
        assert_eq!(self.call(Operation::ALLOC_UNBOUND, &mut argument), Ok(0));
        argument.port
    }

    fn status(&self, domain: DomainId, port: Port) -> Status {
        let mut argument = Status {
            domain,
            reserved: 0xAAAA,
            port,
            status: ChannelStatus(77),
            vcpu: VcpuId(77),
            target: 0x1234_5678,
            remote_port: Port(0x9ABC_DEF0),
        };
        assert_eq!(self.call(Operation::STATUS, &mut argument), Ok(0));
        argument
    }
}

impl GuestMemory for Host {
    fn copy_in(&self, from: GuestVirtual, to: &mut [u8]) -> Result<()> {
        let start = from.0.checked_sub(MEMORY).ok_or(Errno::EFAULT)? as usize;
        to.copy_from_slice(self.memory.borrow().get(start..start + to.len()).ok_or(Errno::EFAULT)?);
        Ok(())
    }
    fn copy_out(&self, to: GuestVirtual, from: &[u8]) -> Result<()> {
        let start = to.0.checked_sub(MEMORY).ok_or(Errno::EFAULT)? as usize;
        if start + from.len() > self.read_only.get() {
            return Err(Errno::EFAULT);
        }
        self.memory.borrow_mut()[start..start + from.len()].copy_from_slice(from);
        Ok(())
    }
}

impl Preemption for Host {
    fn preempted(&self) -> bool {
        self.preempt.get()
    }
}

impl Policy for Host {
    fn caller(&self) -> DomainId {
        self.caller
    }
    fn is_control_domain(&self) -> bool {
        self.caller == DomainId(0)
    }
    fn is_hardware_domain(&self) -> bool {
        self.caller == DomainId(0)
    }
    fn is_device_model_of(&self, _: DomainId) -> bool {
        false
    }
    fn domain_exists(&self, id: DomainId) -> bool {
        id.0 < 3
    }
}

impl EventHost for Host {
    type Platform = Fake;
    type Pirqs = Pirqs;
    fn ports(&self) -> &Arc<Ports<Fake>> {
        &self.domains[self.caller.0 as usize]
    }
    fn ports_of(&self, domain: DomainId) -> Option<Arc<Ports<Fake>>> {
        self.domains.get(domain.0 as usize).cloned()
    }
    fn pirqs_of(&self, _: DomainId) -> Pirqs {
        Pirqs
    }
    fn is_paused_by_toolstack(&self, _: hypercalls::authority::Target) -> bool {
        self.paused.get()
    }
    fn pin_event_page(&self, frame: Gfn) -> Result<Arc<EventPage>> {
        if frame == Gfn(7) { Ok(Arc::new(std::array::from_fn(|_| Default::default()))) } else { Err(Errno::EINVAL) }
    }
    fn virq_bound(&self, virq: Virq) {
        self.heard.borrow_mut().push(virq);
    }
    fn wake(&self, wake: Wake<Fake>) {
        wake.discharge(|kick| {
            let Kick::Vcpu(target) = kick else { panic!("no consumer here") };
            self.woken.borrow_mut().push(target);
        });
    }
}

const SELF: DomainId = DomainId::SELF;

#[test]
fn a_channel_between_two_domains() {
    let mut host = Host::new(1);
    let offered = host.alloc(SELF, DomainId(0));
    assert_eq!(offered, Port(1));
    host.become_domain(0);
    let mut bind =
        BindInterdomain { remote_domain: DomainId(1), reserved: 0, remote_port: offered, local_port: Port(0) };
    assert_eq!(host.call(Operation::BIND_INTERDOMAIN, &mut bind), Ok(0));
    assert_eq!(bind.local_port, Port(1));
    assert_eq!(host.woken.take(), [(DomainId(0), 0)], "pending from the start");
    assert_eq!(host.call(Operation::SEND, &mut Send { port: Port(1) }), Ok(0));
    assert_eq!(host.woken.take(), [(DomainId(1), 0)]);
    assert_eq!(host.call(Operation::CLOSE, &mut Close { port: Port(1) }), Ok(0));
    let status = host.status(DomainId(1), offered);
    assert_eq!((status.status, status.target), (ChannelStatus::UNBOUND, 0x1234_0000));
    assert_eq!((status.remote_port, status.reserved), (Port(0x9ABC_DEF0), 0xAAAA), "what is not ours goes back");
}

#[test]
fn faults_come_before_everything() {
    let host = Host::new(1);
    for operation in 0..=14 {
        for address in [0, MEMORY + SIZE as u64 - 1, 0xFFFF_8000_0000_0000, u64::MAX] {
            let reply = event_channel(&host, Operation(operation), GuestHandle::new(address));
            assert_eq!(reply, Err(Errno::EFAULT.into()), "operation {operation} at {address:#x}");
        }
    }
    for operation in [15, 16, 99, u32::MAX] {
        let reply = event_channel(&host, Operation(operation), GuestHandle::new(0));
        assert_eq!(reply, Err(Errno::ENOSYS.into()));
    }
}

#[test]
fn a_result_that_cannot_be_written_leaves_the_port_allocated() {
    let host = Host::new(0);
    host.read_only.set(0);
    let alloc = AllocUnbound { domain: SELF, remote_domain: SELF, port: Port(0) };
    assert_eq!(host.errno(Operation::ALLOC_UNBOUND, alloc), Errno::EFAULT);
    let bind = BindInterdomain { remote_domain: SELF, reserved: 0, remote_port: Port(1), local_port: Port(0) };
    assert_eq!(host.errno(Operation::BIND_INTERDOMAIN, bind), Errno::EFAULT);
    assert_eq!(host.errno(Operation::BIND_IPI, BindIpi { vcpu: VcpuId(0), port: Port(0) }), Errno::EFAULT);
    host.read_only.set(SIZE);
    let pair = host.status(SELF, Port(2));
    assert_eq!((pair.status, pair.target as u16, pair.remote_port), (ChannelStatus::INTERDOMAIN, 0, Port(1)));
    assert_eq!(host.status(SELF, Port(3)).status, ChannelStatus::IPI);
    assert_eq!(host.alloc(SELF, SELF), Port(4));
}

#[test]
fn who_may_act_on_whom() {
    let mut host = Host::new(1);
    let alloc = |domain| AllocUnbound { domain: DomainId(domain), remote_domain: SELF, port: Port(0) };
    assert_eq!(host.errno(Operation::ALLOC_UNBOUND, alloc(2)), Errno::EPERM);
    assert_eq!(host.errno(Operation::ALLOC_UNBOUND, alloc(3)), Errno::ESRCH);
    assert_eq!(host.errno(Operation::ALLOC_UNBOUND, alloc(DomainId::XEN.0)), Errno::ESRCH);
    assert_eq!(host.errno(Operation::RESET, Reset { domain: DomainId(0) }), Errno::EPERM);
    assert_eq!(host.errno(Operation::RESET, Reset { domain: DomainId(9) }), Errno::ESRCH);
    let foreign = Status { domain: DomainId(0), port: Port(1), ..host.status(SELF, Port(1)) };
    assert_eq!(host.errno(Operation::STATUS, foreign), Errno::EPERM);
    let bind = BindInterdomain { remote_domain: DomainId(3), reserved: 0, remote_port: Port(1), local_port: Port(0) };
    assert_eq!(host.errno(Operation::BIND_INTERDOMAIN, bind), Errno::ESRCH);
    host.become_domain(0);
    assert_eq!(host.alloc(DomainId(2), DomainId(1)), Port(1), "in domain 2, for domain 1");
    assert_eq!(host.status(DomainId(2), Port(1)).target as u16, 1);
    assert_eq!(host.alloc(DomainId(2), SELF), Port(2));
    assert_eq!(host.status(DomainId(2), Port(2)).target as u16, 0, "SELF is the caller, not the owner");
    assert_eq!(host.errno(Operation::RESET, Reset { domain: DomainId(2) }), Errno::EINVAL, "not paused");
    host.paused.set(true);
    assert_eq!(host.call(Operation::RESET, &mut Reset { domain: DomainId(2) }), Ok(0));
    assert_eq!(host.status(DomainId(2), Port(1)).status, ChannelStatus::CLOSED);
}

#[test]
fn interrupts() {
    let host = Host::new(0);
    let mut virq = BindVirq { virq: Virq::DEBUG, vcpu: VcpuId(1), port: Port(0) };
    assert_eq!(host.call(Operation::BIND_VIRQ, &mut virq), Ok(0));
    assert_eq!(host.errno(Operation::BIND_VIRQ, virq), Errno::EEXIST);
    assert_eq!(host.heard.take(), [Virq::DEBUG], "what is bound begins");
    let status = host.status(SELF, virq.port);
    assert_eq!((status.status, status.target, status.vcpu), (ChannelStatus::VIRQ, 1, VcpuId(1)));
    let mut pirq = BindPirq { pirq: Pirq(3), flags: 1, port: Port(0) };
    assert_eq!(host.call(Operation::BIND_PIRQ, &mut pirq), Ok(0));
    assert_eq!(host.status(SELF, pirq.port).status, ChannelStatus::PIRQ);
    assert_eq!(host.errno(Operation::BIND_PIRQ, BindPirq { pirq: Pirq(5), ..pirq }), Errno::EPERM);
    assert_eq!(host.errno(Operation::BIND_PIRQ, BindPirq { pirq: Pirq(8), ..pirq }), Errno::EINVAL);
    assert_eq!(host.errno(Operation::BIND_PIRQ, BindPirq { pirq: Pirq(4), flags: 0, ..pirq }), Errno::EBUSY);
    let bind = |vcpu| BindVcpu { port: pirq.port, vcpu: VcpuId(vcpu) };
    assert_eq!(host.call(Operation::BIND_VCPU, &mut bind(1)), Ok(0));
    assert_eq!(host.errno(Operation::BIND_VCPU, bind(2)), Errno::ENOENT);
    assert_eq!(host.errno(Operation::UNMASK, Unmask { port: Port(100) }), Errno::EINVAL);
    assert_eq!(host.call(Operation::UNMASK, &mut Unmask { port: pirq.port }), Ok(0));
}

#[test]
fn fifo() {
    let host = Host::new(1);
    let mut control =
        InitControl { control_gfn: Gfn(7), offset: 0, vcpu: VcpuId(0), link_bits: 0xFF, reserved: [0xEE; 7] };
    assert_eq!(host.errno(Operation::EXPAND_ARRAY, ExpandArray { array_gfn: Gfn(7) }), Errno::EOPNOTSUPP);
    assert_eq!(host.errno(Operation::SET_PRIORITY, SetPriority { port: Port(0), priority: 1 }), Errno::ENOSYS);
    assert_eq!(host.errno(Operation::INIT_CONTROL, InitControl { control_gfn: Gfn(8), ..control }), Errno::EINVAL);
    assert_eq!(host.call(Operation::INIT_CONTROL, &mut control), Ok(0));
    assert_eq!((control.link_bits, control.reserved), (17, [0xEE; 7]));
    assert_eq!(host.errno(Operation::EXPAND_ARRAY, ExpandArray { array_gfn: Gfn(8) }), Errno::EINVAL);
    assert_eq!(host.call(Operation::EXPAND_ARRAY, &mut ExpandArray { array_gfn: Gfn(7) }), Ok(0));
    let port = host.alloc(SELF, SELF);
    assert_eq!(host.call(Operation::SET_PRIORITY, &mut SetPriority { port, priority: 15 }), Ok(0));
    assert_eq!(host.errno(Operation::SET_PRIORITY, SetPriority { port, priority: 16 }), Errno::EINVAL);
}

#[test]
fn reset_goes_on_as_operation_14() {
    let host = Host::new(1);
    host.alloc(SELF, SELF);
    assert_eq!(host.errno(Operation::RESET_CONTINUATION, Reset { domain: SELF }), Errno::EBUSY);
    host.preempt.set(true);
    let reply = host.call(Operation::RESET, &mut Reset { domain: SELF });
    assert_eq!(reply, Err(Failure::Preempted([14, MEMORY, 0, 0, 0, 0])));
    assert_eq!(host.errno(Operation::RESET, Reset { domain: SELF }), Errno::EBUSY);
    assert_eq!(host.call(Operation::RESET_CONTINUATION, &mut Reset { domain: SELF }), Ok(0));
}

#[test]
fn the_old_call() {
    let host = Host::new(1);
    let compat = |command, port: u32| {
        let mut argument = [0; 24];
        argument[..4].copy_from_slice(&port.to_le_bytes());
        let request = EventChannelOpCompat { command: Operation(command), argument };
        host.memory.borrow_mut()[..28].copy_from_slice(request.as_bytes());
        event_channel_compat(&host, GuestHandle::new(MEMORY))
    };
    assert_eq!(compat(6, 0x7FF0_7FF0), Ok(0));
    assert_eq!(host.memory.borrow()[8..12], [1, 0, 0, 0], "the result lands inside the union");
    assert_eq!(compat(4, 1), Ok(0));
    assert_eq!(compat(4, 2), Err(Errno::EINVAL.into()));
    for command in [10, 11, 14, u32::MAX] {
        assert_eq!(compat(command, 0), Err(Errno::ENOSYS.into()));
    }
    let end = GuestHandle::new(MEMORY + SIZE as u64 - 27);
    assert_eq!(event_channel_compat(&host, end), Err(Errno::EFAULT.into()));
}
