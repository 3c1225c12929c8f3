//! What a privileged instruction of the guest's kernel touches beyond its own registers.
//!
//! Context: the vCPU is resident on this CPU. Source: reference inventory §3.7.

#![expect(unsafe_code, reason = "writes the CPU's control registers and MSRs on the guest's behalf")]

use core::sync::atomic::Ordering::Relaxed;

use abi::{GuestVirtual, MachineAddress, Mfn};
use pv_cpu::{
    cpuid::Moment,
    decode::{Fetch, MAX_LENGTH, Segment, Unmapped},
    exception::page_fault,
    machine_check::MachineCheck,
    msr::{MsrPolicy, ReadAction, WriteAction},
    privileged::{BaseSwitch, CpuidPath, PrivilegedHost, Refused, SegmentView},
    registers::Registers,
    vcpu::{IoplView, VirtualCpu},
};
use pv_mmu::{Stop, acquire_root, guest_entry, release_root};

use super::{Caller, budget, descriptors, policy};
use crate::{
    arch::{control, debug, segments},
    cpu::{
        extended_state::{self, ExtendedState},
        features,
    },
    domain::{Domain, Vcpu, VcpuState},
    entry::{guest_access::Words, stubs},
    interrupt::flush,
    memory::mmu::{Machine, show_machine_to_physical},
};

/// MSRs that a vCPU has of its own and that are loaded or emulated by value.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnMsrs {
    time_stamp_aux: u32,
    speculation_control: u64,
    debug_masks: [u32; 4],
    machine_check: MachineCheck,
}

impl OwnMsrs {
    /// The value of one that is saved with its vCPU; 0 for others.
    pub fn saved(&self, index: u32) -> u64 {
        const SPECULATION_CONTROL: u32 = 0x48;
        const TIME_STAMP_AUX: u32 = 0xC000_0103;
        const FIRST_DEBUG_MASK: u32 = 0xC001_1027;
        const DEBUG_MASKS: core::ops::RangeInclusive<u32> = 0xC001_1019..=0xC001_101B;
        let [first, others @ ..] = &self.debug_masks;
        match index {
            SPECULATION_CONTROL => self.speculation_control,
            TIME_STAMP_AUX => u64::from(self.time_stamp_aux),
            FIRST_DEBUG_MASK => u64::from(*first),
            _ if DEBUG_MASKS.contains(&index) => {
                others.get((index - DEBUG_MASKS.start()) as usize).map_or(0, |mask| u64::from(*mask))
            }
            _ => 0,
        }
    }

    /// Sets one of them to a value that `policy` lets a guest write; `None` for any other.
    pub fn restore(&mut self, policy: &MsrPolicy, index: u32, value: u64) -> Option<()> {
        match policy.write(index, value) {
            WriteAction::TimeStampAux(value) => self.time_stamp_aux = value,
            WriteAction::SpeculationControl(value) => self.speculation_control = value,
            WriteAction::DebugMask(which, mask) => *self.debug_masks.get_mut(usize::from(which))? = mask,
            _ => return None,
        }
        Some(())
    }
}

/// The host of one emulated instruction.
pub struct Instructions<'a> {
    /// The vCPU.
    pub vcpu: &'static Vcpu,
    /// Its domain.
    pub domain: &'static Domain,
    pub(super) extended: &'a mut ExtendedState,
    pub(super) msrs: &'a mut OwnMsrs,
    pub(super) roots: Roots<'a>,
    /// The domain's configuration address latch while the instruction runs.
    pub(super) config_address: u32,
}

/// The vCPU's tables, as far as an instruction can change them.
pub struct Roots<'a> {
    kernel: &'a core::cell::Cell<Option<Mfn>>,
    local_table: &'a core::cell::Cell<(u64, u32)>,
}

/// Runs `work` on the caller's vCPU, registers and host, which are parts of one whole.
pub fn with<R>(
    caller: &mut Caller<'_>,
    work: impl FnOnce(&mut VirtualCpu, &mut Registers, &mut Instructions<'_>) -> R,
) -> R {
    let VcpuState { virtual_cpu, extended, msrs, kernel_root, local_table, .. } = &mut *caller.state;
    let mut host = Instructions {
        vcpu: caller.vcpu,
        domain: caller.domain,
        extended,
        msrs,
        roots: Roots { kernel: kernel_root, local_table },
        config_address: caller.domain.config_address.load(Relaxed),
    };
    let result = work(virtual_cpu, caller.registers, &mut host);
    let latch = host.config_address;
    caller.domain.config_address.store(latch, Relaxed);
    result
}

/// Which page of a range could not be read, and whether it is mapped at all.
fn unmapped(root: Option<Mfn>, from: u64, length: usize) -> Unmapped {
    let mapped = |address| root.is_some_and(|root| guest_entry(&Machine, root, GuestVirtual(address)).is_some());
    let last = from.wrapping_add(length as u64 - 1);
    let address = if mapped(from) && from >> 12 != last >> 12 { last & !0xFFF } else { from };
    Unmapped { address, code: if mapped(address) { page_fault::PRESENT } else { 0 } }
}

impl Instructions<'_> {
    fn read(&self, from: u64, into: &mut [u8]) -> Result<(), Unmapped> {
        if GuestVirtual(from).is_guest_range(into.len() as u64) && stubs::copy_from_guest(into, from) {
            return Ok(());
        }
        Err(unmapped(self.roots.kernel.get(), from, into.len()))
    }
}

impl Fetch for Instructions<'_> {
    #[inline(always)]
    fn fetch(&mut self, from: u64, into: &mut [u8]) -> Result<(), Unmapped> {
        // A whole instruction as two words, where they do not cross into the next page.
        if let Ok(whole) = <&mut [u8; MAX_LENGTH]>::try_from(&mut *into)
            && from & 0xFFF <= 0xFF0
            && GuestVirtual(from).is_guest_range(16)
            && let Some([low, high]) = <[u64; 2]>::read(from)
            && let Some(bytes) = (u128::from(high) << 64 | u128::from(low)).to_le_bytes().first_chunk()
        {
            *whole = *bytes;
            return Ok(());
        }
        self.read(from, into)
    }

    #[inline(always)]
    fn fetch_word(&mut self, from: u64) -> Option<u64> {
        let is_possible = from & 0xFFF <= 0xFF8 && GuestVirtual(from).is_guest_range(8);
        let [word] = is_possible.then(|| Words::read(from))??;
        Some(word)
    }
}

impl PrivilegedHost for Instructions<'_> {
    fn segment(&mut self, which: Segment, registers: &Registers) -> Option<SegmentView> {
        super::segment_view::segment(self.vcpu, which, registers)
    }

    fn read_data(&mut self, from: u64, into: &mut [u8]) -> Result<(), Unmapped> {
        self.read(from, into)
    }

    fn write_data(&mut self, to: u64, from: &[u8]) -> Result<(), Unmapped> {
        if GuestVirtual(to).is_guest_range(from.len() as u64) && stubs::copy_to_guest(to, from) {
            return Ok(());
        }
        Err(unmapped(self.roots.kernel.get(), to, from.len()))
    }

    fn read_kernel_byte(&mut self, from: u64) -> Option<u8> {
        // The bitmap's address is the kernel's; read it through the kernel's table, whichever is loaded.
        let root = self.roots.kernel.get()?;
        let frame = guest_entry(&Machine, root, GuestVirtual(from))?.mfn();
        // Held: another vCPU may change the entry and give the frame back between the walk and the read.
        let info = pv_mmu::get_page(&Machine, frame, self.domain.id).ok()?;
        let mut byte = [0];
        crate::memory::window::read_bytes(frame, (from & 0xFFF) as usize, &mut byte);
        pv_mmu::put_page(&Machine, frame, info);
        let [byte] = byte;
        Some(byte)
    }

    fn preempted(&self) -> bool {
        budget::is_spent()
    }

    fn iopl_view(&self) -> IoplView {
        super::guest_context::iopl_view(self.domain)
    }

    fn host_cr0(&self) -> u64 {
        const VISIBLE: u64 = 0x8005_0033;
        VISIBLE
    }

    fn host_cr4(&self) -> u64 {
        features::host_cr4()
    }

    fn cr4_policy(&self) -> u64 {
        features::guest_cr4_policy()
    }

    fn cr2(&self) -> u64 {
        self.vcpu.info().cr2.load(Relaxed)
    }

    fn set_cr2(&mut self, value: u64) {
        self.vcpu.info().cr2.store(value, Relaxed);
    }

    fn cr3(&self) -> u64 {
        self.roots.kernel.get().map_or(0, |root| root.address().0)
    }

    fn set_cr3(&mut self, value: u64) -> BaseSwitch {
        let root = MachineAddress(value).frame();
        match acquire_root(&Machine, root, self.domain.id) {
            Ok(()) => {}
            Err(Stop::Preempted) => return BaseSwitch::Preempted,
            Err(Stop::Errno(_)) => return BaseSwitch::Refused,
        }
        show_machine_to_physical(root);
        let old = self.roots.kernel.replace(Some(root));
        descriptors::drop_local_pages(self.domain, self.vcpu.id, self.roots.local_table.get().1);
        // SAFETY: 1. validated as a level-4 table just now, and held.
        unsafe { flush::switch_root(root.address().0) };
        if let Some(old) = old {
            release_root(&Machine, old);
        }
        BaseSwitch::Done
    }

    fn load_control(&mut self, cpu: &VirtualCpu) {
        load_control(cpu);
    }

    fn load_debug(&mut self, cpu: &VirtualCpu) {
        debug::load(&cpu.debug);
    }

    fn cpuid(&mut self, cpu: &VirtualCpu, leaf: u32, subleaf: u32, path: CpuidPath) -> [u32; 4] {
        let moment = Moment { mode: cpu.mode, path, cr4: cpu.control.cr4(), xcr0: self.extended.enabled() };
        policy::of(self.domain).cpuid.query(leaf, subleaf, &moment, &policy::OwnLeaves).registers()
    }

    fn time_stamp(&mut self) -> u64 {
        control::read_tsc()
    }

    fn time_stamp_aux(&mut self) -> Option<u32> {
        Some(self.msrs.time_stamp_aux)
    }

    fn write_back_caches(&mut self) {
        if self.domain.rights.has_io() {
            control::write_back_caches();
        }
    }

    fn set_extended_control(&mut self, index: u32, value: u64) -> Result<(), Refused> {
        const X87: u64 = 1;
        const SSE: u64 = 2;
        const AVX: u64 = 4;
        let supported = extended_state::host_components();
        let consistent = value & X87 != 0 && (value & AVX == 0 || value & SSE != 0);
        if index != 0 || value & !supported != 0 || !consistent {
            return Err(Refused);
        }
        self.extended.enable(value);
        Ok(())
    }

    fn read_msr(&mut self, cpu: &VirtualCpu, index: u32) -> Result<u64, Refused> {
        let policies = policy::of(self.domain);
        match policies.msr.read(index, self.vcpu.id.0) {
            ReadAction::Value(value) => Ok(value),
            ReadAction::Host { keep, set } => stubs::try_read_msr(index).map(|value| value & keep | set).ok_or(Refused),
            ReadAction::TimeStamp => Ok(control::read_tsc()),
            ReadAction::FsBase => Ok(segments::fs_base()),
            ReadAction::GsBase => Ok(segments::gs_base()),
            ReadAction::OtherGsBase => Ok(segments::kernel_gs_base()),
            ReadAction::TimeStampAux => Ok(u64::from(self.msrs.time_stamp_aux)),
            ReadAction::SpeculationControl => Ok(self.msrs.speculation_control),
            ReadAction::FeatureEnables => Ok(cpu.cpuid_faulting as u64),
            ReadAction::MachineCheck => Ok(self.msrs.machine_check.read(index, policies.vendor)),
            ReadAction::DebugMask(which) => {
                Ok(self.msrs.debug_masks.get(usize::from(which)).map_or(0, |mask| u64::from(*mask)))
            }
            ReadAction::ZeroIfPresent => stubs::try_read_msr(index).map(|_| 0).ok_or(Refused),
            ReadAction::Refused => Err(Refused),
        }
    }

    fn hardware_has_msr(&mut self, index: u32) -> bool {
        stubs::try_read_msr(index).is_some()
    }

    fn write_msr(&mut self, cpu: &mut VirtualCpu, index: u32, value: u64) -> Result<(), Refused> {
        match policy::of(self.domain).msr.write(index, value) {
            WriteAction::Ignore => {}
            WriteAction::FsBase(address) => segments::set_fs_base(address),
            WriteAction::GsBase(address) => segments::set_gs_base(address),
            WriteAction::OtherGsBase(address) => segments::set_kernel_gs_base(address),
            WriteAction::TimeStampAux(value) => self.msrs.time_stamp_aux = value,
            WriteAction::SpeculationControl(value) => self.write_own(index, value)?,
            WriteAction::PredictionCommand(value) | WriteAction::FlushCommand(value) => self.write_own(index, value)?,
            WriteAction::FeatureEnables(faulting) => cpu.cpuid_faulting = faulting,
            WriteAction::MustEqualRead => {
                if self.read_msr(cpu, index)? != value {
                    return Err(Refused);
                }
            }
            WriteAction::HypercallPage(address) => self.write_hypercall_page(address)?,
            WriteAction::MachineCheck => {
                let vendor = policy::of(self.domain).vendor;
                self.msrs.machine_check.write(index, value, vendor).map_err(|_| Refused)?;
            }
            WriteAction::DebugMask(which, mask) => {
                if let Some(slot) = self.msrs.debug_masks.get_mut(usize::from(which)) {
                    *slot = mask;
                }
            }
            WriteAction::IgnoreIfPresent => {
                stubs::try_read_msr(index).ok_or(Refused)?;
            }
            WriteAction::Refused => return Err(Refused),
        }
        Ok(())
    }
}

impl Instructions<'_> {
    /// Writes a mitigation MSR that the policy has let through; the value was checked bit by bit there.
    fn write_own(&mut self, index: u32, value: u64) -> Result<(), Refused> {
        const SPECULATION_CONTROL: u32 = 0x48;
        if index == SPECULATION_CONTROL {
            self.msrs.speculation_control = value;
        }
        // SAFETY: 1. speculation and cache controls change no architectural state of ours.
        if unsafe { stubs::try_write_msr(index, value) } { Ok(()) } else { Err(Refused) }
    }

    /// Fills the guest's frame at a machine address with the hypercall page.
    fn write_hypercall_page(&mut self, address: u64) -> Result<(), Refused> {
        use pv_mmu::{FrameType, get_page_and_type, put_page_and_type};
        let frame = MachineAddress(address).frame();
        let info = get_page_and_type(&Machine, frame, self.domain.id, FrameType::Writable).map_err(|_| Refused)?;
        super::hypercall_page::fill(frame);
        put_page_and_type(&Machine, frame, info);
        Ok(())
    }
}

/// Brings this CPU's CR0.TS and CR4 in line with what the guest has chosen.
pub fn load_control(cpu: &VirtualCpu) {
    const TASK_SWITCHED: u64 = 1 << 3;
    let wanted = cpu.control.hardware_cr4(features::host_cr4());
    if control::read_cr4() != wanted {
        // SAFETY: 1. the host's bits with the guest's choice of TSD, DE and FSGSBASE.
        unsafe { control::write_cr4(wanted) };
    }
    let cr0 = control::read_cr0();
    let wanted = if cpu.control.is_task_switched() { cr0 | TASK_SWITCHED } else { cr0 & !TASK_SWITCHED };
    if cr0 != wanted {
        // SAFETY: 1. only TS changes.
        unsafe { control::write_cr0(wanted) };
    }
}
