//! What operations cost in instructions, the caller's few included: `COST name=instructions`.
//!
//! Runs with the time stamp counter ticking once an instruction. Every row is run a few times to warm up, then measured
//! over many rounds; the figure is the mean, rounded.
#![no_std]
#![no_main]

mod entries;

use compat_guests::buffer::Buffer;
use compat_guests::events;
use compat_guests::hypercall::{call, call1, call2, call3, mmu_update, mmuext, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, READ_ONLY, entry, mfn_of, page};
use compat_guests::number::{self, event, mmuext as ext, sched, vcpu};
use compat_guests::trap::{self, TrapInfo};
use compat_guests::user::{self, Entry};
use compat_guests::{report, say, smp, start, time};
use core::arch::asm;
use core::sync::atomic::Ordering;

compat_guests::guest!(main);

const ROUNDS: u64 = 200;

/// Measures an operation over [`ROUNDS`].
#[inline(always)]
fn cost(name: &str, mut operation: impl FnMut(u64)) {
    for round in 0..8 {
        operation(round);
    }
    let before = time::tsc();
    for round in 0..ROUNDS {
        operation(round);
    }
    let after = time::tsc();
    print(name, after - before, ROUNDS);
}

fn print(name: &str, total: u64, rounds: u64) {
    say!("COST {name}={}", (total + rounds / 2) / rounds);
}

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    simple_calls();
    page_tables();
    event_channels();
    grants();
    reservations();
    emulation();
    bounces();
    report::value("done", 1);
}

fn simple_calls() {
    cost("null hypercall (xen_version)", |_| _ = call2(number::XEN_VERSION, 0, 0));
    cost("unknown hypercall number", |_| _ = call1(63, 0));
    let mut list = [[0u64; 8]; 32];
    for one in &mut list {
        one[0] = number::XEN_VERSION;
    }
    cost("multicall of 32 xen_version", |_| {
        for one in &mut list {
            one[0] = number::XEN_VERSION;
        }
        call2(number::MULTICALL, list.as_ptr() as u64, 32);
    });
    cost("sched_op yield", |_| _ = call2(number::SCHED_OP, sched::YIELD, 0));
    cost("stack_switch", |_| _ = call2(number::STACK_SWITCH, 0xe02b, 0xffff_ffff_8050_0000));
    cost("set_segment_base", |_| _ = call2(number::SET_SEGMENT_BASE, 0, 0));
    cost("fpu_taskswitch", |_| _ = call1(number::FPU_TASKSWITCH, 0));
    let later = time::now() + 1_000_000_000;
    cost("set_timer_op", |round| _ = call1(number::SET_TIMER_OP, later + round));
    call1(number::SET_TIMER_OP, 0);
    cost("vcpu_op is_up", |_| _ = smp::operation(vcpu::IS_UP, 0, 0));
}

fn page_tables() {
    let target = page();
    let frame = mfn_of(target);
    cost("update_va_mapping, invlpg", |round| {
        let flags = if round & 1 == 0 { READ_ONLY } else { DATA };
        update_va_mapping(target, entry(frame, flags), INVLPG);
    });
    memory::make_writable(target);
    let at = memory::entry_address(target, 1);
    cost("mmu_update, 1 entry", |round| {
        let flags = if round & 1 == 0 { READ_ONLY } else { DATA };
        mmu_update(at, entry(frame, flags));
    });
    memory::make_writable(target);
    let many = memory::pages(64);
    let mut updates = [[0u64; 2]; 64];
    for (index, update) in updates.iter_mut().enumerate() {
        let address = many + index as u64 * 4096;
        *update = [memory::entry_address(address, 1), entry(mfn_of(address), DATA)];
    }
    cost("mmu_update, 64 entries", |_| {
        for update in &mut updates {
            update[1] ^= 2;
        }
        call(number::MMU_UPDATE, [updates.as_ptr() as u64, 64, 0, number::DOMID_SELF, 0]);
    });
    cost("mmuext TLB_FLUSH_LOCAL", |_| _ = mmuext(ext::TLB_FLUSH_LOCAL, 0, 0));
    cost("mmuext INVLPG_LOCAL", |_| _ = mmuext(ext::INVLPG_LOCAL, target, 0));
    let base = mfn_of(start::pt_base());
    cost("mmuext NEW_BASEPTR", |_| _ = mmuext(ext::NEW_BASEPTR, base, 0));
    let table = page();
    for index in 0..512 {
        memory::write(table + index * 8, entry(frame, DATA));
    }
    memory::make_read_only(table);
    let table_frame = mfn_of(table);
    cost("pin + unpin of a full L1", |_| {
        mmuext(ext::PIN_L1, table_frame, 0);
        mmuext(ext::UNPIN, table_frame, 0);
    });
}

fn event_channels() {
    let Ok(port) = events::bind_ipi(0) else { return };
    events::mask(port);
    events::on_port(event::SEND, port);
    cost("evtchn send, masked and pending", |_| _ = events::on_port(event::SEND, port));
    events::clear_pending(port);
    events::unmask_by_hand(port);
    entries::PENDING_BYTE.store(memory::shared_info(), Ordering::Relaxed);
    entries::PENDING_WORD.store(events::pending_word(port).as_ptr() as u64, Ordering::Relaxed);
    trap::register_callback(0, 0, &raw const entries::entry_upcall as u64);
    events::drain(0);
    events::upcall_mask(0).store(0, Ordering::SeqCst);
    cost("evtchn send to self, upcall and iret", |_| _ = events::on_port(event::SEND, port));
    events::mask_upcalls();
    trap::register_callback(0, 0, trap::stub(trap::EVENT));
    events::on_port(event::CLOSE, port);
    cost("evtchn alloc_unbound + close", |_| {
        if let Ok(port) = events::alloc_unbound(number::DOMID_SELF as u16) {
            events::on_port(event::CLOSE, port);
        }
    });
}

fn grants() {
    let frames = page();
    let mut setup = Buffer::<24>::new().u16(0, number::DOMID_SELF as u16).u32(4, 1).u64(16, frames);
    call3(number::GRANT_TABLE_OP, 2, setup.address(), 1);
    let Some(table) = memory::window(memory::read(frames)) else { return };
    let (shared, at) = (page(), page());
    memory::write(table + 9 * 8, mfn_of(shared) << 32 | 1);
    cost("grant map + unmap", |_| {
        let mut map = Buffer::<32>::new().u64(0, at).u32(8, 2).u32(12, 9);
        call3(number::GRANT_TABLE_OP, 0, map.address(), 1);
        let mut unmap = Buffer::<24>::new().u64(0, at).u32(16, map.get_u32(20));
        call3(number::GRANT_TABLE_OP, 1, unmap.address(), 1);
    });
    let target = mfn_of(page());
    let copy = |length: u16| {
        Buffer::<40>::new().u64(0, 9).u64(16, target).u16(24, number::DOMID_SELF as u16).u16(32, length).u16(34, 1)
    };
    for (name, length) in [("grant copy 4096 B", 4096u16), ("grant copy 64 B", 64)] {
        let mut argument = copy(length);
        cost(name, |_| _ = call3(number::GRANT_TABLE_OP, 5, argument.address(), 1));
    }
    let mut batch: [Buffer<40>; 16] = core::array::from_fn(|_| copy(1500));
    cost("grant copy, 16 x 1500 B", |_| _ = call3(number::GRANT_TABLE_OP, 5, batch[0].address(), 16));
}

fn reservations() {
    let away = page();
    let pfn = memory::pfn_of(mfn_of(away));
    let mut frame = mfn_of(away);
    update_va_mapping(away, 0, INVLPG);
    let reservation = |command: u64, extents: u64| {
        let mut argument = Buffer::<32>::new().u64(0, extents).u64(8, 1).u16(24, number::DOMID_SELF as u16);
        call2(number::MEMORY_OP, command, argument.address())
    };
    cost("balloon one page out and in", |_| {
        reservation(number::memory::DECREASE_RESERVATION, &raw const frame as u64);
        let mut extent = pfn;
        reservation(number::memory::POPULATE_PHYSMAP, &raw mut extent as u64);
        // SAFETY: the call replaced the pfn by a frame.
        frame = unsafe { core::ptr::read_volatile(&extent) };
    });
}

fn emulation() {
    let mut argument = Buffer::<8>::new().u32(0, 1);
    call2(number::PHYSDEV_OP, 6, argument.address());
    // SAFETY of all below: emulated reads without side effects.
    cost("forced-emulation CPUID", |_| unsafe {
        asm!("mov r9, rbx", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2", "mov rbx, r9",
            inout("rax") 1u64 => _, inout("rcx") 0u64 => _, out("rdx") _, out("r9") _)
    });
    cost("emulated RDMSR EFER", |_| unsafe { asm!("rdmsr", in("ecx") 0xc000_0080u32, out("eax") _, out("edx") _) });
    cost("emulated MOV from CR0", |_| unsafe { asm!("mov {}, cr0", out(reg) _) });
    cost("emulated IN", |_| unsafe { asm!("in al, 0x80", out("al") _) });
}

fn bounces() {
    let mut faults = [TrapInfo::new(14, 0), TrapInfo::default()];
    faults[0].address = &raw const entries::entry_fault as u64;
    call1(number::SET_TRAP_TABLE, faults.as_ptr() as u64);
    entries::fault_loop(8);
    let before = time::tsc();
    entries::fault_loop(ROUNDS);
    print("page fault bounce and iret", time::tsc() - before, ROUNDS);
    trap::install();
    if user::prepare().is_err() {
        return;
    }
    trap::register_callback(2, 0, &raw const entries::entry_syscall as u64);
    let user = Entry { rip: &raw const entries::user_loop as u64, flags: 0x202, selector: 0xe033 };
    if let Some(caught) = user::run(user) {
        print("user syscall bounce and iret", caught.entry_registers[0], 100);
    }
    trap::register_callback(2, 0, trap::stub(trap::SYSCALL));
}
