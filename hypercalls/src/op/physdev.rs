//! physdev_op: interrupts, I/O privilege and PCI announcements of a domain with hardware. Source: Xen public header
//! `physdev.h`.
//!
//! Nothing here touches a device: arguments are copied in, checked and handed to the host in its own terms. Operations
//! on the machine take a token; those on the caller's own interrupts do not, the host knows which are its own.

mod pci;

use abi::physdev::{
    Apic, DebugPort, Eoi, GetFreePirq, IrqStatusFlags, IrqStatusQuery, IrqVector, MapPirq, MapPirqType,
    PhysdevOperation, PirqEoiGmfn, SetIobitmap, SetIopl, SetupGsi, UnmapPirq,
};
use abi::{Errno, Gfn, GuestHandle, Result};

pub use self::pci::{ConfigurationWindow, PciAddress, PciFunction, PciHost};
use crate::authority::{self, ControlDomain, Policy, Target};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;
use crate::table::{Row, rows};

/// What an end-of-interrupt call does to the event channel, by the version of the bitmap page in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EoiStyle {
    /// It unmasks the channel as well.
    Unmask,
    /// It leaves the channel alone.
    Leave,
}

/// How a global interrupt line signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineMode {
    /// Level-triggered rather than edge-triggered.
    pub level: bool,
    /// Active low rather than active high.
    pub low: bool,
}

/// The interrupt a pirq shall stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PirqSource {
    /// A global interrupt line.
    Line {
        /// Its number as the caller stated it.
        gsi: i32,
    },
    /// One message-signalled interrupt.
    Message {
        /// Device that signals.
        device: PciAddress,
        /// MSI-X entry; meaningless for plain MSI.
        entry: i32,
        /// Machine address of the memory that holds the MSI-X table, 0 for plain MSI.
        table_base: u64,
        /// The machine's own number for the interrupt, -1 for a new one.
        index: i32,
    },
    /// Several plain MSI vectors in a row.
    Messages {
        /// Device that signals.
        device: PciAddress,
        /// How many are wanted.
        count: i32,
    },
}

/// What map_pirq achieved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MappedPirq {
    /// The (first) pirq.
    pub pirq: i32,
    /// Vectors it stands for; the number that would work if too many were wanted.
    pub vectors: i32,
}

/// Interrupts and I/O rights of the caller, and the machine's interrupt controllers.
pub trait PhysdevHost: PciHost {
    /// One more than the highest pirq the caller's domain can have.
    fn pirq_limit(&self) -> u32;
    /// Ends the service of one of the caller's interrupts. Errors: `EINVAL` if it has no such pirq.
    fn pirq_eoi(&mut self, pirq: u32) -> Result<()>;
    /// Ends the service of every own interrupt that is masked at its controller while its channel is not.
    fn pirqs_unmasked(&mut self) -> Result<()>;
    /// Whether several domains use the line.
    fn pirq_is_shared(&self, pirq: u32) -> bool;
    /// Keeps a bit per pirq there that says whether it needs an end-of-interrupt call.
    /// Errors: `EBUSY` if there is such a page, `EINVAL` for a frame that is not the caller's or not writable, `ENOSPC`.
    fn pirq_eoi_page(&mut self, frame: Gfn, style: EoiStyle) -> Result<()>;
    /// Makes a pirq of the target stand for an interrupt. `wanted` is negative for "any". Errors: `EINVAL`, `EPERM`,
    /// `EBUSY`, `ENOSPC`, `ENODEV` for a device never announced, `EDOM` for a count out of range, `ESRCH`.
    fn pirq_map(&mut self, target: Target, source: PirqSource, wanted: i32) -> Result<MappedPirq>;
    /// Ends that. Errors: `EINVAL` if it stands for nothing, `ESRCH`.
    fn pirq_unmap(&mut self, target: Target, pirq: i32) -> Result<()>;
    /// A pirq of the caller's that stands for nothing yet, set aside. Errors: `ENOSPC`.
    fn pirq_reserve(&mut self, kind: MapPirqType) -> Result<u32>;
    /// One more than the highest global interrupt line.
    fn line_limit(&self) -> u32;
    /// Sets up a line once. Errors: `EEXIST` if it was, `EINVAL`.
    fn line_setup(&mut self, authority: ControlDomain, gsi: u32, mode: LineMode) -> Result<()>;
    /// Reads an I/O APIC register. Errors: `EINVAL` for an unknown controller or a register that is not to be read.
    fn io_apic_read(&mut self, authority: ControlDomain, base: u64, register: u32) -> Result<u32>;
    /// Writes one, as far as it is the caller's to decide. Errors: as for reading, `EBUSY`.
    fn io_apic_write(&mut self, authority: ControlDomain, base: u64, register: u32, value: u32) -> Result<()>;
    /// The calling vCPU's virtual I/O privilege level, 0 to 3.
    fn set_io_privilege(&mut self, level: u8);
    /// The calling vCPU's port bitmap: read at each use, clear bits allow; covers `ports` from 0.
    fn set_io_bitmap(&mut self, bitmap: GuestHandle<u8>, ports: u32);
}

/// Ports there are.
const PORTS: u32 = 65_536;
/// Bytes of a bitmap that covers them.
const BITMAP_BYTES: u64 = (PORTS / 8) as u64;
/// Highest I/O privilege level.
const PRIVILEGE_MAX: u32 = 3;

/// physdev_op(33). Errors: `ENOSYS` for an unknown operation, `EFAULT`, else as the operations say.
#[inline(never)]
pub fn physdev<H>(host: &mut H, operation: PhysdevOperation, argument: GuestHandle<u8>) -> Reply
where
    H: PhysdevHost + Policy + GuestMemory,
{
    match operation {
        PhysdevOperation::EOI => {
            let request: Eoi = guest::read(host, argument.cast())?;
            check_pirq(host, request.irq)?;
            host.pirq_eoi(request.irq)?;
        }
        PhysdevOperation::IRQ_UNMASK_NOTIFY => host.pirqs_unmasked()?,
        PhysdevOperation::IRQ_STATUS_QUERY => irq_status(host, argument.cast())?,
        PhysdevOperation::SET_IOPL => {
            let request: SetIopl = guest::read(host, argument.cast())?;
            if request.iopl > PRIVILEGE_MAX {
                return Err(Errno::EINVAL.into());
            }
            host.set_io_privilege(request.iopl as u8);
        }
        PhysdevOperation::SET_IOBITMAP => {
            let request: SetIobitmap = guest::read(host, argument.cast())?;
            if guest::check_array(request.bitmap, BITMAP_BYTES).is_err() || request.port_count > PORTS {
                return Err(Errno::EINVAL.into());
            }
            host.set_io_bitmap(request.bitmap, request.port_count);
        }
        PhysdevOperation::APIC_READ => {
            let mut request: Apic = guest::read(host, argument.cast())?;
            let authority = authority::control_domain(host)?;
            request.value = host.io_apic_read(authority, request.physical_base, request.register)?;
            guest::write(host, argument.cast(), &request)?;
        }
        PhysdevOperation::APIC_WRITE => {
            let request: Apic = guest::read(host, argument.cast())?;
            let authority = authority::control_domain(host)?;
            host.io_apic_write(authority, request.physical_base, request.register, request.value)?;
        }
        PhysdevOperation::ALLOC_IRQ_VECTOR => {
            // Vectors are the hypervisor's own; the caller gets its number back and is content.
            let mut request: IrqVector = guest::read(host, argument.cast())?;
            authority::control_domain(host)?;
            request.vector = request.irq;
            guest::write(host, argument.cast(), &request)?;
        }
        PhysdevOperation::MAP_PIRQ => map_pirq(host, argument.cast())?,
        PhysdevOperation::UNMAP_PIRQ => {
            let request: UnmapPirq = guest::read(host, argument.cast())?;
            let target = authority::find(host, request.domain)?.device_model(host)?;
            host.pirq_unmap(target, request.pirq)?;
        }
        PhysdevOperation::PIRQ_EOI_GMFN_V1 => eoi_page(host, argument.cast(), EoiStyle::Unmask)?,
        PhysdevOperation::PIRQ_EOI_GMFN_V2 => eoi_page(host, argument.cast(), EoiStyle::Leave)?,
        PhysdevOperation::SETUP_GSI => setup_line(host, argument.cast())?,
        PhysdevOperation::GET_FREE_PIRQ => {
            let mut request: GetFreePirq = guest::read(host, argument.cast())?;
            request.pirq = host.pirq_reserve(request.kind)?;
            guest::write(host, argument.cast(), &request)?;
        }
        PhysdevOperation::DBGP_OP => {
            // The hypervisor drives no debug port, so there is nobody to tell.
            authority::hardware_domain(host)?;
            let _: DebugPort = guest::read(host, argument.cast())?;
        }
        _ => return pci::announce(host, operation, argument),
    }
    Ok(0)
}

/// physdev_op_compat(19): command and argument in one structure, of which only the command is read here.
/// Errors: `EFAULT`, `ENOSYS` for what the old call did not have, else as [`physdev`].
pub fn physdev_compat<H>(host: &mut H, argument: GuestHandle<u8>) -> Reply
where
    H: PhysdevHost + Policy + GuestMemory,
{
    const ARGUMENT_OFFSET: u64 = 8;
    let operation: PhysdevOperation = guest::read(host, argument.cast())?;
    match operation {
        PhysdevOperation::IRQ_UNMASK_NOTIFY
        | PhysdevOperation::IRQ_STATUS_QUERY
        | PhysdevOperation::SET_IOPL
        | PhysdevOperation::SET_IOBITMAP
        | PhysdevOperation::APIC_READ
        | PhysdevOperation::APIC_WRITE
        | PhysdevOperation::ALLOC_IRQ_VECTOR => physdev(host, operation, argument.element(ARGUMENT_OFFSET)),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// Errors: `EINVAL` for a number no pirq can have.
fn check_pirq<H: PhysdevHost>(host: &H, pirq: u32) -> Result<()> {
    if pirq < host.pirq_limit() { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Whether a pirq needs a call to end its service: without the bitmap page a guest must always make it.
fn irq_status<H: PhysdevHost + GuestMemory>(host: &mut H, argument: GuestHandle<IrqStatusQuery>) -> Result<()> {
    let mut request = guest::read(host, argument)?;
    check_pirq(host, request.irq)?;
    request.flags = IrqStatusFlags::NEEDS_EOI;
    if host.pirq_is_shared(request.irq) {
        request.flags = request.flags.with(IrqStatusFlags::SHARED);
    }
    guest::write(host, argument, &request)
}

/// Several messages have no table. The request is written back even if the call fails, its kind without the segment.
/// Errors: `EFAULT`, `ESRCH`, `EPERM`, `EINVAL` for an unknown kind, and those of [`PhysdevHost::pirq_map`].
fn map_pirq<H: PhysdevHost + Policy + GuestMemory>(host: &mut H, argument: GuestHandle<MapPirq>) -> Result<()> {
    let mut request = guest::read(host, argument)?;
    if request.kind == MapPirqType::MULTI_MSI && request.table_base != 0 {
        return Err(Errno::EINVAL);
    }
    let outcome = map_for_target(host, &request);
    if let Ok(mapped) = outcome {
        request.pirq = mapped.pirq;
        if request.kind == MapPirqType::MULTI_MSI {
            request.entry = mapped.vectors;
        }
    }
    if request.kind == MapPirqType::MSI_SEG {
        request.kind = MapPirqType::MSI;
    }
    guest::write(host, argument, &request)?;
    outcome.map(|_| ())
}

fn map_for_target<H: PhysdevHost + Policy>(host: &mut H, request: &MapPirq) -> Result<MappedPirq> {
    let target = authority::find(host, request.domain)?.device_model(host)?;
    host.pirq_map(target, source(request)?, request.pirq)
}

fn source(request: &MapPirq) -> Result<PirqSource> {
    let on_segment = |segment: u16| PciAddress { segment, bus: request.bus as u8, devfn: request.devfn as u8 };
    let named = on_segment((request.bus as u32 >> 16) as u16);
    let (index, entry, table_base) = (request.index, request.entry, request.table_base);
    match request.kind {
        MapPirqType::GSI => Ok(PirqSource::Line { gsi: index }),
        MapPirqType::MSI => Ok(PirqSource::Message { device: on_segment(0), entry, table_base, index }),
        MapPirqType::MSI_SEG => Ok(PirqSource::Message { device: named, entry, table_base, index }),
        MapPirqType::MULTI_MSI => Ok(PirqSource::Messages { device: named, count: entry }),
        _ => Err(Errno::EINVAL),
    }
}

fn eoi_page<H>(host: &mut H, argument: GuestHandle<PirqEoiGmfn>, style: EoiStyle) -> Result<()>
where
    H: PhysdevHost + GuestMemory,
{
    let request = guest::read(host, argument)?;
    host.pirq_eoi_page(request.gfn, style)
}

/// Errors: `EFAULT`, `EINVAL` for a line that is not there, `EPERM`, `EEXIST` if it is set up.
fn setup_line<H: PhysdevHost + Policy + GuestMemory>(host: &mut H, argument: GuestHandle<SetupGsi>) -> Result<()> {
    let request = guest::read(host, argument)?;
    let gsi = u32::try_from(request.gsi).ok().filter(|gsi| *gsi < host.line_limit()).ok_or(Errno::EINVAL)?;
    let authority = authority::control_domain(host)?;
    host.line_setup(authority, gsi, LineMode { level: request.triggering != 0, low: request.polarity != 0 })
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(PhysdevOperation {
    works: IRQ_UNMASK_NOTIFY IRQ_STATUS_QUERY SET_IOPL SET_IOBITMAP APIC_READ APIC_WRITE ALLOC_IRQ_VECTOR EOI MAP_PIRQ
        UNMAP_PIRQ MANAGE_PCI_ADD MANAGE_PCI_REMOVE PIRQ_EOI_GMFN_V1 RESTORE_MSI MANAGE_PCI_ADD_EXT SETUP_GSI
        GET_FREE_PIRQ PCI_MMCFG_RESERVED PCI_DEVICE_ADD PCI_DEVICE_REMOVE RESTORE_MSI_EXT PIRQ_EOI_GMFN_V2
        PREPARE_MSIX RELEASE_MSIX;
    (absent "Xen has none either"): FREE_IRQ_VECTOR;
    (absent "no debug port in use"): DBGP_OP;
    (absent "not in Xen 4.17"): PCI_DEVICE_RESET;
});

/// What each operation of the old call is here.
pub const COMPAT_ROWS: &[Row] = rows!(PhysdevOperation {
    works: IRQ_UNMASK_NOTIFY IRQ_STATUS_QUERY SET_IOPL SET_IOBITMAP APIC_READ APIC_WRITE ALLOC_IRQ_VECTOR;
    (absent "Xen has none either"): FREE_IRQ_VECTOR;
});
