//! Decoding of the privileged instructions a guest kernel may use; anything else is unknown.
//!
//! Source: Intel SDM vol. 2 appendix A.

use crate::decode::{CodeWidth, DecodeError, Prefixes, Reader};

/// Where a port number comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortOperand {
    /// The instruction.
    Immediate(u8),
    /// dx.
    Dx,
}

/// What the instruction does; register numbers are the CPU's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// RDMSR.
    ReadMsr,
    /// WRMSR.
    WriteMsr,
    /// MOV from CR: control register, general register.
    ReadControl(u8, u8),
    /// MOV to CR: control register, general register.
    WriteControl(u8, u8),
    /// MOV from DR: debug register, general register.
    ReadDebug(u8, u8),
    /// MOV to DR: debug register, general register.
    WriteDebug(u8, u8),
    /// CLTS.
    ClearTaskSwitched,
    /// WBINVD, WBNOINVD, INVD.
    WriteBackCaches,
    /// RDTSC.
    ReadTimeStamp,
    /// RDTSCP.
    ReadTimeStampAux,
    /// XSETBV.
    SetExtendedControl,
    /// CPUID.
    Cpuid,
    /// CLI, STI.
    InterruptFlag,
    /// IN of so many bytes.
    In(PortOperand, u8),
    /// OUT of so many bytes.
    Out(PortOperand, u8),
    /// INS of so many bytes.
    StringIn(u8),
    /// OUTS of so many bytes.
    StringOut(u8),
}

/// A decoded privileged instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Privileged {
    /// What it does.
    pub operation: Operation,
    /// Its prefixes.
    pub prefixes: Prefixes,
    /// Its length in bytes.
    pub length: u8,
    /// Width of the code it stands in.
    pub width: CodeWidth,
}

/// Decodes one privileged instruction. Errors: too few bytes, or not in the table.
#[inline]
pub fn decode(mut reader: Reader<'_>, width: CodeWidth) -> Result<Privileged, DecodeError> {
    let (prefixes, opcode) = reader.prefixes_in(width)?;
    if prefixes.lock {
        return Err(DecodeError::Unknown);
    }
    let operation = match opcode {
        0x0F => decode_two_byte(&mut reader, &prefixes)?,
        0x6C | 0x6D => Operation::StringIn(port_width(opcode, &prefixes, width)),
        0x6E | 0x6F => Operation::StringOut(port_width(opcode, &prefixes, width)),
        0xE4 | 0xE5 => Operation::In(PortOperand::Immediate(reader.byte()?), port_width(opcode, &prefixes, width)),
        0xE6 | 0xE7 => Operation::Out(PortOperand::Immediate(reader.byte()?), port_width(opcode, &prefixes, width)),
        0xEC | 0xED => Operation::In(PortOperand::Dx, port_width(opcode, &prefixes, width)),
        0xEE | 0xEF => Operation::Out(PortOperand::Dx, port_width(opcode, &prefixes, width)),
        0xFA | 0xFB => Operation::InterruptFlag,
        _ => return Err(DecodeError::Unknown),
    };
    Ok(Privileged { operation, prefixes, length: reader.position(), width })
}

#[inline]
fn decode_two_byte(reader: &mut Reader<'_>, prefixes: &Prefixes) -> Result<Operation, DecodeError> {
    Ok(match reader.byte()? {
        0x01 => match reader.byte()? {
            0xD1 => Operation::SetExtendedControl,
            0xF9 => Operation::ReadTimeStampAux,
            _ => return Err(DecodeError::Unknown),
        },
        0x06 => Operation::ClearTaskSwitched,
        // INVD must not lose what others wrote, so it is WBINVD.
        0x08 | 0x09 => Operation::WriteBackCaches,
        opcode @ 0x20..=0x23 => {
            let modrm = reader.byte()?;
            let special = modrm >> 3 & 7 | prefixes.reg_high();
            let general = modrm & 7 | prefixes.base_high();
            match opcode {
                0x20 => Operation::ReadControl(special, general),
                0x21 => Operation::ReadDebug(special, general),
                0x22 => Operation::WriteControl(special, general),
                _ => Operation::WriteDebug(special, general),
            }
        }
        0x30 => Operation::WriteMsr,
        0x31 => Operation::ReadTimeStamp,
        0x32 => Operation::ReadMsr,
        0xA2 => Operation::Cpuid,
        _ => return Err(DecodeError::Unknown),
    })
}

const fn port_width(opcode: u8, prefixes: &Prefixes, width: CodeWidth) -> u8 {
    let narrow = prefixes.operand_size != matches!(width, CodeWidth::Protected16);
    match (opcode & 1, narrow) {
        (0, _) => 1,
        (_, true) => 2,
        (_, false) => 4,
    }
}
