//! Grant tables, versions 1 and 2: one domain lends frames to another to map, copy or receive.
//!
//! [`GrantTable`] is one domain's object: the shared entries and their pins for what it lends ([`table`], [`entry`], [`entry_v2`]),
//! and the handles of what it borrowed ([`maptrack`]). Operations are one file each and reach memory, page tables and
//! other domains through the traits of [`host`]. No operation takes a lock wider than one entry; nothing on the paths
//! of map, unmap and copy allocates, except the growth of the handle space. Source: Xen public header `grant_table.h`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod cache;
pub mod copy;
pub mod domains;
pub mod entry;
pub mod entry_v2;
mod growing;
pub mod host;
mod locked;
pub mod map;
pub mod maptrack;
pub mod pin;
pub mod sync;
pub mod table;
pub mod teardown;
pub mod transfer;
pub mod unmap;
pub mod version;

pub use copy::CopyBatch;
pub use domains::DomainCache;
pub use host::{
    Access, Caches, Contents, Host, Mappings, OutOfMemory, Place, Refused, SharedPage, TableMemory, Transfers,
};
pub use map::{Mapped, map};
pub use table::{GrantTable, Growth, Limits};
pub use teardown::{Teardown, release_mappings};
pub use transfer::transfer;
pub use unmap::{UnmapBatch, UnmapRequest};
pub use version::Version;
