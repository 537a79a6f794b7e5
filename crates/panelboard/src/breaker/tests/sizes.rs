//! How large things are. A breaker's own part is what a million idle ones take; the rest is what a
//! call moves about. Grow them knowingly.

#![cfg(target_pointer_width = "64")]

use std::future::Ready;
use std::mem::size_of;

use crate::breaker::Inner;
use crate::classify::OkOrErr;
use crate::shard::Shard;
use crate::{CircuitBreaker, Error, OwnedPermit, Permit, Rejected};

#[test]
fn handles_and_permits_are_a_few_words() {
    assert_eq!(size_of::<CircuitBreaker>(), 8);
    assert_eq!(size_of::<Permit<'_>>(), 24);
    assert_eq!(size_of::<OwnedPermit>(), 24);
}

#[test]
fn a_refusal_is_five_words_and_an_error_no_more() {
    assert_eq!(size_of::<Rejected>(), 40);
    assert_eq!(size_of::<Error<u64>>(), 40);
    assert_eq!(size_of::<Result<u64, Error<u64>>>(), 40);
}

#[test]
fn a_breaker_and_what_a_thread_adds_to_it() {
    assert!(size_of::<Inner>() <= 208, "{}", size_of::<Inner>());
    assert!(size_of::<Shard>() <= 640, "{}", size_of::<Shard>());
}

/// What a guarded future holds besides the future it guards.
#[cfg(feature = "tokio")]
#[test]
fn a_guarded_call_adds_its_permit_and_a_timer() {
    use crate::breaker::GuardedCall;
    type Bare = Ready<Result<u64, u64>>;
    let guarded = size_of::<GuardedCall<'_, Bare, OkOrErr>>() - size_of::<Bare>();
    let timer = size_of::<Option<tokio::time::Sleep>>();
    assert!(guarded <= timer + 80, "{guarded}, of which a timer takes {timer}");
}
