//! End to end: real processes on loopback, as a user would run them.

#![expect(clippy::disallowed_methods, reason = "real processes run by the real clock")]
#![expect(clippy::float_cmp, reason = "counts, which metrics give as floats, are exact")]

mod access;
mod admin;
mod attacks;
mod audit;
mod balance;
mod bounds;
mod cache;
mod cascades;
mod chains;
mod check;
mod cli;
mod config;
mod events;
mod exposition;
mod fallbacks;
mod faults;
mod forwarding;
mod framing;
mod handover;
mod health;
mod hedges;
mod http2_client;
mod http2_upstream;
mod https;
mod lifecycle;
mod limits;
mod matrix;
mod metrics;
mod models;
mod overrides;
mod probes;
mod protocol;
mod pushback;
mod quota;
mod raw;
mod recovery;
mod reload;
mod reload_load;
mod retries;
mod route_limits;
mod secrets;
mod slowloris;
mod streams;
mod support;
mod switches;
mod terminal;
mod tls;
mod tokens;
mod told;
mod transfer;
mod translation;
mod tunnels;
mod when_open;
