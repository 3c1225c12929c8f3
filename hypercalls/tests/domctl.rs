//! domctl: order of checks, structures of each release, preemption, and what goes back to the caller.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::domctl::{Domctl, DomctlOperation as Op};
use abi::domctl_domain::{
    Bitmap, CreateDomain, CreateDomain17, CreateFlags, DomainInfo, FrameKind, GsiAction, GsiPermission,
    IomemPermission, IoportPermission, MaxVcpus, NodeAffinity, PageFrameInfo, SetCacheColors, ShadowOp,
    ShadowOperation,
};
use abi::domctl_vcpu::{
    AffinityFlags, CpuPolicy, ExtendedState, SchedulerCommand, SchedulerId, SchedulerOp, SchedulerShare, VcpuAffinity,
    VcpuContext, VcpuMsr, VcpuMsrs,
};
use abi::xen_x86::{ArchDomainConfig, CpuidLeaf, EmulationFlags, VcpuGuestContext};
use abi::{DomainId, Errno, GuestHandle, Mfn, VcpuId};
use common::{BASE, Fake, at, errno, hypervisor, preempted};
use hypercalls::behalf::Behalf;
use hypercalls::op::domctl::{DirtyLog, domctl};
use hypercalls::outcome::Reply;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// Where the tests keep what requests point to.
const ELSEWHERE: u64 = 0x800;

fn request_of<T: IntoBytes + Immutable>(version: u32, domain: u16, operation: Op, argument: &T) -> Domctl {
    let mut request =
        Domctl { command: operation, interface_version: version, domain: DomainId(domain), ..Domctl::default() };
    request.argument.as_mut_bytes()[..size_of::<T>()].copy_from_slice(argument.as_bytes());
    request
}

fn ask<T: IntoBytes + Immutable>(host: &mut Fake, domain: u16, operation: Op, argument: &T) -> Reply {
    ask_as(host, 0x15, domain, operation, argument)
}

fn ask_as<T: IntoBytes + Immutable>(host: &mut Fake, version: u32, domain: u16, operation: Op, argument: &T) -> Reply {
    host.next_call().memory.put(BASE, &request_of(version, domain, operation, argument));
    domctl(host, at(0))
}

fn answer<T: FromBytes>(host: &Fake) -> T {
    let request: Domctl = host.memory.get(BASE);
    T::read_from_prefix(request.argument.as_bytes()).map(|(value, _)| value).expect("fits")
}

fn wanted() -> CreateDomain {
    CreateDomain {
        max_vcpus: 2,
        max_port: u32::MAX,
        max_grant_frames: 64,
        max_maptrack_frames: -1,
        grant_options: 1,
        ..CreateDomain::default()
    }
}

#[test]
fn createdomain_checks_everything_before_it_makes_one() {
    let mut host = Fake::new();
    let emulation = |flags| ArchDomainConfig { emulation_flags: EmulationFlags(flags), misc_flags: 0 };
    let cases = [
        (CreateDomain { flags: CreateFlags(1 << 8), ..wanted() }, Errno::EINVAL),
        (CreateDomain { flags: CreateFlags::HVM, ..wanted() }, Errno::EINVAL),
        (CreateDomain { flags: CreateFlags::IOMMU, ..wanted() }, Errno::EINVAL),
        (CreateDomain { iommu_options: 1, ..wanted() }, Errno::EINVAL),
        (CreateDomain { max_vcpus: 0, ..wanted() }, Errno::EINVAL),
        (CreateDomain { max_vcpus: 8193, ..wanted() }, Errno::EINVAL),
        (CreateDomain { trace_size: 1, ..wanted() }, Errno::EINVAL),
        (CreateDomain { grant_options: 0, ..wanted() }, Errno::EINVAL),
        (CreateDomain { max_grant_frames: 0, ..wanted() }, Errno::EINVAL),
        (CreateDomain { max_grant_frames: 65, ..wanted() }, Errno::EINVAL),
        (CreateDomain { max_maptrack_frames: 1025, ..wanted() }, Errno::EINVAL),
        (CreateDomain { grant_options: 2, ..wanted() }, Errno::EINVAL),
        (CreateDomain { arch: emulation(1), ..wanted() }, Errno::EOPNOTSUPP),
        (
            CreateDomain { arch: ArchDomainConfig { misc_flags: 2, ..ArchDomainConfig::default() }, ..wanted() },
            Errno::EINVAL,
        ),
    ];
    for (case, expected) in cases {
        assert_eq!(errno(ask(&mut host, 0, Op::CREATEDOMAIN, &case)), expected, "{case:?}");
    }
    assert!(host.take_effects().is_empty());
    assert_eq!(ask(&mut host, 0, Op::CREATEDOMAIN, &wanted()), Ok(0));
    assert_eq!(host.take_effects(), ["create (7, 2, 64, 2147483647)"]);
    assert_eq!(host.memory.get::<Domctl>(BASE).domain, DomainId(7));
    assert_eq!(ask(&mut host, 12, Op::CREATEDOMAIN, &wanted()), Ok(0));
    assert_eq!(host.memory.get::<Domctl>(BASE).domain, DomainId(12));
    assert_eq!(errno(ask(&mut host, 5, Op::CREATEDOMAIN, &CreateDomain::default())), Errno::EEXIST, "first of all");
    assert_eq!(ask(&mut host, 0x7FF0, Op::CREATEDOMAIN, &wanted()), Ok(0));
    assert_eq!(host.memory.get::<Domctl>(BASE).domain, DomainId(7), "reserved numbers stand for any");
}

#[test]
fn createdomain_takes_each_releases_structure() {
    let newer =
        CreateDomain17 { max_vcpus: 3, grant_options: 1, max_grant_frames: 1, cpupool: 0, ..CreateDomain17::default() };
    for version in [0x17, 0x18] {
        let mut host = Fake::new();
        assert_eq!(ask_as(&mut host, version, 0, Op::CREATEDOMAIN, &newer), Ok(0));
        assert_eq!(host.take_effects(), ["create (7, 3, 1, 0)"]);
        let altp2m = CreateDomain17 { altp2m: 1, ..newer };
        assert_eq!(errno(ask_as(&mut host, version, 0, Op::CREATEDOMAIN, &altp2m)), Errno::EINVAL);
        // The word that moved: what 4.17 has as the emulated devices is the pool here.
        let arch = ArchDomainConfig { emulation_flags: EmulationFlags(1), misc_flags: 0 };
        let refused = CreateDomain17 { arch, ..newer };
        assert_eq!(errno(ask_as(&mut host, version, 0, Op::CREATEDOMAIN, &refused)), Errno::EOPNOTSUPP);
    }
    let mut host = Fake::new();
    assert_eq!(ask_as(&mut host, 0x16, 0, Op::CREATEDOMAIN, &wanted()), Ok(0));
}

#[test]
fn cache_colors_are_not_offered_as_xen_4_20_says_it() {
    for (version, expected) in [(0x15, Errno::ENOSYS), (0x16, Errno::ENOSYS), (0x17, Errno::EOPNOTSUPP)] {
        let none = SetCacheColors::default();
        assert_eq!(errno(ask_as(&mut Fake::new(), version, 5, Op::SET_LLC_COLORS, &none)), expected);
    }
    let padded = SetCacheColors { pad: 1, ..SetCacheColors::default() };
    assert_eq!(errno(ask_as(&mut Fake::new(), 0x17, 5, Op::SET_LLC_COLORS, &padded)), Errno::EINVAL);
    assert_eq!(errno(ask_as(&mut Fake::new(), 0x17, 6, Op::SET_LLC_COLORS, &padded)), Errno::ESRCH);
}

#[test]
fn getdomaininfo_looks_further_for_callers_of_4_17_only() {
    let mut host = Fake::new();
    assert_eq!(ask(&mut host, 1, Op::GETDOMAININFO, &0_u8), Ok(0));
    assert_eq!(answer::<DomainInfo>(&host).domain, DomainId(5));
    assert_eq!(host.memory.get::<Domctl>(BASE).domain, DomainId(5));
    assert_eq!(errno(ask(&mut host, 6, Op::GETDOMAININFO, &0_u8)), Errno::ESRCH);
    assert_eq!(errno(ask(&mut host, 0x7FF0, Op::GETDOMAININFO, &0_u8)), Errno::EINVAL);
    for version in [0x16, 0x17, 0x18] {
        assert_eq!(errno(ask_as(&mut host, version, 1, Op::GETDOMAININFO, &0_u8)), Errno::ESRCH);
        assert_eq!(ask_as(&mut host, version, 5, Op::GETDOMAININFO, &0_u8), Ok(0));
        assert_eq!(answer::<DomainInfo>(&host).total_pages, 77);
    }
}

#[test]
fn nobody_does_to_itself_what_needs_somebody_else() {
    let mut host = Fake::new();
    for operation in [
        Op::DESTROYDOMAIN,
        Op::PAUSEDOMAIN,
        Op::RESUMEDOMAIN,
        Op::MAX_VCPUS,
        Op::SETVCPUCONTEXT,
        Op::SETDEBUGGING,
        Op::SET_CPU_POLICY,
        Op::SETTSCINFO,
        Op::GETTSCINFO,
        Op::SHADOW_OP,
    ] {
        assert_eq!(errno(ask(&mut host, 0, operation, &0_u8)), Errno::EINVAL, "{operation:?}");
    }
    for operation in [Op::SETVCPUEXTSTATE, Op::SET_VCPU_MSRS, Op::SET_EXT_VCPUCONTEXT, Op::GET_EXT_VCPUCONTEXT] {
        let absent = VcpuContext { vcpu: VcpuId(77), ..VcpuContext::default() };
        assert_eq!(errno(ask(&mut host, 0, operation, &absent)), Errno::ESRCH, "{operation:?}");
    }
    assert!(host.take_effects().is_empty());
}

#[test]
fn long_operations_are_made_again() {
    let context = VcpuGuestContext::new_zeroed();
    for operation in [Op::DESTROYDOMAIN, Op::SETVCPUCONTEXT, Op::GETVCPUCONTEXT, Op::GET_EXT_VCPUCONTEXT] {
        let mut host = Fake::new();
        host.memory.put(BASE + ELSEWHERE, &context);
        host.budget.set(Some(0));
        let argument = VcpuContext { context: at(ELSEWHERE), ..VcpuContext::default() };
        let again = preempted(ask(&mut host, 5, operation, &argument));
        assert_eq!(again[0], BASE, "{operation:?}");
        assert_eq!(domctl(host.next_call_mut(), GuestHandle::new(again[0])), Ok(0), "{operation:?}");
    }
}

#[test]
fn contexts_are_checked_and_vcpus_must_be_there() {
    let mut host = Fake::new();
    let mut context = VcpuGuestContext::new_zeroed();
    let argument = |vcpu| VcpuContext { vcpu: VcpuId(vcpu), context: at(ELSEWHERE), reserved: 0 };
    for vcpu in [1, 3] {
        assert_eq!(errno(ask(&mut host, 5, Op::SETVCPUCONTEXT, &argument(vcpu))), Errno::EINVAL);
    }
    context.registers.rip = 1 << 63;
    host.memory.put(BASE + ELSEWHERE, &context);
    assert_eq!(errno(ask(&mut host, 5, Op::SETVCPUCONTEXT, &argument(0))), Errno::EINVAL);
    context.registers.rip = 0;
    context.registers.cs = 8;
    host.memory.put(BASE + ELSEWHERE, &context);
    assert_eq!(ask(&mut host, 5, Op::SETVCPUCONTEXT, &argument(2)), Ok(0));
    assert_eq!(host.take_effects(), ["context 5", "cs 0xb"]);
    let none = VcpuContext { vcpu: VcpuId(0), ..VcpuContext::default() };
    assert_eq!(ask(&mut host, 5, Op::SETVCPUCONTEXT, &none), Ok(0));
    assert_eq!(host.take_effects(), ["reset 5"]);
    for (vcpu, expected) in [(1, Errno::EINVAL), (2, Errno::ENODATA), (3, Errno::EINVAL)] {
        assert_eq!(errno(ask(&mut host, 5, Op::GETVCPUCONTEXT, &argument(vcpu))), expected);
    }
    assert_eq!(errno(ask(&mut host, 0, Op::GETVCPUCONTEXT, &argument(0))), Errno::EINVAL, "the calling one");
    assert_eq!(ask(&mut host, 5, Op::GETVCPUCONTEXT, &argument(0)), Ok(0));
    assert_eq!(host.memory.get::<VcpuGuestContext>(BASE + ELSEWHERE).registers.rip, 0x1234);
}

#[test]
fn frame_kinds_replace_numbers() {
    let mut host = Fake::new();
    let numbers: [u64; 16] = std::array::from_fn(|index| index as u64);
    host.memory.put(BASE + ELSEWHERE, &numbers);
    let argument = PageFrameInfo { count: 16, array: at(ELSEWHERE) };
    assert_eq!(ask(&mut host, 5, Op::GETPAGEFRAMEINFO3, &argument), Ok(0));
    let kinds = host.memory.get::<[u64; 16]>(BASE + ELSEWHERE);
    assert!((0..).zip(kinds).all(|(index, kind)| kind == index << 28));
    let many = PageFrameInfo { count: 1025, array: at(ELSEWHERE) };
    assert_eq!(errno(ask(&mut host, 5, Op::GETPAGEFRAMEINFO3, &many)), Errno::E2BIG);
}

#[test]
fn tables_of_a_domain_that_runs_are_not_sent() {
    let kinds_of = |log| {
        let mut host = Fake::new();
        host.dirty_log = log;
        let numbers: [u64; 16] = std::array::from_fn(|index| index as u64);
        host.memory.put(BASE + ELSEWHERE, &numbers);
        let argument = PageFrameInfo { count: 16, array: at(ELSEWHERE) };
        assert_eq!(ask(&mut host, 5, Op::GETPAGEFRAMEINFO3, &argument), Ok(0));
        host.memory.get::<[u64; 16]>(BASE + ELSEWHERE)
    };
    let stopped = kinds_of(Some(DirtyLog { pages: 1020, runs: false }));
    assert_eq!(stopped, kinds_of(None));
    for (number, kind) in kinds_of(Some(DirtyLog { pages: 1020, runs: true })).into_iter().enumerate() {
        // Tables of level 1 to 4, and the same pinned.
        let is_table = (1..=4).contains(&(number & 7));
        assert_eq!(kind, if is_table { u64::from(FrameKind::INVALID.0) } else { stopped[number] }, "{number}");
    }
}

#[test]
fn every_page_counts_as_changed() {
    let mut host = Fake::new();
    let peek = ShadowOp { operation: ShadowOperation::PEEK, pages: 4096, ..ShadowOp::default() };
    assert_eq!(errno(ask(&mut host, 5, Op::SHADOW_OP, &peek)), Errno::EINVAL, "nothing is noted");
    for (budget, runs, counted) in [(None, false, 1020), (Some(0), false, 1020), (None, true, 0), (Some(0), true, 0)] {
        let mut host = Fake::new();
        host.dirty_log = Some(DirtyLog { pages: 1020, runs });
        host.memory.put(BASE + ELSEWHERE, &[0_u8; 256]);
        let clean =
            ShadowOp { operation: ShadowOperation::CLEAN, bitmap: at(ELSEWHERE), pages: 4096, ..ShadowOp::default() };
        host.budget.set(budget);
        let mut reply = ask(&mut host, 5, Op::SHADOW_OP, &clean);
        let mut rounds = 0;
        while reply != Ok(0) {
            assert_eq!(preempted(reply)[0], BASE);
            rounds += 1;
            reply = domctl(host.next_call_mut(), at(0));
        }
        assert_eq!(rounds > 0, budget.is_some());
        let told: ShadowOp = answer(&host);
        assert_eq!((told.pages, told.statistics.dirty, told.reserved), (1020, counted, 0));
        let bytes = host.memory.get::<[u8; 256]>(BASE + ELSEWHERE);
        assert!(bytes[..127].iter().all(|&byte| byte == 0xFF));
        assert_eq!((bytes[127], bytes[128]), (0x0F, 0));
    }
}

#[test]
fn placement_intersects_with_what_there_is() {
    let mut host = Fake::new();
    host.memory.put(BASE + ELSEWHERE, &0xFFFF_u64);
    let map = Bitmap { bitmap: at(ELSEWHERE), bits: 64, reserved: 0 };
    let argument = |flags| VcpuAffinity { vcpu: VcpuId(0), flags, hard: map, soft: map };
    assert_eq!(errno(ask(&mut host, 5, Op::SETVCPUAFFINITY, &argument(AffinityFlags(0)))), Errno::EINVAL);
    assert_eq!(ask(&mut host, 5, Op::SETVCPUAFFINITY, &argument(AffinityFlags::HARD)), Ok(0));
    assert_eq!(host.take_effects(), ["affinity (Some(15), None, Keep)"]);
    assert_eq!(host.memory.get::<u64>(BASE + ELSEWHERE), 0b0111, "only what the pool has");
    host.memory.put(BASE + ELSEWHERE, &0b1000_u64);
    assert_eq!(errno(ask(&mut host, 5, Op::SETVCPUAFFINITY, &argument(AffinityFlags::HARD))), Errno::EINVAL);
    assert_eq!(ask(&mut host, 5, Op::GETVCPUAFFINITY, &argument(AffinityFlags::SOFT)), Ok(0));
    assert_eq!(host.memory.get::<u64>(BASE + ELSEWHERE), 0b0010);
    host.take_effects();
    let forced = argument(AffinityFlags(AffinityFlags::SOFT.0 | AffinityFlags::FORCE.0));
    assert_eq!(ask(&mut host, 5, Op::SETVCPUAFFINITY, &forced), Ok(0));
    assert_eq!(host.take_effects(), ["affinity (None, Some(2), End)"], "what is not given stays as it was told");
}

#[test]
fn nodes_are_kept_as_given_if_one_is_there() {
    let mut host = Fake::new();
    let argument = |bits| NodeAffinity { nodes: Bitmap { bitmap: at(ELSEWHERE), bits, reserved: 0 } };
    let mut set = |map: u64, bits| {
        host.memory.put(BASE + ELSEWHERE, &map);
        let result = ask(&mut host, 5, Op::SETNODEAFFINITY, &argument(bits));
        (result, host.take_effects().pop())
    };
    assert_eq!(set(0b11, 8), (Ok(0), Some("nodes 3".into())));
    assert_eq!(set(u64::MAX, 63), (Ok(0), Some(format!("nodes {}", u64::MAX >> 1))));
    assert_eq!(set(u64::MAX, 64), (Ok(0), Some("nodes 1".into())), "all: those there are");
    assert_eq!(set(0b10, 8).1, None);
    let nowhere = |bits| NodeAffinity { nodes: Bitmap { bitmap: hypervisor(), bits, reserved: 0 } };
    for (operation, bits, expected) in [
        (Op::SETNODEAFFINITY, 0, Some(Errno::EINVAL)),
        (Op::SETNODEAFFINITY, 1, Some(Errno::EFAULT)),
        (Op::GETNODEAFFINITY, 0, None),
        (Op::GETNODEAFFINITY, 1, Some(Errno::EFAULT)),
    ] {
        let result = ask(&mut host, 5, operation, &nowhere(bits));
        assert_eq!(expected, result.is_err().then(|| errno(result)), "{operation:?} {bits}");
    }
    assert_eq!(ask(&mut host, 5, Op::GETNODEAFFINITY, &argument(7)), Ok(0));
    assert_eq!(host.memory.get::<u8>(BASE + ELSEWHERE), 0b0101);
}

#[test]
fn shares_keep_the_weight_when_none_is_given() {
    let mut host = Fake::new();
    let share = |scheduler, command, weight, cap| SchedulerOp {
        scheduler,
        command,
        share: SchedulerShare { weight, cap },
        ..SchedulerOp::default()
    };
    assert_eq!(
        ask(&mut host, 5, Op::SCHEDULER_OP, &share(SchedulerId::CREDIT2, SchedulerCommand::PUT_INFO, 0, 70)),
        Ok(0)
    );
    assert_eq!(host.take_effects(), ["share (256, 70)"]);
    assert_eq!(
        ask(&mut host, 5, Op::SCHEDULER_OP, &share(SchedulerId::CREDIT2, SchedulerCommand::GET_INFO, 0, 0)),
        Ok(0)
    );
    assert_eq!(answer::<SchedulerOp>(&host).share, SchedulerShare { weight: 256, cap: 50 });
    for (scheduler, command) in
        [(SchedulerId::CREDIT, SchedulerCommand::GET_INFO), (SchedulerId::CREDIT2, SchedulerCommand::PUT_VCPU_INFO)]
    {
        assert_eq!(errno(ask(&mut host, 5, Op::SCHEDULER_OP, &share(scheduler, command, 0, 0))), Errno::EINVAL);
    }
}

#[test]
fn policies_are_counted_copied_and_refused_by_leaf() {
    let mut host = Fake::new();
    assert_eq!(ask(&mut host, 5, Op::GET_CPU_POLICY, &CpuPolicy::default()), Ok(0));
    let counted: CpuPolicy = answer(&host);
    assert_eq!((counted.leaf_count, counted.msr_count), (3, 1));
    let little = CpuPolicy { leaf_count: 2, leaves: at(ELSEWHERE), ..CpuPolicy::default() };
    assert_eq!(errno(ask(&mut host, 5, Op::GET_CPU_POLICY, &little)), Errno::ENOBUFS);
    let wrong = CpuidLeaf { leaf: 99, subleaf: 3, ..CpuidLeaf::default() };
    host.memory.put(BASE + ELSEWHERE, &wrong);
    let set = CpuPolicy { leaf_count: 1, leaves: at(ELSEWHERE), ..CpuPolicy::default() };
    assert_eq!(errno(ask(&mut host, 5, Op::SET_CPU_POLICY, &set)), Errno::EINVAL);
    let told: CpuPolicy = answer(&host);
    assert_eq!((told.error_leaf, told.error_subleaf, told.error_msr), (99, 3, u32::MAX));
    let many = CpuPolicy { leaf_count: 513, ..set };
    assert_eq!(errno(ask(&mut host, 5, Op::SET_CPU_POLICY, &many)), Errno::E2BIG);
    host.started.insert(5);
    assert_eq!(errno(ask(&mut host, 5, Op::SET_CPU_POLICY, &many)), Errno::EEXIST, "nothing more is looked at");
}

#[test]
fn rights_are_about_ranges_that_can_be() {
    let mut host = Fake::new();
    let frames = |first, count| IomemPermission { first: Mfn(first), count, allow: 1, reserved: [0; 7] };
    for (first, count) in [(0xA0, 0), (u64::MAX, 2), (1 << 28, 1)] {
        assert_eq!(errno(ask(&mut host, 5, Op::IOMEM_PERMISSION, &frames(first, count))), Errno::EINVAL);
    }
    assert_eq!(ask(&mut host, 5, Op::IOMEM_PERMISSION, &frames(0xA0, 8)), Ok(0));
    let ports = |first, count| IoportPermission { first, count, allow: 0, reserved: [0; 3] };
    for (first, count) in [(0x80, 0), (0xFFF0, 0x11), (0x1_0000, 1), (u32::MAX, 2)] {
        assert_eq!(errno(ask(&mut host, 5, Op::IOPORT_PERMISSION, &ports(first, count))), Errno::EINVAL);
    }
    assert_eq!(ask(&mut host, 5, Op::IOPORT_PERMISSION, &ports(0xFFF0, 0x10)), Ok(0));
    assert_eq!(host.take_effects(), ["frames (160, 8, Allow)", "ports (65520, 16, Deny)"]);
}

#[test]
fn lines_are_given_by_their_own_numbers_to_callers_from_4_20_on() {
    let mut host = Fake::new();
    let asked = |line, action| GsiPermission { line, action: GsiAction(action) };
    assert_eq!(errno(ask_as(&mut host, 0x15, 5, Op::GSI_PERMISSION, &asked(5, 1))), Errno::ENOSYS);
    assert_eq!(errno(ask_as(&mut host, 0x17, 6, Op::GSI_PERMISSION, &asked(5, 1))), Errno::ESRCH);
    for action in [2, 3, 0x8000_0001] {
        let reply = ask_as(&mut host, 0x17, 5, Op::GSI_PERMISSION, &asked(u32::MAX, action));
        assert_eq!(errno(reply), Errno::EINVAL, "flags come first");
    }
    assert!(host.take_effects().is_empty());
    assert_eq!(ask_as(&mut host, 0x17, 5, Op::GSI_PERMISSION, &asked(5, 1)), Ok(0));
    assert_eq!(ask_as(&mut host, 0x18, 5, Op::GSI_PERMISSION, &asked(9, 0)), Ok(0));
    assert_eq!(host.take_effects(), ["line (5, Allow)", "line (9, Deny)"]);
    host.refuse.set(Some(Errno::ERANGE));
    assert_eq!(errno(ask_as(&mut host, 0x17, 5, Op::GSI_PERMISSION, &asked(24, 1))), Errno::ERANGE);
}

#[test]
fn debuggers_and_monitors_get_xens_answers_for_a_pv_domain() {
    let mut host = Fake::new();
    for (operation, command, expected) in [
        (Op::DEBUG_OP, 1, Errno::EINVAL),
        (Op::PSR_CMT_OP, 99, Errno::ENODEV),
        (Op::PSR_ALLOC, 9, Errno::ENODEV),
        (Op::PSR_ALLOC, 10, Errno::EOPNOTSUPP),
        (Op::GDBSX_GUESTMEMIO, 0, Errno::ENOSYS),
        (Op::GDBSX_DOMSTATUS, 0, Errno::ENOSYS),
    ] {
        assert_eq!(errno(ask(&mut host, 5, operation, &[command, 0_u32])), expected, "{operation:?} {command}");
        assert_eq!(errno(ask(&mut host, 6, operation, &[command, 0_u32])), Errno::ESRCH, "{operation:?}");
    }
    assert!(host.take_effects().is_empty());
}

#[test]
fn max_vcpus_wants_the_number_of_the_creation() {
    let mut host = Fake::new();
    for (max, expected) in [(2, Err(Errno::EINVAL)), (3, Ok(()))] {
        let reply = ask(&mut host, 5, Op::MAX_VCPUS, &MaxVcpus { max });
        assert_eq!(reply.map(|_| ()).map_err(|failure| errno(Err(failure))), expected);
    }
    assert_eq!(host.take_effects(), ["vcpus 5"]);
}

#[test]
fn extended_state_comes_with_its_header() {
    let mut host = Fake::new();
    assert_eq!(ask(&mut host, 5, Op::GETVCPUEXTSTATE, &ExtendedState::default()), Ok(0));
    let told: ExtendedState = answer(&host);
    assert_eq!((told.features, told.size), (0x207, 848), "protection keys were never enabled");
    let whole = ExtendedState { buffer: at(ELSEWHERE), ..told };
    assert_eq!(ask(&mut host, 5, Op::GETVCPUEXTSTATE, &whole), Ok(0));
    assert_eq!(host.memory.get::<[u64; 3]>(BASE + ELSEWHERE), [3, 7, 0xABAB_ABAB_ABAB_ABAB]);
    for wrong in [
        ExtendedState { size: 840, ..whole },
        ExtendedState { size: 2712, ..whole },
        ExtendedState { features: 3, ..whole },
    ] {
        assert_eq!(errno(ask(&mut host, 5, Op::GETVCPUEXTSTATE, &wrong)), Errno::EINVAL);
    }
    host.take_effects();
    assert_eq!(ask(&mut host, 5, Op::SETVCPUEXTSTATE, &whole), Ok(0));
    assert_eq!(host.take_effects(), ["set state 5", "3 7 832"]);
    for size in [0, 15, 2713, u64::MAX] {
        let wrong = ExtendedState { size, ..whole };
        assert_eq!(errno(ask(&mut host, 5, Op::SETVCPUEXTSTATE, &wrong)), Errno::EINVAL, "{size}");
    }
    host.memory.put(BASE + ELSEWHERE, &[7_u64, 3]);
    assert_eq!(errno(ask(&mut host, 5, Op::SETVCPUEXTSTATE, &whole)), Errno::EINVAL, "more than ever was");
}

#[test]
fn msrs_that_are_zero_are_not_saved() {
    let mut host = Fake::new();
    assert_eq!(ask(&mut host, 5, Op::GET_VCPU_MSRS, &VcpuMsrs::default()), Ok(0));
    assert_eq!(answer::<VcpuMsrs>(&host).count, 3);
    let list = VcpuMsrs { vcpu: VcpuId(0), count: 2, msrs: at(ELSEWHERE) };
    assert_eq!(ask(&mut host, 5, Op::GET_VCPU_MSRS, &list), Ok(0));
    assert_eq!(answer::<VcpuMsrs>(&host).count, 2);
    assert_eq!(host.memory.get::<VcpuMsr>(BASE + ELSEWHERE).index, 0x49);
    assert_eq!(errno(ask(&mut host, 5, Op::GET_VCPU_MSRS, &VcpuMsrs { count: 1, ..list })), Errno::ENOBUFS);
    host.take_effects();
    assert_eq!(ask(&mut host, 5, Op::SET_VCPU_MSRS, &list), Ok(0));
    assert_eq!(host.take_effects(), ["set msr (73, 1)", "set msr (74, 2)"]);
    host.memory.put(BASE + ELSEWHERE + 16, &VcpuMsr { reserved: 1, ..VcpuMsr::default() });
    assert_eq!(errno(ask(&mut host, 5, Op::SET_VCPU_MSRS, &list)), Errno::EINVAL);
    assert_eq!(answer::<VcpuMsrs>(&host).count, 1, "how many were set");
}

#[test]
fn a_bug_costs_whom_the_operation_changes() {
    let mut host = Fake::new();
    let mut behalf_of = |operation, domain| {
        host.behalves.clear();
        let _ = ask(&mut host, domain, operation, &[0_u64; 16]);
        match host.behalves.as_slice() {
            [Behalf::Machine, Behalf::Caller] => Behalf::Caller,
            [Behalf::Machine, whose, Behalf::Caller] => *whose,
            other => panic!("{operation:?}: {other:?}"),
        }
    };
    let target = DomainId(5);
    for operation in [Op::PAUSEDOMAIN, Op::DESTROYDOMAIN, Op::SETVCPUCONTEXT, Op::SETVCPUAFFINITY, Op::SHADOW_OP] {
        assert_eq!(behalf_of(operation, 5), Behalf::Changing(target), "{operation:?}");
    }
    for operation in [Op::GETVCPUINFO, Op::GETVCPUCONTEXT, Op::GETPAGEFRAMEINFO3, Op::GETTSCINFO, Op::GET_CPU_POLICY] {
        assert_eq!(behalf_of(operation, 5), Behalf::Reading(target), "{operation:?}");
    }
    for operation in [Op::CREATEDOMAIN, Op::GETDOMAININFO] {
        assert_eq!(behalf_of(operation, 5), Behalf::Machine, "{operation:?}");
    }
    // Nobody is named that there is: refused before anything is done for anybody.
    assert_eq!(behalf_of(Op::PAUSEDOMAIN, 6), Behalf::Caller);
}
