//! A scripted upstream with faults, for demos, rehearsals and tests.
//!
//! A real server on raw sockets, of HTTP/1.1 and, for clients that begin with it, HTTP/2: no HTTP library could be made to send garbage, cut a
//! stream between two chunks or reset a connection, and those are what a gateway must be seen to
//! survive. Healthy, it stands in for the LLM APIs, gives back what it got (`/echo`), gives out
//! bytes (`/bytes/N`, `/slow-body/N`, `/trailers`), goes on in another protocol (`/upgrade`), and
//! tells of any other request how it arrived.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`behaviour`], [`script`], [`plan`] | what it is told, as values with a text form |
//! | [`scene`], [`handle`], [`control`] | what is in force, and the ways to change it |
//! | [`server`], [`connection`], [`converse`] | sockets |
//! | [`request`] | reading, strictly |
//! | [`http2`] | the same over HTTP/2, with faults of its own |
//! | [`respond`], [`llm`] | answering: first what goes over the wire is decided, then it is done |
//! | [`stats`] | what arrived and what became of it |
//! | [`args`] | the command line |
//!
//! Whoever can reach it can control it and read every header it was sent, so it belongs on
//! loopback.

mod args;
mod behaviour;
mod connection;
mod control;
mod converse;
mod handle;
mod http2;
mod llm;
mod plan;
mod request;
mod respond;
mod scene;
mod script;
mod server;
mod stats;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use args::{UpstreamArgs, run};
pub(crate) use script::Demo;
pub(crate) use server::Server;
