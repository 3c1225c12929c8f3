//! xen_version: which hypervisor this is and what it offers. Source: Xen public header `version.h`, `features.h`.
//!
//! Reads facts that never change after boot; takes no lock. `xen_version(0)` is the null hypercall, so its path has
//! nothing on it.

use abi::features::Feature;
use abi::frame::HYPERVISOR_START;
use abi::version::{
    BuildId, Capabilities, Changeset, CommandLine, CompileInfo, DomainHandle, ExtraVersion, FeatureInfo,
    PlatformParameters, VersionOperation,
};
use abi::vm_assist::Assist;
use abi::{Errno, GuestHandle};
use zerocopy::{Immutable, IntoBytes};

use crate::authority::{self, Policy};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;
use crate::table::{Row, rows};

/// Major version of the interface this hypervisor stands in for.
pub const MAJOR: u32 = 4;
/// Minor version, see [`MAJOR`], of the Xen whose behaviour is the reference: what callers read unless another was asked for.
pub const MINOR: u32 = 17;
/// What follows [`MINOR`] in `xl info`: the point release of the reference, and who we are.
pub const EXTRAVERSION: &str = ".7-xenolith";
/// The same behind another minor version, which is no point release of anything.
pub const EXTRAVERSION_OF_OTHERS: &str = "-xenolith";
/// Kinds of guest that can run, each followed by a space; toolstacks parse it.
pub const CAPABILITIES: &str = "xen-3.0-x86_64 ";
/// What a caller without the privilege reads.
const DENIED: &str = "<denied>";

/// How this image came to be; all of it fixed when it was built.
#[derive(Clone, Copy, Debug)]
pub struct BuildFacts {
    /// Compiler and its version.
    pub compiler: &'static str,
    /// Who built it.
    pub built_by: &'static str,
    /// On which domain.
    pub built_on: &'static str,
    /// When.
    pub built_at: &'static str,
    /// Source revision.
    pub changeset: &'static str,
    /// The linker's build id; empty if there is none.
    pub build_id: &'static [u8],
}

/// Facts for [`xen_version`].
pub trait VersionHost {
    /// Minor version to answer with, [`MINOR`] unless another was asked for. It changes nothing else: toolstacks of all
    /// supported versions are served at once, but Debian's choose their own directory by it. Read on every null hypercall.
    fn minor_version(&self) -> u32;
    /// How this image was built.
    fn build_facts(&self) -> BuildFacts;
    /// The command line the hypervisor was booted with.
    fn command_line(&self) -> &str;
    /// UUID of the caller's domain.
    fn domain_handle(&self) -> DomainHandle;
    /// The caller's `vm_assist` word.
    fn vm_assist(&self) -> u64;
}

/// xen_version(17). Errors: `ENOSYS` for an unknown operation, `EFAULT`, else as the operations say.
#[inline(always)]
pub fn xen_version<H>(host: &mut H, operation: VersionOperation, argument: GuestHandle<u8>) -> Reply
where
    H: VersionHost + GuestMemory + Policy,
{
    if operation == VersionOperation::VERSION {
        return Ok(u64::from(MAJOR << 16 | host.minor_version()));
    }
    describe(host, operation, argument)
}

/// What follows the version.
pub(crate) fn extra_version(host: &impl VersionHost) -> &'static str {
    if host.minor_version() == MINOR { EXTRAVERSION } else { EXTRAVERSION_OF_OTHERS }
}

#[inline(never)]
fn describe<H>(host: &mut H, operation: VersionOperation, argument: GuestHandle<u8>) -> Reply
where
    H: VersionHost + GuestMemory + Policy,
{
    match operation {
        VersionOperation::EXTRAVERSION => {
            let extra = ExtraVersion { text: text(extra_version(host)) };
            put(host, argument, &extra)
        }
        VersionOperation::COMPILE_INFO => put(host, argument, &compile_info(host.build_facts())),
        VersionOperation::CAPABILITIES => put(host, argument, &Capabilities { text: text(CAPABILITIES) }),
        VersionOperation::CHANGESET => {
            let changeset = Changeset { text: text(host.build_facts().changeset) };
            put(host, argument, &changeset)
        }
        VersionOperation::PLATFORM_PARAMETERS => {
            put(host, argument, &PlatformParameters { virt_start: HYPERVISOR_START })
        }
        VersionOperation::GET_FEATURES => features(host, argument.cast()),
        VersionOperation::PAGESIZE if argument.is_null() => Ok(abi::frame::PAGE_SIZE as u64),
        VersionOperation::PAGESIZE => Err(Errno::EINVAL.into()),
        VersionOperation::GUEST_HANDLE => put(host, argument, &host.domain_handle()),
        VersionOperation::COMMANDLINE => command_line(host, argument),
        VersionOperation::BUILD_ID => build_id(host, argument),
        VersionOperation::EXTRAVERSION2 => variable(host, argument, extra_version(host).as_bytes()),
        VersionOperation::CAPABILITIES2 => variable(host, argument, CAPABILITIES.as_bytes()),
        VersionOperation::CHANGESET2 => variable(host, argument, host.build_facts().changeset.as_bytes()),
        VersionOperation::COMMANDLINE2 if authority::control_domain(host).is_err() => {
            variable(host, argument, DENIED.as_bytes())
        }
        VersionOperation::COMMANDLINE2 => variable(host, argument, host.command_line().as_bytes()),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// A NUL-terminated, zero-filled field; what does not fit is cut off.
fn text<const LEN: usize>(from: &str) -> [u8; LEN] {
    let mut field = [0; LEN];
    for (to, byte) in field.iter_mut().take(LEN.saturating_sub(1)).zip(from.bytes()) {
        *to = byte;
    }
    field
}

fn put<T: IntoBytes + Immutable>(host: &impl GuestMemory, argument: GuestHandle<u8>, value: &T) -> Reply {
    guest::write(host, argument.cast(), value)?;
    Ok(0)
}

fn compile_info(facts: BuildFacts) -> CompileInfo {
    CompileInfo {
        compiler: text(facts.compiler),
        compile_by: text(facts.built_by),
        compile_domain: text(facts.built_on),
        compile_date: text(facts.built_at),
    }
}

/// Feature bits of a 64-bit PV guest. Errors: `EINVAL` for a word that does not exist.
fn features<H: VersionHost + GuestMemory + Policy>(host: &H, argument: GuestHandle<FeatureInfo>) -> Reply {
    let mut info = guest::read(host, argument)?;
    if info.submap_index != 0 {
        return Err(Errno::EINVAL.into());
    }
    info.submap = Feature::MEMORY_OP_VNODE_SUPPORTED.mask()
        | Feature::MMU_PT_UPDATE_PRESERVE_AD.mask()
        | Feature::HIGHMEM_ASSIST.mask()
        | Feature::GNTTAB_MAP_AVAIL_BITS.mask()
        | Feature::DIRECT_MAPPED.mask();
    if host.vm_assist() & Assist::PAE_EXTENDED_CR3.mask() != 0 {
        info.submap |= Feature::PAE_PGDIR_ABOVE_4GB.mask();
    }
    if host.is_hardware_domain() {
        info.submap |= Feature::DOM0.mask();
    }
    guest::write(host, argument, &info)?;
    Ok(0)
}

/// The whole field for a control domain; just the refusal for others.
fn command_line<H: VersionHost + GuestMemory + Policy>(host: &H, argument: GuestHandle<u8>) -> Reply {
    if authority::control_domain(host).is_ok() {
        return put(host, argument, &CommandLine { text: text(host.command_line()) });
    }
    let denied: [u8; DENIED.len() + 1] = text(DENIED);
    put(host, argument, &denied)
}

/// Writes the build id. Errors: `EPERM` unless a control domain asks, `ENODATA` if there is none, `EINVAL` for no room at
/// all, as of Xen 4.17, those of [`buffer`].
fn build_id<H: VersionHost + GuestMemory + Policy>(host: &H, argument: GuestHandle<u8>) -> Reply {
    authority::control_domain(host)?;
    let id = host.build_facts().build_id;
    if id.is_empty() { Err(Errno::ENODATA.into()) } else { buffer(host, argument, id, Errno::EINVAL) }
}

/// A text of any length, as Xen has them since 4.18. Errors: `ENOBUFS` for too little room, `EFAULT`.
fn variable(host: &impl GuestMemory, argument: GuestHandle<u8>, bytes: &[u8]) -> Reply {
    buffer(host, argument, bytes, Errno::ENOBUFS)
}

/// Writes bytes behind the header that says how much room there is; NULL asks for the size. Errors: `no_room` for no room
/// at all, `ENOBUFS` for too little, `EFAULT`.
fn buffer(host: &impl GuestMemory, argument: GuestHandle<u8>, bytes: &[u8], no_room: Errno) -> Reply {
    if argument.is_null() {
        return Ok(bytes.len() as u64);
    }
    let head: BuildId = guest::read(host, argument.cast())?;
    if (head.len as usize) < bytes.len() {
        return Err(if head.len == 0 { no_room } else { Errno::ENOBUFS }.into());
    }
    guest::copy_out_bytes(host, argument.element(size_of::<BuildId>() as u64).address(), bytes)?;
    Ok(bytes.len() as u64)
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(VersionOperation {
    works: VERSION EXTRAVERSION COMPILE_INFO CAPABILITIES CHANGESET PLATFORM_PARAMETERS GET_FEATURES PAGESIZE
        GUEST_HANDLE COMMANDLINE BUILD_ID EXTRAVERSION2 CAPABILITIES2 CHANGESET2 COMMANDLINE2;
});
