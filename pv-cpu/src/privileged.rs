//! Instructions that fault in ring 3 and that the guest's kernel may use all the same.
//!
//! [`emulate`] is for #GP with error code 0; [`forced_emulation`] for #UD, where a five-byte prefix asks for CPUID. What is
//! not in the table below is the guest's fault to keep: HLT, INVLPG, LGDT, LMSW, SWAPGS, SYSRET and so on.
//! Nothing is emulated from user mode but CPUID, RDTSC(P) and what the virtual IOPL allows.
//! Context: the vCPU's own CPU, no lock held. Source: inventory of the PV contract; Intel SDM vol. 2;
//! Xen public header `arch-x86/xen.h` (`XEN_EMULATE_PREFIX`).

use crate::bounce::step_causes;
use crate::control::cr4;
use crate::decode::{
    CodeWidth, DecodeError, Fetch, InstructionBytes, Segment, Unmapped, register, register_mut, truncate,
};
use crate::exception::{Exception, Vector};
use crate::flags;
use crate::opcode::{Operation, PortOperand, Privileged, decode};
use crate::ports::PortHost;
use crate::registers::Registers;
use crate::selector::{FLAT_CODE_32, FLAT_CODE_64};
use crate::string_io;
use crate::trap_table::Mode;
use crate::vcpu::{CpuidFaulting, IoplView, VirtualCpu};

/// How CPUID came to us; a few bits differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuidPath {
    /// The plain instruction, made to fault by the hardware.
    Faulted,
    /// The instruction behind the forced-emulation prefix.
    Forced,
}

/// A segment as the guest's selector leads to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentView {
    /// First linear address.
    pub base: u64,
    /// Last offset, in bytes.
    pub limit: u32,
    /// Width of the code in it, for a code segment.
    pub width: CodeWidth,
}

/// The value was refused: the guest gets #GP(0).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

/// What came of a page-table base switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BaseSwitch {
    /// Done.
    Done,
    /// The frame is no top-level table and cannot become one.
    Refused,
    /// Validation was preempted; run the instruction again.
    Preempted,
}

/// Everything beyond the vCPU's own state that a privileged instruction touches.
pub trait PrivilegedHost: Fetch + PortHost {
    /// The segment in register `which`; `None` if its selector leads nowhere. In 64-bit code only FS and GS are asked for.
    fn segment(&mut self, which: Segment, registers: &Registers) -> Option<SegmentView>;
    /// Reads guest memory with ring-3 rights; the range is the guest's, at most 4 bytes.
    fn read_data(&mut self, from: u64, into: &mut [u8]) -> Result<(), Unmapped>;
    /// Writes guest memory with ring-3 rights; the range is the guest's, at most 4 bytes.
    fn write_data(&mut self, to: u64, from: &[u8]) -> Result<(), Unmapped>;
    /// Reads a byte of the guest kernel's memory, whichever mode the vCPU is in.
    fn read_kernel_byte(&mut self, from: u64) -> Option<u8>;
    /// Whether a long instruction should stop at the next clean point.
    fn preempted(&self) -> bool;
    /// The domain's architectural_iopl assist.
    fn iopl_view(&self) -> IoplView;
    /// The CPU's CR0.
    fn host_cr0(&self) -> u64;
    /// The hypervisor's CR4.
    fn host_cr4(&self) -> u64;
    /// Bits of [`cr4::GUEST_CHOICE`] that the domain's CPUID policy has.
    fn cr4_policy(&self) -> u64;
    /// The guest's CR2, in its vcpu_info.
    fn cr2(&self) -> u64;
    /// Stores the guest's CR2.
    fn set_cr2(&mut self, value: u64);
    /// Machine address of the guest kernel's top-level table.
    fn cr3(&self) -> u64;
    /// Switches the guest kernel's page tables, as MMUEXT_NEW_BASEPTR does.
    fn set_cr3(&mut self, value: u64) -> BaseSwitch;
    /// Brings the CPU's CR0.TS and CR4 in line with the guest's choice.
    fn load_control(&mut self, cpu: &VirtualCpu);
    /// Loads the CPU's debug registers from the guest's.
    fn load_debug(&mut self, cpu: &VirtualCpu);
    /// The guest's CPUID leaf: eax, ebx, ecx, edx.
    fn cpuid(&mut self, cpu: &VirtualCpu, leaf: u32, subleaf: u32, path: CpuidPath) -> [u32; 4];
    /// The guest's time stamp counter.
    fn time_stamp(&mut self) -> u64;
    /// The guest's TSC_AUX, or nothing if its policy lacks RDTSCP.
    fn time_stamp_aux(&mut self) -> Option<u32>;
    /// Writes back and invalidates caches, if the domain may; silently not otherwise.
    fn write_back_caches(&mut self);
    /// Sets an extended control register.
    fn set_extended_control(&mut self, index: u32, value: u64) -> Result<(), Refused>;
    /// Reads an MSR by the guest's policy.
    fn read_msr(&mut self, cpu: &VirtualCpu, index: u32) -> Result<u64, Refused>;
    /// Whether the hardware has the MSR, for the grace before a guest has a #GP handler.
    fn hardware_has_msr(&mut self, index: u32) -> bool;
    /// Writes an MSR by the guest's policy.
    fn write_msr(&mut self, cpu: &mut VirtualCpu, index: u32, value: u64) -> Result<(), Refused>;
}

/// What to do with the guest now.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Emulation {
    /// Go on; first raise #DB if there are DR6 causes.
    Done {
        /// Causes for [`crate::bounce::debug`]; 0 for none.
        debug_causes: u64,
    },
    /// Run the same instruction again: it was preempted, its progress is in the registers.
    Retry,
    /// Raise this.
    Fault(Exception),
}

const REFUSED: Emulation = Emulation::Fault(Exception::GENERAL_PROTECTION);

/// Emulates the instruction at rip, which raised #GP(0).
pub fn emulate<H: PrivilegedHost>(cpu: &mut VirtualCpu, registers: &mut Registers, host: &mut H) -> Emulation {
    let (linear, width) = match registers.code_selector() {
        FLAT_CODE_64 => (registers.rip, CodeWidth::Long),
        FLAT_CODE_32 => (registers.rip & 0xFFFF_FFFF, CodeWidth::Protected32),
        _ => match host.segment(Segment::Code, registers) {
            Some(view) if view.width == CodeWidth::Long => (registers.rip, CodeWidth::Long),
            Some(view) if registers.rip <= u64::from(view.limit) => {
                (view.base.wrapping_add(registers.rip) & 0xFFFF_FFFF, view.width)
            }
            _ => return REFUSED,
        },
    };
    let decoded =
        InstructionBytes::fetch(host, linear).and_then(|bytes| bytes.decode(host, |reader| decode(reader, width)));
    match decoded {
        Ok(Some(instruction)) => execute(cpu, registers, host, &instruction),
        Ok(None) => REFUSED,
        Err(fault) => Emulation::Fault(fault),
    }
}

/// The forced-emulation prefix and the one instruction it stands before.
const FORCED_CPUID: [u8; 7] = [0x0F, 0x0B, 0x78, 0x65, 0x6E, 0x0F, 0xA2];

/// Looks for the forced-emulation prefix at rip, which raised #UD, and emulates what follows.
/// `None`: it is an ordinary #UD, which the caller raises.
pub fn forced_emulation<H: PrivilegedHost>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    host: &mut H,
) -> Option<Emulation> {
    match host.fetch_word(registers.rip).map(u64::to_le_bytes) {
        Some([bytes @ .., _]) if bytes == FORCED_CPUID => {}
        Some(_) => return None,
        None => match find_forced(registers, host) {
            Ok(Some(())) => {}
            Ok(None) => return None,
            Err(fault) => return Some(Emulation::Fault(fault)),
        },
    }
    if cpu.mode == Mode::User && cpu.cpuid_faulting == CpuidFaulting::On {
        registers.rip = registers.rip.wrapping_add(5);
        return Some(REFUSED);
    }
    cpuid(cpu, registers, host, CpuidPath::Forced);
    Some(retire(registers, FORCED_CPUID.len() as u8, CodeWidth::Long, 0))
}

/// Whether the prefix and CPUID stand at rip, which may be near the end of a page or not mapped. Errors: the fetch's fault.
#[cold]
fn find_forced<H: PrivilegedHost>(registers: &Registers, host: &mut H) -> Result<Option<()>, Exception> {
    InstructionBytes::fetch(host, registers.rip)?.decode(host, |mut reader| {
        for expected in FORCED_CPUID {
            if reader.byte()? != expected {
                return Err(DecodeError::Unknown);
            }
        }
        Ok(())
    })
}

/// Moves rip on; afterwards the instruction is over.
#[inline]
pub(crate) fn retire(registers: &mut Registers, length: u8, width: CodeWidth, causes: u64) -> Emulation {
    let next = registers.rip.wrapping_add(u64::from(length));
    registers.rip = if width == CodeWidth::Long { next } else { truncate(next, 4) };
    registers.rflags &= !flags::RESUME;
    Emulation::Done { debug_causes: causes | step_causes(registers) }
}

fn cpuid<H: PrivilegedHost>(cpu: &VirtualCpu, registers: &mut Registers, host: &mut H, path: CpuidPath) {
    let [eax, ebx, ecx, edx] = host.cpuid(cpu, registers.rax as u32, registers.rcx as u32, path);
    (registers.rax, registers.rbx) = (u64::from(eax), u64::from(ebx));
    (registers.rcx, registers.rdx) = (u64::from(ecx), u64::from(edx));
}

fn execute<H: PrivilegedHost>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    host: &mut H,
    instruction: &Privileged,
) -> Emulation {
    let result = match instruction.operation {
        Operation::Cpuid if cpu.mode == Mode::User && cpu.cpuid_faulting == CpuidFaulting::On => Err(REFUSED),
        Operation::Cpuid => {
            cpuid(cpu, registers, host, CpuidPath::Faulted);
            Ok(0)
        }
        Operation::ReadTimeStamp | Operation::ReadTimeStampAux => {
            read_time_stamp(cpu, registers, host, instruction.operation)
        }
        Operation::InterruptFlag if cpu.has_io_privilege(host.iopl_view()) => Ok(0),
        Operation::In(port, width) => port_in(cpu, registers, host, port, width),
        Operation::Out(port, width) => port_out(cpu, registers, host, port, width),
        Operation::StringIn(_) | Operation::StringOut(_) => {
            return string_io::execute(cpu, registers, host, instruction);
        }
        _ if cpu.mode == Mode::User => Err(REFUSED),
        operation => execute_kernel(cpu, registers, host, operation, instruction.width),
    };
    match result {
        Ok(causes) => retire(registers, instruction.length, instruction.width, causes),
        Err(emulation) => emulation,
    }
}

/// DR6 causes, or how the emulation ended early.
type Executed = Result<u64, Emulation>;

fn refused(_: Refused) -> Emulation {
    REFUSED
}

fn execute_kernel<H: PrivilegedHost>(
    cpu: &mut VirtualCpu,
    registers: &mut Registers,
    host: &mut H,
    operation: Operation,
    width: CodeWidth,
) -> Executed {
    let operand = |registers: &Registers, index| match width {
        CodeWidth::Long => register(registers, index),
        _ => truncate(register(registers, index), 4),
    };
    match operation {
        Operation::ReadMsr => read_msr(cpu, registers, host)?,
        Operation::WriteMsr => {
            let value = truncate(registers.rax, 4) | registers.rdx << 32;
            host.write_msr(cpu, registers.rcx as u32, value).map_err(refused)?;
        }
        Operation::ReadControl(control, general) => {
            let value = read_control(cpu, host, control)?;
            *register_mut(registers, general) = if width == CodeWidth::Long { value } else { truncate(value, 4) };
        }
        Operation::WriteControl(control, general) => {
            write_control(cpu, host, control, operand(registers, general))?;
        }
        Operation::ReadDebug(index, general) => {
            let value = cpu.debug.get(u32::from(index), cpu.control.cr4()).map_err(|_| REFUSED)?;
            *register_mut(registers, general) = value;
        }
        Operation::WriteDebug(index, general) => {
            let value = operand(registers, general);
            let reload = cpu.debug.set(u32::from(index), value, cpu.control.cr4()).map_err(|_| REFUSED)?;
            if reload == crate::debug::Reload::All {
                host.load_debug(cpu);
            }
        }
        Operation::ClearTaskSwitched => {
            cpu.control.set_task_switched(0);
            host.load_control(cpu);
        }
        Operation::WriteBackCaches => host.write_back_caches(),
        Operation::SetExtendedControl => {
            if cpu.control.cr4() & cr4::OSXSAVE == 0 {
                return Err(Emulation::Fault(Exception::INVALID_OPCODE));
            }
            let value = truncate(registers.rax, 4) | registers.rdx << 32;
            host.set_extended_control(registers.rcx as u32, value).map_err(refused)?;
        }
        _ => return Err(REFUSED),
    }
    Ok(0)
}

/// MSRs of the hypervisor interface, which never get the grace of [`read_msr`].
const HYPERVISOR_MSRS: core::ops::Range<u32> = 0x4000_0000..0x4001_0000;

/// RDMSR. A guest without a #GP handler would die of a refusal; it reads 0 instead if the machine has such an MSR.
fn read_msr<H: PrivilegedHost>(cpu: &VirtualCpu, registers: &mut Registers, host: &mut H) -> Result<(), Emulation> {
    let index = registers.rcx as u32;
    let value = match host.read_msr(cpu, index) {
        Ok(value) => value,
        Err(Refused) => {
            let helpless = cpu.traps.gate(Vector::GENERAL_PROTECTION).address == 0;
            if !helpless || HYPERVISOR_MSRS.contains(&index) || !host.hardware_has_msr(index) {
                return Err(REFUSED);
            }
            0
        }
    };
    registers.rax = truncate(value, 4);
    registers.rdx = value >> 32;
    Ok(())
}

fn read_control<H: PrivilegedHost>(cpu: &VirtualCpu, host: &mut H, control: u8) -> Result<u64, Emulation> {
    match control {
        0 => Ok(cpu.control.cr0(host.host_cr0())),
        2 => Ok(host.cr2()),
        3 => Ok(host.cr3()),
        4 => Ok(cpu.control.cr4()),
        _ => Err(REFUSED),
    }
}

fn write_control<H: PrivilegedHost>(
    cpu: &mut VirtualCpu,
    host: &mut H,
    control: u8,
    value: u64,
) -> Result<(), Emulation> {
    match control {
        0 => {
            if (value ^ cpu.control.cr0(host.host_cr0())) & !crate::control::CR0_TASK_SWITCHED != 0 {
                return Err(REFUSED);
            }
            cpu.control.set_task_switched(value);
            host.load_control(cpu);
        }
        2 => host.set_cr2(value),
        3 => match host.set_cr3(value) {
            BaseSwitch::Done => {}
            BaseSwitch::Refused => return Err(REFUSED),
            BaseSwitch::Preempted => return Err(Emulation::Retry),
        },
        4 => {
            cpu.control.set_cr4(value, host.cr4_policy(), host.host_cr4());
            host.load_control(cpu);
        }
        _ => return Err(REFUSED),
    }
    Ok(())
}

fn read_time_stamp<H: PrivilegedHost>(
    cpu: &VirtualCpu,
    registers: &mut Registers,
    host: &mut H,
    operation: Operation,
) -> Executed {
    if operation == Operation::ReadTimeStampAux {
        let aux = host.time_stamp_aux().ok_or(Emulation::Fault(Exception::INVALID_OPCODE))?;
        if cpu.mode == Mode::Kernel || cpu.control.cr4() & cr4::TIME_STAMP_DISABLE == 0 {
            registers.rcx = u64::from(aux);
        }
    }
    if cpu.mode == Mode::User && cpu.control.cr4() & cr4::TIME_STAMP_DISABLE != 0 {
        return Err(REFUSED);
    }
    let time = host.time_stamp();
    registers.rax = truncate(time, 4);
    registers.rdx = time >> 32;
    Ok(0)
}

pub(crate) fn check_port<H: PrivilegedHost>(
    cpu: &VirtualCpu,
    host: &mut H,
    port: u16,
    width: u8,
) -> Result<(), Emulation> {
    let view = host.iopl_view();
    crate::ports::check_access(cpu, view, port, width, |at| host.read_kernel_byte(at)).map_err(Emulation::Fault)
}

const fn port_number(registers: &Registers, port: PortOperand) -> u16 {
    match port {
        PortOperand::Immediate(port) => port as u16,
        PortOperand::Dx => registers.rdx as u16,
    }
}

fn port_in<H: PrivilegedHost>(
    cpu: &VirtualCpu,
    registers: &mut Registers,
    host: &mut H,
    port: PortOperand,
    width: u8,
) -> Executed {
    let port = port_number(registers, port);
    check_port(cpu, host, port, width)?;
    let value = crate::ports::read(host, port, width);
    crate::decode::merge(&mut registers.rax, width, u64::from(value));
    Ok(cpu.debug.io_matches(port, width))
}

fn port_out<H: PrivilegedHost>(
    cpu: &VirtualCpu,
    registers: &Registers,
    host: &mut H,
    port: PortOperand,
    width: u8,
) -> Executed {
    let port = port_number(registers, port);
    check_port(cpu, host, port, width)?;
    crate::ports::write(host, port, width, truncate(registers.rax, width) as u32);
    Ok(cpu.debug.io_matches(port, width))
}
