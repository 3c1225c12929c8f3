//! Making, stopping and ending domains.

use core::sync::atomic::Ordering::Release;

use abi::{DomainId, Port, Result, Virq, version::DomainHandle};
use grant_tables::{Limits, Version};
use hypercalls::{
    authority::{ControlDomain, Target},
    op::{
        domctl::{Debugging, GrantLimits, LifecycleHost, WantedDomain},
        vcpu::Progress,
    },
};

use crate::{
    boot::options::{self, GrantLimit},
    cpu::{self, block},
    domain::{Domain, Identity, NewDomain, NewId, TeardownProgress, rights::Extent, tear_down, virqs},
    fail_point::{Point, hit},
    interrupt::io_apic,
    sched::pools,
    serve::{
        Caller,
        memory::{living, named},
    },
};

/// Physical interrupts beyond the machine's lines that a domain can name, as `extra_guest_irqs` has it by default.
const EXTRA_PIRQS: u32 = 32;
/// More stack for putting a vCPU together, which is done on the stack, in several pieces of some kilobytes.
const VCPU_STACK_PAGES: u64 = 16;

/// Pauses a new domain: the toolstack's first unpause starts it. A function of its own, so that a CPU fault of ours in here
/// unwinds through a call, and the caller's guard takes the unpublished domain back (docs/soundness.md, gap 1).
#[inline(never)]
fn wait_for_toolstack(domain: &'static Domain) -> Result<()> {
    hit(Point::CREATING);
    domain.pause()
}

impl LifecycleHost for Caller<'_> {
    fn max_grant_version(&self) -> u32 {
        if options::get().grants.max_version == Some(2) { 2 } else { 1 }
    }

    fn grant_limits(&self) -> GrantLimits {
        GrantLimits {
            frames: options::grant_limit(GrantLimit::Frames),
            maptrack_frames: options::grant_limit(GrantLimit::MaptrackFrames),
        }
    }

    fn choose_domain_id(&mut self, _authority: ControlDomain, wanted: Option<DomainId>) -> Result<DomainId> {
        match wanted {
            Some(id) => NewId::chosen(id).map(|id| id.id()),
            None => NewId::burn(),
        }
    }

    fn create_domain(&mut self, _authority: ControlDomain, id: DomainId, wanted: &WantedDomain) -> Result<()> {
        let id = NewId::chosen(id)?;
        let record = Domain::create(
            id,
            NewDomain {
                identity: Identity {
                    handle: wanted.handle,
                    flags: wanted.flags,
                    ssidref: wanted.ssidref,
                    arch: wanted.arch,
                },
                extent: Extent::Nothing,
                is_control: false,
                vcpus: wanted.vcpus,
                maximum_frames: 0,
                grants: Limits {
                    frames: wanted.grants.frames,
                    maptrack_frames: wanted.grants.maptrack_frames,
                    version: if wanted.grant_version == 2 { Version::Two } else { Version::One },
                },
                max_port: wanted.max_port,
                pirqs: io_apic::line_count() + EXTRA_PIRQS,
            },
        )?;
        wait_for_toolstack(record.domain())?;
        pools::publish(record, wanted.cpupool)?;
        Ok(())
    }

    fn destroy_domain(&mut self, target: Target) -> Result<Progress> {
        Ok(match tear_down(named(target)?, self) {
            TeardownProgress::Done => Progress::Done,
            TeardownProgress::More => Progress::Preempted,
        })
    }

    fn pause_domain(&mut self, target: Target) -> Result<()> {
        named(target)?.pause()
    }

    fn unpause_domain(&mut self, target: Target) -> Result<()> {
        named(target)?.unpause()
    }

    fn resume_domain(&mut self, target: Target) -> Result<()> {
        living(target)?.resume();
        Ok(())
    }

    fn vcpu_maximum(&self, target: Target) -> Result<u32> {
        Ok(named(target)?.max_vcpus)
    }

    fn make_vcpus(&mut self, target: Target) -> Result<()> {
        let domain = living(target)?;
        block::with_deep_stack(cpu::this().index, VCPU_STACK_PAGES, || domain.make_vcpus())?
    }

    fn set_handle(&mut self, target: Target, handle: DomainHandle) -> Result<()> {
        named(target)?.control.lock().identity.handle = handle;
        Ok(())
    }

    fn set_debugging(&mut self, target: Target, debugging: Debugging) -> Result<()> {
        named(target)?.is_debugged.store(debugging == Debugging::Attached, Release);
        Ok(())
    }

    fn set_suspend_port(&mut self, target: Target, port: Port) -> Result<()> {
        named(target)?.suspend_port.store(port.0, Release);
        Ok(())
    }

    fn set_virq_handler(&mut self, target: Target, virq: Virq) -> Result<()> {
        virqs::give(virq, living(target)?)
    }
}
