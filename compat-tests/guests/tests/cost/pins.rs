//! Pinning and unpinning tables of each level, every entry present. Below an L2 the tables are validated already, so each
//! row is its own level's work.

use compat_guests::cost::row_of;
use compat_guests::hypercall::mmuext;
use compat_guests::memory::{self, A, DATA, P, RW, US, entry, make_read_only, mfn_of, page};
use compat_guests::number::mmuext as ext;

/// All rows of this family.
pub fn measure() {
    let data = mfn_of(page());
    let mut below = entry(data, DATA);
    for (name, command, slots) in [
        ("pin + unpin of a full L1", ext::PIN_L1, 512),
        ("pin + unpin of a full L2 over a valid L1", ext::PIN_L2, 512),
        ("pin + unpin of a full L3 over a valid L2", ext::PIN_L3, 512),
        // Slots above belong to the hypervisor.
        ("pin + unpin of an L4 with 256 entries over a valid L3", ext::PIN_L4, 256),
    ] {
        let table = page();
        for index in 0..slots {
            memory::write(table + index * 8, below);
        }
        make_read_only(table);
        let frame = mfn_of(table);
        if mmuext(command, frame, 0) != 0 {
            return;
        }
        mmuext(ext::UNPIN, frame, 0);
        row_of(name, 4, |_| {
            mmuext(command, frame, 0);
            mmuext(ext::UNPIN, frame, 0);
        });
        // Stays pinned for the next level.
        mmuext(command, frame, 0);
        below = entry(frame, P | RW | US | A);
    }
}
