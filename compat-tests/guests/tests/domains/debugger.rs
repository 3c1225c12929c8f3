//! What debuggers and monitors ask of a domain: single steps, gdbsx, which is not built in, cache monitoring and division,
//! and breakpoints of a domain that a debugger is said to be attached to.

use compat_guests::report::{check, result, value_at};

use crate::guest::{self, Guest, Program};
use crate::toolstack::{DESTROY, MAX_VCPUS, UNPAUSE, creation, domctl, info, request, simple};

const SET_DEBUGGING: u32 = 18;
const DEBUG: u32 = 54;
const CACHE_MONITORING: u32 = 75;
const CACHE_DIVISION: u32 = 78;
/// Memory, pause of a vCPU, its end, status.
const DEBUGGER: [u32; 4] = [1000, 1001, 1002, 1003];

/// All of it.
pub fn debugger() {
    steps("own", 0);
    for command in [DEBUG, CACHE_MONITORING, CACHE_DIVISION, 88, 90].into_iter().chain(DEBUGGER) {
        result(format_args!("debugger.nobody.{command}"), simple(command, 999));
    }
    let mut made = creation();
    result(format_args!("debugger.create"), domctl(&mut made));
    let id = made.get_u16(8);
    steps("unmade", id);
    result(format_args!("debugger.vcpus"), domctl(&mut request(MAX_VCPUS, id).u32(16, 2)));
    steps("made", id);
    caches(id);
    for command in [88, 89, 90, 91].into_iter().chain(DEBUGGER) {
        result(format_args!("debugger.absent.{command}"), simple(command, id));
    }
    result(format_args!("debugger.destroy"), simple(DESTROY, id));
    result(format_args!("debugger.destroyed"), guest::until_gone(id));
    breakpoint();
    attached();
}

fn steps(when: &str, id: u16) {
    for vcpu in [0u32, 1, 2, 5000, u32::MAX] {
        for step in [0u32, 1, 2, 9] {
            let mut asked = request(DEBUG, id).u32(16, step).u32(20, vcpu);
            result(format_args!("step.{when}.{vcpu}.{step}"), domctl(&mut asked));
        }
    }
}

/// On a CPU that neither watches nor divides its caches.
fn caches(id: u16) {
    for command in (0..5u32).chain([99, u32::MAX]) {
        let mut asked = request(CACHE_MONITORING, id).u32(16, command).u32(20, 0x5555);
        result(format_args!("monitoring.{command}"), domctl(&mut asked));
        value_at(format_args!("monitoring.{command}.data"), asked.get_u32(20).into());
    }
    for command in (0..12u32).chain([99, u32::MAX]) {
        for socket in [0, 7] {
            let mut asked = request(CACHE_DIVISION, id).u32(16, command).u32(20, socket).u64(24, 1);
            result(format_args!("division.{command}.{socket}"), domctl(&mut asked));
        }
    }
}

fn flags(id: u16) -> u64 {
    info(id).map_or(0, |told| told.get_u32(16 + 4)).into()
}

/// Without a debugger it is an exception, for which the domain has no handler.
fn breakpoint() {
    let Some(guest) = Guest::build_silently(Program::BREAKPOINT) else { return };
    result(format_args!("breakpoint.start"), simple(UNPAUSE, guest.id));
    check("breakpoint.crashes", guest::wait(guest.id, guest::SHUT_DOWN).into(), format_args!(""));
    value_at(format_args!("breakpoint.flags"), flags(guest.id));
    value_at(format_args!("breakpoint.rip"), guest.instruction_pointer());
    result(format_args!("breakpoint.destroy"), simple(DESTROY, guest.id));
    result(format_args!("breakpoint.destroyed"), guest::until_gone(guest.id));
}

/// With one, breakpoints and single steps of its kernel are the debugger's. There is none, and the domain goes on.
fn attached() {
    let Some(guest) = Guest::build_silently(Program::BREAKPOINT) else { return };
    result(format_args!("attached.attach"), domctl(&mut request(SET_DEBUGGING, guest.id).u32(16, 1)));
    let port = guest::bind_virq(6);
    result(format_args!("attached.start"), simple(UNPAUSE, guest.id));
    let goes_on = (0..2000).any(|_| {
        guest::breathe();
        guest.instruction_pointer() == guest::LOOP
    });
    check("attached.goes-on", goes_on.into(), format_args!("{:#x}", guest.instruction_pointer()));
    value_at(format_args!("attached.flags"), flags(guest.id) & !guest::RUNNING_OR_BLOCKED);
    value_at(format_args!("attached.virq"), guest::is_pending(port).into());
    result(format_args!("attached.step"), guest.set_flags(0x300));
    for _ in 0..20 {
        guest::breathe();
    }
    value_at(format_args!("attached.stepped.flags"), flags(guest.id) & !guest::RUNNING_OR_BLOCKED);
    value_at(format_args!("attached.stepped.rip"), guest.instruction_pointer());
    result(format_args!("attached.detach"), domctl(&mut request(SET_DEBUGGING, guest.id).u32(16, 0)));
    check("detached.crashes", guest::wait(guest.id, guest::SHUT_DOWN).into(), format_args!(""));
    value_at(format_args!("detached.flags"), flags(guest.id));
    value_at(format_args!("detached.rip"), guest.instruction_pointer());
    guest::close(port);
    result(format_args!("detached.destroy"), simple(DESTROY, guest.id));
    result(format_args!("detached.destroyed"), guest::until_gone(guest.id));
}
