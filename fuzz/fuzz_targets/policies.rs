//! `cargo fuzz run policies`: see `panelboard_fuzz::policies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| panelboard_fuzz::policies(data));
