//! The gateway beside real programs: servers from Debian, clients from `PyPI`.
//!
//! `cargo xtask install` installs them; without, these tests fail and say so.

#![expect(clippy::disallowed_methods, reason = "real processes run by the real clock")]

mod backends;
mod clients;
mod http2;
mod nginx;
mod openapi;
mod programs;
#[path = "../e2e/raw.rs"]
#[expect(dead_code, reason = "shared with the other end-to-end tests, which need more of it")]
mod raw;
mod sdks;
mod smuggling;
mod sockets;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "shared with the other end-to-end tests, which need more of it")]
mod support;
mod translation;
