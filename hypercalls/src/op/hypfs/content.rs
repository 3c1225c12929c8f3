//! hypfs: what entries hold. Contents are handed out piece by piece; their length is what all pieces come to.

use abi::Result;
use abi::hypfs::{HypfsEncoding, HypfsEntry};
use zerocopy::IntoBytes;

use super::tree::{Fact, IN_POOL, Node};
use super::{HypfsHost, Parameter, ParameterText, kind};
use crate::op::version;

/// Takes a piece of a content.
type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// Each CPU by itself.
pub(super) const GRANULARITY: &str = "cpu";

/// Bytes that can be written to an entry, the NUL of a text included.
pub(super) const fn room(node: Node) -> u32 {
    match node {
        Node::Granularity => 8,
        Node::Parameter(Parameter::GrantFrames | Parameter::MaptrackFrames) => 12,
        Node::Parameter(Parameter::GuestLogLevel | Parameter::LogLevel) => 16,
        _ => 0,
    }
}

/// The description of an entry.
pub(super) fn describe<H: HypfsHost>(host: &H, node: Node) -> Result<HypfsEntry> {
    let mut content_len = 0;
    emit(host, node, &mut |bytes| {
        content_len += bytes.len() as u32;
        Ok(())
    })?;
    let (kind, encoding) = (kind(node), HypfsEncoding::PLAIN);
    Ok(HypfsEntry { kind, encoding, reserved: 0, content_len, max_write_len: room(node) })
}

/// Hands out the content of an entry.
pub(super) fn emit<H: HypfsHost>(host: &H, node: Node, sink: Sink<'_>) -> Result<()> {
    match node {
        Node::Directory(list) => fixed(host, list, sink),
        Node::Pool => fixed(host, IN_POOL, sink),
        Node::Pools => pools(host, sink),
        Node::Number(number) => sink(number.as_bytes()),
        Node::MinorVersion => sink(host.minor_version().as_bytes()),
        Node::Granularity => text(GRANULARITY.as_bytes(), sink),
        Node::Parameter(parameter) => text(host.parameter(parameter).as_bytes(), sink),
        Node::Fact(fact) => text(of_fact(host, fact).as_bytes(), sink),
    }
}

fn of_fact<H: HypfsHost>(host: &H, fact: Fact) -> &'static str {
    let facts = host.build_facts();
    match fact {
        Fact::Changeset => facts.changeset,
        Fact::CompileBy => facts.built_by,
        Fact::CompileDate => facts.built_at,
        Fact::CompileDomain => facts.built_on,
        Fact::Compiler => facts.compiler,
        Fact::Configuration => CONFIGURATION,
        Fact::ExtraVersion => version::extra_version(host),
    }
}

/// What a Xen would have been configured with to have what is here.
const CONFIGURATION: &str = "\
CONFIG_X86_64=y
CONFIG_X86=y
CONFIG_64BIT=y
CONFIG_PV=y
# CONFIG_PV32 is not set
CONFIG_PV_LINEAR_PT=y
# CONFIG_HVM is not set
# CONFIG_SHADOW_PAGING is not set
# CONFIG_TBOOT is not set
CONFIG_GRANT_TABLE=y
CONFIG_HYPFS=y
CONFIG_HYPFS_CONFIG=y
# CONFIG_ARGO is not set
# CONFIG_LIVEPATCH is not set
# CONFIG_MEM_ACCESS is not set
# CONFIG_XSM is not set
# CONFIG_PERF_COUNTERS is not set
# CONFIG_DEBUG_LOCK_PROFILE is not set
# CONFIG_COVERAGE is not set
# CONFIG_SCHED_CREDIT is not set
CONFIG_SCHED_CREDIT2=y
# CONFIG_SCHED_RTDS is not set
# CONFIG_SCHED_NULL is not set
CONFIG_SCHED_DEFAULT=\"credit2\"
";

fn text(bytes: &[u8], sink: Sink<'_>) -> Result<()> {
    sink(bytes)?;
    sink(&[0])
}

fn fixed<H: HypfsHost>(host: &H, list: &[(&str, Node)], sink: Sink<'_>) -> Result<()> {
    let last = list.len().saturating_sub(1);
    for (index, (name, node)) in list.iter().enumerate() {
        let place = if index == last { Place::Last } else { Place::Inside };
        entry(&describe(host, *node)?, name.as_bytes(), SHORTEST_NAME, place, sink)?;
    }
    Ok(())
}

fn pools<H: HypfsHost>(host: &H, sink: Sink<'_>) -> Result<()> {
    let mut next = host.pool_from(0);
    while let Some(pool) = next {
        next = pool.id.checked_add(1).and_then(|id| host.pool_from(id));
        let name = ParameterText::new(format_args!("{}", pool.id));
        let place = if next.is_some() { Place::Inside } else { Place::Last };
        entry(&describe(host, Node::Pool)?, name.as_bytes(), SHORTEST_POOL_NAME, place, sink)?;
    }
    Ok(())
}

/// Where in its directory an entry is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Inside,
    Last,
}

/// Bytes in front of the name: the description, and the way to the next entry.
const HEAD: usize = size_of::<HypfsEntry>() + size_of::<u16>();
/// Names are filled up with zeros to a multiple of this.
const NAME_STEP: usize = 4;
/// Room for a name in a directory that is always the same, and for a pool's number, at least.
const SHORTEST_NAME: usize = 4;
const SHORTEST_POOL_NAME: usize = 8;

/// One entry of a directory.
fn entry(about: &HypfsEntry, name: &[u8], shortest: usize, place: Place, sink: Sink<'_>) -> Result<()> {
    const ZEROS: [u8; SHORTEST_POOL_NAME] = [0; SHORTEST_POOL_NAME];
    let room = (name.len() + 1).next_multiple_of(NAME_STEP).max(shortest);
    let next = if place == Place::Last { 0 } else { (HEAD + room) as u16 };
    sink(about.as_bytes())?;
    sink(next.as_bytes())?;
    sink(name)?;
    sink(ZEROS.get(..room - name.len()).unwrap_or_default())
}
