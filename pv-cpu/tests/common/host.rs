//! A host for instruction emulation: memory, ports and registers that log.

use std::collections::{BTreeMap, VecDeque};

use pv_cpu::decode::{CodeWidth, Fetch, Segment, Unmapped};
use pv_cpu::ports::PortHost;
use pv_cpu::privileged::{BaseSwitch, CpuidPath, PrivilegedHost, Refused, SegmentView};
use pv_cpu::registers::Registers;
use pv_cpu::trap_table::Mode;
use pv_cpu::vcpu::{IoplView, VirtualCpu};

pub const CODE: u64 = 0x40_0000;

#[derive(Default)]
pub struct Host {
    /// Mapped pages by page number.
    pub pages: BTreeMap<u64, Vec<u8>>,
    pub log: Vec<String>,
    pub inputs: VecDeque<u32>,
    pub permitted: Vec<std::ops::RangeInclusive<u16>>,
    pub latch: u32,
    pub iopl: IoplView,
    pub msrs: BTreeMap<u32, u64>,
    pub hardware_msrs: Vec<u32>,
    pub segment_base: u64,
    pub code_width: Option<CodeWidth>,
    pub preempt_after: Option<usize>,
    pub polls: std::cell::Cell<usize>,
    pub cr2: u64,
    pub aux: Option<u32>,
    pub fetches: usize,
}

impl Host {
    /// One page of code at [`CODE`].
    pub fn with_code(code: &[u8]) -> Self {
        let mut host = Host { aux: Some(7), ..Host::default() };
        host.map(CODE);
        host.poke(CODE, code);
        host
    }

    pub fn map(&mut self, address: u64) {
        self.pages.insert(address >> 12, vec![0; 4096]);
    }

    pub fn poke(&mut self, address: u64, bytes: &[u8]) {
        for (at, byte) in (address..).zip(bytes) {
            self.pages.get_mut(&(at >> 12)).unwrap()[at as usize & 0xFFF] = *byte;
        }
    }

    pub fn peek(&self, address: u64) -> Option<u8> {
        self.pages.get(&(address >> 12)).map(|page| page[address as usize & 0xFFF])
    }

    fn copy(&self, from: u64, into: &mut [u8]) -> Result<(), Unmapped> {
        for (at, byte) in (from..).zip(into) {
            *byte = self.peek(at).ok_or(Unmapped { address: at, code: 0 })?;
        }
        Ok(())
    }
}

impl Fetch for Host {
    fn fetch(&mut self, from: u64, into: &mut [u8]) -> Result<(), Unmapped> {
        assert_eq!(from >> 12, (from + into.len() as u64 - 1) >> 12, "a fetch lies in one page");
        self.fetches += 1;
        self.copy(from, into)
    }

    fn fetch_word(&mut self, from: u64) -> Option<u64> {
        let mut word = [0; 8];
        (from & 0xFFF <= 0xFF8 && self.copy(from, &mut word).is_ok()).then(|| u64::from_le_bytes(word))
    }
}

impl PortHost for Host {
    fn permitted(&self, first: u16, last: u16) -> bool {
        self.permitted.iter().any(|range| range.contains(&first) && range.contains(&last))
    }
    fn hardware_in(&mut self, port: u16, width: u8) -> u32 {
        self.log.push(format!("in{width} {port:#x}"));
        self.inputs.pop_front().unwrap_or(0x1234_5678)
    }
    fn hardware_out(&mut self, port: u16, width: u8, value: u32) {
        self.log.push(format!("out{width} {port:#x} {value:#x}"));
    }
    fn config_address(&mut self) -> &mut u32 {
        &mut self.latch
    }
    fn config_read(&mut self, offset: u8, width: u8) -> u32 {
        self.log.push(format!("config read{width} +{offset}"));
        0xCAFE_BABE
    }
    fn config_write(&mut self, offset: u8, width: u8, value: u32) {
        self.log.push(format!("config write{width} +{offset} {value:#x}"));
    }
    fn clock_read(&mut self, port: u16) -> u8 {
        self.log.push(format!("clock read {port:#x}"));
        0x70
    }
    fn clock_write(&mut self, port: u16, value: u8) {
        self.log.push(format!("clock write {port:#x} {value:#x}"));
    }
    fn timer_read(&mut self, port: u16) -> u8 {
        self.log.push(format!("timer read {port:#x}"));
        0x42
    }
    fn timer_write(&mut self, port: u16, value: u8) {
        self.log.push(format!("timer write {port:#x} {value:#x}"));
    }
}

impl PrivilegedHost for Host {
    fn segment(&mut self, which: Segment, registers: &Registers) -> Option<SegmentView> {
        let width = match which {
            Segment::Code if registers.cs == 0xE033 => Some(CodeWidth::Long),
            Segment::Code => self.code_width,
            _ => Some(CodeWidth::Protected32),
        };
        Some(SegmentView { base: self.segment_base, limit: u32::MAX, width: width? })
    }
    fn read_data(&mut self, from: u64, into: &mut [u8]) -> Result<(), Unmapped> {
        self.copy(from, into)
    }
    fn write_data(&mut self, to: u64, from: &[u8]) -> Result<(), Unmapped> {
        for at in (to..).take(from.len()) {
            self.peek(at).ok_or(Unmapped { address: at, code: 0 })?;
        }
        self.poke(to, from);
        Ok(())
    }
    fn read_kernel_byte(&mut self, from: u64) -> Option<u8> {
        self.peek(from)
    }
    fn preempted(&self) -> bool {
        self.polls.set(self.polls.get() + 1);
        self.preempt_after.is_some_and(|limit| self.polls.get() >= limit)
    }
    fn iopl_view(&self) -> IoplView {
        self.iopl
    }
    fn host_cr0(&self) -> u64 {
        0x8005_003B
    }
    fn host_cr4(&self) -> u64 {
        0x35_06E0
    }
    fn cr4_policy(&self) -> u64 {
        pv_cpu::control::cr4::GUEST_CHOICE
    }
    fn cr2(&self) -> u64 {
        self.cr2
    }
    fn set_cr2(&mut self, value: u64) {
        self.cr2 = value;
    }
    fn cr3(&self) -> u64 {
        0x1234_5000
    }
    fn set_cr3(&mut self, value: u64) -> BaseSwitch {
        self.log.push(format!("cr3 {value:#x}"));
        match value {
            0x1000 => BaseSwitch::Refused,
            0x2000 => BaseSwitch::Preempted,
            _ => BaseSwitch::Done,
        }
    }
    fn load_control(&mut self, cpu: &VirtualCpu) {
        self.log.push(format!("control ts={} cr4={:#x}", cpu.control.is_task_switched(), cpu.control.cr4()));
    }
    fn load_debug(&mut self, cpu: &VirtualCpu) {
        self.log.push(format!("debug {:#x}", cpu.debug.hardware_dr7()));
    }
    fn cpuid(&mut self, cpu: &VirtualCpu, leaf: u32, subleaf: u32, path: CpuidPath) -> [u32; 4] {
        self.log.push(format!("cpuid {leaf:#x}.{subleaf} {path:?} {:?}", cpu.mode == Mode::Kernel));
        [1, 2, 3, 4]
    }
    fn time_stamp(&mut self) -> u64 {
        0x1_0000_0002
    }
    fn time_stamp_aux(&mut self) -> Option<u32> {
        self.aux
    }
    fn write_back_caches(&mut self) {
        self.log.push("wbinvd".into());
    }
    fn set_extended_control(&mut self, index: u32, value: u64) -> Result<(), Refused> {
        self.log.push(format!("xcr{index} {value:#x}"));
        if index == 0 { Ok(()) } else { Err(Refused) }
    }
    fn read_msr(&mut self, _cpu: &VirtualCpu, index: u32) -> Result<u64, Refused> {
        self.msrs.get(&index).copied().ok_or(Refused)
    }
    fn hardware_has_msr(&mut self, index: u32) -> bool {
        self.hardware_msrs.contains(&index)
    }
    fn write_msr(&mut self, _cpu: &mut VirtualCpu, index: u32, value: u64) -> Result<(), Refused> {
        *self.msrs.get_mut(&index).ok_or(Refused)? = value;
        Ok(())
    }
}
