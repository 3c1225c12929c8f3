#![no_std]
#![no_main]
//! x
compat_guests::guest!(main);
fn main() {}
