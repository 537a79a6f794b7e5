//! One module for each command.

pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod order;
pub(crate) mod reload;
pub(crate) mod serve;
pub(crate) mod status;
