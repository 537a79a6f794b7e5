//! What routes do besides sending requests on.

use std::time::Duration;

use http::HeaderName;
use panelboard_core::limits;

use crate::context::At;
use crate::describe::keys;
use crate::kinds::{Choice, Count, Flag, HeaderNameKind, List, Rules, Share, Size, Time};
use crate::model::{Balance, RetryOn};

/// What `when_open` can be; how many may wait is a key of its own.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum OnOpen {
    FailClosed,
    FailOpen,
    Wait,
}

pub(crate) const ON_OPEN: Choice<OnOpen> = Choice::of(
    "what to do while all circuits refuse",
    &[("fail_closed", OnOpen::FailClosed), ("fail_open", OnOpen::FailOpen), ("wait", OnOpen::Wait)],
);

pub(crate) const BALANCE: Choice<Balance> = Choice::of(
    "a way to choose",
    &[
        ("first-available", Balance::FirstAvailable),
        ("round-robin", Balance::RoundRobin),
        ("least-pending", Balance::LeastPending),
    ],
);

const RETRY_ON: Choice<RetryOn> = Choice::of("what to retry after", &RetryOn::ALL);

keys! {
    /// When a request is sent again. Waits are drawn evenly from nothing to `base_delay`, doubled
    /// with each round, and a server's `Retry-After` is kept to.
    pub(crate) struct RetryKeys = "retry" in "routes.retry" {
        /// How often each upstream may be asked, the first time included.
        max_attempts: u32 = Count(2..=*limits::ATTEMPTS.end()), default "3";
        /// The longest wait before the first retry.
        base_delay: Duration = Time::ANY, default "100ms";
        /// The longest wait before any retry.
        max_delay: Duration = Time::ANY, optional "10s, or `base_delay` if that is longer";
        /// The longest hint (`Retry-After`) that is waited for.
        max_retry_after: Duration = Time::ANY, optional "`max_delay`";
        /// After what: kinds of failure, `pushback` (429, 529), or `refused`, when all circuits
        /// refuse but will let calls through before the `deadline`.
        on: Vec<At<RetryOn>> = List { item: RETRY_ON, rules: Rules::SOME_DISTINCT },
            optional "all of them";
        /// Whether also a request that is not idempotent and may have reached an upstream.
        non_idempotent: bool = Flag, optional "`failover_non_idempotent`";
    }
    shorthand max_attempts;
}

keys! {
    /// How many requests may be sent more than once: a share of all, and a little besides.
    pub(crate) struct BudgetKeys = "retry_budget" in "routes.retry_budget" {
        /// Which share of the requests.
        ratio: f64 = Share, default "0.2";
        /// So many a second besides.
        min_per_second: u32 = Count(limits::BUDGET_RATE), default "10";
        /// So many at once, after a time without any.
        reserve: u32 = Count(limits::BUDGET_RESERVE), default "100";
    }
    shorthand ratio;
}

keys! {
    /// When a request that has no answer yet is sent a second time, to the next upstream.
    pub(crate) struct HedgeKeys = "hedge" in "routes.hedge" {
        /// After so long.
        delay: Duration = Time::ANY, optional "by `percentile`";
        /// After what this share of the last answers took at most, from 50% to 99%: at 95% about
        /// one request in twenty is sent twice. It is learned first.
        percentile: f64 = Share, optional "95%, unless there is a `delay`";
        /// Not earlier than this, whatever has been learned.
        min_delay: Duration = Time::ANY, optional "1ms";
        /// Whether also a request that is not idempotent.
        non_idempotent: bool = Flag, default "false";
    }
    shorthand delay;
    exclusive [delay, percentile] [delay, min_delay];
}

/// Who shares a rate limit, a header apart.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum By {
    Route,
    Client,
}

const BY: Choice<By> =
    Choice::of("who shares the limit", &[("route", By::Route), ("client", By::Client)]);

keys! {
    /// So many requests a period. What is over it is answered with 429.
    pub(crate) struct LimitKeys = "rate_limit" in "routes.rate_limit" {
        /// How many requests.
        rate: u32 = Count(limits::RATE_CALLS), required;
        /// In which time.
        per: Duration = Time::ANY, default "1s";
        /// How many at once after a pause.
        burst: u32 = Count(limits::RATE_CALLS), optional "as many as `rate`";
        /// Who shares the limit: all requests of the `route`, or those of one `client`'s address
        /// (of IPv6, of one network of 64 bits).
        by: By = BY, optional "route";
        /// A header: requests with the same value of it share the limit, and those without it.
        header: HeaderName = HeaderNameKind, optional "none";
        /// How many clients, or values of the header, are told apart.
        max_clients: u32 = Count(1..=10_000_000), default "10000";
    }
    shorthand rate;
    exclusive [by, header];
}

keys! {
    /// So many requests at once, answers included to their end.
    pub(crate) struct BulkheadKeys = "bulkhead" in "routes.bulkhead" {
        /// How many.
        max_concurrent: u32 = Count(limits::CONCURRENT), required;
        /// How many more may wait.
        max_waiting: u32 = Count(limits::QUEUE), default "0";
        /// For how long.
        max_wait: Duration = Time::ANY, default "1s";
    }
    shorthand max_concurrent;
}

/// The methods whose answers can be kept.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    Get,
    Post,
}

const KEPT: Choice<Kept> =
    Choice::of("a method whose answers can be kept", &[("GET", Kept::Get), ("POST", Kept::Post)]);

/// From none at all.
const ANY_AGE: Time = Time(Duration::ZERO..=limits::LONGEST);

keys! {
    /// Keeps good answers, each for the client that got it, and gives them out again when there is
    /// nothing else. Streams are not kept, nor what its upstream does not want kept.
    pub(crate) struct CacheKeys = "cache" in "routes.cache" {
        /// How long an answer is given out again without asking an upstream.
        ttl: Duration = ANY_AGE, default "0s";
        /// For how long after that it may stand in when every upstream fails or is refused.
        stale_if_error: Duration = ANY_AGE, default "1h";
        /// How many answers are kept.
        max_entries: u32 = Count(1..=10_000_000), default "1000";
        /// How large all of them may be together.
        max_bytes: u64 = Size(1024..=1 << 40), default "64MiB";
        /// How large the body of one may be.
        max_body: u64 = Size(1..=1 << 30), optional "1MiB, or `max_bytes` if that is less";
        /// Answers to which methods; `HEAD` goes with `GET`. To `POST` only for requests with the
        /// same body.
        methods: Vec<At<Kept>> = List { item: KEPT, rules: Rules::SOME_DISTINCT },
            optional "GET";
        /// Headers of the request that an answer depends on, besides those that it names in `Vary`.
        /// Credentials always do.
        vary: Vec<At<HeaderName>> = List { item: HeaderNameKind, rules: Rules::DISTINCT },
            optional "none";
    }
    shorthand stale_if_error;
}
