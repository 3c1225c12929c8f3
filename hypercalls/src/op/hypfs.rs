//! hypfs_op: a small tree of facts and run-time parameters. Source: Xen public header `hypfs.h`.
//!
//! `/buildinfo` says how the image came to be, `/cpupool` has a directory for each CPU pool, `/params` the options that can
//! be changed while the host runs. What the tree looks like is in [`tree`], what entries hold in [`content`].

mod content;
mod tree;

use abi::hypfs::{HYPFS_MAX_PATH_LEN, HYPFS_VERSION, HypfsEntry, HypfsOperation, HypfsType};
use abi::{Errno, GuestHandle, Result};

use self::tree::Node;
use crate::authority::{self, ControlDomain, Policy};
use crate::guest::{self, GuestMemory};
use crate::op::sysctl::PoolHost;
use crate::op::version::VersionHost;
use crate::outcome::Reply;
use crate::table::{Row, rows};

/// Options that can be changed while the host runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parameter {
    /// Most grant frames of domains made from now on.
    GrantFrames,
    /// Most frames of grant handles of domains made from now on.
    MaptrackFrames,
    /// Which messages that guests cause are printed.
    GuestLogLevel,
    /// Which messages of the hypervisor's own are printed.
    LogLevel,
}

/// Longest text of a parameter.
pub const PARAMETER_MAX: usize = 32;

/// A parameter's value as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParameterText {
    bytes: [u8; PARAMETER_MAX],
    length: usize,
}

impl ParameterText {
    /// A text; what does not fit is cut off.
    pub fn new(text: core::fmt::Arguments<'_>) -> Self {
        let mut value = Self { bytes: [0; PARAMETER_MAX], length: 0 };
        // Refused when it is full, which is what is wanted.
        let _ = core::fmt::write(&mut value, text);
        value
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl core::fmt::Write for ParameterText {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

/// Run-time parameters.
pub trait ParameterHost {
    /// A parameter's value.
    fn parameter(&self, parameter: Parameter) -> ParameterText;
    /// Changes it. Errors: `EINVAL` for a text that says nothing.
    fn set_parameter(&mut self, authority: ControlDomain, parameter: Parameter, text: &str) -> Result<()>;
}

/// What the tree asks of the hypervisor.
pub trait HypfsHost: ParameterHost + VersionHost + PoolHost + GuestMemory {}

impl<H: ParameterHost + VersionHost + PoolHost + GuestMemory> HypfsHost for H {}

/// Where a path or a buffer lies, and how long it is.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Where.
    pub at: GuestHandle<u8>,
    /// Bytes.
    pub length: u64,
}

/// hypfs_op(42). Errors: `EPERM` unless a control domain calls; `EINVAL` for a path or buffer that is none, `ENOENT`,
/// `ENOBUFS` for too little room (the entry's description is written all the same), `EACCES` for writing what cannot be
/// written, `EDOM` for a text of wrong length, `EOPNOTSUPP` for an unknown operation, `EFAULT`.
#[inline(never)]
pub fn hypfs<H: Policy + HypfsHost>(host: &mut H, operation: HypfsOperation, path: Extent, data: Extent) -> Reply {
    let authority = authority::control_domain(host)?;
    if operation == HypfsOperation::GET_VERSION {
        let arguments = [path.at.address().0, path.length, data.at.address().0, data.length];
        return if arguments == [0; 4] { Ok(u64::from(HYPFS_VERSION)) } else { Err(Errno::EINVAL.into()) };
    }
    let node = find(host, path)?;
    match operation {
        HypfsOperation::READ => read(host, node, data)?,
        HypfsOperation::WRITE_CONTENTS => write(host, authority, node, data)?,
        _ => return Err(Errno::EOPNOTSUPP.into()),
    }
    Ok(0)
}

/// The entry of a caller's path. Errors: `EINVAL`, `ENOENT`, `EFAULT`.
fn find<H: HypfsHost>(host: &H, path: Extent) -> Result<Node> {
    let mut bytes = [0; HYPFS_MAX_PATH_LEN];
    let length = usize::try_from(path.length).map_err(|_| Errno::EINVAL)?;
    let bytes = bytes.get_mut(..length).filter(|bytes| bytes.len() > 1).ok_or(Errno::EINVAL)?;
    guest::copy_in_bytes(host, path.at.address(), bytes)?;
    let (end, text) = bytes.split_last().ok_or(Errno::EINVAL)?;
    if *end != 0 || text.contains(&0) {
        return Err(Errno::EINVAL);
    }
    let text = core::str::from_utf8(text).map_err(|_| Errno::ENOENT)?;
    let inside = text.strip_prefix('/').ok_or(Errno::EINVAL)?;
    tree::find(host, inside).ok_or(Errno::ENOENT)
}

/// Bytes of an entry's description.
const ENTRY: u64 = size_of::<HypfsEntry>() as u64;

fn read<H: HypfsHost>(host: &H, node: Node, data: Extent) -> Result<()> {
    if data.length < ENTRY {
        return Err(Errno::EINVAL);
    }
    let entry = content::describe(host, node)?;
    guest::write(host, data.at.cast(), &entry)?;
    if data.length - ENTRY < u64::from(entry.content_len) {
        return Err(Errno::ENOBUFS);
    }
    let mut done = ENTRY;
    let end = ENTRY + u64::from(entry.content_len);
    content::emit(host, node, &mut |bytes| {
        // A pool may have come since its description was made.
        let next = done + bytes.len() as u64;
        if next > end {
            return Err(Errno::ENOBUFS);
        }
        guest::copy_out_bytes(host, data.at.element(done).address(), bytes)?;
        done = next;
        Ok(())
    })
}

fn write<H: HypfsHost>(host: &mut H, authority: ControlDomain, node: Node, data: Extent) -> Result<()> {
    let mut bytes = [0; PARAMETER_MAX];
    let text = match node {
        Node::Parameter(_) => text_of(host, &mut bytes, node, data, Errno::EDOM)?,
        Node::Granularity => text_of(host, &mut bytes, node, data, Errno::EINVAL)?,
        _ => return Err(Errno::EACCES),
    };
    match node {
        Node::Parameter(parameter) => host.set_parameter(authority, parameter, text),
        // Threads of a core are never scheduled together.
        _ if text == content::GRANULARITY => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// A caller's text. Errors: `bad` unless it ends with its only NUL and is not too long for the entry; `EFAULT`.
fn text_of<'a, H: HypfsHost>(
    host: &H,
    bytes: &'a mut [u8; PARAMETER_MAX],
    node: Node,
    data: Extent,
    bad: Errno,
) -> Result<&'a str> {
    let length = usize::try_from(data.length).map_err(|_| bad)?;
    let length = if length > content::room(node) as usize { return Err(bad) } else { length };
    let bytes = bytes.get_mut(..length).ok_or(bad)?;
    guest::copy_in_bytes(host, data.at.address(), bytes)?;
    let (end, text) = bytes.split_last().ok_or(bad)?;
    if *end != 0 || text.contains(&0) {
        return Err(bad);
    }
    core::str::from_utf8(text).map_err(|_| Errno::EINVAL)
}

/// Kind of an entry that is none of the kinds of text.
const fn kind(node: Node) -> HypfsType {
    match node {
        Node::Directory(_) | Node::Pools | Node::Pool => HypfsType::DIRECTORY,
        Node::Number(_) | Node::MinorVersion => HypfsType::UNSIGNED,
        Node::Fact(_) | Node::Granularity | Node::Parameter(_) => HypfsType::STRING,
    }
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(HypfsOperation { works: GET_VERSION READ WRITE_CONTENTS; });
