//! `cargo fuzz run overlay`: see `panelboard_fuzz::overlay`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| panelboard_fuzz::overlay(data));
