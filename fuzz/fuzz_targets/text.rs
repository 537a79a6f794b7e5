//! `cargo fuzz run text`: see `panelboard_fuzz::text`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| panelboard_fuzz::text(data));
