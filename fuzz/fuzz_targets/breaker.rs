//! `cargo fuzz run breaker`: see `panelboard_fuzz::breaker`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| panelboard_fuzz::breaker(data));
