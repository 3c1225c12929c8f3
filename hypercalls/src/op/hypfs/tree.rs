//! hypfs: which entries there are. Names in a directory are in alphabetical order, as Xen has them.

use super::{HypfsHost, Parameter};
use crate::op::version::MAJOR;

/// An entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node {
    /// A directory that is always the same.
    Directory(&'static [(&'static str, Node)]),
    /// A text that was fixed when the image was built.
    Fact(Fact),
    /// A number.
    Number(u32),
    /// The minor version that the hypervisor answers with.
    MinorVersion,
    /// The directory of CPU pools.
    Pools,
    /// A CPU pool's directory.
    Pool,
    /// Which CPUs a pool schedules together.
    Granularity,
    /// A parameter.
    Parameter(Parameter),
}

/// What is known of the image.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    /// Source revision.
    Changeset,
    /// Who built it.
    CompileBy,
    /// When.
    CompileDate,
    /// Where.
    CompileDomain,
    /// With what.
    Compiler,
    /// What was built in, in the form of Xen's own configuration.
    Configuration,
    /// What follows the version.
    ExtraVersion,
}

/// The tree.
const ROOT: Node = Node::Directory(&[
    ("buildinfo", Node::Directory(BUILD)),
    ("cpupool", Node::Pools),
    ("params", Node::Directory(PARAMETERS)),
]);

const BUILD: &[(&str, Node)] = &[
    ("changeset", Node::Fact(Fact::Changeset)),
    (
        "compileinfo",
        Node::Directory(&[
            ("compile_by", Node::Fact(Fact::CompileBy)),
            ("compile_date", Node::Fact(Fact::CompileDate)),
            ("compile_domain", Node::Fact(Fact::CompileDomain)),
            ("compiler", Node::Fact(Fact::Compiler)),
        ]),
    ),
    ("config", Node::Fact(Fact::Configuration)),
    (
        "version",
        Node::Directory(&[
            ("extra", Node::Fact(Fact::ExtraVersion)),
            ("major", Node::Number(MAJOR)),
            ("minor", Node::MinorVersion),
        ]),
    ),
];

const PARAMETERS: &[(&str, Node)] = &[
    ("gnttab_max_frames", Node::Parameter(Parameter::GrantFrames)),
    ("gnttab_max_maptrack_frames", Node::Parameter(Parameter::MaptrackFrames)),
    ("guest_loglvl", Node::Parameter(Parameter::GuestLogLevel)),
    ("loglvl", Node::Parameter(Parameter::LogLevel)),
];

/// What a pool's directory has.
pub(super) const IN_POOL: &[(&str, Node)] = &[("sched-gran", Node::Granularity)];

/// The entry at a path without its first slash; directories may have one at the end.
pub(super) fn find<H: HypfsHost>(host: &H, path: &str) -> Option<Node> {
    let mut node = ROOT;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('/').unwrap_or((rest, ""));
        let is_last_and_open = behind.is_empty() && rest.ends_with('/');
        node = child(host, node, name)?;
        if is_last_and_open && !matches!(node, Node::Directory(_) | Node::Pools | Node::Pool) {
            return None;
        }
        rest = behind;
    }
    Some(node)
}

fn child<H: HypfsHost>(host: &H, node: Node, name: &str) -> Option<Node> {
    let in_list = |list: &[(&str, Node)]| list.iter().find(|(known, _)| *known == name).map(|(_, node)| *node);
    match node {
        Node::Directory(list) => in_list(list),
        Node::Pool => in_list(IN_POOL),
        Node::Pools => {
            let id = name.parse().ok()?;
            host.pool_from(id).filter(|pool| pool.id == id).map(|_| Node::Pool)
        }
        _ => None,
    }
}
