//! Settings that have served particular kinds of dependency.
//!
//! The numbers come from the systems Panelboard replaces, where they ran in production. Each
//! preset is a layer: lay your own settings [`over`](SettingsBuilder::over) it, or go on building.
//!
//! ```
//! use panelboard_core::presets;
//!
//! let settings = presets::auth().failure_threshold(3).build()?;
//! assert_eq!(settings.failure_threshold(), Some(3));
//! # Ok::<(), panelboard_core::SettingsError>(())
//! ```

use core::time::Duration;

use crate::{Settings, SettingsBuilder};

/// Makes a layer of settings.
pub type Preset = fn() -> SettingsBuilder;

/// Every preset by its name in config, in alphabetical order.
pub const ALL: [(&str, Preset); 16] = [
    ("agent", agent),
    ("auth", auth),
    ("cache", cache),
    ("clickhouse", clickhouse),
    ("code_generator", code_generator),
    ("cot_engine", cot_engine),
    ("data_analyst", data_analyst),
    ("database", database),
    ("docker", docker),
    ("external_api", external_api),
    ("file_system", file_system),
    ("llm", llm),
    ("network", network),
    ("redis", redis),
    ("visualization", visualization),
    ("websocket", websocket),
];

/// The preset of this name.
pub fn by_name(name: &str) -> Option<SettingsBuilder> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, preset)| preset())
}

/// What all presets but the consecutive-only ones start from.
fn base() -> SettingsBuilder {
    Settings::builder()
        .success_threshold(3)
        .recovery_timeout(secs(60))
        .half_open_max_calls(3)
        .timeout(secs(30))
        .window(10_u32)
        .failure_rate(0.5)
        .min_calls(3)
        .slow_call_duration(secs(5))
        .backoff_multiplier(2.0)
        .jitter_share(0.1)
        .backoff_max(secs(300))
}

/// Consecutive failures only, and the open phase does not grow.
fn consecutive(failures: u32, recovery: u64, successes: u32, timeout: u64) -> SettingsBuilder {
    base()
        .failure_threshold(failures)
        .recovery_timeout(secs(recovery))
        .success_threshold(successes)
        .timeout(secs(timeout))
        .failure_rate(None)
        .slow_call_duration(None)
        .backoff_multiplier(1.0)
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A relational database.
pub fn database() -> SettingsBuilder {
    base()
        .failure_threshold(3)
        .recovery_timeout(secs(30))
        .success_threshold(2)
        .timeout(secs(10))
        .window(8_u32)
        .failure_rate(0.6)
        .adaptive(true)
}

/// An authentication service.
pub fn auth() -> SettingsBuilder {
    base().failure_threshold(5).timeout(secs(15)).window(12_u32).adaptive(true)
}

/// A language-model API: slow by nature, and rate limits are pushback, not failures.
pub fn llm() -> SettingsBuilder {
    base()
        .failure_threshold(10)
        .recovery_timeout(secs(10))
        .success_threshold(2)
        .timeout(secs(60))
        .window(6_u32)
        .failure_rate(0.4)
        .slow_call_duration(secs(30))
        .adaptive(true)
}

/// A `ClickHouse` server.
pub fn clickhouse() -> SettingsBuilder {
    base().failure_threshold(4).recovery_timeout(secs(45)).timeout(secs(20)).adaptive(true)
}

/// A Redis server.
pub fn redis() -> SettingsBuilder {
    base()
        .failure_threshold(5)
        .recovery_timeout(secs(20))
        .success_threshold(2)
        .timeout(secs(5))
        .window(15_u32)
        .failure_rate(0.6)
}

/// An agent that works for minutes.
pub fn agent() -> SettingsBuilder {
    base()
        .failure_threshold(3)
        .timeout(secs(120))
        .half_open_max_calls(2)
        .slow_call_duration(secs(120))
}

/// A WebSocket back end, judged at connect and at abnormal close.
pub fn websocket() -> SettingsBuilder {
    base().failure_threshold(5).recovery_timeout(secs(30)).success_threshold(2).timeout(secs(10))
}

/// A test harness that starts containers.
pub fn docker() -> SettingsBuilder {
    base().failure_threshold(3).recovery_timeout(secs(30)).success_threshold(1).timeout(secs(60))
}

/// Somebody else's HTTP API.
pub fn external_api() -> SettingsBuilder {
    base().failure_threshold(5)
}

/// A cache that one can do without.
pub fn cache() -> SettingsBuilder {
    base().failure_threshold(10).recovery_timeout(secs(15)).timeout(secs(5)).half_open_max_calls(5)
}

/// A file system, local or mounted.
pub fn file_system() -> SettingsBuilder {
    base().failure_threshold(3).recovery_timeout(secs(45)).half_open_max_calls(2)
}

/// A peer on the network.
pub fn network() -> SettingsBuilder {
    base().failure_threshold(5).recovery_timeout(secs(30))
}

/// Model calls that analyse data.
pub fn data_analyst() -> SettingsBuilder {
    consecutive(3, 60, 2, 30)
}

/// Model calls that generate code.
pub fn code_generator() -> SettingsBuilder {
    consecutive(2, 45, 2, 45)
}

/// Model calls that correct a chain of thought.
pub fn cot_engine() -> SettingsBuilder {
    consecutive(3, 60, 2, 40)
}

/// Model calls that draw charts.
pub fn visualization() -> SettingsBuilder {
    consecutive(2, 30, 1, 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_builds_and_is_found_by_name() {
        for (name, preset) in ALL {
            let settings = preset().build().unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(by_name(name).unwrap().build(), Ok(settings));
        }
        assert!(ALL.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(by_name("nonsense"), None);
    }

    #[test]
    fn the_presets_that_were_adaptive_are() {
        let adaptive = |preset: &Preset| preset().build().unwrap().adaptive();
        let names: alloc::vec::Vec<&str> =
            ALL.iter().filter(|(_, preset)| adaptive(preset)).map(|(name, _)| *name).collect();
        assert_eq!(names, ["auth", "clickhouse", "database", "llm"]);
    }

    #[test]
    fn consecutive_presets_have_no_other_rule() {
        for name in ["data_analyst", "code_generator", "cot_engine", "visualization"] {
            let settings = by_name(name).unwrap().build().unwrap();
            assert!(!settings.has_window_rule(), "{name}");
            assert_eq!(settings.backoff().multiplier_millis(), 1_000, "{name}");
        }
    }

    /// What a preset comes down to: failures in a row, open seconds, successes, timeout in seconds,
    /// calls in the window, failure rate in percent (0 for off), probes at a time, slow from (0 for
    /// never).
    type Row = (u32, u64, u32, u64, u32, u16, u32, u64);

    #[test]
    fn presets_are_what_they_were_in_production() {
        const TABLE: [(&str, Row); 16] = [
            ("agent", (3, 60, 3, 120, 10, 50, 2, 120)),
            ("auth", (5, 60, 3, 15, 12, 50, 3, 5)),
            ("cache", (10, 15, 3, 5, 10, 50, 5, 5)),
            ("clickhouse", (4, 45, 3, 20, 10, 50, 3, 5)),
            ("code_generator", (2, 45, 2, 45, 10, 0, 3, 0)),
            ("cot_engine", (3, 60, 2, 40, 10, 0, 3, 0)),
            ("data_analyst", (3, 60, 2, 30, 10, 0, 3, 0)),
            ("database", (3, 30, 2, 10, 8, 60, 3, 5)),
            ("docker", (3, 30, 1, 60, 10, 50, 3, 5)),
            ("external_api", (5, 60, 3, 30, 10, 50, 3, 5)),
            ("file_system", (3, 45, 3, 30, 10, 50, 2, 5)),
            ("llm", (10, 10, 2, 60, 6, 40, 3, 30)),
            ("network", (5, 30, 3, 30, 10, 50, 3, 5)),
            ("redis", (5, 20, 2, 5, 15, 60, 3, 5)),
            ("visualization", (2, 30, 1, 20, 10, 0, 3, 0)),
            ("websocket", (5, 30, 2, 10, 10, 50, 3, 5)),
        ];
        let secs = |time: Option<Duration>| time.map_or(0, |time| time.as_secs());
        for ((name, preset), (listed, row)) in ALL.into_iter().zip(TABLE) {
            assert_eq!(name, listed);
            let it = preset().build().unwrap();
            let crate::WindowSpec::Calls(window) = it.window() else { panic!("{name}") };
            let rate = it.failure_rate().map_or(0, |rate| {
                (1..=100).find(|percent| crate::Ratio::percent(*percent) == Some(rate)).unwrap()
            });
            let is: Row = (
                it.failure_threshold().unwrap(),
                it.recovery_timeout().as_secs(),
                it.success_threshold(),
                secs(it.timeout()),
                window,
                rate,
                it.half_open_max_calls(),
                secs(it.slow_call_duration()),
            );
            assert_eq!(is, row, "{name}");
            assert_eq!((it.min_calls(), it.backoff().max()), (3, self::secs(300)), "{name}");
        }
    }
}
