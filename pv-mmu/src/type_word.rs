//! The type word of a frame as a value: which type, which state, how many type references.
//!
//! States of a frame with type `T`:
//! - count 0: unused, the type is only remembered, for the flush that a change of type owes; a writable frame keeps
//!   [`TypeWord::VALIDATED`] here because it has nothing to validate.
//! - count > 0, validated: in use; references come and go with compare-and-exchange.
//! - count 1, not validated, not partial: *busy*. One CPU owns the frame's contents while it validates or devalidates;
//!   nobody else may change the word.
//! - count 1, partial: a preempted validation or devalidation, owned by nobody. The first `progress` entries hold their
//!   references. Whoever needs it next takes it over, reference and all. It holds a general reference too.

/// What a frame is used as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FrameType {
    /// Nothing in particular; with a count: shared read-only with guests by the hypervisor.
    None = 0,
    /// Level-1 page table.
    L1 = 1,
    /// Level-2 page table.
    L2 = 2,
    /// Level-3 page table.
    L3 = 3,
    /// Level-4 page table.
    L4 = 4,
    /// Holds descriptors of a GDT or LDT.
    Segment = 5,
    /// Shared copy-on-write; never set in this version.
    Shared = 6,
    /// Mapped writable.
    Writable = 7,
}

impl FrameType {
    /// Whether it is a page table of any level.
    #[inline]
    pub const fn is_table(self) -> bool {
        (self as u8).wrapping_sub(1) < 4
    }

    /// The type of the tables that a table of this type maps; `None` below level 2.
    #[inline]
    pub const fn below(self) -> FrameType {
        match self {
            FrameType::L4 => FrameType::L3,
            FrameType::L3 => FrameType::L2,
            FrameType::L2 => FrameType::L1,
            _ => FrameType::None,
        }
    }

    const fn from_bits(bits: u64) -> Self {
        match bits {
            1 => FrameType::L1,
            2 => FrameType::L2,
            3 => FrameType::L3,
            4 => FrameType::L4,
            5 => FrameType::Segment,
            6 => FrameType::Shared,
            7 => FrameType::Writable,
            _ => FrameType::None,
        }
    }
}

/// One reading of a type word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TypeWord(pub(crate) u64);

impl TypeWord {
    const TYPE_SHIFT: u32 = 61;
    /// The guest asked for the type to stay; that holds one type reference and one general reference.
    pub(crate) const PINNED: u64 = 1 << 60;
    /// Contents were found fit for the type.
    pub(crate) const VALIDATED: u64 = 1 << 59;
    /// Preempted in validation or devalidation.
    pub(crate) const PARTIAL: u64 = 1 << 58;
    pub(crate) const COUNT: u64 = (1 << 40) - 1;

    /// `frame_type` with no flags and `count` references.
    #[inline]
    pub(crate) const fn new(frame_type: FrameType, count: u64) -> Self {
        Self(((frame_type as u64) << Self::TYPE_SHIFT) | count)
    }

    /// The type, which means something to others only while the count is not zero.
    #[inline]
    pub const fn frame_type(self) -> FrameType {
        FrameType::from_bits(self.0 >> Self::TYPE_SHIFT)
    }

    /// Whether the type is a page table of any level, in one comparison.
    #[inline(always)]
    pub(crate) const fn is_table(self) -> bool {
        const FIRST: u64 = TypeWord::new(FrameType::L1, 0).0;
        const LEVELS: u64 = TypeWord::new(FrameType::L4, 0).0;
        self.0.wrapping_sub(FIRST) < LEVELS
    }

    #[inline(always)]
    pub(crate) const fn frame_type_is_segment(self) -> bool {
        self.0 >> Self::TYPE_SHIFT == FrameType::Segment as u64
    }

    /// Type references.
    #[inline]
    pub const fn count(self) -> u64 {
        self.0 & Self::COUNT
    }

    /// Whether the contents were found fit for the type.
    #[inline]
    pub const fn is_validated(self) -> bool {
        self.0 & Self::VALIDATED != 0
    }

    /// Whether a preempted change waits to be finished.
    #[inline]
    pub const fn is_partial(self) -> bool {
        self.0 & Self::PARTIAL != 0
    }

    /// Whether the guest pinned it.
    #[inline]
    pub const fn is_pinned(self) -> bool {
        self.0 & Self::PINNED != 0
    }

    /// Whether one more reference of `wanted` can be had by adding one: same type, validated, in use or writable, and
    /// not at the end of the counter.
    #[inline(always)]
    pub(crate) const fn admits(self, wanted: FrameType) -> bool {
        // What is left of an equal type and state is the count; of any other, a number above every count.
        let validated = Self::new(wanted, 0).0 | Self::VALIDATED;
        (self.0 & !Self::PINNED).wrapping_sub(validated) < Self::COUNT
    }

    /// Whether the type stays when one reference goes.
    #[inline(always)]
    pub(crate) const fn outlives_one(self) -> bool {
        self.0 & (Self::VALIDATED | Self::COUNT) > Self::VALIDATED | 1
    }
}

impl core::fmt::Debug for TypeWord {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{:?}x{}", self.frame_type(), self.count())?;
        if self.is_validated() {
            formatter.write_str("+validated")?;
        }
        if self.is_partial() {
            formatter.write_str("+partial")?;
        }
        if self.is_pinned() {
            formatter.write_str("+pinned")?;
        }
        Ok(())
    }
}
