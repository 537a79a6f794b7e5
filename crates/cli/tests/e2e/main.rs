//! End to end: real processes on loopback, as a user would run them.

#![expect(clippy::disallowed_methods, reason = "real processes run by the real clock")]

mod access;
mod admin;
mod health;
mod recovery;
mod secrets;
mod support;
mod tls;
