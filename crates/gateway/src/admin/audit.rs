//! Who changed what, or was not let to.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use panelboard::Clock;
use panelboard::policy::rate_limit::RateLimit;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use utoipa::ToSchema;

use super::view::timestamp;

/// Entries kept in memory.
const KEPT: usize = 1_000;

/// Refusals put on record at once, and then one more a second: whoever is refused for ever must not
/// wash the rest away.
const REFUSALS: u32 = 100;

/// Longer texts are cut: some come from whoever asks.
const LONGEST: usize = 500;

/// The audit log: the last entries, to be shown and to be written down.
pub(crate) struct Audit {
    clock: Clock,
    refusals: Option<RateLimit>,
    log: Mutex<Log>,
    news: Notify,
}

#[derive(Default)]
struct Log {
    entries: VecDeque<Entry>,
    last: u64,
    suppressed: u64,
}

/// One thing that somebody did, or was not let to do.
#[derive(Clone, Serialize, ToSchema, Debug)]
#[schema(as = AuditEntry)]
pub(crate) struct Entry {
    /// From 1, without gaps.
    pub(crate) sequence: u64,
    at: String,
    /// The name of the token; `loopback` where none is asked for, `unknown` where none was known,
    /// `file` and `SIGHUP` for reloads that nobody asked for here.
    author: String,
    peer: Option<String>,
    /// `force-open`, `settings`, `reload`, …
    action: String,
    circuit: Option<String>,
    reason: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
    result: Outcome,
    /// Why not.
    detail: Option<String>,
    /// How many refusals before this one were not put on record, because they were too many.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    suppressed: u64,
}

/// What came of it.
#[derive(Copy, Clone, PartialEq, Eq, Serialize, ToSchema, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed, or asked for in a way that makes no sense.
    Refused,
    /// It was tried, and could not be done.
    Failed,
}

/// What there is to say of an action, to begin with.
#[derive(Clone, Default, Debug)]
pub(crate) struct Act {
    pub(crate) author: String,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) action: String,
    pub(crate) circuit: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    pub(crate) detail: Option<String>,
}

impl Audit {
    pub(crate) fn new(clock: Clock) -> Audit {
        let refusals = RateLimit::new(1, Duration::from_secs(1), REFUSALS).ok();
        let refusals = refusals.map(|limit| limit.clock(clock.clone()));
        Audit { clock, refusals, log: Mutex::default(), news: Notify::new() }
    }

    pub(crate) fn record(&self, act: Act, result: Outcome) {
        let at = self.clock.wall(self.clock.now());
        let enough = |limit: &RateLimit| limit.try_acquire(1).is_err();
        let mut log = self.log();
        if result == Outcome::Refused && self.refusals.as_ref().is_some_and(enough) {
            log.suppressed += 1;
            return;
        }
        log.last += 1;
        let entry = Entry {
            sequence: log.last,
            at: timestamp(at),
            author: shown(act.author),
            peer: act.peer.map(|peer| peer.to_canonical().to_string()),
            action: shown(act.action),
            circuit: act.circuit.map(shown),
            reason: act.reason.filter(|reason| !reason.is_empty()).map(shown),
            before: act.before,
            after: act.after,
            result,
            detail: act.detail.map(shown),
            suppressed: std::mem::take(&mut log.suppressed),
        };
        if log.entries.len() == KEPT {
            log.entries.pop_front();
        }
        log.entries.push_back(entry);
        drop(log);
        self.news.notify_one();
    }

    /// Up to `limit` entries after this one, oldest first; without `after`, the newest.
    pub(crate) fn entries(&self, after: Option<u64>, limit: usize) -> Vec<Entry> {
        let log = self.log();
        let from = match after {
            Some(after) => log.entries.partition_point(|entry| entry.sequence <= after),
            None => log.entries.len().saturating_sub(limit),
        };
        log.entries.iter().skip(from).take(limit).cloned().collect()
    }

    /// The number of the newest entry; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.log().last
    }

    /// Waits until there may be more entries. For one follower.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A text that no terminal obeys, and not too much of it.
fn shown(text: String) -> String {
    if text.len() <= LONGEST && !text.contains(char::is_control) {
        return text;
    }
    let mut out = String::new();
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
        if out.len() > LONGEST * 4 || out.chars().count() >= LONGEST {
            out.push('…');
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelboard::ManualClock;

    fn act(action: &str) -> Act {
        Act { author: "ops".into(), action: action.into(), ..Act::default() }
    }

    #[test]
    fn the_last_entries_are_kept_in_order() {
        let audit = Audit::new(Clock::from(ManualClock::new()));
        for n in 0..KEPT + 5 {
            audit.record(act(&format!("a{n}")), Outcome::Done);
        }
        let all = audit.entries(Some(0), usize::MAX);
        assert_eq!((all.len(), all[0].sequence, audit.last()), (KEPT, 6, KEPT as u64 + 5));
        let newest = audit.entries(None, 2);
        assert_eq!((newest[0].sequence, newest[1].action.as_str()), (1_004, "a1004"));
        assert_eq!(audit.entries(Some(1_004), 10).len(), 1);
        assert!(audit.entries(Some(u64::MAX), 10).is_empty());
    }

    #[test]
    fn a_flood_of_refusals_washes_nothing_away() {
        let clock = ManualClock::new();
        let audit = Audit::new(Clock::from(clock.clone()));
        audit.record(act("trip"), Outcome::Done);
        for _ in 0..5_000 {
            audit.record(act("reset"), Outcome::Refused);
        }
        assert_eq!(audit.last(), 1 + u64::from(REFUSALS));
        assert_eq!(audit.entries(Some(0), 1)[0].action, "trip");
        audit.record(act("reset"), Outcome::Done);
        let last = audit.entries(None, 1);
        assert_eq!(last[0].suppressed, 5_000 - u64::from(REFUSALS));
        clock.advance(Duration::from_secs(1));
        audit.record(act("reset"), Outcome::Refused);
        assert_eq!(audit.entries(None, 1)[0].suppressed, 0);
    }

    #[test]
    fn texts_are_bounded_and_no_terminal_obeys_them() {
        assert_eq!(shown("plain ü".into()), "plain ü");
        assert_eq!(shown("a\nb\u{1b}[31m\u{9b}".into()), "a\\nb\\u{1b}[31m\\u{9b}");
        let long = shown("x".repeat(100_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (LONGEST + 1, true));
        assert!(shown("\u{0}".repeat(100_000)).len() < 5 * LONGEST);
    }
}
