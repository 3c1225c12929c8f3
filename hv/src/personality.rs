//! What the unwinder asks of each frame it passes: where its guards are dropped, where a panic is caught.
//!
//! The ordinary personality of Rust ends the program when a frame's address stands in no call site of its table: no call
//! there can unwind. Here CPU faults unwind too, from any instruction, so such a frame is passed. For the same reason a
//! fault cannot rely on finding its boundary: the compiler leaves out what catches where it sees no call that unwinds. So
//! faults unwind the whole stack, dropping guards on the way, and end in the gate. Context: a panic or a fault unwinds.
//! Source: Itanium C++ ABI, exception handling; LLVM's form of the language-specific data area.

#![expect(unsafe_code, reason = "reads the compiler's tables")]

use alloc::boxed::Box;
use core::ffi::c_void;

use unwinding::abi::{
    _Unwind_FindEnclosingFunction, _Unwind_ForcedUnwind, _Unwind_GetIP, _Unwind_GetIPInfo,
    _Unwind_GetLanguageSpecificData, _Unwind_GetRegionStart, _Unwind_SetGR, _Unwind_SetIP, UnwindAction, UnwindContext,
    UnwindException, UnwindReasonCode,
};

use crate::{arch::control, interrupt::dispatch, sched::work, serve::boundary};

/// What a frame wants.
enum Action {
    /// Nothing.
    Pass,
    /// Its guards are dropped at this address.
    CleanUp(usize),
    /// It catches the panic at this address.
    Catch(usize),
}

/// Encoding "absent" and the one of call sites, the only ones that LLVM uses here.
const ABSENT: u8 = 0xFF;
const UNSIGNED_VARIABLE: u8 = 0x01;
/// Registers that the landing pad finds the exception in, by their numbers in DWARF: rax and rdx.
const EXCEPTION_REGISTER: i32 = 0;
const SELECTOR_REGISTER: i32 = 1;

/// A place in the compiler's tables.
struct Cursor(*const u8);

impl Cursor {
    fn byte(&mut self) -> u8 {
        // SAFETY: the tables are well formed and in the image; the cursor follows their lengths.
        let value = unsafe { *self.0 };
        self.0 = self.0.wrapping_add(1);
        value
    }

    /// A number in groups of seven bits.
    fn variable(&mut self) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
}

/// What the frame whose table starts at `table` wants when an exception comes through `address`, counted from the start
/// of its function. `None` for a table of a form that is not known.
fn find(table: *const u8, function: usize, address: usize) -> Option<Action> {
    let mut cursor = Cursor(table);
    if cursor.byte() != ABSENT {
        return None;
    }
    if cursor.byte() != ABSENT {
        cursor.variable();
    }
    if cursor.byte() != UNSIGNED_VARIABLE {
        return None;
    }
    let length = cursor.variable();
    let actions = cursor.0.wrapping_add(length);
    while cursor.0 < actions {
        let (start, length, pad, action) = (cursor.variable(), cursor.variable(), cursor.variable(), cursor.variable());
        if address < start {
            break;
        }
        if address < start + length {
            return Some(match (pad, action) {
                (0, _) => Action::Pass,
                (pad, 0) => Action::CleanUp(function + pad),
                // The action record's type index, a signed number: zero cleans up.
                (pad, action) => match Cursor(actions.wrapping_add(action - 1)).byte() {
                    0 => Action::CleanUp(function + pad),
                    _ => Action::Catch(function + pad),
                },
            });
        }
    }
    Some(Action::Pass)
}

#[lang = "eh_personality"]
unsafe fn rust_eh_personality(
    version: i32,
    phase: UnwindAction,
    _class: u64,
    exception: *mut UnwindException,
    context: &mut UnwindContext<'_>,
) -> UnwindReasonCode {
    let searches = phase.contains(UnwindAction::SEARCH_PHASE);
    let fatal = if searches { UnwindReasonCode::FATAL_PHASE1_ERROR } else { UnwindReasonCode::FATAL_PHASE2_ERROR };
    if version != 1 {
        return fatal;
    }
    let table = _Unwind_GetLanguageSpecificData(context);
    if table.is_null() {
        return UnwindReasonCode::CONTINUE_UNWIND;
    }
    let mut is_before = 0;
    let address = _Unwind_GetIPInfo(context, &mut is_before) - usize::from(is_before == 0);
    let function = _Unwind_GetRegionStart(context);
    match find(table.cast(), function, address.wrapping_sub(function)) {
        None => fatal,
        Some(Action::Pass) => UnwindReasonCode::CONTINUE_UNWIND,
        Some(Action::CleanUp(_)) if searches => UnwindReasonCode::CONTINUE_UNWIND,
        Some(Action::Catch(_)) if phase.contains(UnwindAction::FORCE_UNWIND) => UnwindReasonCode::CONTINUE_UNWIND,
        Some(Action::Catch(_)) if searches => UnwindReasonCode::HANDLER_FOUND,
        Some(Action::CleanUp(pad) | Action::Catch(pad)) => {
            _Unwind_SetGR(context, EXCEPTION_REGISTER, exception as usize);
            _Unwind_SetGR(context, SELECTOR_REGISTER, 0);
            _Unwind_SetIP(context, pad);
            UnwindReasonCode::INSTALL_CONTEXT
        }
    }
}

/// Goes on from a CPU fault in hypervisor code: unwinds this CPU's stack to its end, then crashes the domain that was
/// being served and leaves through the gate. Stops the machine when no domain was.
pub fn unwind_fault() -> ! {
    // SAFETY: clears CR0.TS only, so that the unwinder's use of MXCSR does not fault.
    unsafe { control::write_cr0(control::read_cr0() & !8) };
    // SAFETY: an exception of class zero without a destructor; all zeros otherwise is how one starts.
    let exception: Box<UnwindException> = Box::new(unsafe { core::mem::zeroed() });
    // SAFETY: the exception lives until `at_frame` frees it at the end of the stack.
    unsafe { _Unwind_ForcedUnwind(Box::into_raw(exception), at_frame, core::ptr::null_mut()) };
    crate::panic::stop()
}

/// Looks at each frame that a fault unwinds.
unsafe extern "C" fn at_frame(
    _version: i32,
    _phase: UnwindAction,
    _class: u64,
    exception: *mut UnwindException,
    context: &mut UnwindContext<'_>,
    _argument: *mut c_void,
) -> UnwindReasonCode {
    let function = _Unwind_FindEnclosingFunction(_Unwind_GetIP(context) as *mut c_void) as usize;
    // Scheduling and interrupts are nobody's: there is no domain to pay for their bugs.
    if function == work::run as *const () as usize || function == dispatch::interrupt as *const () as usize {
        crate::panic::stop();
    }
    if function == 0 {
        // SAFETY: made by `unwind_fault`, and nobody unwinds with it any more.
        drop(unsafe { Box::from_raw(exception) });
        boundary::contain_fault();
    }
    UnwindReasonCode::NO_REASON
}
