//! `cargo fuzz run config`: see `panelboard_fuzz::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| panelboard_fuzz::config(data));
