//! What answers cost: counted, and held against limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use panelboard::policy::rate_limit::{RateLimit, Reservation};
use panelboard_config as config;

use crate::judge::{Reader, Usage};
use crate::metrics::TokenCounts;

/// A limit of tokens.
#[derive(Clone)]
pub(crate) struct TokenLimit {
    limit: RateLimit,
    /// Tokens to a call of the rate limit, which reckons no less than a microsecond for one.
    unit: u32,
    configured: config::TokenLimit,
}

/// Room for a request, which is given back unless something comes of it that has to be paid for.
#[derive(Debug)]
pub(crate) struct Room {
    reserved: Reserved,
    billed: AtomicBool,
}

#[derive(Clone, Debug)]
pub(crate) struct Reserved {
    room: Reservation,
    unit: u32,
}

/// Follows an answer, and at its end says what it has cost.
pub(crate) struct Meter {
    /// Of an answer in one piece. A stream is read by its judge.
    reader: Option<Reader>,
    counts: Option<TokenCounts>,
    reserved: Vec<Reserved>,
}

// ===== impl TokenLimit =====

impl TokenLimit {
    /// The limit that is configured; `None` if that is none, which configurations are checked for.
    pub(crate) fn new(configured: config::TokenLimit) -> Option<TokenLimit> {
        let config::TokenLimit { tokens, per } = configured;
        let micros = u32::try_from(per.as_micros()).unwrap_or(u32::MAX).max(1);
        let unit = tokens.div_ceil(micros).max(1);
        let calls = (tokens / unit).max(1);
        let limit = RateLimit::new(calls, per, calls).ok()?;
        Some(TokenLimit { limit, unit, configured })
    }

    /// Whether it is the one that is configured, so that it may keep what it has counted.
    pub(crate) fn is(&self, configured: config::TokenLimit) -> bool {
        self.configured == configured
    }

    /// Takes room for so many tokens, or for as many as there are at most.
    ///
    /// # Errors
    /// How long until there is room.
    pub(crate) fn reserve(&self, tokens: u64) -> Result<Room, Duration> {
        let calls = units(tokens, self.unit).min(self.limit.burst());
        match self.limit.reserve(calls) {
            Ok(room) => Ok(Room {
                reserved: Reserved { room, unit: self.unit },
                billed: AtomicBool::new(false),
            }),
            Err(limited) => Err(limited.retry_after()),
        }
    }
}

fn units(tokens: u64, unit: u32) -> u32 {
    u32::try_from(tokens.div_ceil(unit.into())).unwrap_or(u32::MAX)
}

// ===== impl Room, Reserved =====

impl Room {
    /// It is to be paid for: as reserved, or by what is known in the end.
    pub(crate) fn bill(&self) -> Reserved {
        // Nothing else is published by it.
        self.billed.store(true, Ordering::Relaxed);
        self.reserved.clone()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !*self.billed.get_mut() {
            self.reserved.clone().correct(0);
        }
    }
}

impl Reserved {
    /// So many tokens it was.
    fn correct(self, tokens: u64) {
        self.room.correct(units(tokens, self.unit));
    }
}

/// What a request may cost, before it is known: a token is about four bytes of the request, and of
/// the answer no more come than are asked for.
pub(crate) fn estimate(bytes: usize, most: Option<u64>) -> u64 {
    (bytes as u64).div_ceil(4).saturating_add(most.unwrap_or(0))
}

// ===== impl Meter =====

impl Meter {
    /// `whole` is whether the answer is JSON in one piece.
    pub(crate) fn new(whole: bool, counts: Option<TokenCounts>, reserved: Vec<Reserved>) -> Meter {
        let reader = whole.then(Reader::default);
        Meter { reader, counts, reserved }
    }

    /// Takes note of a piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        if let Some(reader) = &mut self.reader {
            reader.feed(piece);
        }
    }

    /// There is no more of it. An answer that does not tell what it has cost is taken for what was
    /// reserved.
    pub(crate) fn finish(self, stream: Option<Usage>) {
        let usage = stream.or_else(|| self.reader.as_ref().map(Reader::usage)).unwrap_or_default();
        if let Some(counts) = &self.counts {
            counts.add(usage.input, usage.output);
        }
        if let Some(cost) = usage.cost() {
            for reserved in self.reserved {
                reserved.correct(cost);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(tokens: u32, per: u64) -> TokenLimit {
        TokenLimit::new(config::TokenLimit { tokens, per: Duration::from_secs(per) }).unwrap()
    }

    #[test]
    fn every_limit_that_can_be_configured_is_one() {
        for tokens in [1, 999, 90_000, 60_000_001, 1_000_000_000] {
            for per in [1, 60, 86_400] {
                let limit = limit(tokens, per);
                let most = u64::from(limit.limit.burst()) * u64::from(limit.unit);
                let tokens = u64::from(tokens);
                assert!(most <= tokens && most * 10 >= tokens * 9, "{tokens} in {per}: {most}");
            }
        }
    }

    #[test]
    fn what_is_known_in_the_end_counts() {
        let limit = limit(1_000, 86_400);
        let first = limit.reserve(900).unwrap();
        assert!(limit.reserve(200).unwrap_err() > Duration::from_secs(3_600));
        first.bill().correct(100);
        limit.reserve(200).unwrap().bill().correct(1_800);
        let wait = limit.reserve(1).unwrap_err();
        // 901 too many, at 86.4 s each, but for what has passed since.
        assert!((77_840..77_847).contains(&wait.as_secs()), "debts are paid: {wait:?}");
    }

    #[test]
    fn a_request_for_more_than_there_is_takes_all_of_it() {
        let limit = limit(1_000, 60);
        let all = limit.reserve(u64::MAX).unwrap();
        assert!(limit.reserve(100).is_err());
        drop(all);
        assert!(limit.reserve(900).is_ok(), "it came to nothing");
        assert_eq!((estimate(401, None), estimate(0, Some(9))), (101, 9));
        assert_eq!(estimate(4, Some(u64::MAX)), u64::MAX);
    }
}
