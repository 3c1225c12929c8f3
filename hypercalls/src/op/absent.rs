//! Calls that answer as a Xen built without them, with the checks such a Xen still makes first.
//!
//! Source: Xen public headers `domctl.h`, `pmu.h`, `hvm/hvm_op.h`, `hvm/dm_op.h`.

use abi::domctl::Domctl;
use abi::hvm::{HVM_PARAM_COUNT, HvmOperation, HvmParamArgument};
use abi::{Call, DomainId, Errno, GuestHandle};

use crate::authority::{self, Policy};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;
use crate::table::State;

/// Buffers of a dm_op.
const DEVICE_MODEL_BUFFERS: u32 = 2;

/// xenpmu_op(40): the virtual PMU is off, as it is by default in Xen.
pub fn pmu() -> Reply {
    Err(Errno::EOPNOTSUPP.into())
}

/// hvm_op(34): every domain is a PV domain, and those have no parameters.
/// Errors: `EFAULT`, `EINVAL` for an unknown parameter and a PV target, `ESRCH`; `ENOSYS` for other operations.
pub fn hvm<H: Policy + GuestMemory>(host: &H, operation: HvmOperation, argument: GuestHandle<u8>) -> Reply {
    if !matches!(operation, HvmOperation::SET_PARAM | HvmOperation::GET_PARAM) {
        return Err(Errno::ENOSYS.into());
    }
    let request: HvmParamArgument = guest::read(host, argument.cast())?;
    if request.index.0 >= HVM_PARAM_COUNT {
        return Err(Errno::EINVAL.into());
    }
    authority::find(host, request.domain)?;
    Err(Errno::EINVAL.into())
}

/// dm_op(41): no domain has a device model. Errors: `E2BIG` for more buffers than there can be, `EFAULT`, `ENODATA` for
/// none, `ESRCH`, `EPERM` for the caller itself, `EINVAL` for a PV target.
pub fn device_model<H: Policy + GuestMemory>(
    host: &H,
    domain: DomainId,
    buffers: u32,
    list: GuestHandle<[u64; 2]>,
) -> Reply {
    if buffers > DEVICE_MODEL_BUFFERS {
        return Err(Errno::E2BIG.into());
    }
    for index in 0..buffers {
        guest::read(host, list.element(u64::from(index)))?;
    }
    if buffers == 0 {
        return Err(Errno::ENODATA.into());
    }
    authority::find_remote(host, domain)?.device_model(host)?;
    Err(Errno::EINVAL.into())
}

/// Hypercall 49, by which Xen goes on with a domctl: a guest that makes it has nothing to go on with.
/// Errors: `EFAULT`, `ENOSYS`.
pub fn paging_continuation<H: GuestMemory>(host: &H, argument: GuestHandle<u8>) -> Reply {
    let _: Domctl = guest::read(host, argument.cast())?;
    Err(Errno::ENOSYS.into())
}

/// What all operations of a call are here that has no handler for any of them.
pub const FAMILIES: &[(Call, State)] = &[
    (Call::HVM_OP, State::Absent("no HVM guests")),
    (Call::DM_OP, State::Absent("no HVM guests")),
    (Call::XSM_OP, State::Absent("built without XSM")),
    (Call::XENOPROF_OP, State::Absent("built without the profiler")),
    (Call::KEXEC_OP, State::Absent("built without kexec")),
    (Call::ARGO_OP, State::Absent("built without Argo, as Xen is by default")),
    (Call::XENPMU_OP, State::Absent("vpmu off, as it is by default")),
];
