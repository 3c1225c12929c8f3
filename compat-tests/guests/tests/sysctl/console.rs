//! readconsole and debug_keys.

use compat_guests::control::{make, sysctl};
use compat_guests::memory;
use compat_guests::report::{check, result, value_at};
use compat_guests::say;

struct Read {
    outcome: i64,
    index: u32,
    count: u32,
}

fn read(clear: u8, incremental: u8, index: u32, buffer: u64, count: u32) -> Read {
    let flags = u32::from(clear) | u32::from(incremental) << 8;
    let mut request = sysctl(1).u32(8, flags).u32(12, index).u64(16, buffer).u32(24, count);
    let outcome = make(&mut request);
    Read { outcome, index: request.get_u32(12), count: request.get_u32(24) }
}

fn contains(buffer: u64, count: u32, wanted: &[u8]) -> bool {
    // SAFETY: pages of the pool, which only the hypervisor wrote.
    let text = unsafe { core::slice::from_raw_parts(buffer as *const u8, count as usize) };
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// Makes the hypervisor print: its own words only go to the ring.
fn print() {
    let text = *b"h";
    make(&mut sysctl(7).u64(8, text.as_ptr() as u64).u32(16, 1));
}

const PRINTED: &[u8] = b"'h' pressed -> showing installed handlers\n";

pub fn all() {
    let buffer = memory::pages(16);
    let room = 16 * 4096;
    print();
    say!("a line of the guest's");
    let whole = read(0, 0, 0, buffer, room);
    result(format_args!("console.whole"), whole.outcome);
    check("console.finds", contains(buffer, whole.count, PRINTED).into(), format_args!(""));
    value_at(format_args!("console.guest"), contains(buffer, whole.count, b"a line of the guest's").into());
    let again = read(0, 0, 12345, buffer, room);
    check("console.whole_ignores_index", (again.count == whole.count).into(), format_args!(""));
    check("console.index", (again.index >= again.count).into(), format_args!("{} {}", again.index, again.count));
    let nothing = read(0, 0, 0, buffer, 0);
    result(format_args!("console.no_room"), nothing.outcome);
    value_at(format_args!("console.no_room.count"), nothing.count.into());
    let few = read(0, 0, 0, buffer, 10);
    result(format_args!("console.few"), few.outcome);
    value_at(format_args!("console.few.count"), few.count.into());
    result(format_args!("console.bad_buffer"), read(0, 0, 0, 0xffff_8000_0000_0000, 10).outcome);
    result(format_args!("console.unmapped"), read(0, 0, 0, 0x1000, 10).outcome);
    result(format_args!("console.bad_clear"), read(1, 0, 0, 0x1000, 10).outcome);
    check("console.bad_clear.keeps", (read(0, 0, 0, buffer, room).count >= whole.count).into(), format_args!(""));
    incremental(buffer, room);
    cleared(buffer, room);
    keys(buffer, room);
}

fn incremental(buffer: u64, room: u32) {
    let start = read(0, 0, 0, buffer, room);
    let none = read(0, 1, start.index, buffer, room);
    result(format_args!("console.increment"), none.outcome);
    value_at(format_args!("console.increment.none"), none.count.into());
    value_at(format_args!("console.increment.none.moved"), none.index.wrapping_sub(start.index).into());
    print();
    let more = read(0, 1, none.index, buffer, room);
    check("console.increment.more", contains(buffer, more.count, PRINTED).into(), format_args!(""));
    value_at(
        format_args!("console.increment.rest"),
        (more.index.wrapping_sub(none.index).wrapping_sub(more.count)).into(),
    );
    let part = read(0, 1, none.index, buffer, 4);
    value_at(format_args!("console.increment.part"), part.count.into());
    value_at(format_args!("console.increment.part.advance"), part.index.wrapping_sub(none.index).into());
    for ahead in [1u32, 1000, 1 << 14, 1 << 20, 1 << 31] {
        let read = read(0, 1, more.index.wrapping_add(ahead), buffer, room);
        result(format_args!("console.ahead.{ahead:x}"), read.outcome);
        value_at(format_args!("console.ahead.{ahead:x}.index"), read.index.wrapping_sub(more.index).into());
        value_at(format_args!("console.ahead.{ahead:x}.all"), u64::from(read.count == more.index));
        value_at(format_args!("console.ahead.{ahead:x}.none"), u64::from(read.count == 0));
    }
    let first = read(0, 1, 0, buffer, room);
    value_at(format_args!("console.increment.first.all"), u64::from(first.count == more.index));
}

fn cleared(buffer: u64, room: u32) {
    let gone = read(1, 0, 0, buffer, room);
    result(format_args!("console.clear"), gone.outcome);
    check("console.clear.reads", (gone.count > 100).into(), format_args!("{}", gone.count));
    let empty = read(0, 0, 0, buffer, room);
    value_at(format_args!("console.clear.leaves"), empty.count.into());
    value_at(format_args!("console.clear.index"), empty.index.wrapping_sub(gone.index).into());
    print();
    let new = read(0, 0, 0, buffer, room);
    check("console.clear.goes_on", contains(buffer, new.count, PRINTED).into(), format_args!(""));
    let old = read(0, 1, 0, buffer, room);
    value_at(format_args!("console.clear.old"), u64::from(old.count == new.count));
    // Clearing while only part is read, and while reading on.
    let part = read(1, 1, gone.index, buffer, 4);
    value_at(format_args!("console.clear.part"), part.count.into());
    let rest = read(0, 0, 0, buffer, room);
    value_at(format_args!("console.clear.part.leaves"), u64::from(rest.count == new.count - 4));
    let beyond = read(1, 1, rest.index.wrapping_sub(1), buffer, room);
    value_at(format_args!("console.clear.beyond"), beyond.count.into());
}

fn keys(buffer: u64, room: u32) {
    let send = |text: u64, count: u32| make(&mut sysctl(7).u64(8, text).u32(16, count));
    let before = read(0, 0, 0, buffer, room).index;
    let text = *b"h";
    result(format_args!("keys.help"), send(text.as_ptr() as u64, 1));
    let printed = read(0, 1, before, buffer, room);
    check("keys.help.prints", contains(buffer, printed.count, PRINTED).into(), format_args!(""));
    result(format_args!("keys.none"), send(0, 0));
    result(format_args!("keys.bad"), send(0xffff_8000_0000_0000, 1));
    result(format_args!("keys.unmapped"), send(0x1000, 2));
    let unknown = *b"\x01\xff";
    result(format_args!("keys.unknown"), send(unknown.as_ptr() as u64, 2));
}
