//! Frame types, reference counts and page-table validation of PV guests: the reason why a guest that writes its own
//! page tables cannot reach memory that is not its own.
//!
//! Every frame of RAM has a [`FrameInfo`]: owner, general references, type and type references. A frame that is a page
//! table has no writable mapping, and a frame that has one is no page table; the only way from one to the other leads
//! through type count zero, a TLB flush and a fresh validation of the contents. All state is in two atomic words; no
//! function here takes a lock. See `docs/decisions/0005-frame-types.md`.
//!
//! A table may map tables of its own level read-only, with limits ([`linear`]); superpages are refused at every level.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(loom)]
extern crate std;

mod drops;
mod edit;
mod entry;
mod frame;
mod grant_entry;
mod guest_write;
mod host;
mod level_one;
mod linear;
mod list;
mod pin;
mod reference;
mod regions;
mod segment;
mod sync;
mod teardown;
mod type_word;
mod types;
mod upper;
mod walk;

pub use drops::{DropQueue, finish_drops};
pub use edit::{EditMode, OpenFrame};
pub use entry::{Entry, slot_of};
pub use frame::{FrameInfo, Frames};
pub use grant_entry::{GrantEntryRefused, map_grant_at_entry, map_grant_at_va, replace_grant, unmap_grant_at_entry};
pub use grant_entry::{grant_entry, unmap_grant_at_va};
pub use guest_write::{GuestWrite, WriteOutcome, apply_guest_write, is_table_write_fault};
pub use host::{IoAccess, MmuHost, PageTable, Stop};
pub use level_one::EntryRules;
pub use list::FrameList;
pub use pin::{acquire_root, pin, release_root, unpin};
pub use reference::{ReferenceWord, SharedAccess};
pub use regions::Regions;
pub use segment::{acquire_segment_page, release_segment_page};
pub use teardown::{release_allocation, release_shared, relinquish_frame, steal};
pub use type_word::{FrameType, TypeWord};
pub use types::{get_page, get_page_and_type, get_type, put_page, put_page_and_type, put_type};
pub use walk::{guest_entry, is_hypervisor_slot, walk_to_level_one};
