//! Ending the machine: power off, reset, or stay for whoever reads the screen.
//!
//! Source: ACPI 6.5 §4.8.3 (sleep control, reset register); the keyboard controller's and port 0xCF9's customs.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use abi::sched::ShutdownReason;
use boot_options::RebootMethod;
use firmware_tables::GenericAddress;
use spin::Once;
use x86_64::instructions::port::Port;

use super::firmware;
use crate::{
    arch::{control, port},
    memory::window,
    time::delay,
};

static NO_REBOOT: AtomicBool = AtomicBool::new(false);
/// The method of `reboot=`, if one was asked for.
static METHOD: Once<RebootMethod> = Once::new();
/// Whether the firmware is told to skip its memory test.
static WARM: AtomicBool = AtomicBool::new(false);
/// SLP_TYP values of S5 as dom0 gave them: a in bits 15:0, b in 31:16; all ones while unknown.
static SOFT_OFF: AtomicU32 = AtomicU32::new(u32::MAX);

const SLEEP_ENABLE: u16 = 1 << 13;

/// `noreboot` on the command line: after a crash, halt.
pub fn set_no_reboot() {
    NO_REBOOT.store(true, Relaxed);
}

/// How to reset (`reboot=`). Context: boot, once.
pub fn set_reset(method: Option<RebootMethod>, is_warm: bool) {
    if let Some(method) = method {
        METHOD.call_once(|| method);
    }
    WARM.store(is_warm, Relaxed);
}

/// Whether a crash halts instead of resetting.
pub fn is_no_reboot() -> bool {
    NO_REBOOT.load(Relaxed)
}

/// Remembers dom0's values for soft off (from `XENPF_enter_acpi_sleep`).
pub fn set_soft_off(control_a: u16, control_b: u16) {
    SOFT_OFF.store(u32::from(control_a) | u32::from(control_b) << 16, Relaxed);
}

/// Writes the sleep registers with the values dom0 gave. Returns only when the machine did not go to sleep.
pub fn enter_sleep(control_a: u16, control_b: u16) {
    let Some(fadt) = firmware::get().and_then(|firmware| firmware.fadt) else { return };
    write_control(fadt.pm1a_control, control_a);
    write_control(fadt.pm1b_control, control_b);
    write_control(fadt.pm1a_control, control_a | SLEEP_ENABLE);
    write_control(fadt.pm1b_control, control_b | SLEEP_ENABLE);
    delay::microseconds(100_000);
}

fn write_control(register: u16, value: u16) {
    if register != 0 {
        port::write_u16(Port::new(register), value);
    }
}

/// Switches the machine off, or halts with a sentence where that cannot be done.
pub fn off() -> ! {
    let values = SOFT_OFF.load(Relaxed);
    if values != u32::MAX {
        enter_sleep(values as u16, (values >> 16) as u16);
    }
    log::info!("System halted: the firmware did not switch the machine off.");
    control::halt_forever()
}

/// Resets the machine: in the way that was asked for, then in every way there is.
pub fn reset() -> ! {
    // What the firmware looks for after a reset, in its data area.
    const RESET_FLAG: u64 = 0x472;
    const SKIP_MEMORY_TEST: u16 = 0x1234;
    let flag = if WARM.load(Relaxed) { SKIP_MEMORY_TEST } else { 0 };
    window::write_physical(RESET_FLAG, &flag.to_le_bytes());
    if let Some(method) = METHOD.get() {
        reset_by(*method);
    }
    reset_by(RebootMethod::Acpi);
    for _ in 0..10 {
        reset_by(RebootMethod::Pci);
        reset_by(RebootMethod::Keyboard);
    }
    control::triple_fault()
}

/// Tries one way; returns when that did not work.
fn reset_by(method: RebootMethod) {
    const RESET_CONTROL: u16 = 0xCF9;
    const KEYBOARD: u16 = 0x64;
    match method {
        RebootMethod::Triple => control::triple_fault(),
        RebootMethod::Acpi => {
            if let Some((register, value)) =
                firmware::get().and_then(|firmware| firmware.fadt).and_then(|fadt| fadt.reset)
                && let GenericAddress::Port(address) = register
            {
                log::info!("Resetting with ACPI MEMORY or I/O RESET_REG.");
                port::write_u8(Port::new(address), value);
            }
        }
        RebootMethod::Keyboard => port::write_u8(Port::new(KEYBOARD), 0xFE),
        RebootMethod::Pci | RebootMethod::Power => {
            // Bit 3 asks for a full power cycle.
            let reset = if method == RebootMethod::Power { 0x0E } else { 0x06 };
            port::write_u8(Port::new(RESET_CONTROL), reset & !0x04);
            delay::microseconds(50);
            port::write_u8(Port::new(RESET_CONTROL), reset);
        }
        // Booted by a BIOS loader there is no EFI to ask.
        RebootMethod::Efi => return,
    }
    delay::microseconds(50_000);
}

/// What follows a fatal error or a crash of dom0: reset after five seconds, or halt with `noreboot`.
pub fn end_after_crash() -> ! {
    if is_no_reboot() {
        log::error!("'noreboot' set - not rebooting.");
        control::halt_forever();
    }
    log::error!("Reboot in five seconds...");
    delay::microseconds(5_000_000);
    reset()
}

/// The hardware domain has stopped: so does the host, as its reason says.
pub fn hardware_domain_stopped(reason: ShutdownReason) -> ! {
    match reason {
        ShutdownReason::POWEROFF => {
            log::info!("Hardware Dom0 halted: halting machine");
            off()
        }
        ShutdownReason::REBOOT => {
            log::info!("Hardware Dom0 shutdown: rebooting machine");
            reset()
        }
        ShutdownReason::WATCHDOG => {
            log::error!("Hardware Dom0 shutdown: watchdog rebooting machine");
            reset()
        }
        ShutdownReason::CRASH if is_no_reboot() => {
            log::error!("Hardware Dom0 crashed: 'noreboot' set - not rebooting.");
            control::halt_forever()
        }
        ShutdownReason::CRASH => {
            log::error!("Hardware Dom0 crashed: rebooting machine in 5 seconds.");
            delay::microseconds(5_000_000);
            reset()
        }
        ShutdownReason::SOFT_RESET => {
            log::error!("Hardware domain {} did unsupported soft reset, rebooting.", 0);
            reset()
        }
        other => {
            log::error!("Hardware Dom0 shutdown (unknown reason {}): rebooting machine", other.0);
            reset()
        }
    }
}
