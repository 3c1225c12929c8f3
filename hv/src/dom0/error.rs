//! Why dom0 could not be built, in one line with the offending value.

use core::fmt;

use abi::{Errno, Mfn};
use guest_image::{ImageError, LayoutError};

/// A reason not to start dom0. Owns no memory, so that it survives the temporary heap.
#[derive(Clone, Copy, Debug)]
pub enum Dom0Error {
    /// The boot loader gave no module.
    NoKernel,
    /// The kernel is not one that can be dom0.
    Image(ImageError),
    /// The kernel does not fit the memory or the address space it would get.
    Layout(LayoutError),
    /// The domain's record cannot be made.
    Record(Errno),
    /// There are too few free frames for a part of dom0.
    Frames {
        /// What they were for.
        part: &'static str,
        /// How many it takes.
        wanted: u64,
        /// How many are free.
        free: u64,
    },
    /// Dom0's first frames are in more pieces than the builder keeps track of.
    Fragmented(usize),
    /// A frame that the layout promised is not there: an error in the builder.
    Unplaced(u64),
    /// The kernel wants its hypercall page at an address that no page starts at.
    HypercallPage(u64),
    /// The initial page tables do not pass validation: an error in the builder.
    Tables(Mfn, Errno),
}

impl fmt::Display for Dom0Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKernel => formatter.write_str("the boot loader gave no kernel as first module"),
            Self::Image(error) => error.fmt(formatter),
            Self::Layout(error) => error.fmt(formatter),
            Self::Record(errno) => write!(formatter, "its record cannot be made ({})", errno.name()),
            Self::Frames { part, wanted, free } => {
                write!(formatter, "{part} takes {wanted} frames, {free} are free")
            }
            Self::Fragmented(pieces) => {
                write!(formatter, "memory is in pieces: more than {pieces} for its first frames")
            }
            Self::Unplaced(pfn) => write!(formatter, "no machine frame behind its frame {pfn:#x}"),
            Self::HypercallPage(address) => write!(formatter, "HYPERCALL_PAGE {address:#x} is not page aligned"),
            Self::Tables(root, errno) => {
                write!(formatter, "its page tables at frame {root:#x} are not valid ({})", errno.name())
            }
        }
    }
}

impl From<ImageError> for Dom0Error {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<LayoutError> for Dom0Error {
    fn from(error: LayoutError) -> Self {
        Self::Layout(error)
    }
}
