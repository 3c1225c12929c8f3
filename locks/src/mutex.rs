//! The lock itself: a ticketless spin mutex whose waiting loop serves other CPUs.

use core::ops::{Deref, DerefMut};

use crate::{Level, hooks};

struct Serve;

impl spin::relax::RelaxStrategy for Serve {
    fn relax() {
        hooks::relax();
    }
}

/// A value protected by a spin lock of a fixed level.
pub struct Lock<T: ?Sized> {
    level: Level,
    inner: spin::mutex::SpinMutex<T, Serve>,
}

/// Proof that the lock is held; releases it when dropped, also while a panic unwinds.
pub struct Guard<'a, T: ?Sized> {
    // Declared first: the lock is free again before the level is.
    inner: spin::mutex::SpinMutexGuard<'a, T, Serve>,
    _held: Held,
}

struct Held(Level);

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        hooks::release(self.0);
    }
}

impl<T> Lock<T> {
    /// A free lock around `value`.
    pub const fn new(level: Level, value: T) -> Self {
        Self { level, inner: spin::mutex::SpinMutex::new(value) }
    }

    /// The value, when nobody else can have the lock any more.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        hooks::acquire(self.level);
        Guard { inner: self.inner.lock(), _held: Held(self.level) }
    }

    /// Waits for a second lock of the same level; `_first` shows that the caller has thought about the order.
    #[inline]
    pub fn lock_second<'a, U: ?Sized>(&'a self, _first: &Guard<'_, U>) -> Guard<'a, T> {
        hooks::acquire_second(self.level);
        Guard { inner: self.inner.lock(), _held: Held(self.level) }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let inner = self.inner.try_lock()?;
        hooks::acquire(self.level);
        Some(Guard { inner, _held: Held(self.level) })
    }

    /// The value, without locking, given the only reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}
