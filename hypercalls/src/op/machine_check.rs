//! mca: machine-check telemetry of a machine on which nothing was recorded. Source: Xen public header
//! `arch-x86/xen-mca.h`; answers of Xen.
//!
//! A machine check stops the machine, and corrected errors are not collected, so there is never anything to fetch. What
//! tests of Xen's own handlers inject is checked and refused.

use abi::mca::{
    MCA_INTERFACE_VERSION, Mca, McaFetch, McaFetchFlags, McaLogicalCpu, McaMsrInject, McaOperation, McaPhysicalCpuInfo,
};
use abi::{Errno, GuestHandle, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::platform::CpuHost;
use crate::authority::{self, Policy};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;
use crate::table::{Row, rows};

/// Where the operation's own structure lies in the request.
const ARGUMENT_OFFSET: u64 = 8;
/// More room than this cannot be meant.
const MOST_CPUS: u32 = 1 << 16;
/// Registers of one injection.
const MOST_REGISTERS: u32 = 8;

struct Request {
    operation: Mca,
    handle: GuestHandle<u8>,
}

impl Request {
    fn argument<T: FromBytes>(&self) -> Result<T> {
        T::read_from_prefix(self.operation.argument.as_bytes()).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
    }

    fn answer<T: IntoBytes + Immutable>(&self, host: &impl GuestMemory, value: &T) -> Result<()> {
        guest::write(host, self.handle.element(ARGUMENT_OFFSET).cast(), value)
    }
}

/// mca(48). Errors: `EPERM` unless a control domain calls, `EFAULT`, `EACCES` for an interface version not served,
/// `EINVAL` for another operation, and what the operations say.
#[inline(never)]
pub fn machine_check<H: CpuHost + Policy + GuestMemory>(host: &H, argument: GuestHandle<u8>) -> Reply {
    authority::control_domain(host)?;
    let operation: Mca = guest::read(host, argument.cast())?;
    if operation.interface_version != MCA_INTERFACE_VERSION {
        return Err(Errno::EACCES.into());
    }
    let request = Request { operation, handle: argument };
    match operation.command {
        McaOperation::FETCH => fetch(host, &request)?,
        McaOperation::PHYSCPUINFO => physical_cpus(host, &request)?,
        McaOperation::MSRINJECT => inject(host, &request)?,
        // Nobody but the control domain hears of machine checks; and none is raised on purpose.
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// The oldest record of a queue, of which there is none; an acknowledgement of one is taken as it is. Errors: `EINVAL`
/// unless one queue is named, or without a place for the record.
fn fetch<H: GuestMemory>(host: &H, request: &Request) -> Result<()> {
    const QUEUES: u32 = McaFetchFlags::NONURGENT.0 | McaFetchFlags::URGENT.0;
    let mut fetch: McaFetch = request.argument()?;
    if (fetch.flags.0 & QUEUES).count_ones() != 1 {
        return Err(Errno::EINVAL);
    }
    if fetch.flags.0 & McaFetchFlags::ACK.0 != 0 {
        return Ok(());
    }
    if fetch.data.is_null() {
        return Err(Errno::EINVAL);
    }
    (fetch.flags, fetch.fetch_id) = (McaFetchFlags::NO_DATA, 0);
    request.answer(host, &fetch)
}

/// The CPUs in service, or how many they are. Errors: `EINVAL` without room, `ENOMEM` for absurdly much, `EFAULT`.
fn physical_cpus<H: CpuHost + GuestMemory>(host: &H, request: &Request) -> Result<()> {
    let mut info: McaPhysicalCpuInfo = request.argument()?;
    let running = || (0..=host.highest_cpu()).filter_map(|cpu| host.logical_cpu(cpu));
    if info.info.is_null() {
        info.cpu_count = running().count() as u32;
        return request.answer(host, &info);
    }
    if info.cpu_count == 0 {
        return Err(Errno::EINVAL);
    }
    if info.cpu_count > MOST_CPUS {
        return Err(Errno::ENOMEM);
    }
    let mut count = 0;
    for cpu in running().take(info.cpu_count as usize) {
        let cpu: McaLogicalCpu = cpu;
        guest::write(host, info.info.element(u64::from(count)), &cpu)?;
        count += 1;
    }
    info.cpu_count = count;
    request.answer(host, &info)
}

/// Values for machine-check registers: of a bank's status, address and miscellaneous register. Errors: `EINVAL` for a CPU
/// that does not run, too many registers or others; `EOPNOTSUPP` for what Xen would do.
fn inject<H: CpuHost>(host: &H, request: &Request) -> Result<()> {
    const FIRST_BANK: u64 = 0x400;
    const BANKS_END: u64 = 0x480;
    let injection: McaMsrInject = request.argument()?;
    if host.logical_cpu(injection.cpu).is_none() || injection.count > MOST_REGISTERS {
        return Err(Errno::EINVAL);
    }
    // The first register of each bank says what is watched for, and is not the injector's.
    let is_record = |register: u64| (FIRST_BANK..BANKS_END).contains(&register) && register & 3 != 0;
    let registers = injection.registers.iter().take(injection.count as usize);
    if !registers.map(|[register, _]| *register).all(is_record) {
        return Err(Errno::EINVAL);
    }
    if injection.count == 0 { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(McaOperation {
    works: FETCH PHYSCPUINFO;
    (absent "only the control domain hears of machine checks"): NOTIFYDOMAIN;
    (absent "machine checks are not raised on purpose; registers are checked and refused"): MSRINJECT MCEINJECT INJECT_V2;
});
