//! One request: a shape with fields that are right, nearly right or wrong, at an address that may be none.

use compat_guests::memory::{self, PAGE};
use compat_guests::number;

use crate::machine_shapes::{MEMORY, SYSCTLS};
use crate::shapes::{CREATION, Content, DOMCTLS, Field, Shape, Whom};
use crate::toolstack::{GET_CONTEXT, Request, domctl, request};
use crate::world::{LIST_PAGES, REQUEST, World};

/// A call that is ready to be made.
pub struct Made {
    /// The hypercall.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 5],
    /// The operation.
    pub command: u64,
    /// The interface version it names.
    pub version: u64,
    /// Bytes that the answer may fill, from the address on.
    pub length: u64,
}

/// Chooses a call and writes its request where it is to be read.
pub fn choose(world: &mut World) -> Made {
    world.request = [0; REQUEST];
    match world.random.below(20) {
        0..=3 => sysctl(world),
        4..=7 => memory_op(world),
        _ => domctl_call(world),
    }
}

fn pick<T>(world: &mut World, list: &'static [T]) -> &'static T {
    &list[world.random.below(list.len() as u64) as usize]
}

fn version(world: &mut World) -> u64 {
    match world.random.below(12) {
        0 => world.random.pick(&[0, 0x14, 0x19, 0xffff_ffff, 0x1500]),
        1..=3 => {
            let newer = world.random.pick(&[0x16, 0x17, 0x18]);
            world.version.unwrap_or(newer)
        }
        _ => world.version.unwrap_or(0x15),
    }
}

fn domctl_call(world: &mut World) -> Made {
    let creates = world.chance(16);
    let shape = if creates { &CREATION } else { pick(world, DOMCTLS) };
    let version = version(world);
    put32(world, 0, shape.command);
    put32(world, 4, version);
    let domain = if creates { wanted_id(world) } else { domain(world, shape.whom) };
    put16(world, 8, domain);
    fill(world, shape, domain, 16);
    let address = put_in_place(world, 144);
    Made { number: number::DOMCTL, arguments: [address, 0, 0, 0, 0], command: shape.command, version, length: 144 }
}

/// The id that a createdomain asks for: mostly any.
fn wanted_id(world: &mut World) -> u64 {
    if world.chance(6) { world.target() } else { world.random.pick(&[0, 0, 0, 0, 0x7ff0, 0xffff]) }
}

fn sysctl(world: &mut World) -> Made {
    let shape = pick(world, SYSCTLS);
    let version = version(world);
    put32(world, 0, shape.command);
    put32(world, 4, version);
    fill(world, shape, 0, 8);
    let address = put_in_place(world, 136);
    Made { number: number::SYSCTL, arguments: [address, 0, 0, 0, 0], command: shape.command, version, length: 136 }
}

fn memory_op(world: &mut World) -> Made {
    let chosen = pick(world, MEMORY);
    let mut domain = domain(world, chosen.shape.whom);
    if domain == number::DOMID_SELF && chosen.shape.whom == Whom::Targets {
        // That would rightly be dom0's own memory.
        domain = number::DOMID_IO;
    }
    fill(world, &chosen.shape, domain, 0);
    put16(world, chosen.domain, domain);
    let address = put_in_place(world, 72);
    // The bits above the command say where an interrupted call goes on: beyond the end, mostly.
    let progress = if world.chance(12) { world.random.below(1 << 20) << 6 } else { 0 };
    let command = chosen.shape.command | progress;
    Made { number: number::MEMORY_OP, arguments: [command, address, 0, 0, 0], command, version: 0, length: 72 }
}

fn domain(world: &mut World, whom: Whom) -> u64 {
    match whom {
        Whom::Anyone if world.chance(4) => u64::from(world.bystanders[world.random.below(2) as usize]),
        Whom::Anyone | Whom::TargetsAndDom0 if world.chance(12) => 0,
        _ => world.target(),
    }
}

/// Puts the request at its address: mostly the start of the place, else where it cannot be read or written in whole.
fn put_in_place(world: &mut World, length: u64) -> u64 {
    let end = world.place + PAGE;
    let at = match world.random.below(24) {
        0 => return world.bad_address(),
        1 => end - (1 + world.random.below(length)),
        2 => end - length,
        3 => world.place + 65,
        _ => world.place + 64,
    };
    for (offset, byte) in world.request.iter().enumerate() {
        if at + (offset as u64) < end {
            write_byte(at + offset as u64, *byte);
        }
    }
    if world.chance(24) { world.constant + at - world.place } else { at }
}

fn write_byte(address: u64, byte: u8) {
    // SAFETY: inside the mapped place for requests.
    unsafe { core::ptr::write_volatile(address as *mut u8, byte) }
}

fn put16(world: &mut World, at: usize, value: u64) {
    world.request[at..at + 2].copy_from_slice(&value.to_le_bytes()[..2]);
}

fn put32(world: &mut World, at: usize, value: u64) {
    world.request[at..at + 4].copy_from_slice(&value.to_le_bytes()[..4]);
}

fn put64(world: &mut World, at: usize, value: u64) {
    world.request[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Fills the fields, and now and then what should be zero: behind `start`, before what is filled.
fn fill(world: &mut World, shape: &Shape, domain: u64, start: usize) {
    if world.chance(10) {
        let at = start + 4 * world.random.below(((REQUEST - 32 - start) / 4) as u64) as usize;
        let value = world.value();
        put32(world, at, value & 0xff_ffff);
    }
    for &field in shape.fields {
        put_field(world, field, domain);
    }
}

fn put_field(world: &mut World, field: Field, domain: u64) {
    let odd = world.chance(10);
    let strange = world.value();
    match field {
        Field::Cpu(at) => {
            let right = world.random.pick(&[0, 0, 0, 1, 1, 2, 31, 64, 8192]);
            put32(world, at, if odd { strange } else { right });
        }
        Field::Below(at, bound) => {
            let right = world.random.below(bound);
            put32(world, at, if odd { strange } else { right });
        }
        Field::Among(at, values) => {
            let right = world.random.pick(values);
            put32(world, at, right);
        }
        Field::Among64(at, values) => {
            let right = world.random.pick(values);
            put64(world, at, right);
        }
        Field::Flags(at, mask) => {
            let right = world.random.next() & mask;
            put32(world, at, if odd { strange } else { right });
        }
        Field::Switch(at) => world.request[at] = if odd { strange as u8 } else { (strange & 1) as u8 },
        Field::Count(at) => {
            let right = count(world);
            put32(world, at, right);
        }
        Field::Count64(at) => {
            let right = count(world);
            put64(world, at, right);
        }
        Field::Word(at) => put32(world, at, strange),
        Field::Word64(at) => put64(world, at, strange),
        Field::Frame(at) => {
            let right = world.frame();
            put64(world, at, if odd { strange } else { right });
        }
        Field::Domain(at) => {
            let right = world.target();
            put16(world, at, right);
        }
        Field::Short(at) => put16(world, at, if odd { strange } else { 0 }),
        Field::List(at, content) => {
            let address = list(world, content, domain);
            put64(world, at, address);
        }
        Field::Map(at) => {
            let address = list(world, Content::Numbers, domain);
            put64(world, at, address);
            let bits = world.random.pick(&[64, 64, 8, 2, 1, 0, 63, 65, 4096, 0xffff_ffff]);
            put32(world, at + 8, bits);
        }
    }
}

fn count(world: &mut World) -> u64 {
    match world.random.below(8) {
        0 => world.random.pick(&[0, 1024, 1025, 4096, 0x8000_0000, 0xffff_ffff, u64::MAX, u64::MAX >> 3]),
        1 => world.random.below(2000),
        _ => world.random.pick(&[1, 1, 2, 3, 8, 16, 64, 400]),
    }
}

/// An address of something to read or write: the start of a page, the last bytes before nothing, nothing.
fn list(world: &mut World, content: Content, domain: u64) -> u64 {
    let page = world.lists + world.random.below(LIST_PAGES - 1) * PAGE;
    match world.random.below(24) {
        0 => return 0,
        1 => return world.bad_address(),
        2 => return world.lists + LIST_PAGES * PAGE - 8 * (1 + world.random.below(40)),
        3 => return page + world.random.below(64),
        _ => {}
    }
    match content {
        Content::Noise => {}
        Content::Numbers => write_words(world, page, 16, |world| match world.random.below(4) {
            0 => world.value(),
            _ => world.random.below(4) | world.random.below(4) << 32,
        }),
        Content::Frames => write_words(world, page, 16, |world| match world.random.below(8) {
            0 => world.value(),
            _ => world.frame(),
        }),
        Content::Context => recorded(world, page, domain, |asked| asked.u64(24, page), GET_CONTEXT, 640),
        Content::Leaves => {
            recorded(
                world,
                page,
                domain,
                |asked| asked.u32(16, 64).u32(20, 8).u64(24, page).u64(32, page + 1600),
                82,
                190,
            );
        }
        Content::Msrs => recorded(world, page, domain, |asked| asked.u32(20, 8).u64(24, page), 72, 16),
        Content::State => recorded(world, page, domain, |asked| asked.u64(24, 7).u64(32, 4096).u64(40, page), 63, 106),
    }
    page
}

fn write_words(world: &mut World, page: u64, words: u64, mut word: impl FnMut(&mut World) -> u64) {
    for index in 0..words {
        let value = word(world);
        memory::write(page + index * 8, value);
    }
}

/// What the domain itself has there, with a word changed now and then.
fn recorded(world: &mut World, page: u64, domain: u64, ask: impl Fn(Request) -> Request, command: u32, words: u64) {
    domctl(&mut ask(request(command, domain as u16)));
    for _ in 0..world.random.below(3) {
        let at = page + world.random.below(words) * 8;
        let value = if world.chance(2) { memory::read(at) ^ 1 << world.random.below(64) } else { world.value() };
        memory::write(at, value);
    }
}
