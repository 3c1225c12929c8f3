//! A domain of eight frames: code, data and stack, and the four tables that map them, and its shared page, at [`BASE`].

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call1, call2, call3, call4};
use compat_guests::memory::{self, P, RW, US, entry, page, read, write};
use compat_guests::number::{self, event, mmuext as ext, sched};
use compat_guests::report::{result, value_at};
use compat_guests::time;

use crate::toolstack::{
    self, DESTROY, GET_CONTEXT, MAX_MEM, MAX_VCPUS, SET_CONTEXT, creation, domctl, info, map_foreign, populate,
    request, simple, unmap_foreign,
};

/// `XEN_DOMINF_shutdown`.
pub const SHUT_DOWN: u32 = 4;

/// Where [`Program::BREAKPOINT`] ends up.
pub const LOOP: u64 = BASE + 6;

/// What depends on the moment.
pub const RUNNING_OR_BLOCKED: u64 = 0x30;

/// `XEN_DOMINF_running`.
const RUNNING: u32 = 32;

const BASE: u64 = 0x4000_0000;
const STACK_END: u64 = BASE + 0x3000;
const FRAMES: usize = 8;
const FLAT_CODE: u64 = 0xe033;
const FLAT_STACK: u64 = 0xe02b;

/// What the domain does.
#[derive(Clone, Copy)]
pub struct Program(&'static [u8], [u64; 5]);

impl Program {
    /// sched_op poll of port 1 until it is pending; takes it and sends on the same port; again. The data page has the
    /// structures: poll (address of the list, its length, no timeout), send (the port), the list.
    pub const ANSWER: Program = Program(
        &[
            0xB8, 29, 0, 0, 0, 0xBF, 3, 0, 0, 0, // mov eax, sched_op; mov edi, poll
            0xBE, 0x00, 0x10, 0x00, 0x40, 0x0F, 0x05, // mov esi, ..; syscall
            0xF0, 0x0F, 0xBA, 0x34, 0x25, 0x00, 0x38, 0x00, 0x40, 1, // lock btr dword [pending], 1
            0x73, 0xE3, // jnc to the start
            0xB8, 32, 0, 0, 0, 0xBF, 4, 0, 0, 0, // mov eax, event_channel_op; mov edi, send
            0xBE, 0x18, 0x10, 0x00, 0x40, 0x0F, 0x05, // mov esi, ..; syscall
            0xEB, 0xD0, // to the start
        ],
        [BASE + 0x1020, 1, 0, 1, 1],
    );
    /// mov qword [0x40001000], 0x77; sched_op shutdown with what lies at 0x40001008.
    pub const POWER_OFF: Program = Program(
        &[
            0x48, 0xC7, 0x04, 0x25, 0x00, 0x10, 0x00, 0x40, 0x77, 0, 0, 0, // mov qword [..], 0x77
            0xB8, 29, 0, 0, 0, 0xBF, 2, 0, 0, 0, // mov eax, sched_op; mov edi, shutdown
            0xBE, 0x08, 0x10, 0x00, 0x40, 0x0F, 0x05, // mov esi, ..; syscall
            0xEB, 0xFE,
        ],
        [0; 5],
    );
    /// jmp to itself.
    pub const SPIN: Program = Program(&[0xEB, 0xFE], [0; 5]);
    /// ud2.
    pub const UNDEFINED: Program = Program(&[0x0F, 0x0B], [0; 5]);
    /// nop; int3; four nops; jmp to itself.
    pub const BREAKPOINT: Program = Program(&[0x90, 0xCC, 0x90, 0x90, 0x90, 0x90, 0xEB, 0xFE], [0; 5]);
    /// inc qword [0x40001000]; sched_op yield; again.
    pub const FOR_EVER: Program = Program(
        &[
            0x48, 0xFF, 0x04, 0x25, 0x00, 0x10, 0x00, 0x40, // inc qword [..]
            0xB8, 29, 0, 0, 0, 0x31, 0xFF, 0x0F, 0x05, // mov eax, sched_op; xor edi, edi; syscall
            0xEB, 0xED,
        ],
        [0; 5],
    );
}

/// Such a domain.
pub struct Guest {
    pub id: u16,
    pub frames: [u64; FRAMES],
    program: Program,
}

fn note(silent: bool, name: &str, outcome: i64) -> bool {
    if !silent {
        result(format_args!("{name}"), outcome);
    }
    outcome == 0
}

impl Guest {
    /// Builds it; the steps' results are observations. It is paused.
    pub fn build(program: Program) -> Option<Self> {
        Self::make(program, false)
    }

    /// Builds it without saying how it goes.
    pub fn build_silently(program: Program) -> Option<Self> {
        Self::make(program, true)
    }

    fn make(program: Program, silent: bool) -> Option<Self> {
        let mut made = creation();
        if !note(silent, "build.create", domctl(&mut made)) {
            return None;
        }
        let id = made.get_u16(8);
        note(silent, "build.vcpus", domctl(&mut request(MAX_VCPUS, id).u32(16, 2)));
        note(silent, "build.memory", domctl(&mut request(MAX_MEM, id).u64(16, 64)));
        let (done, frames) = populate::<FRAMES>(id, 0);
        if done != FRAMES as i64 {
            note(silent, "build.populate", done);
            return None;
        }
        let guest = Self { id, frames, program };
        guest.fill(silent);
        let root = guest.frames[6];
        note(silent, "build.pin", mmuext_of(id, ext::PIN_L4, root));
        note(silent, "build.context", guest.start());
        if !silent {
            note(silent, "build.context-again", guest.start());
            guest.kinds();
        }
        Some(guest)
    }

    /// Writes code, data and tables through mappings of our own.
    fn fill(&self, silent: bool) {
        let [code, data, stack, level1, level2, level3, level4, _] = self.frames;
        let Some(told) = info(self.id) else { return };
        let shared_frame = told.get_u64(16 + 48);
        let leaf = P | RW | US;
        let mut words = [0u64; 8];
        for (index, byte) in self.program.0.iter().enumerate() {
            words[index / 8] |= u64::from(*byte) << (8 * (index % 8));
        }
        self.write(silent, code, &words);
        self.write(silent, data, &self.program.1);
        let leaves = [code, data, stack, shared_frame].map(|frame| entry(frame, leaf));
        self.write(silent, level1, &leaves);
        self.write(silent, level2, &[entry(level1, leaf)]);
        self.write(silent, level3, &[0, entry(level2, leaf)]);
        self.write(silent, level4, &[entry(level3, leaf)]);
        let (mapped, shared) = map_foreign(shared_frame, self.id);
        note(silent, "build.shared", mapped);
        for vcpu in 0..32 {
            let masks = read(shared + 64 * vcpu) | 1 << 8;
            write(shared + 64 * vcpu, masks);
        }
        unmap_foreign(shared);
    }

    fn write(&self, silent: bool, frame: u64, words: &[u64]) {
        let (mapped, address) = map_foreign(frame, self.id);
        if mapped == 0 {
            toolstack::fill(address, words);
        } else if !silent {
            result(format_args!("build.map"), mapped);
        }
        unmap_foreign(address);
    }

    /// Gives vCPU 0 its context.
    fn start(&self) -> i64 {
        let context = memory::pages(2);
        for word in 0..1024 {
            write(context + 8 * word, 0);
        }
        let registers = context + 512 + 8;
        write(context + 512, 1 << 2 | 1 << 5);
        write(registers + 128, BASE);
        write(registers + 136, FLAT_CODE);
        write(registers + 144, 0x200);
        write(registers + 152, STACK_END);
        write(registers + 160, FLAT_STACK);
        let after = context + 512 + 8 + 200 + 4096 + 16 + 128 + 8;
        write(after, FLAT_STACK);
        write(after + 8, STACK_END);
        write(after + 16 + 24, self.frames[6] << 12);
        domctl(&mut request(SET_CONTEXT, self.id).u64(24, context))
    }

    /// Reads vCPU 0's context back, as far as it does not depend on the moment.
    pub fn context(&self, when: &str) {
        let context = memory::pages(2);
        result(format_args!("{when}.context"), domctl(&mut request(GET_CONTEXT, self.id).u64(24, context)));
        let registers = context + 512 + 8;
        // Xen says of FPU state that it is valid only when the guest has used it.
        value_at(format_args!("{when}.context.flags"), read(context + 512) & !1);
        value_at(format_args!("{when}.context.cs"), read(registers + 136) & 0xffff);
        // Not RF: an interrupt of its own instruction leaves it set, a call that it was in does not.
        value_at(format_args!("{when}.context.rflags"), read(registers + 144) & 0x2f200);
        value_at(format_args!("{when}.context.rsp"), read(registers + 152));
        value_at(format_args!("{when}.context.ss"), read(registers + 160) & 0xffff);
        let after = context + 512 + 8 + 200 + 4096 + 16 + 128 + 8;
        value_at(format_args!("{when}.context.kernel-ss"), read(after));
        value_at(format_args!("{when}.context.kernel-sp"), read(after + 8));
        value_at(format_args!("{when}.context.cr4"), read(after + 16 + 32));
        value_at(format_args!("{when}.context.cr3"), read(after + 16 + 24) ^ self.frames[6] << 12);
        value_at(format_args!("{when}.context.cr1"), read(after + 16 + 8));
        value_at(format_args!("{when}.context.dr6"), read(after + 80 + 48));
        value_at(format_args!("{when}.context.dr7"), read(after + 80 + 56));
        value_at(format_args!("{when}.context.assists"), read(after + 16 + 64 + 64 + 24));
    }

    /// Where vCPU 0 goes on.
    pub fn instruction_pointer(&self) -> u64 {
        let context = memory::pages(2);
        domctl(&mut request(GET_CONTEXT, self.id).u64(24, context));
        read(context + 512 + 8 + 128)
    }

    /// Changes vCPU 0's flags register.
    pub fn set_flags(&self, flags: u64) -> i64 {
        let context = memory::pages(2);
        domctl(&mut request(GET_CONTEXT, self.id).u64(24, context));
        write(context + 512 + 8 + 144, flags);
        domctl(&mut request(SET_CONTEXT, self.id).u64(24, context))
    }

    /// What its frames are used as.
    fn kinds(&self) {
        let mut names = Buffer::<64>::new();
        for (index, frame) in self.frames.iter().enumerate() {
            names = names.u64(8 * index, *frame);
        }
        let place = names.address();
        domctl(&mut request(toolstack::FRAME_INFO, self.id).u64(16, FRAMES as u64).u64(24, place));
        for index in 0..FRAMES {
            value_at(format_args!("build.kind.{index}"), names.get_u64(8 * index));
        }
        let (mapped, _) = map_foreign(self.frames[3], self.id);
        result(format_args!("build.map-table"), mapped);
    }

    /// The first word of its data page.
    pub fn read_word(&self) -> u64 {
        let (mapped, address) = map_foreign(self.frames[1], self.id);
        if mapped != 0 {
            return u64::MAX;
        }
        let word = read(address);
        unmap_foreign(address);
        word
    }

    /// Whether its counter goes on.
    pub fn runs(&self) -> bool {
        let before = self.read_word();
        (0..2000).any(|_| {
            breathe();
            self.read_word() > before
        })
    }

    /// An entry in its grant table lets us map its data page.
    pub fn grant(&self) {
        let mut frame = Buffer::<8>::new();
        let mut asked = Buffer::<32>::new().u16(0, self.id).u16(2, 1).u32(8, 1).u64(24, frame.address());
        result(format_args!("grant.resource"), call2(number::MEMORY_OP, 28, asked.address()));
        let (mapped, table) = map_foreign(frame.get_u64(0), self.id);
        result(format_args!("grant.map-table"), mapped);
        if mapped != 0 {
            return;
        }
        // Entry 8: flags 1 (permit access), domain 0, frame.
        write(table + 64, 1 | self.frames[1] << 32);
        unmap_foreign(table);
        let at = page();
        let mut map = Buffer::<32>::new().u64(0, at).u32(8, 2).u32(12, 8).u16(16, self.id);
        result(format_args!("grant.map"), call3(number::GRANT_TABLE_OP, 0, map.address(), 1));
        result(format_args!("grant.status"), i64::from(map.get_u16(18) as i16));
        if map.get_u16(18) != 0 {
            return;
        }
        write(at + 16, 0x1234);
        let mut unmap = Buffer::<24>::new().u64(0, at).u32(16, map.get_u32(20));
        result(format_args!("grant.unmap"), call3(number::GRANT_TABLE_OP, 1, unmap.address(), 1));
        result(format_args!("grant.unmap.status"), i64::from(unmap.get_u16(20) as i16));
        let (_, address) = map_foreign(self.frames[1], self.id);
        value_at(format_args!("grant.written"), read(address + 16));
        unmap_foreign(address);
    }
}

/// One `mmuext_op` on another domain's frames.
pub fn mmuext_of(domain: u16, command: u64, first: u64) -> i64 {
    let operation = [command, first, 0];
    call4(number::MMUEXT_OP, operation.as_ptr() as u64, 1, 0, u64::from(domain))
}

/// Lets others run for a little while.
pub fn breathe() {
    call2(number::SCHED_OP, sched::YIELD, 0);
    time::poll(&[], time::now() + 1_000_000);
}

/// Waits until a domain has a flag, and then until no CPU runs it: the flag comes first.
pub fn wait(id: u16, flag: u32) -> bool {
    let flags = || info(id).map_or(0, |told| told.get_u32(16 + 4));
    let until = |condition: &dyn Fn(u32) -> bool| {
        (0..5000).any(|_| {
            breathe();
            condition(flags())
        })
    };
    until(&|flags| flags & flag != 0) && (flag != SHUT_DOWN || until(&|flags| flags & RUNNING == 0))
}

/// Destroys a domain for good: the last result, and -1 if it does not go.
pub fn until_gone(id: u16) -> i64 {
    for _ in 0..5000 {
        if info(id).is_none() {
            return 0;
        }
        breathe();
    }
    let _ = simple(DESTROY, id);
    -1
}

/// Binds the VIRQ that says that a domain's state changed.
pub fn bind_domain_virq() -> u32 {
    bind_virq(3)
}

/// Binds a VIRQ of the whole machine.
pub fn bind_virq(virq: u32) -> u32 {
    let mut bind = Buffer::<16>::new().u32(0, virq);
    result(format_args!("virq.bind"), call2(number::EVENT_CHANNEL_OP, event::BIND_VIRQ, bind.address()));
    bind.get_u32(8)
}

/// Closes a port; it is not pending then.
pub fn close(port: u32) {
    call2(number::EVENT_CHANNEL_OP, event::CLOSE, Buffer::<8>::new().u32(0, port).address());
}

/// Whether an event is pending.
pub fn is_pending(port: u32) -> bool {
    let words = memory::shared_info() + 2048;
    read(words + 8 * u64::from(port / 64)) >> (port % 64) & 1 != 0
}

/// Free pages of the machine; 0 when nobody says.
pub fn free_pages() -> u64 {
    let mut asked = Buffer::<136>::new().u32(0, 3).u32(4, 0x15);
    if call1(number::SYSCTL, asked.address()) != 0 {
        return 0;
    }
    // Those that wait to be scrubbed are as good as free.
    asked.get_u64(8 + 48) + asked.get_u64(8 + 56)
}
