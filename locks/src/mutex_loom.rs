//! The same lock over loom's mutex, for exhaustive interleaving tests (`--cfg loom`).

use std::ops::{Deref, DerefMut};

use crate::{Level, hooks};

/// See the ordinary build.
pub struct Lock<T> {
    level: Level,
    inner: loom::sync::Mutex<T>,
}

/// See the ordinary build.
pub struct Guard<'a, T> {
    level: Level,
    inner: loom::sync::MutexGuard<'a, T>,
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        hooks::release(self.level);
    }
}

fn ignore_poison<G>(result: Result<G, std::sync::PoisonError<G>>) -> G {
    result.unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl<T> Lock<T> {
    /// See the ordinary build.
    pub fn new(level: Level, value: T) -> Self {
        Self { level, inner: loom::sync::Mutex::new(value) }
    }

    /// See the ordinary build.
    pub fn lock(&self) -> Guard<'_, T> {
        hooks::acquire(self.level);
        Guard { level: self.level, inner: ignore_poison(self.inner.lock()) }
    }

    /// See the ordinary build.
    pub fn lock_second<'a, U>(&'a self, _first: &Guard<'_, U>) -> Guard<'a, T> {
        Guard { level: self.level, inner: ignore_poison(self.inner.lock()) }
    }

    /// See the ordinary build.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let inner = self.inner.try_lock().ok()?;
        hooks::acquire(self.level);
        Some(Guard { level: self.level, inner })
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}
