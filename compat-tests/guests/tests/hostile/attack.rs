//! One random call: a family, a command, arguments that are nearly right.
//!
//! Left out, because they end the guest or the machine by design: shutdown in all its forms, block, iret, watchdogs, vCPU 0
//! down, bringing up a vCPU on garbage, a new L4 of garbage, another vcpu_info for vCPU 0, ACPI sleep, CPU and memory
//! hotplug, microcode and MTRRs, machine-check injection, writes to the IO-APIC, kexec, and text to the console.

use compat_guests::memory;
use compat_guests::number::{self, DOMID_SELF};

use crate::world::{Lists, World};

/// A call to make.
pub type Call = (u64, [u64; 5]);

/// Chooses a call.
pub fn choose(world: &mut World) -> Call {
    match world.random.below(20) {
        0..=2 => mmu_update(world),
        3 | 4 => mmuext(world),
        5 | 6 => mapping(world),
        7 | 8 => memory_op(world),
        9 | 10 => grants(world),
        11 | 12 => events(world),
        13 => vcpus(world),
        14 => scheduling(world),
        15 => devices(world),
        16 => multicall(world),
        17 => descriptors(world),
        _ => anything(world),
    }
}

fn domain(world: &mut World) -> u64 {
    world.random.pick(&[DOMID_SELF, DOMID_SELF, DOMID_SELF, 0, 1, 0x7ff1, 0x7ff2, 0x1_0000 | DOMID_SELF, u64::MAX])
}

fn count(world: &mut World) -> u64 {
    world.random.pick(&[0, 1, 1, 1, 2, 8, 64, 0x8000_0000, 0x8000_0001])
}

fn mmu_update(world: &mut World) -> Call {
    for index in 0..64 {
        let pointer = (world.frame() << 12) | (world.random.below(512) * 8) | world.random.pick(&[0, 0, 0, 1, 2, 3, 4]);
        let value = world.entry();
        memory::write(world.scratch + index * 16, pointer);
        memory::write(world.scratch + index * 16 + 8, value);
    }
    let done = world.random.pick(&[0, world.list, 0x1000]);
    (number::MMU_UPDATE, [world.scratch, count(world), done, domain(world), 0])
}

fn mmuext(world: &mut World) -> Call {
    for index in 0..64 {
        let mut command = world.random.below(22);
        if command == 5 {
            command = 4; // a new base of garbage would be the end
        }
        let (first, second) = (world.frame(), world.value());
        let first = if world.random.below(8) == 0 { world.value() } else { first };
        memory::write(world.scratch + index * 24, command);
        memory::write(world.scratch + index * 24 + 8, first);
        memory::write(world.scratch + index * 24 + 16, second);
    }
    let done = world.random.pick(&[0, world.list, 0x1000]);
    (number::MMUEXT_OP, [world.scratch, count(world), done, domain(world), 0])
}

fn mapping(world: &mut World) -> Call {
    let flags = match world.random.below(4) {
        0 => world.list | world.random.below(4),
        1 => world.value(),
        _ => world.random.below(8),
    };
    let number = world.random.pick(&[
        number::UPDATE_VA_MAPPING,
        number::UPDATE_VA_MAPPING,
        number::UPDATE_VA_MAPPING_OTHERDOMAIN,
    ]);
    (number, [world.address(), world.entry(), flags, domain(world), 0])
}

fn memory_op(world: &mut World) -> Call {
    world.fill_list();
    let command = world.random.below(32) | if world.random.below(8) == 0 { world.value() << 6 } else { 0 };
    if world.random.below(2) == 0 {
        let block = world.block(Lists::Allowed);
        return (number::MEMORY_OP, [command, block, 0, 0, 0]);
    }
    // A well-formed reservation over victims.
    for index in 0..16 {
        let frame = world.frame();
        memory::write(world.list + index * 8, frame);
    }
    memory::write(world.scratch, world.list);
    memory::write(world.scratch + 8, world.random.below(17));
    memory::write(world.scratch + 16, world.random.pick(&[0, 0, 0, 1, 9, 64]));
    memory::write(world.scratch + 24, DOMID_SELF);
    (number::MEMORY_OP, [world.random.pick(&[0, 1, 1, 6]), world.scratch, 0, 0, 0])
}

fn grants(world: &mut World) -> Call {
    for _ in 0..world.random.below(4) {
        world.offer();
    }
    let command = world.random.below(14);
    let lists = if matches!(command, 0 | 1 | 7) { Lists::Forbidden } else { Lists::Allowed };
    let mut block = world.block(lists);
    if command == 0 && world.random.below(2) == 0 {
        for index in 0..16 {
            let address = world.address();
            memory::write(world.scratch + index * 32, address);
            memory::write(world.scratch + index * 32 + 8, world.random.below(32) | world.random.below(40) << 32);
            memory::write(world.scratch + index * 32 + 16, world.random.pick(&[0, 0, 0, 1, 0x7ff0]));
        }
        block = world.scratch;
    }
    if command == 1 && world.random.below(2) == 0 {
        for index in 0..16 {
            let address = world.address();
            memory::write(world.scratch + index * 24, address);
            memory::write(world.scratch + index * 24 + 8, 0);
            memory::write(world.scratch + index * 24 + 16, world.random.below(64));
        }
        block = world.scratch;
    }
    if command == 8 && world.random.below(2) == 0 {
        memory::write(world.scratch, world.random.pick(&[1, 2, 2, 3]));
        block = world.scratch;
    }
    (number::GRANT_TABLE_OP, [command, block, world.random.pick(&[0, 1, 1, 4, 16, 0x8000_0000]), 0, 0])
}

fn events(world: &mut World) -> Call {
    let mut block = world.block(Lists::Forbidden);
    if world.random.below(2) == 0 {
        memory::write(world.scratch, world.random.pick(&[DOMID_SELF, 0]) | world.random.below(64) << 32);
        block = world.scratch;
    } else if world.random.below(2) == 0 {
        memory::write(world.scratch, world.random.below(64) | world.random.below(3) << 32);
        block = world.scratch;
    }
    (number::EVENT_CHANNEL_OP, [world.random.below(16), block, 0, 0, 0])
}

fn vcpus(world: &mut World) -> Call {
    let command = world.random.below(18);
    let vcpu = world.random.pick(&[0, 1, 2, 31, 32, 8192, u64::MAX]);
    let block = world.block(Lists::Forbidden);
    match (command, vcpu) {
        (1, _) | (2 | 10, 0) => (number::VCPU_OP, [3, vcpu, 0, 0, 0]),
        _ => (number::VCPU_OP, [command, vcpu, block, 0, 0]),
    }
}

fn scheduling(world: &mut World) -> Call {
    match world.random.below(4) {
        0 => (number::SCHED_OP, [0, 0, 0, 0, 0]),
        1 => {
            // A poll whose time-out is past.
            memory::write(world.scratch, world.list);
            memory::write(world.scratch + 8, world.random.below(140));
            memory::write(world.scratch + 16, 1 + world.random.below(1000));
            world.fill_list();
            (number::SCHED_OP, [3, world.scratch, 0, 0, 0])
        }
        2 => (number::SCHED_OP, [world.random.pick(&[7, 8, 9, 64, u64::MAX]), world.block(Lists::Forbidden), 0, 0, 0]),
        _ => (number::SET_TIMER_OP, [world.value(), 0, 0, 0, 0]),
    }
}

fn devices(world: &mut World) -> Call {
    let block = world.block(Lists::Allowed);
    if world.random.below(2) == 0 {
        let command = world.random.below(34);
        let command =
            if matches!(command, 9 | 16 | 21 | 26) || (!world.pci && matches!(command, 15..=31)) { 5 } else { command };
        return (number::PHYSDEV_OP, [command, block, 0, 0, 0]);
    }
    let command = world.random.below(70);
    let command = if matches!(command, 31 | 32 | 35 | 49 | 51 | 52 | 54 | 56..=61 | 66) { 50 } else { command };
    memory::write(world.scratch, command | 0x0300_0001 << 32);
    (number::PLATFORM_OP, [world.scratch, 0, 0, 0, 0])
}

fn descriptors(world: &mut World) -> Call {
    match world.random.below(4) {
        0 => {
            for index in 0..16 {
                let frame = world.frame();
                memory::write(world.scratch + index * 8, frame);
            }
            (number::SET_GDT, [world.scratch, world.random.pick(&[0, 1, 512, 1024, 7168, 7169, u64::MAX]), 0, 0, 0])
        }
        1 => (number::UPDATE_DESCRIPTOR, [world.frame() << 12 | world.random.below(4096), world.value(), 0, 0, 0]),
        2 => (number::SET_SEGMENT_BASE, [world.random.below(5), world.value(), 0, 0, 0]),
        _ => (
            world.random.pick(&[number::SET_DEBUGREG, number::GET_DEBUGREG]),
            [world.random.below(9), world.value(), 0, 0, 0],
        ),
    }
}

/// Up to eight calls in one. Their argument blocks are those of the last; the earlier ones see its bytes.
fn multicall(world: &mut World) -> Call {
    let list = world.list + 4096;
    let entries = 1 + world.random.below(8);
    for index in 0..entries {
        let (number, arguments) = loop {
            let (number, arguments) = match world.random.below(6) {
                0 => mapping(world),
                1 => scheduling(world),
                2 => descriptors(world),
                3 => events(world),
                4 => (number::MULTICALL, [world.value(), world.value(), 0, 0, 0]),
                _ => anything(world),
            };
            // Blocks would be overwritten by the next entry's with something that was not meant for this call.
            if !arguments[..2].contains(&world.scratch) {
                break (number, arguments);
            }
        };
        let at = list + index * 64;
        memory::write(at, number);
        for (position, argument) in arguments.into_iter().enumerate() {
            memory::write(at + 16 + position as u64 * 8, argument);
        }
    }
    (number::MULTICALL, [list, entries, 0, 0, 0])
}

/// Any number that is safe with any arguments.
fn anything(world: &mut World) -> Call {
    loop {
        let number = if world.random.below(16) == 0 { world.value() } else { world.random.below(64) };
        match number {
            number::XEN_VERSION => return (number, [world.random.below(16), world.block(Lists::Forbidden), 0, 0, 0]),
            number::SET_TRAP_TABLE | number::CALLBACK_OP | number::NMI_OP => {
                return (number, [world.random.below(3), world.block(Lists::Forbidden), 0, 0, 0]);
            }
            number::CONSOLE_IO => return (number, [1, world.random.below(64), world.list, 0, 0]),
            // Own generators, or out of bounds; 38 and above are toolstack calls that a PV kernel may still try.
            number::MMU_UPDATE | number::MMUEXT_OP | number::MEMORY_OP | number::UPDATE_VA_MAPPING => continue,
            number::UPDATE_VA_MAPPING_OTHERDOMAIN | number::GRANT_TABLE_OP | number::VCPU_OP => continue,
            number::SCHED_OP | number::SCHED_OP_COMPAT | number::PLATFORM_OP | number::PHYSDEV_OP => continue,
            number::PHYSDEV_OP_COMPAT | number::EVENT_CHANNEL_OP_COMPAT | number::MULTICALL => continue,
            number::IRET | number::KEXEC_OP | 48 => continue,
            number::DOMCTL | number::SYSCTL => {
                return (number, [world.random.pick(&[0, 0x1000, 0x8000_0000_0000]), 0, 0, 0, 0]);
            }
            _ => return (number, core::array::from_fn(|_| world.value())),
        }
    }
}
