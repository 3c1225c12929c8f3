//! Clocks of domains. Counters are never emulated here, so what a domain is told of its own is remembered and shown.

use core::sync::atomic::Ordering::Release;

use abi::Result;
use hypercalls::{
    authority::Target,
    op::domctl::{DomainTimeHost, TscState},
};

use crate::{
    serve::{
        Caller,
        memory::{living, named},
    },
    time::{clock, wallclock},
};

impl DomainTimeHost for Caller<'_> {
    fn set_time_offset(&mut self, target: Target, seconds: i64) -> Result<()> {
        let domain = living(target)?;
        domain.time_offset.store(seconds, Release);
        wallclock::show(domain);
        Ok(())
    }

    fn tsc_state(&self, target: Target) -> Result<TscState> {
        let mut state = named(target)?.control.lock().tsc;
        if state.kilohertz == 0 {
            state.kilohertz = clock::frequency_khz() as u32;
        }
        state.elapsed = clock::now();
        Ok(state)
    }

    fn set_tsc_state(&mut self, target: Target, state: TscState) -> Result<()> {
        living(target)?.control.lock().tsc = state;
        Ok(())
    }
}
