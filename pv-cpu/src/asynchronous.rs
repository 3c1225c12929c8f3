//! NMI and machine check: each is held off from its delivery until the iret hypercall that ends its handler.
//!
//! They nest (a machine check in an NMI handler), so each remembers the mask it found. Source: inventory of the PV
//! contract; Xen public header `nmi.h`.

/// The two asynchronous exceptions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsyncException {
    /// Non-maskable interrupt, vector 2.
    Nmi,
    /// Machine check, vector 18.
    MachineCheck,
}

impl AsyncException {
    const fn bit(self) -> u8 {
        match self {
            AsyncException::Nmi => 1,
            AsyncException::MachineCheck => 2,
        }
    }
}

/// Which are being handled, innermost last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AsyncMask {
    active: u8,
    innermost: u8,
}

impl AsyncMask {
    /// Whether `exception` must wait.
    #[inline]
    pub const fn blocks(self, exception: AsyncException) -> bool {
        self.active & exception.bit() != 0
    }

    /// Its handler was entered.
    #[inline]
    pub const fn enter(&mut self, exception: AsyncException) {
        self.active |= exception.bit();
        self.innermost = exception.bit();
    }

    /// An iret hypercall ended the innermost handler, if there is one.
    #[inline(always)]
    pub const fn leave(&mut self) {
        if self.active != 0 {
            self.active &= !self.innermost;
            self.innermost = self.active;
        }
    }
}
