//! INS and OUTS, with REP: one element at a time, preemptible, faults between elements.
//!
//! Progress lives in rcx, rsi and rdi, so the instruction can be run again from any point. The destination of INS is ES
//! whatever the prefixes say. Source: Intel SDM vol. 2 INS, OUTS, REP.

use crate::address::is_guest_span;
use crate::bounce::step_causes;
use crate::decode::{CodeWidth, Segment, merge, truncate};
use crate::exception::{Exception, Vector};
use crate::flags;
use crate::opcode::{Operation, Privileged};
use crate::ports;
use crate::privileged::{Emulation, PrivilegedHost, check_port, retire};
use crate::registers::Registers;
use crate::vcpu::VirtualCpu;

/// The memory operand that every element uses.
struct Stream {
    base: u64,
    /// Last offset that may be used.
    limit: u64,
    address_width: u8,
    width: u8,
    is_stack: bool,
}

impl Stream {
    /// Linear address of the element at `offset`. Errors: the fault to raise.
    fn linear(&self, offset: u64) -> Result<u64, Exception> {
        let fault = Exception::new(if self.is_stack { Vector::STACK } else { Vector::GENERAL_PROTECTION }, 0);
        let last = offset.checked_add(u64::from(self.width) - 1).ok_or(fault)?;
        if last > self.limit {
            return Err(fault);
        }
        let mut linear = self.base.wrapping_add(offset);
        if self.limit != u64::MAX {
            linear = truncate(linear, 4);
        }
        if is_guest_span(linear, u64::from(self.width)) { Ok(linear) } else { Err(fault) }
    }
}

/// Runs INS or OUTS until it is through, preempted, stepped or faulting.
pub(crate) fn execute<H: PrivilegedHost>(
    cpu: &VirtualCpu,
    registers: &mut Registers,
    host: &mut H,
    instruction: &Privileged,
) -> Emulation {
    let stream = match open(registers, host, instruction) {
        Ok(stream) => stream,
        Err(fault) => return Emulation::Fault(fault),
    };
    let port = registers.rdx as u16;
    if let Err(refused) = check_port(cpu, host, port, stream.width) {
        return refused;
    }
    let causes = cpu.debug.io_matches(port, stream.width);
    let repeated = instruction.prefixes.repeat != 0;
    loop {
        if repeated && truncate(registers.rcx, stream.address_width) == 0 {
            return retire(registers, instruction.length, instruction.width, 0);
        }
        if let Err(fault) = element(registers, host, instruction.operation, &stream) {
            return Emulation::Fault(fault);
        }
        if repeated {
            let left = truncate(registers.rcx, stream.address_width).wrapping_sub(1);
            merge(&mut registers.rcx, stream.address_width, left);
        }
        if !repeated || truncate(registers.rcx, stream.address_width) == 0 {
            return retire(registers, instruction.length, instruction.width, causes);
        }
        // A debug exception between two elements leaves rip where it is.
        let stop = causes | step_causes(registers);
        if stop != 0 {
            return Emulation::Done { debug_causes: stop };
        }
        if host.preempted() {
            return Emulation::Retry;
        }
    }
}

fn open<H: PrivilegedHost>(registers: &Registers, host: &mut H, instruction: &Privileged) -> Result<Stream, Exception> {
    let (segment, width) = match instruction.operation {
        Operation::StringOut(width) => (instruction.prefixes.segment.unwrap_or(Segment::Data), width),
        Operation::StringIn(width) => (Segment::Extra, width),
        _ => return Err(Exception::GENERAL_PROTECTION),
    };
    let address_width = match (instruction.width, instruction.prefixes.address_size) {
        (CodeWidth::Long, false) => 8,
        (CodeWidth::Long, true) | (CodeWidth::Protected32, false) | (CodeWidth::Protected16, true) => 4,
        (CodeWidth::Protected32, true) | (CodeWidth::Protected16, false) => 2,
    };
    let is_long = instruction.width == CodeWidth::Long;
    let (base, limit) = if is_long && !matches!(segment, Segment::Fs | Segment::Gs) {
        (0, u64::MAX)
    } else {
        let view = host.segment(segment, registers).ok_or(Exception::GENERAL_PROTECTION)?;
        (view.base, if is_long { u64::MAX } else { u64::from(view.limit) })
    };
    Ok(Stream { base, limit, address_width, width, is_stack: segment == Segment::Stack })
}

fn element<H: PrivilegedHost>(
    registers: &mut Registers,
    host: &mut H,
    operation: Operation,
    stream: &Stream,
) -> Result<(), Exception> {
    let port = registers.rdx as u16;
    let width = usize::from(stream.width);
    let mut buffer = [0; 4];
    let down = registers.rflags & flags::DIRECTION != 0;
    let index = if let Operation::StringIn(_) = operation {
        let linear = stream.linear(truncate(registers.rdi, stream.address_width))?;
        buffer = ports::read(host, port, stream.width).to_le_bytes();
        let bytes = buffer.get(..width).unwrap_or_default();
        host.write_data(linear, bytes).map_err(|unmapped| unmapped.write_fault())?;
        &mut registers.rdi
    } else {
        let linear = stream.linear(truncate(registers.rsi, stream.address_width))?;
        let bytes = buffer.get_mut(..width).unwrap_or_default();
        host.read_data(linear, bytes).map_err(|unmapped| unmapped.read_fault())?;
        ports::write(host, port, stream.width, u32::from_le_bytes(buffer));
        &mut registers.rsi
    };
    let step = u64::from(stream.width);
    let next = if down { index.wrapping_sub(step) } else { index.wrapping_add(step) };
    merge(index, stream.address_width, next);
    Ok(())
}
