//! The page of hypercall stubs that older guests call into. Source: reference inventory §3.5.

use abi::Mfn;

use crate::memory::window;

const SLOTS: usize = 128;
const SLOT_SIZE: usize = 32;
const IRET: usize = 23;

/// Fills the frame: each slot loads its number and issues SYSCALL; rcx and r11 are kept on the stack.
pub fn fill(frame: Mfn) {
    // int3 in every gap, as Xen leaves it.
    window::fill(frame, 0xCCCC_CCCC_CCCC_CCCC);
    for slot in 0..SLOTS {
        let [a, b, c, d] = (slot as u32).to_le_bytes();
        let offset = slot * SLOT_SIZE;
        if slot == IRET {
            // push rcx; push r11; push rax; mov eax, 23; syscall
            window::write_bytes(frame, offset, &[0x51, 0x41, 0x53, 0x50, 0xB8, a, b, c, d, 0x0F, 0x05]);
        } else {
            // push rcx; push r11; mov eax, slot; syscall; pop r11; pop rcx; ret
            let stub = [0x51, 0x41, 0x53, 0xB8, a, b, c, d, 0x0F, 0x05, 0x41, 0x5B, 0x59, 0xC3];
            window::write_bytes(frame, offset, &stub);
        }
    }
}
