//! The server over real sockets.

mod client;
mod control;
mod faults;
mod healthy;
mod hostile;
mod refusal;
