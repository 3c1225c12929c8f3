//! The lock itself: a spin mutex whose waiting loop serves other CPUs.
//!
//! A CPU that finds it taken, or others waiting, draws a number and waits for its turn: nobody who comes later is before
//! it, so as many holders pass before a CPU's turn as there are CPUs at most (XSA-114). A free lock costs a look at the
//! queue more.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::{Level, hooks};

struct Serve;

impl spin::relax::RelaxStrategy for Serve {
    fn relax() {
        hooks::relax();
    }
}

/// Who waits: numbers drawn and numbers served. Fewer CPUs wait than numbers go around.
struct Queue {
    drawn: AtomicU8,
    served: AtomicU8,
}

impl Queue {
    #[inline]
    fn is_empty(&self) -> bool {
        self.drawn.load(Relaxed) == self.served.load(Relaxed)
    }

    /// Waits for the turn of a number drawn now; it ends with [`Self::leave`].
    fn enter(&self) -> u8 {
        let number = self.drawn.fetch_add(1, Relaxed);
        while self.served.load(Acquire) != number {
            hooks::relax();
        }
        number
    }

    fn leave(&self, number: u8) {
        self.served.store(number.wrapping_add(1), Release);
    }
}

/// A value protected by a spin lock of a fixed level.
pub struct Lock<T: ?Sized> {
    level: Level,
    queue: Queue,
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
        let queue = Queue { drawn: AtomicU8::new(0), served: AtomicU8::new(0) };
        Self { level, queue, inner: spin::mutex::SpinMutex::new(value) }
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
        Guard { inner: self.wait(), _held: Held(self.level) }
    }

    #[inline]
    fn wait(&self) -> spin::mutex::SpinMutexGuard<'_, T, Serve> {
        if self.queue.is_empty()
            && let Some(inner) = self.inner.try_lock()
        {
            return inner;
        }
        self.wait_in_turn()
    }

    #[cold]
    fn wait_in_turn(&self) -> spin::mutex::SpinMutexGuard<'_, T, Serve> {
        let number = self.queue.enter();
        // Against the holder, and those who looked at the queue when it was empty.
        let inner = self.inner.lock();
        self.queue.leave(number);
        inner
    }

    /// Waits for a second lock of the same level; `_first` shows that the caller has thought about the order.
    #[inline]
    pub fn lock_second<'a, U: ?Sized>(&'a self, _first: &Guard<'_, U>) -> Guard<'a, T> {
        hooks::acquire_second(self.level);
        Guard { inner: self.wait(), _held: Held(self.level) }
    }

    /// Takes the lock if it is free, whoever waits.
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
