//! The VGA text screen, 80 by 25, scrolled by copying.
//!
//! Used until dom0 starts. Lock: the caller holds the console's. Source: IBM VGA text mode 3, memory at 0xB8000.

use core::sync::atomic::{AtomicU16, Ordering::Relaxed};

use crate::memory::window;

const COLUMNS: usize = 80;
const ROWS: usize = 25;
const SCREEN_PHYSICAL: u64 = 0xB8000;
const GREY_ON_BLACK: u16 = 0x0700;

/// Cursor of the text screen; the cells are the device's.
pub struct Vga {
    row: usize,
    column: usize,
    enabled: bool,
}

impl Vga {
    /// The screen, cursor at the top left, off until [`Vga::enable`].
    pub const fn new() -> Self {
        Self { row: 0, column: 0, enabled: false }
    }

    /// Clears the screen and starts to write to it.
    pub fn enable(&mut self) {
        self.enabled = true;
        for cell in cells() {
            cell.store(GREY_ON_BLACK | u16::from(b' '), Relaxed);
        }
    }

    /// Leaves the screen to dom0.
    pub fn disable(&mut self) {
        self.enabled = false;
    }

    /// Writes one character.
    pub fn put(&mut self, byte: u8) {
        if !self.enabled {
            return;
        }
        match byte {
            b'\n' => self.new_line(),
            b'\r' => self.column = 0,
            _ => {
                if let Some(cell) = cells().get(self.row * COLUMNS + self.column) {
                    cell.store(GREY_ON_BLACK | u16::from(byte), Relaxed);
                }
                self.column += 1;
                if self.column == COLUMNS {
                    self.new_line();
                }
            }
        }
    }

    fn new_line(&mut self) {
        self.column = 0;
        if self.row + 1 < ROWS {
            self.row += 1;
            return;
        }
        let cells = cells();
        for (to, from) in cells.iter().zip(cells.iter().skip(COLUMNS)) {
            to.store(from.load(Relaxed), Relaxed);
        }
        for cell in cells.iter().skip(COLUMNS * (ROWS - 1)) {
            cell.store(GREY_ON_BLACK | u16::from(b' '), Relaxed);
        }
    }
}

fn cells() -> &'static [AtomicU16] {
    window::low_memory_u16(SCREEN_PHYSICAL, COLUMNS * ROWS)
}
