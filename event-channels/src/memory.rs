//! Memory that may be refused: boxed slices and shared objects whose allocation answers `ENOMEM`.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::mem::MaybeUninit;

use abi::{Errno, Result};

/// `count` values made by `make`, or `ENOMEM`.
pub(crate) fn boxed_slice<T>(count: usize, make: impl FnMut() -> T) -> Result<Box<[T]>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    values.resize_with(count, make);
    Ok(values.into_boxed_slice())
}

/// One shared value, or `ENOMEM`.
///
/// The language has no stable fallible `Arc`, so the space is probed first. Should another CPU take it between the probe
/// and the allocation, the heap's own failure path ends the call; only domain creation comes here.
pub(crate) fn shared<T>(value: T) -> Result<Arc<T>> {
    let mut probe: Vec<MaybeUninit<T>> = Vec::new();
    probe.try_reserve_exact(2).map_err(|_| Errno::ENOMEM)?;
    drop(probe);
    Ok(Arc::new(value))
}
