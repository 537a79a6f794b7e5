//! `cargo fuzz run answers`: see `panelboard_fuzz::answers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| panelboard_fuzz::answers(data));
