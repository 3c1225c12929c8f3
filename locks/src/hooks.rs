//! What `hv` does while a lock is waited for, taken and released. Host tests install nothing.

use crate::Level;

/// Functions called by every lock; all run with interrupts off and must not take locks.
pub struct Hooks {
    /// Called on each turn of a waiting loop: answer requests of other CPUs.
    pub relax: fn(),
    /// Called (debug builds only) before a lock of this level is taken.
    pub acquire: fn(Level),
    /// The same, before a second lock of a level that is held already.
    pub acquire_second: fn(Level),
    /// Called (debug builds only) after a lock of this level was released.
    pub release: fn(Level),
}

static HOOKS: spin::Once<Hooks> = spin::Once::new();

/// Installs the hooks, once, before the second CPU starts; later calls are ignored.
pub fn set_hooks(hooks: Hooks) {
    HOOKS.call_once(|| hooks);
}

/// One turn of a waiting loop.
#[cfg_attr(loom, allow(dead_code))]
pub(crate) fn relax() {
    if let Some(hooks) = HOOKS.get() {
        (hooks.relax)();
    }
    core::hint::spin_loop();
}

pub(crate) fn acquire(level: Level) {
    if cfg!(debug_assertions)
        && let Some(hooks) = HOOKS.get()
    {
        (hooks.acquire)(level);
    }
}

pub(crate) fn acquire_second(level: Level) {
    if cfg!(debug_assertions)
        && let Some(hooks) = HOOKS.get()
    {
        (hooks.acquire_second)(level);
    }
}

pub(crate) fn release(level: Level) {
    if cfg!(debug_assertions)
        && let Some(hooks) = HOOKS.get()
    {
        (hooks.release)(level);
    }
}
