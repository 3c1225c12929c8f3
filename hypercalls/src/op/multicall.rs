//! multicall: a list of calls in one entry. Source: Xen public header `xen.h` (`multicall_entry`).
//!
//! Each 64-byte entry is copied in once, a few at a time: the list is the guest's own, so an entry that an earlier call
//! of the same list rewrites may be seen old. Results are written entry by entry, so that what was done is known
//! whatever happens next. Progress lives in the arguments (the rest of the list) and, for a preempted entry, in that
//! entry itself. Hot path: kernels batch their page-table updates here.

use abi::multicall::MulticallEntry;
use abi::{Call, Errno, GuestHandle};
use zerocopy::FromZeros;

use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::{self, Arguments, Outcome};

/// Entries copied in at once.
const BATCH: usize = 4;
/// Place of the result in an entry, counted in words.
const RESULT_WORD: u64 = 1;

/// How the list goes on after an entry.
enum After {
    Next,
    End(Outcome),
}

/// multicall(13): `count` entries from `list`, each carried out by `route`. Returns 0 even if entries failed.
/// Errors: `EFAULT` for a list that cannot be read or a result that cannot be written.
#[inline]
pub fn multicall<H: GuestMemory + Preemption>(
    host: &mut H,
    list: GuestHandle<MulticallEntry>,
    count: u32,
    route: impl Fn(&mut H, u64, &Arguments) -> Outcome,
) -> Outcome {
    if guest::check_array(list, u64::from(count)).is_err() {
        return fault();
    }
    let mut entries = [MulticallEntry::new_zeroed(); BATCH];
    let mut index = 0;
    while index < count {
        let Some(batch) = fetch(host, list, index, count, &mut entries) else {
            return fault();
        };
        for entry in &*batch {
            if index != 0 && host.preempted() {
                return rest(list, index, count);
            }
            match run(host, list, index, count, entry, &route) {
                After::Next => index += 1,
                After::End(outcome) => return outcome,
            }
        }
    }
    Outcome::Done(0)
}

fn fault() -> Outcome {
    Outcome::Done(Errno::EFAULT.to_register())
}

/// The call again, for the entries from `index` on.
fn rest(list: GuestHandle<MulticallEntry>, index: u32, count: u32) -> Outcome {
    let list = list.element(u64::from(index)).address().0;
    Outcome::Continue { call: Call::MULTICALL.0, arguments: [list, u64::from(count - index), 0, 0, 0, 0] }
}

/// Copies the next entries in; only one if a later one cannot be read, so that those before it still run.
fn fetch<'a, H: GuestMemory>(
    host: &H,
    list: GuestHandle<MulticallEntry>,
    index: u32,
    count: u32,
    entries: &'a mut [MulticallEntry; BATCH],
) -> Option<&'a mut [MulticallEntry]> {
    let wanted = (count - index).min(BATCH as u32) as usize;
    let fits = guest::read_array(host, list, u64::from(index), entries.get_mut(..wanted)?).is_ok();
    let batch = entries.get_mut(..if fits { wanted } else { 1 })?;
    if !fits {
        guest::read_array(host, list, u64::from(index), batch).ok()?;
    }
    Some(batch)
}

/// Runs one entry and writes back what became of it.
#[inline]
fn run<H: GuestMemory>(
    host: &mut H,
    list: GuestHandle<MulticallEntry>,
    index: u32,
    count: u32,
    entry: &MulticallEntry,
    route: &impl Fn(&mut H, u64, &Arguments) -> Outcome,
) -> After {
    let place = list.element(u64::from(index));
    let outcome = if entry.call == u64::from(Call::MULTICALL.0) {
        Outcome::Done(Errno::EINVAL.to_register())
    } else {
        route(host, entry.call, &entry.arguments)
    };
    match outcome {
        Outcome::Done(result) => match guest::write(host, place.cast::<u64>().element(RESULT_WORD), &result) {
            Ok(()) => After::Next,
            Err(_) => After::End(fault()),
        },
        Outcome::Continue { call, arguments } => {
            let arguments = outcome::continued(call, entry.arguments, &arguments);
            let continued = MulticallEntry { call: u64::from(call), result: entry.result, arguments };
            match guest::write(host, place, &continued) {
                Ok(()) => After::End(rest(list, index, count)),
                Err(_) => After::End(fault()),
            }
        }
        // The guest runs elsewhere now, or not at all: the rest of the list is not for it.
        Outcome::RegistersReplaced | Outcome::CrashGuest(_) => After::End(outcome),
    }
}
