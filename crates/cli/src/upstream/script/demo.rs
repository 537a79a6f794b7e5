//! The built-in script.

use std::time::Duration;

use super::Script;
use crate::upstream::behaviour::Behaviour;

/// An outage to watch: healthy, slow, failing, recovering, rate limited, healthy, over and over.
///
/// As it comes, a round takes 50 s, and each part lasts longer than a breaker with a window of a
/// few seconds needs to notice it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Demo {
    /// How long the round begins healthy.
    pub(crate) healthy: Duration,
    /// How long answers then come late, and how late.
    pub(crate) slow: (Duration, Duration),
    /// How long every answer then is 503.
    pub(crate) failing: Duration,
    /// How long answers are then right again, but come a little late, and how late.
    pub(crate) recovering: (Duration, Duration),
    /// How long every answer then is 429, and its `Retry-After`.
    pub(crate) limited: (Duration, Duration),
    /// How long the round ends healthy.
    pub(crate) healed: Duration,
}

impl Demo {
    /// It as a script.
    pub(crate) fn script(&self) -> Script {
        Script::repeating(vec![
            (self.healthy, Behaviour::ok()),
            (self.slow.0, Behaviour::slow(self.slow.1)),
            (self.failing, Behaviour::status(503)),
            (self.recovering.0, Behaviour::slow(self.recovering.1)),
            (self.limited.0, Behaviour::rate_limited(self.limited.1)),
            (self.healed, Behaviour::ok()),
        ])
    }
}

impl Default for Demo {
    fn default() -> Demo {
        let secs = Duration::from_secs;
        Demo {
            healthy: secs(8),
            slow: (secs(6), Duration::from_millis(1_500)),
            failing: secs(12),
            // Probes take long enough to be watched.
            recovering: (secs(8), Duration::from_millis(400)),
            limited: (secs(6), secs(3)),
            healed: secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_fifty_seconds() {
        let script = Demo::default().script();
        let text = "8s=ok 6s=slow:1s500ms 12s=status:503,body=api 8s=slow:400ms \
                    6s=status:429,retry-after=3,body=api 10s=ok";
        assert_eq!(script.to_string(), text);
        let before = Behaviour::ok();
        let round = Duration::from_secs(50);
        assert_eq!(script.at(round, &before), script.at(Duration::ZERO, &before));
        assert_eq!("demo".parse(), Ok(script));
    }
}
