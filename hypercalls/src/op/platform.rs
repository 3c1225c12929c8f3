//! platform_op: what the control domain does to the machine. Source: Xen public header `platform.h`.
//!
//! One structure of 136 bytes is copied in, its version checked before anything else, then the privilege. Results go
//! back as the operation's own structure, nothing beyond it. The host serialises operations that need it.

mod cpu;
mod power;

use abi::platform::{
    AddMemtype, DelMemtype, FirmwareInfo, FirmwareInfoType, MemHotadd, PLATFORM_INTERFACE_VERSION, PlatformOp,
    PlatformOperation, PlatformQuirk, PlatformQuirkArgument, ReadMemtype, Settime32, Settime64, SymbolData,
};
use abi::{Errno, GuestHandle, Mfn, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use self::cpu::{CpuChange, CpuFacts, CpuHost};
pub use self::power::{SleepRegisters, SleepRequest};
use super::timer::TimerHost;
use crate::authority::{self, ControlDomain, Policy};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;
use crate::table::{Row, rows};

/// A range of memory with a type of its own (a variable MTRR).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryType {
    /// First frame.
    pub first: Mfn,
    /// Frames.
    pub count: u64,
    /// The processor's number for the type.
    pub kind: u32,
}

/// A name of the hypervisor's own, for backtraces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol<'a> {
    /// The name.
    pub name: &'a str,
    /// Where it lies.
    pub address: u64,
    /// Its kind as `nm` prints it.
    pub kind: u8,
}

/// The machine as the control domain runs it.
pub trait PlatformHost: CpuHost + TimerHost {
    /// Sets all domains' wall clock: it was this late (Unix time) at `system_time`.
    fn set_wallclock(&mut self, authority: ControlDomain, seconds: u64, nanoseconds: u32, system_time: u64);
    /// Adds a range; the register used. Errors: `EINVAL`, `ENOSPC`, `ENODEV` if the processor has none.
    fn memory_type_add(&mut self, authority: ControlDomain, range: MemoryType) -> Result<u32>;
    /// Removes one use of a register's range. Errors: `EINVAL`, `ENODEV`.
    fn memory_type_remove(&mut self, authority: ControlDomain, register: u32) -> Result<()>;
    /// The range of a register (none in use: zero frames); `None` beyond the last register.
    fn memory_type(&self, register: u32) -> Option<MemoryType>;
    /// Learns a peculiarity of the chipset. Errors: `EINVAL`.
    fn platform_quirk(&mut self, authority: ControlDomain, quirk: PlatformQuirk) -> Result<()>;
    /// Shift flags the firmware keyboard had at boot.
    fn keyboard_shift_flags(&self) -> u8;
    /// Which set of sleep registers the firmware describes.
    fn has_sleep_registers(&self, which: SleepRegisters) -> bool;
    /// Puts the machine to sleep or off. Errors: `EINVAL` for a state that cannot be entered.
    fn enter_sleep(&mut self, authority: ControlDomain, request: SleepRequest) -> Result<()>;
    /// How many names the hypervisor knows of itself.
    fn symbol_count(&self) -> u32;
    /// One of them.
    fn symbol(&self, index: u32) -> Option<Symbol<'_>>;
}

/// Where the operation's own structure lies in the request.
const ARGUMENT_OFFSET: u64 = 8;

/// A request that passed version and privilege.
struct Request {
    authority: ControlDomain,
    operation: PlatformOp,
    handle: GuestHandle<u8>,
}

impl Request {
    /// The operation's structure.
    fn argument<T: FromBytes>(&self) -> Result<T> {
        T::read_from_prefix(self.operation.argument.as_bytes()).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
    }

    /// Writes the operation's structure back. Errors: `EFAULT`.
    fn answer<T: IntoBytes + Immutable>(&self, host: &impl GuestMemory, value: &T) -> Result<()> {
        guest::write(host, self.handle.element(ARGUMENT_OFFSET).cast(), value)
    }
}

/// platform_op(7). Errors: `EFAULT`, `EACCES` for another interface version, `EPERM` unless a control domain calls,
/// `ENOSYS` for an unknown operation, else as the operations say.
#[inline(never)]
pub fn platform<H>(host: &mut H, argument: GuestHandle<u8>) -> Reply
where
    H: PlatformHost + Policy + GuestMemory,
{
    let operation: PlatformOp = guest::read(host, argument.cast())?;
    if operation.interface_version != PLATFORM_INTERFACE_VERSION {
        return Err(Errno::EACCES.into());
    }
    let request = Request { authority: authority::control_domain(host)?, operation, handle: argument };
    match operation.command {
        PlatformOperation::SETTIME32 => {
            let time: Settime32 = request.argument()?;
            host.set_wallclock(request.authority, u64::from(time.seconds), time.nanoseconds, time.system_time);
        }
        PlatformOperation::SETTIME64 => {
            let time: Settime64 = request.argument()?;
            if time.must_be_zero != 0 {
                return Err(Errno::EINVAL.into());
            }
            host.set_wallclock(request.authority, time.seconds, time.nanoseconds, time.system_time);
        }
        PlatformOperation::ADD_MEMTYPE => add_memory_type(host, &request)?,
        PlatformOperation::DEL_MEMTYPE => {
            let range: DelMemtype = request.argument()?;
            if range.handle != 0 || range.register > i32::MAX as u32 {
                return Err(Errno::EINVAL.into());
            }
            host.memory_type_remove(request.authority, range.register)?;
        }
        PlatformOperation::READ_MEMTYPE => {
            let mut answer: ReadMemtype = request.argument()?;
            let range = host.memory_type(answer.register).ok_or(Errno::EINVAL)?;
            (answer.mfn, answer.count, answer.kind) = (range.first, range.count, range.kind);
            request.answer(host, &answer)?;
        }
        // As on a processor that Xen has no loader for: whatever flags and blob are, and nobody reads the blob.
        PlatformOperation::MICROCODE_UPDATE | PlatformOperation::MICROCODE_UPDATE2 => return Err(Errno::EINVAL.into()),
        PlatformOperation::PLATFORM_QUIRK => {
            let quirk: PlatformQuirkArgument = request.argument()?;
            host.platform_quirk(request.authority, quirk.quirk)?;
        }
        PlatformOperation::FIRMWARE_INFO => firmware_info(host, &request)?,
        PlatformOperation::GET_SYMBOL => symbol(host, &request)?,
        PlatformOperation::ENTER_ACPI_SLEEP => power::enter_sleep(host, &request)?,
        PlatformOperation::SET_PROCESSOR_PMINFO => power::processor_info(host, &request)?,
        PlatformOperation::GET_CPUINFO => cpu::info(host, &request)?,
        PlatformOperation::GET_CPU_VERSION => cpu::version(host, &request)?,
        PlatformOperation::CPU_ONLINE | PlatformOperation::CPU_OFFLINE => return cpu::hotplug(host, &request),
        PlatformOperation::CPU_HOTADD => cpu::add(host, &request)?,
        PlatformOperation::MEM_HOTADD => {
            // Memory that was not there at boot has no frame table to stand in.
            let _: MemHotadd = request.argument()?;
            return Err(Errno::EINVAL.into());
        }
        PlatformOperation::CORE_PARKING => return cpu::park(host, &request),
        PlatformOperation::RESOURCE_OP => return cpu::resource(host, &request),
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

fn add_memory_type<H: PlatformHost + GuestMemory>(host: &mut H, request: &Request) -> Result<()> {
    let mut range: AddMemtype = request.argument()?;
    let wanted = MemoryType { first: range.mfn, count: range.count, kind: range.kind };
    range.register = host.memory_type_add(request.authority, wanted)?;
    range.handle = 0;
    request.answer(host, &range)
}

/// The firmware was asked nothing in real mode, as with Xen's `edd=off` and no video data: lists end at once.
/// Errors: `ESRCH` past the end of a list, `ENOSYS` for EFI on a machine booted without, `EINVAL` for another kind.
fn firmware_info<H: PlatformHost + GuestMemory>(host: &mut H, request: &Request) -> Result<()> {
    let mut info: FirmwareInfo = request.argument()?;
    match info.kind {
        FirmwareInfoType::KBD_SHIFT_FLAGS if info.index == 0 => {
            if let Some(flags) = info.info.as_mut_bytes().first_mut() {
                *flags = host.keyboard_shift_flags();
            }
            request.answer(host, &info)
        }
        FirmwareInfoType::KBD_SHIFT_FLAGS
        | FirmwareInfoType::DISK_INFO
        | FirmwareInfoType::DISK_MBR_SIGNATURE
        | FirmwareInfoType::VBEDDC_INFO => Err(Errno::ESRCH),
        FirmwareInfoType::EFI_INFO => Err(Errno::ENOSYS),
        _ => Err(Errno::EINVAL),
    }
}

/// One name and the number of the next; the same number comes back at the end. Errors: `ERANGE` beyond it, `EFAULT`.
fn symbol<H: PlatformHost + GuestMemory>(host: &mut H, request: &Request) -> Result<()> {
    let mut answer: SymbolData = request.argument()?;
    if answer.symbol > host.symbol_count() {
        return Err(Errno::ERANGE);
    }
    let found = host.symbol(answer.symbol);
    let name = found.map_or("", |symbol| symbol.name);
    if let Some(symbol) = found {
        (answer.address, answer.kind) = (symbol.address, symbol.kind);
        answer.symbol += 1;
    }
    let length = name.len() as u32 + 1;
    let room = length.min(answer.name_len) as usize;
    let text = name.as_bytes().get(..room.min(name.len())).unwrap_or_default();
    guest::copy_out_bytes(host, answer.name.address(), text)?;
    if room > text.len() {
        guest::copy_out_bytes(host, answer.name.element(text.len() as u64).address(), &[0])?;
    }
    answer.name_len = length;
    request.answer(host, &answer)
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(PlatformOperation {
    works: SETTIME32 SETTIME64 ADD_MEMTYPE DEL_MEMTYPE READ_MEMTYPE PLATFORM_QUIRK GET_CPU_VERSION FIRMWARE_INFO
        ENTER_ACPI_SLEEP GET_CPUINFO CPU_ONLINE CPU_OFFLINE CORE_PARKING GET_SYMBOL;
    (absent "no microcode loader for this processor"): MICROCODE_UPDATE MICROCODE_UPDATE2;
    (absent "booted without EFI"): EFI_RUNTIME_CALL;
    (absent "only with cpufreq=dom0-kernel"): CHANGE_FREQ GETIDLETIME;
    (absent "cpufreq and C-states off (cpufreq=none)"): SET_PROCESSOR_PMINFO;
    (absent "reads the TSC; all other registers are refused, as by Xen on every CPU model of QEMU"): RESOURCE_OP;
    (absent "not in Xen 4.17"): GET_DOM0_CONSOLE GET_UCODE_REVISION;
    (absent "no room for processors and memory that were not there at boot"): CPU_HOTADD MEM_HOTADD;
});
