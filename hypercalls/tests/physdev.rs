//! physdev_op: interrupts, I/O rights and PCI announcements, with who may and in which order things are looked at.

mod common;

use abi::physdev::{
    Apic, Eoi, GetFreePirq, IrqStatusFlags, IrqStatusQuery, IrqVector, ManagePci, ManagePciExt, MapPirq, MapPirqType,
    PciDevice, PciDeviceAdd, PciDeviceFlags, PciMmcfgReserved, PhysdevOpCompat, PhysdevOperation as Op, PirqEoiGmfn,
    SetIobitmap, SetIopl, SetupGsi, UnmapPirq,
};
use abi::{DomainId, Errno, Gfn};
use common::{BASE, Fake, at, errno, hypervisor, nowhere};
use hypercalls::op::physdev::{physdev, physdev_compat};
use hypercalls::outcome::Reply;
use zerocopy::{Immutable, IntoBytes};

fn call<T: IntoBytes + Immutable>(host: &mut Fake, operation: Op, argument: &T) -> Reply {
    host.next_call().memory.put(BASE, argument);
    physdev(host, operation, at(0))
}

#[test]
fn own_interrupts_need_no_privilege() {
    let mut host = Fake::unprivileged();
    assert_eq!(call(&mut host, Op::EOI, &Eoi { irq: 9 }), Ok(0));
    assert_eq!(errno(call(&mut host, Op::EOI, &Eoi { irq: 256 })), Errno::EINVAL);
    assert_eq!(physdev(&mut host, Op::IRQ_UNMASK_NOTIFY, hypervisor()), Ok(0));
    for (irq, flags) in [(9, IrqStatusFlags(1)), (17, IrqStatusFlags(3))] {
        assert_eq!(call(&mut host, Op::IRQ_STATUS_QUERY, &IrqStatusQuery { irq, flags: IrqStatusFlags(99) }), Ok(0));
        assert_eq!(host.memory.get::<IrqStatusQuery>(BASE).flags, flags);
    }
    let beyond = IrqStatusQuery { irq: u32::MAX, ..IrqStatusQuery::default() };
    assert_eq!(errno(call(&mut host, Op::IRQ_STATUS_QUERY, &beyond)), Errno::EINVAL);
    assert_eq!(call(&mut host, Op::PIRQ_EOI_GMFN_V1, &PirqEoiGmfn { gfn: Gfn(7) }), Ok(0));
    assert_eq!(call(&mut host, Op::PIRQ_EOI_GMFN_V2, &PirqEoiGmfn { gfn: Gfn(8) }), Ok(0));
    assert_eq!(call(&mut host, Op::GET_FREE_PIRQ, &GetFreePirq { kind: MapPirqType::MSI, pirq: 0 }), Ok(0));
    assert_eq!(host.memory.get::<GetFreePirq>(BASE).pirq, 77);
    let expected = ["eoi 9", "unmasked ()", "eoi page (7, Unmask)", "eoi page (8, Leave)", "reserve MapPirqType(0)"];
    assert_eq!(host.take_effects(), expected);
}

#[test]
fn io_rights_are_bounded() {
    let mut host = Fake::unprivileged();
    assert_eq!(call(&mut host, Op::SET_IOPL, &SetIopl { iopl: 3 }), Ok(0));
    for iopl in [4, 259, u32::MAX] {
        assert_eq!(errno(call(&mut host, Op::SET_IOPL, &SetIopl { iopl })), Errno::EINVAL);
    }
    let bitmap = |bitmap, port_count| SetIobitmap { bitmap, port_count, reserved: 0 };
    assert_eq!(call(&mut host, Op::SET_IOBITMAP, &bitmap(nowhere(), 65_536)), Ok(0), "read only when used");
    assert_eq!(errno(call(&mut host, Op::SET_IOBITMAP, &bitmap(nowhere(), 65_537))), Errno::EINVAL);
    assert_eq!(errno(call(&mut host, Op::SET_IOBITMAP, &bitmap(hypervisor(), 8))), Errno::EINVAL);
    assert_eq!(host.take_effects(), ["iopl 3", "bitmap 0x70000000 65536"]);
}

#[test]
fn io_apics_are_the_control_domains() {
    let mut host = Fake::new();
    let apic = |physical_base| Apic { physical_base, register: 1, value: 5 };
    assert_eq!(call(&mut host, Op::APIC_READ, &apic(0xFEC0_0000)), Ok(0));
    assert_eq!(host.memory.get::<Apic>(BASE).value, 0x101);
    assert_eq!(errno(call(&mut host, Op::APIC_READ, &apic(1))), Errno::EINVAL);
    assert_eq!(call(&mut host, Op::APIC_WRITE, &apic(0xFEC0_0000)), Ok(0));
    assert_eq!(call(&mut host, Op::ALLOC_IRQ_VECTOR, &IrqVector { irq: 9, vector: 0 }), Ok(0));
    assert_eq!(host.memory.get::<IrqVector>(BASE).vector, 9);
    assert_eq!(host.take_effects(), ["io apic (4273995776, 1, 5)"]);
    for operation in [Op::APIC_READ, Op::APIC_WRITE] {
        assert_eq!(errno(call(&mut Fake::unprivileged(), operation, &apic(0xFEC0_0000))), Errno::EPERM);
    }
    let vector = IrqVector { irq: 9, vector: 0 };
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::ALLOC_IRQ_VECTOR, &vector)), Errno::EPERM);
}

#[test]
fn pirqs_are_mapped_by_kind() {
    let ask = |kind| MapPirq {
        domain: DomainId::SELF,
        kind: MapPirqType(kind),
        index: 16,
        pirq: -1,
        bus: 0x0002_0003,
        devfn: 0x21,
        entry: 4,
        table_base: 0xF000,
        ..MapPirq::default()
    };
    let device = |segment| format!("PciAddress {{ segment: {segment}, bus: 3, devfn: 33 }}");
    let mut host = Fake::new();
    for (kind, source) in [
        (1, "Line { gsi: 16 }".to_string()),
        (0, format!("Message {{ device: {}, entry: 4, table_base: 61440, index: 16 }}", device(0))),
        (3, format!("Message {{ device: {}, entry: 4, table_base: 61440, index: 16 }}", device(2))),
        (4, format!("Messages {{ device: {}, count: 4 }}", device(2))),
    ] {
        let table_base = if kind == 4 { 0 } else { 0xF000 };
        assert_eq!(call(&mut host, Op::MAP_PIRQ, &MapPirq { table_base, ..ask(kind) }), Ok(0));
        assert_eq!(host.take_effects(), [format!("map (0, {source}, -1)")]);
        let answer: MapPirq = host.memory.get(BASE);
        assert_eq!((answer.pirq, answer.entry), (42, if kind == 4 { 2 } else { 4 }));
        assert_eq!(answer.kind.0, if kind == 3 { 0 } else { kind }, "the segment has been taken in");
    }
    assert_eq!(errno(call(&mut host, Op::MAP_PIRQ, &ask(4))), Errno::EINVAL, "several messages have no table");
    host.refuse.set(Some(Errno::ENODEV));
    assert_eq!(errno(call(&mut host, Op::MAP_PIRQ, &ask(3))), Errno::ENODEV);
    let answer: MapPirq = host.memory.get(BASE);
    assert_eq!((answer.kind.0, answer.pirq, answer.entry), (0, -1, 4), "written back even so");
    let mut host = Fake::new();
    for kind in [2, 5, -1] {
        assert_eq!(errno(call(&mut host, Op::MAP_PIRQ, &ask(kind))), Errno::EINVAL);
    }
    let of = |domain| MapPirq { domain: DomainId(domain), ..ask(2) };
    assert_eq!(errno(call(&mut host, Op::MAP_PIRQ, &of(9))), Errno::ESRCH);
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::MAP_PIRQ, &of(0))), Errno::EPERM);
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::MAP_PIRQ, &of(5))), Errno::EPERM, "not even for itself");
    let unmap = |domain| UnmapPirq { domain: DomainId(domain), pirq: 42, reserved: 0 };
    assert_eq!(call(&mut host, Op::UNMAP_PIRQ, &unmap(5)), Ok(0));
    assert_eq!(host.take_effects(), ["unmap (5, 42)"]);
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::UNMAP_PIRQ, &unmap(0))), Errno::EPERM);
}

#[test]
fn lines_are_set_up_once() {
    let line = |gsi| SetupGsi { gsi, triggering: 1, polarity: 0, reserved: 0 };
    let mut host = Fake::new();
    assert_eq!(call(&mut host, Op::SETUP_GSI, &line(9)), Ok(0));
    host.refuse.set(Some(Errno::EEXIST));
    assert_eq!(errno(call(&mut host, Op::SETUP_GSI, &line(9))), Errno::EEXIST);
    assert_eq!(host.take_effects(), ["line (9, true, false)"]);
    for gsi in [-1, 24, i32::MAX] {
        assert_eq!(errno(call(&mut Fake::unprivileged(), Op::SETUP_GSI, &line(gsi))), Errno::EINVAL);
    }
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::SETUP_GSI, &line(9))), Errno::EPERM);
}

#[test]
fn functions_are_announced() {
    let mut host = Fake::new();
    let add = |flags| PciDeviceAdd {
        segment: 1,
        bus: 2,
        devfn: 3,
        flags: PciDeviceFlags(flags),
        physical_bus: 4,
        physical_devfn: 5,
        reserved: 0,
    };
    host.memory.put(BASE + 12, &6u32);
    for (flags, expected) in [
        (0, "extended: false, physical: None, proximity: None"),
        (3, "extended: true, physical: Some((4, 5)), proximity: None"),
        (4, "extended: false, physical: None, proximity: Some(6)"),
    ] {
        assert_eq!(call(&mut host, Op::PCI_DEVICE_ADD, &add(flags)), Ok(0));
        let device = "PciAddress { segment: 1, bus: 2, devfn: 3 }";
        assert_eq!(host.take_effects(), [format!("pci add ({device}, PciFunction {{ {expected} }})")]);
    }
    let extended = |is_extended_function, is_virtual_function| ManagePciExt {
        is_extended_function,
        is_virtual_function,
        ..ManagePciExt::default()
    };
    assert_eq!(call(&mut host, Op::MANAGE_PCI_ADD_EXT, &extended(1, 1)), Ok(0));
    assert_eq!(errno(call(&mut host, Op::MANAGE_PCI_ADD_EXT, &extended(2, 0))), Errno::EINVAL);
    assert_eq!(errno(call(&mut host, Op::MANAGE_PCI_ADD_EXT, &extended(0, 2))), Errno::EINVAL);
    assert_eq!(call(&mut host, Op::MANAGE_PCI_ADD, &ManagePci { bus: 1, devfn: 2 }), Ok(0));
    assert_eq!(call(&mut host, Op::MANAGE_PCI_REMOVE, &ManagePci { bus: 1, devfn: 2 }), Ok(0));
    assert_eq!(call(&mut host, Op::RESTORE_MSI, &ManagePci { bus: 1, devfn: 2 }), Ok(0));
    host.take_effects();
    let device = PciDevice { segment: 1, bus: 2, devfn: 3 };
    for (operation, name) in [(26, "remove"), (27, "restore"), (30, "prepare"), (31, "release")] {
        assert_eq!(call(&mut host, Op(operation), &device), Ok(0));
        assert_eq!(host.take_effects(), [format!("pci {name} {}", "PciAddress { segment: 1, bus: 2, devfn: 3 }")]);
    }
}

#[test]
fn announcements_are_the_control_domains() {
    for operation in [15, 16, 19, 20, 25, 26, 27, 30, 31].map(Op) {
        let mut host = Fake::unprivileged();
        assert_eq!(errno(call(&mut host, operation, &[0u8; 32])), Errno::EPERM, "{operation:?}");
        assert_eq!(errno(physdev(&mut host, operation, nowhere())), Errno::EFAULT, "{operation:?}");
    }
    assert_eq!(errno(physdev(&mut Fake::unprivileged(), Op::PCI_MMCFG_RESERVED, nowhere())), Errno::EPERM);
    assert_eq!(errno(physdev(&mut Fake::new(), Op::PCI_MMCFG_RESERVED, nowhere())), Errno::EFAULT);
    for flags in [2, u32::MAX] {
        let window = PciMmcfgReserved { flags, ..PciMmcfgReserved::default() };
        assert_eq!(errno(call(&mut Fake::new(), Op::PCI_MMCFG_RESERVED, &window)), Errno::EINVAL);
    }
    let mut host = Fake::new();
    let window = PciMmcfgReserved { address: 0xE000_0000, segment: 0, start_bus: 0, end_bus: 255, flags: 1 };
    assert_eq!(call(&mut host, Op::PCI_MMCFG_RESERVED, &window), Ok(0));
    assert_eq!(errno(physdev(&mut Fake::unprivileged(), Op::DBGP_OP, nowhere())), Errno::EPERM);
    assert_eq!(physdev(&mut Fake::new(), Op::DBGP_OP, at(0)), Ok(0));
}

#[test]
fn the_old_call_serves_the_old_operations() {
    let mut host = Fake::new();
    for command in 0..40 {
        let request = PhysdevOpCompat { command: Op(command), reserved: 0, argument: [2, 0] };
        host.next_call().memory.put(BASE, &request);
        let reply = physdev_compat(&mut host, at(0));
        match command {
            4..=7 | 10 => assert_eq!(reply, Ok(0), "{command}"),
            8 => assert_eq!(errno(reply), Errno::EINVAL, "no such controller"),
            9 => assert_eq!(reply, Ok(0)),
            _ => assert_eq!(errno(reply), Errno::ENOSYS, "{command}"),
        }
    }
    assert_eq!(errno(physdev_compat(&mut Fake::new(), nowhere())), Errno::EFAULT);
}
