//! The policies about attempts: how long each may take, how long all of them, and how many there
//! are. Time is paused.

#[path = "../support/mod.rs"]
mod shared;

mod deadline;
mod hedge;
mod retry;
mod retry_sync;
mod support;
mod timeout;
mod together;
