//! End to end: real processes on loopback, as a user would run them.

#![expect(clippy::disallowed_methods, reason = "real processes run by the real clock")]

mod access;
mod admin;
mod check;
mod cli;
mod exposition;
mod health;
mod metrics;
mod overrides;
mod recovery;
mod reload;
mod reload_load;
mod secrets;
mod support;
mod switches;
mod terminal;
mod tls;
