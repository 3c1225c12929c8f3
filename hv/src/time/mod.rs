//! System time: what the TSC says, how to wait, what to do later.

pub mod calibrate;
pub mod clock;
pub mod delay;
pub mod vcpu_time;
pub mod wallclock;
pub mod watchdog;
