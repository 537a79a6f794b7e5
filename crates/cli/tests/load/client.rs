//! Clients that come at their own pace, whatever the gateway makes of it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::agent;

/// What a client got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// When it asked, from the beginning of the load.
    pub(crate) asked: Duration,
    pub(crate) took: Duration,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    /// Whether it is an answer of the gateway's own.
    pub(crate) fallback: bool,
}

/// A request each `gap` for as long as `time`, each by a client of its own, while `meanwhile` runs.
pub(crate) fn at_a_rate(
    url: &str,
    gap: Duration,
    time: Duration,
    meanwhile: impl FnOnce(),
) -> Vec<Got> {
    let got = Mutex::new(Vec::new());
    let agent = agent();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let (got, agent) = (&got, &agent);
        scope.spawn(move || {
            let mut due = Duration::ZERO;
            while due < time {
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                scope.spawn(move || {
                    let asked = start.elapsed();
                    let answer = agent.get(url).call().expect("an answer");
                    let retry_after = answer.headers().get("retry-after");
                    let one = Got {
                        asked,
                        took: start.elapsed().saturating_sub(asked),
                        status: answer.status().as_u16(),
                        fallback: answer.headers().contains_key("x-panelboard-fallback"),
                        retry_after: retry_after.map(|v| v.to_str().unwrap().to_owned()),
                    };
                    got.lock().unwrap().push(one);
                });
                due += gap;
            }
        });
        meanwhile();
    });
    let mut got = got.into_inner().unwrap();
    got.sort_by_key(|one| one.asked);
    got
}
