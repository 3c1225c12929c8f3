//! Who runs where and when: run queues, context switch, idling, timers.

pub mod entities;
pub mod idle;
pub mod pools;
pub mod queue;
pub mod share;
mod switch;
pub mod timers;
pub mod wake;
pub mod work;
