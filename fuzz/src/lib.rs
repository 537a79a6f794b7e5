//! Fuzz targets: functions of bytes that panic when a promise is broken.
//!
//! `cargo fuzz run TARGET --features libfuzzer --sanitizer none` lets a fuzzer look for such bytes
//! on a stable toolchain. The tests of this crate run every target on its seeds, on what was found
//! before (`regressions/TARGET`), and on random changes of both; so each of them is also a test.

#![expect(clippy::missing_panics_doc, reason = "a panic is what a fuzzer looks for")]

mod answers;
mod breaker;
mod config;
mod policies;

pub use answers::answers;
pub use breaker::breaker;
pub use config::{config, overlay, text};
pub use policies::policies;
