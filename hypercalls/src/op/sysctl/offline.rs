//! sysctl: frames that are to leave the machine's memory, come back, or are asked for. Source: Xen public header `sysctl.h`.
//!
//! Many frames take a while, during which the call is made again, with [`ASKED`] and how many are done noted in the
//! request. The note is the caller's memory, so whoever forges it deceives himself only.

use abi::sysctl_machine::{FRAME_ONLINED, FRAME_OWNER_SHIFT, FrameCommand, FrameOutcome, FrameStatus, PageOffline};
use abi::{DomainId, Errno, Mfn, Result};

use super::Request;
use crate::authority::ControlDomain;
use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::{Failure, Reply};

/// Whether a frame is kept from being given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameHold {
    /// It is not.
    Free,
    /// As soon as its owner gives it back.
    Pending,
    /// Nobody has it, and nobody gets it.
    Gone,
}

/// Frames that leave memory.
pub trait FrameHoldHost {
    /// Whether there is a record of the frame, and it is memory; `None` without a record.
    fn frame_is_memory(&self, frame: Mfn) -> Option<bool>;
    /// Whether it is kept.
    fn frame_hold(&self, frame: Mfn) -> FrameHold;
    /// Keeps it; its owner, if somebody has it. Errors: `EPERM` for the hypervisor's own, `ENOMEM`.
    fn hold_frame(&mut self, authority: ControlDomain, frame: Mfn) -> Result<Option<DomainId>>;
    /// Ends that; how it was.
    fn return_frame(&mut self, authority: ControlDomain, frame: Mfn) -> FrameHold;
}

/// Frames between two looks at the clock.
const STRIDE: u64 = 64;
/// Set in the command of a call that goes on.
const ASKED: u32 = 1 << 31;
/// Set too when it is the frames' turn.
const ANNOUNCED: u32 = 1 << 30;
/// What is said of frames that were not come to.
const UNTOUCHED: u32 = 0x0101_0101;

/// What came of one frame, and what the call answers if it ends there.
struct Step {
    status: u32,
    end: Option<Reply>,
}

impl Step {
    fn fine(status: u32) -> Self {
        Self { status, end: None }
    }

    fn refused(status: u32, error: Errno) -> Self {
        Self { status, end: Some(Err(error.into())) }
    }
}

/// How far a call came.
#[derive(Clone, Copy)]
struct Progress {
    /// Whether all frames are told as untouched, and it is their turn.
    is_announced: bool,
    /// Frames done, of the ones or the others.
    done: u64,
}

impl Progress {
    fn of(asked: &PageOffline) -> Self {
        match asked.command.0 & (ASKED | ANNOUNCED) {
            0 => Self { is_announced: false, done: 0 },
            flags => Self { is_announced: flags & ANNOUNCED != 0, done: asked.reserved.into() },
        }
    }

    /// Notes it in the request; the call is made again.
    fn stop<H: GuestMemory>(self, host: &mut H, request: &Request, asked: PageOffline) -> Reply {
        let flags = ASKED | if self.is_announced { ANNOUNCED } else { 0 };
        let command = FrameCommand(asked.command.0 & !(ASKED | ANNOUNCED) | flags);
        request.answer(host, &PageOffline { command, reserved: self.done as u32, ..asked })?;
        Err(Failure::Preempted([request.handle.address().0, 0, 0, 0, 0, 0]))
    }
}

/// page_offline_op(14). Stops at the first frame that there is a mistake about; those behind it are told as untouched.
/// Errors: `EINVAL` for a range that ends before it begins, an unknown command and a frame that is no memory (whose coming
/// back answers that number without its sign), `EPERM` for the leave of a frame of the hypervisor's, `ENOMEM`, `EFAULT`.
pub(super) fn frames<H: GuestMemory + Preemption + FrameHoldHost>(host: &mut H, request: &Request) -> Reply {
    let mut asked: PageOffline = request.argument()?;
    let count = u64::from(asked.last.checked_sub(asked.first).ok_or(Errno::EINVAL)?) + 1;
    let mut progress = Progress::of(&asked);
    let was_noted = asked.command.0 & ASKED != 0;
    let command = FrameCommand(asked.command.0 & !(ASKED | ANNOUNCED));
    let (mut since, mut reply) = (0, Ok(0));
    while !(progress.is_announced && progress.done == count) {
        if progress.done == count {
            progress = Progress { is_announced: true, done: 0 };
            continue;
        }
        since += 1;
        if since % STRIDE == 0 && host.preempted() {
            return progress.stop(host, request, asked);
        }
        let mut step = Step::fine(UNTOUCHED);
        if progress.is_announced {
            step = one(host, request.authority, command, Mfn(u64::from(asked.first) + progress.done));
        }
        guest::write(host, asked.status.element(progress.done), &step.status)?;
        if let Some(end) = step.end {
            reply = end;
            break;
        }
        progress.done += 1;
    }
    if was_noted {
        (asked.command, asked.reserved) = (command, 0);
        request.answer(host, &asked)?;
    }
    reply
}

fn one<H: FrameHoldHost>(host: &mut H, authority: ControlDomain, command: FrameCommand, frame: Mfn) -> Step {
    let is_memory = host.frame_is_memory(frame);
    match (command, is_memory) {
        (FrameCommand::QUERY, Some(true)) => Step::fine(match host.frame_hold(frame) {
            FrameHold::Free => 0,
            FrameHold::Pending => FrameStatus::PENDING.0,
            FrameHold::Gone => FrameStatus::OFFLINED.0,
        }),
        (FrameCommand::ONLINE, Some(_)) => {
            let was_held = host.return_frame(authority, frame) != FrameHold::Free;
            Step::fine(if was_held { FRAME_ONLINED } else { 0 })
        }
        (FrameCommand::ONLINE, None) => {
            let unsigned = u64::from(Errno::EINVAL.number().wrapping_neg() as u32);
            Step { status: UNTOUCHED, end: Some(Ok(unsigned)) }
        }
        (FrameCommand::OFFLINE, Some(true)) => leave(host, authority, frame),
        (FrameCommand::OFFLINE, Some(false)) => {
            Step::refused(FrameOutcome::FAILED.0 | FrameOutcome::NOT_RAM.0, Errno::EINVAL)
        }
        _ => Step::refused(UNTOUCHED, Errno::EINVAL),
    }
}

fn leave<H: FrameHoldHost>(host: &mut H, authority: ControlDomain, frame: Mfn) -> Step {
    let owned_by = |owner: DomainId| u32::from(owner.0) << FRAME_OWNER_SHIFT;
    match host.hold_frame(authority, frame) {
        Ok(None) => Step::fine(FrameOutcome::OFFLINED.0),
        Ok(Some(owner)) => Step::fine(FrameOutcome::PENDING.0 | FrameOutcome::OWNED.0 | owned_by(owner)),
        Err(Errno::EPERM) => {
            let status = FrameOutcome::FAILED.0 | FrameOutcome::XEN_PAGE.0 | owned_by(DomainId::XEN);
            Step::refused(status, Errno::EPERM)
        }
        Err(error) => Step::refused(FrameOutcome::FAILED.0, error),
    }
}
