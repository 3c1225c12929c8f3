//! A vCPU's surroundings in plain memory, for tests: an address space, devices that log, and a stack.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod host;

use std::cell::Cell;
use std::collections::BTreeMap;

use pv_cpu::registers::Registers;
use pv_cpu::trap_table::{Mode, TrapGate};
use pv_cpu::vcpu::{GuestContext, IoplView, Unreachable, VirtualCpu};

/// Words of guest memory by address, and what the context was asked for.
#[derive(Default)]
pub struct Context {
    pub memory: BTreeMap<u64, u64>,
    pub mask: Cell<u8>,
    pub iopl: IoplView,
    pub user_table: bool,
    pub unreachable: bool,
    pub switches: Vec<Mode>,
}

impl GuestContext for Context {
    fn upcall_mask(&self) -> u8 {
        self.mask.get()
    }

    fn set_upcall_mask(&self, mask: u8) {
        self.mask.set(mask);
    }

    fn iopl_view(&self) -> IoplView {
        self.iopl
    }

    fn switch_to_kernel(&mut self) {
        self.switches.push(Mode::Kernel);
    }

    fn switch_to_user(&mut self) -> bool {
        if self.user_table {
            self.switches.push(Mode::User);
        }
        self.user_table
    }

    fn write_stack<const WORDS: usize>(&mut self, to: u64, words: &[u64; WORDS]) -> Result<(), Unreachable> {
        if self.unreachable {
            return Err(Unreachable);
        }
        for (at, word) in (to..).step_by(8).zip(words) {
            self.memory.insert(at, *word);
        }
        Ok(())
    }

    fn read_iret_frame(&mut self, from: u64) -> Result<[u64; 9], Unreachable> {
        let mut words = [0; 9];
        for (at, word) in (from..).step_by(8).zip(&mut words) {
            *word = *self.memory.get(&at).ok_or(Unreachable)?;
        }
        Ok(words)
    }
}

impl Context {
    /// The bytes a frame left from `start` to `end`.
    pub fn bytes(&self, start: u64, end: u64) -> Vec<u8> {
        (start..end).step_by(8).flat_map(|at| self.memory[&at].to_le_bytes()).collect()
    }
}

/// Registers of guest code, every one different.
pub fn registers() -> Registers {
    Registers {
        rax: 0xA0,
        rbx: 0xB0,
        rcx: 0x1111_2222_3333_4444,
        rdx: 0xD0,
        r11: 0x5555_6666_7777_8888,
        rip: 0xFFFF_FFFF_8100_1234,
        cs: 0xE033,
        rflags: 0x10246,
        rsp: 0xFFFF_C900_0000_1F38,
        ss: 0xE02B,
        ..Registers::default()
    }
}

/// A vCPU in kernel mode with a handler for every vector at 0x1000 times it, and a kernel stack.
pub fn vcpu() -> VirtualCpu {
    let mut cpu = VirtualCpu { kernel_stack_pointer: 0xFFFF_C900_0000_5008, ..VirtualCpu::default() };
    for vector in 0..=255 {
        let address = 0xFFFF_FFFF_8200_0000 + u64::from(vector) * 0x1000;
        cpu.traps.set(pv_cpu::exception::Vector(vector), TrapGate::new(address, 0xE033, 0));
    }
    cpu
}
