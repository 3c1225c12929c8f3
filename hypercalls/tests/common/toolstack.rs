//! The machine of the fake host as the toolstack sees it.

use abi::{DomainId, Errno, Mfn, Result};
use hypercalls::authority::{ControlDomain, Target};
use hypercalls::op::hypfs::{Parameter, ParameterHost, ParameterText};
use hypercalls::op::physdev::PciAddress;
use hypercalls::op::sysctl::{
    ConsoleRing, CpuPlace, FrameHold, FrameHoldHost, IdleLimit, MachineFacts, MachineHost, PoolFacts, PoolHost,
};

use super::Fake;

/// A console ring of 16 bytes.
#[derive(Default)]
pub struct Ring {
    /// All that was ever printed.
    pub printed: Vec<u8>,
    pub forgotten: u32,
}

impl Ring {
    pub const SIZE: u32 = 16;

    fn begin(&self) -> u32 {
        self.forgotten.max((self.printed.len() as u32).saturating_sub(Self::SIZE))
    }
}

impl ConsoleRing for Fake {
    fn console_ring(&self) -> (u32, u32) {
        (self.ring.begin(), self.ring.printed.len() as u32)
    }
    fn console_ring_copy(&self, from: u32, into: &mut [u8]) -> (u32, usize) {
        let start = from.max(self.ring.begin());
        let bytes = &self.ring.printed[start as usize..];
        (start, into.iter_mut().zip(bytes).map(|(to, byte)| *to = *byte).count())
    }
    fn console_ring_forget(&mut self, _authority: ControlDomain, until: u32) {
        self.ring.forgotten = until;
    }
    fn debug_key(&mut self, _authority: ControlDomain, key: u8) {
        self.note(format!("key {}", char::from(key)));
    }
}

impl MachineHost for Fake {
    fn machine(&self) -> MachineFacts {
        MachineFacts {
            threads_per_core: 2,
            cores_per_socket: 4,
            cpus: 2,
            kilohertz: 2_000_000,
            frames: 0x4_0000,
            free_frames: 0x1000,
            claimed_frames: 5,
            frame_limit: 0x10_0000,
            features: [1, 2, 3, 4, 5, 6, 7, 8],
        }
    }
    fn cpu_numbers(&self) -> u32 {
        3
    }
    fn idle_time(&self, cpu: u32) -> Option<u64> {
        (cpu < 2).then_some(u64::from(cpu) * 100 + 7)
    }
    fn service_time(&self, cpu: u32) -> Option<u64> {
        (cpu < 2).then_some(1000)
    }
    fn cpu_place(&self, cpu: u32) -> Option<CpuPlace> {
        (cpu < 2).then_some(CpuPlace { core: cpu, socket: 1 })
    }
    fn free_frames(&self, first: u64, end: u64) -> u64 {
        // One free frame in every 256, up to 4 GiB.
        end.min(0x10_0000).saturating_sub(first) / 256
    }
    fn pci_is_known(&self, device: PciAddress) -> bool {
        device.bus == 1
    }
    fn idle_limit(&self, which: IdleLimit) -> u32 {
        self.idle_limits[which as usize]
    }
    fn set_idle_limit(&mut self, _authority: ControlDomain, which: IdleLimit, state: u32) {
        self.idle_limits[which as usize] = state;
    }
}

/// 64 frames: of 16 each those at 0 to 3 are no memory, 4 is the hypervisor's, the lower half of the rest domain 5's.
impl FrameHoldHost for Fake {
    fn frame_is_memory(&self, frame: Mfn) -> Option<bool> {
        (frame.0 < 64).then_some(frame.0 % 16 > 3)
    }
    fn frame_hold(&self, frame: Mfn) -> FrameHold {
        self.held.get(&frame.0).copied().unwrap_or(FrameHold::Free)
    }
    fn hold_frame(&mut self, _authority: ControlDomain, frame: Mfn) -> Result<Option<DomainId>> {
        let (owner, hold) = match frame.0 % 16 {
            4 => return Err(Errno::EPERM),
            5..10 => (Some(DomainId(5)), FrameHold::Pending),
            _ => (None, FrameHold::Gone),
        };
        self.held.insert(frame.0, hold);
        Ok(owner)
    }
    fn return_frame(&mut self, _authority: ControlDomain, frame: Mfn) -> FrameHold {
        self.held.remove(&frame.0).unwrap_or(FrameHold::Free)
    }
}

/// Pools 0 and 5.
impl PoolHost for Fake {
    fn pool_from(&self, id: u32) -> Option<PoolFacts> {
        let pools = [
            PoolFacts { id: 0, cpus: 0b001, domains: 2, rate_limit: 1000 },
            PoolFacts { id: 5, cpus: 0b010, domains: 0, rate_limit: 300 },
        ];
        pools.into_iter().find(|pool| pool.id >= id)
    }
    fn free_cpus(&self) -> u64 {
        0b100
    }
    fn pool_create(&mut self, _authority: ControlDomain, wanted: Option<u32>) -> Result<u32> {
        self.attempt("pool create", wanted)?;
        Ok(wanted.unwrap_or(6))
    }
    fn pool_destroy(&mut self, _authority: ControlDomain, id: u32) -> Result<()> {
        self.attempt("pool destroy", id)
    }
    fn pool_add_cpu(&mut self, _authority: ControlDomain, id: u32, cpu: Option<u32>) -> Result<()> {
        self.attempt("pool add", (id, cpu))
    }
    fn pool_remove_cpu(&mut self, _authority: ControlDomain, id: u32, cpu: Option<u32>) -> Result<()> {
        self.attempt("pool remove", (id, cpu))
    }
    fn pool_move_domain(&mut self, target: Target, id: u32) -> Result<()> {
        self.attempt("pool move", (target.id().0, id))
    }
    fn pool_set_rate_limit(&mut self, _authority: ControlDomain, id: u32, limit: u32) -> Result<()> {
        if id == 5 { Err(Errno::ENOENT) } else { self.attempt("rate limit", (id, limit)) }
    }
}

impl ParameterHost for Fake {
    fn parameter(&self, parameter: Parameter) -> ParameterText {
        match parameter {
            Parameter::GrantFrames => ParameterText::new(format_args!("{}", 64)),
            _ => ParameterText::new(format_args!("{parameter:?}")),
        }
    }
    fn set_parameter(&mut self, _authority: ControlDomain, parameter: Parameter, text: &str) -> Result<()> {
        self.attempt("parameter", (parameter, text))
    }
}
