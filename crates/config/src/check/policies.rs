//! What a route does besides sending a request on.

use std::time::Duration;

use http::Method;
use panelboard_core::gcra::Gcra;
use panelboard_core::hedge::HedgeSettings;
use panelboard_core::retry::RetrySettings;
use panelboard_core::retry_budget::BudgetSettings;
use panelboard_core::{Ratio, Settings, SettingsError, Throttle};

use crate::context::{At, Context};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{
    LimitBy, RetryOn, RouteBulkhead, RouteCache, RouteHedge, RouteLimit, RouteRetry, WhenOpen,
};
use crate::sections::{
    BudgetKeys, BulkheadKeys, By, CacheKeys, HedgeKeys, Kept, LimitKeys, OnOpen, RetryKeys,
    RouteKeys,
};
use crate::source::Span;
use crate::text;

/// The percentile if nothing is said; that of Dean and Barroso.
const PERCENTILE: Ratio = Ratio::of(95, 100);

/// How many may wait if nothing is said.
const WAITING: u32 = 100;

/// How large the body of an answer may be that is kept, if nothing is said.
const KEPT_BODY: u64 = 1024 * 1024;

pub(super) fn when_open(keys: &RouteKeys, cx: &mut Context) -> WhenOpen {
    let at = keys.when_open.span;
    if keys.when_open.value == OnOpen::Wait && keys.deadline.value.is_none() {
        let subject = cx.subject();
        let message = format!("`{subject}.when_open` is \"wait\", but the route has no `deadline`");
        let problem = Problem::new(codes::CONTRADICTION, message)
            .at(at, "until when?")
            .help("add `deadline`, such as \"30s\": it is the longest that a request waits");
        cx.report(problem);
    }
    if let Some(most) = keys.max_waiting.as_ref().filter(|_| keys.when_open.value != OnOpen::Wait) {
        let message = format!("`{}.max_waiting` is given, but nobody waits", cx.subject());
        let problem = Problem::new(codes::CONTRADICTION, message)
            .at(most.span, "without effect")
            .help("add `when_open = \"wait\"`, or take it out");
        cx.report(problem);
    }
    match keys.when_open.value {
        OnOpen::FailClosed => WhenOpen::FailClosed,
        OnOpen::FailOpen => WhenOpen::FailOpen,
        OnOpen::Wait => {
            WhenOpen::Wait { max_waiting: keys.max_waiting.as_ref().map_or(WAITING, |at| at.value) }
        }
    }
}

/// When a request is sent again; `non_idempotent` is what holds for the next upstream of the chain.
pub(super) fn retry(
    keys: &RouteKeys,
    non_idempotent: bool,
    cx: &mut Context,
) -> Option<RouteRetry> {
    let at = keys.retry.as_ref()?;
    let retry: &RetryKeys = at.value.as_ref()?;
    let mut builder = RetrySettings::builder()
        .max_attempts(retry.max_attempts.value)
        .base_delay(retry.base_delay.value);
    if let Some(most) = &retry.max_delay {
        builder = builder.max_delay(most.value);
    }
    if let Some(most) = &retry.max_retry_after {
        builder = builder.max_retry_after(most.value);
    }
    let settings = builder.build().unwrap_or_else(|error| {
        let place = retry.max_delay.as_ref().map_or(at.span, |most| most.span);
        contradiction(&error, place, cx);
        RetrySettings::default()
    });
    let on = match &retry.on {
        Some(list) => list.value.iter().map(|at| at.value).collect(),
        None => RetryOn::ALL.iter().map(|(_, on)| *on).collect(),
    };
    let non_idempotent = retry.non_idempotent.as_ref().map_or(non_idempotent, |at| at.value);
    Some(RouteRetry { settings, on, non_idempotent })
}

pub(super) fn hedge(keys: &RouteKeys, cx: &mut Context) -> Option<RouteHedge> {
    let at = keys.hedge.as_ref()?;
    let hedge: &HedgeKeys = at.value.as_ref()?;
    let (settings, place) = match (&hedge.delay, &hedge.percentile) {
        (Some(delay), _) => {
            never_hedged(delay, keys, cx);
            (HedgeSettings::after(delay.value), delay.span)
        }
        (None, Some(share)) => {
            let percentile = Ratio::from_f64(share.value).unwrap_or(Ratio::ZERO);
            (HedgeSettings::at_percentile(percentile), share.span)
        }
        (None, None) => (HedgeSettings::at_percentile(PERCENTILE), at.span),
    };
    let settings = settings.and_then(|settings| match &hedge.min_delay {
        Some(least) => settings.with_min_delay(least.value),
        None => Ok(settings),
    });
    match settings {
        Ok(settings) => Some(RouteHedge { settings, non_idempotent: hedge.non_idempotent.value }),
        Err(error) => {
            contradiction(&error, place, cx);
            None
        }
    }
}

/// A delay after which the deadline is over.
fn never_hedged(delay: &At<Duration>, keys: &RouteKeys, cx: &mut Context) {
    if keys.deadline.value.is_some_and(|deadline| deadline <= delay.value) {
        let message = format!("`{}.hedge.delay` is not shorter than the `deadline`", cx.subject());
        let problem = Problem::new(codes::CONTRADICTION, message)
            .at(delay.span, "no time is left then")
            .also(keys.deadline.span, "the deadline")
            .help("make it shorter, or take it out");
        cx.report(problem);
    }
}

pub(super) fn budget(keys: &RouteKeys, cx: &mut Context) -> BudgetSettings {
    let Some(at) = &keys.retry_budget else { return BudgetSettings::default() };
    let budget: &BudgetKeys = &at.value;
    // Its parts have been read within their ranges.
    let ratio = Ratio::from_f64(budget.ratio.value).unwrap_or(Ratio::ZERO);
    BudgetSettings::new(ratio, budget.min_per_second.value, budget.reserve.value).unwrap_or_else(
        |error| {
            contradiction(&error, at.span, cx);
            BudgetSettings::default()
        },
    )
}

pub(super) fn rate_limit(keys: &RouteKeys, cx: &mut Context) -> Option<RouteLimit> {
    let at = keys.rate_limit.as_ref()?;
    let limit: &LimitKeys = at.value.as_ref()?;
    let rate = limit.rate.as_ref()?.value;
    let burst = limit.burst.as_ref().map_or(rate, |at| at.value);
    if let Err(error) = Gcra::new(rate, limit.per.value, burst) {
        contradiction(&error, at.span, cx);
    }
    let by = match (&limit.header, &limit.by) {
        (Some(header), _) => LimitBy::Header(header.value.clone()),
        (None, Some(by)) if by.value == By::Client => LimitBy::Client,
        (None, _) => LimitBy::Route,
    };
    let max_clients = limit.max_clients.value;
    Some(RouteLimit { rate, per: limit.per.value, burst, by, max_clients })
}

pub(super) fn bulkhead(keys: &RouteKeys) -> Option<RouteBulkhead> {
    let bulkhead: &BulkheadKeys = keys.bulkhead.as_ref()?.value.as_ref()?;
    Some(RouteBulkhead {
        max_concurrent: bulkhead.max_concurrent.as_ref()?.value,
        max_waiting: bulkhead.max_waiting.value,
        max_wait: bulkhead.max_wait.value,
    })
}

pub(super) fn throttle(keys: &RouteKeys, cx: &mut Context) -> Option<Throttle> {
    let at = keys.throttle.as_ref()?;
    let throttle = &at.value;
    let mut builder = Settings::builder().throttle(throttle.k.value);
    if let Some(window) = &throttle.window {
        builder = builder.throttle_window(window.value);
    }
    if let Some(max) = &throttle.max {
        builder = builder.throttle_max(max.value);
    }
    match builder.build() {
        Ok(settings) => settings.throttle(),
        Err(error) => {
            contradiction(&error, at.span, cx);
            None
        }
    }
}

pub(super) fn cache(keys: &RouteKeys, cx: &mut Context) -> Option<RouteCache> {
    let at = keys.cache.as_ref()?;
    let cache: &CacheKeys = at.value.as_ref()?;
    let (ttl, stale_if_error) = (cache.ttl.value, cache.stale_if_error.value);
    if ttl.is_zero() && stale_if_error.is_zero() {
        let message = format!("`{}.cache` keeps answers for no time at all", cx.subject());
        let problem = Problem::new(codes::CONTRADICTION, message)
            .at(at.span, "without effect")
            .help("give `ttl` or `stale_if_error` a time, or write `cache = \"off\"`");
        cx.report(problem);
    }
    let max_bytes = cache.max_bytes.value;
    if let Some(body) = cache.max_body.as_ref().filter(|body| body.value > max_bytes) {
        let message = format!(
            "`{}.cache.max_body` is {}, but all answers together may have {}",
            cx.subject(),
            text::size(body.value),
            text::size(max_bytes),
        );
        let problem = Problem::new(codes::CONTRADICTION, message)
            .at(body.span, "more than there is room for")
            .also(cache.max_bytes.span, "room for all")
            .help("make `max_bytes` larger, or `max_body` smaller");
        cx.report(problem);
    }
    let method = |kept: Kept| match kept {
        Kept::Get => Method::GET,
        Kept::Post => Method::POST,
    };
    Some(RouteCache {
        ttl,
        stale_if_error,
        max_entries: cache.max_entries.value,
        max_bytes,
        max_body: cache.max_body.as_ref().map_or(KEPT_BODY, |at| at.value).min(max_bytes),
        methods: cache.methods.as_ref().map_or_else(
            || vec![Method::GET],
            |list| list.value.iter().map(|at| method(at.value)).collect(),
        ),
        vary: cache
            .vary
            .as_ref()
            .map_or_else(Vec::new, |list| list.value.iter().map(|at| at.value.clone()).collect()),
    })
}

/// What the core has to say of settings that do not go together.
fn contradiction(error: &SettingsError, at: Span, cx: &mut Context) {
    let message = format!(
        "`{}.{}` is {}, but must be {}",
        cx.subject(),
        error.field(),
        error.value(),
        error.accepted()
    );
    cx.report(Problem::new(codes::CONTRADICTION, message).at(at, "not possible"));
}
