//! What a setting may be. The builder, the config checker and the JSON Schema all read these.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::Ratio;

/// Nothing a breaker waits for may take longer than this; more is a slip of the pen.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Shortest duration of a timeout, wait or bound.
pub const SHORTEST: Duration = Duration::from_millis(1);

/// `failure_threshold`, `failure_count`.
pub const FAILURES: RangeInclusive<u32> = 1..=65_535;

/// `min_calls`.
pub const MIN_CALLS: RangeInclusive<u32> = 1..=1_000_000_000;

/// `window` in calls.
pub const WINDOW_CALLS: RangeInclusive<u32> = 1..=100_000;

/// `window` in time. Below, its tenths are finer than the coarse clock's steps.
pub const WINDOW_TIME: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 3600);

/// `half_open_max_calls`, `success_threshold`, `probe_calls`.
pub const PROBES: RangeInclusive<u32> = 1..=1_000;

/// `backoff.multiplier`, in thousandths: 1 to 100.
pub const MULTIPLIER_MILLIS: RangeInclusive<u32> = 1_000..=100_000;

/// `sequential.base_rate` and `sequential.fault_rate`: the least and the most. At 1 a single success
/// would prove that nothing is wrong.
pub const FAULT_RATE: (Ratio, Ratio) =
    (Ratio::basis_points(1).unwrap(), Ratio::percent(99).unwrap());

/// `sequential.false_trips_per`, in calls. Of fewer, the rule would trip on chance within hours.
pub const FALSE_TRIPS_PER: RangeInclusive<u64> = 1_000_000..=1_000_000_000_000;

/// `throttle.k`, in thousandths: 1 to 100.
pub const THROTTLE_K: RangeInclusive<u32> = 1_000..=100_000;

/// `retry.max_attempts`, the first one included.
pub const ATTEMPTS: RangeInclusive<u32> = 1..=100;

/// `budget.min_per_second`: tokens that a budget gains by time alone.
pub const BUDGET_RATE: RangeInclusive<u32> = 0..=10_000;

/// `budget.reserve`: tokens that a budget holds at most.
pub const BUDGET_RESERVE: RangeInclusive<u32> = 1..=10_000;

/// `hedge.percentile`, in basis points.
pub const HEDGE_PERCENTILE: RangeInclusive<u64> = 5_000..=9_900;

/// Calls a period of a rate limit, and its burst.
pub const RATE_CALLS: RangeInclusive<u32> = 1..=1_000_000_000;

/// What one call of a rate limit takes up of its period. Below, whole nanoseconds are too coarse
/// (they are off by at most a thousandth at 1 µs).
pub const RATE_INTERVAL: RangeInclusive<Duration> =
    Duration::from_micros(1)..=Duration::from_secs(24 * 3600);

/// `max_concurrent` of a bulkhead, `min`, `max` and `initial` of a concurrency limit.
pub const CONCURRENT: RangeInclusive<u32> = 1..=1_000_000;

/// `max_queue` of a bulkhead.
pub const QUEUE: RangeInclusive<u32> = 0..=1_000_000;
