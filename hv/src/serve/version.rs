//! xen_version: facts about this image.

use abi::version::DomainHandle;
use hypercalls::op::version::{BuildFacts, VersionHost};

use super::Caller;
use crate::boot::options;

/// Set by the build from the checkout; the same source gives the same image.
const CHANGESET: Option<&str> = option_env!("XENOLITH_CHANGESET");
const BUILT_AT: Option<&str> = option_env!("XENOLITH_DATE");

impl VersionHost for Caller<'_> {
    #[inline]
    fn minor_version(&self) -> u32 {
        options::minor_version()
    }

    fn build_facts(&self) -> BuildFacts {
        BuildFacts {
            compiler: "rustc",
            built_by: "xenolith",
            built_on: "",
            built_at: BUILT_AT.unwrap_or(""),
            changeset: CHANGESET.unwrap_or("unknown"),
            build_id: crate::memory::image::build_id(),
        }
    }

    fn command_line(&self) -> &str {
        crate::boot::command_line()
    }

    fn domain_handle(&self) -> DomainHandle {
        DomainHandle::default()
    }

    fn vm_assist(&self) -> u64 {
        self.domain.assists.load(core::sync::atomic::Ordering::Relaxed)
    }
}
