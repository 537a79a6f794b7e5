//! The library under another name, and a crate that forbids what it can.

#![forbid(unsafe_code, warnings)]

extern crate panelboard as breakers;

/// What takes the place of names that the expansion uses.
#[allow(dead_code, reason = "only their names matter")]
mod names {
    pub(crate) struct Result;
    pub(crate) struct Registry;
    pub(crate) fn breaker() {}
}
#[allow(unused_imports, reason = "only their names matter")]
use names::{Registry, breaker};

mod panelboard {}

/// Guards, and keeps its documentation.
///
/// # Errors
/// When there is none.
#[must_use = "as it was"]
#[breakers::guarded("renamed", crate = breakers)]
pub async fn guarded(result: u32) -> Result<u32, breakers::Error<String>> {
    let breaker = result;
    Ok(breaker)
}

/// The same, not async.
#[breakers::guarded("renamed", fallback = Ok_, crate = ::breakers)]
pub fn sync(error: u32) -> Result<u32, String> {
    #![allow(unused_variables, reason = "attributes of a body stay in it")]
    let value = error;
    Err(String::new())
}

#[allow(non_snake_case, reason = "a name that looks like another")]
fn Ok_(error: breakers::Error<String>) -> Result<u32, String> {
    error.into_inner().map_or(Ok(1), Err)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(guarded(3)), Ok(3));
    assert!(sync(3).is_err());
}
