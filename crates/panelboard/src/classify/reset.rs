//! When a used-up rate limit is as before, of servers that say so in a header for each limit.

use std::time::Duration;

use http::HeaderMap;

const RESET: &str = "x-ratelimit-reset-";

/// One of the limits that an answer tells of.
struct Limit {
    /// What is left of it, from 0 to 1.
    share: f64,
    reset: Duration,
}

/// How long until the limit that is used up is as before: `x-ratelimit-reset-requests`,
/// `…-reset-tokens` and their like, as `1s`, `6m0s`, `59.56s` or `20ms`.
///
/// An answer tells of all limits, used up or not. The one meant is that of which the smallest share is
/// left by `x-ratelimit-remaining-…` and `x-ratelimit-limit-…`: a request for more tokens than are
/// left is refused before none are. Among equals it is the one that takes longest; a limit of which
/// nothing more is said counts as used up.
///
/// Names and form are those of <https://platform.openai.com/docs/guides/rate-limits>.
///
/// # Examples
/// ```
/// use http::HeaderMap;
/// use panelboard::classify::rate_limit_reset;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-limit-requests", "60".parse()?);
/// headers.insert("x-ratelimit-remaining-requests", "59".parse()?);
/// headers.insert("x-ratelimit-reset-requests", "1s".parse()?);
/// headers.insert("x-ratelimit-limit-tokens", "150000".parse()?);
/// headers.insert("x-ratelimit-remaining-tokens", "0".parse()?);
/// headers.insert("x-ratelimit-reset-tokens", "6m0s".parse()?);
/// assert_eq!(rate_limit_reset(&headers), Some(std::time::Duration::from_secs(360)));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn rate_limit_reset(headers: &HeaderMap) -> Option<Duration> {
    let limits = headers.iter().filter_map(|(name, value)| {
        let what = name.as_str().strip_prefix(RESET)?;
        let reset = time(value.to_str().ok()?.trim())?;
        Some(Limit { share: share(headers, what), reset })
    });
    let scarcest = limits
        .min_by(|one, other| one.share.total_cmp(&other.share).then(other.reset.cmp(&one.reset)));
    scarcest.map(|limit| limit.reset)
}

/// What is left of a limit. A server that tells what is left and not of how much leaves open how
/// scarce that is, unless nothing is.
fn share(headers: &HeaderMap, what: &str) -> f64 {
    let number = |kind: &str| {
        let value = headers.get(format!("x-ratelimit-{kind}-{what}"))?;
        value.to_str().ok()?.trim().parse::<f64>().ok().filter(|number| *number >= 0.0)
    };
    match (number("remaining"), number("limit")) {
        (Some(remaining), Some(limit)) if limit > 0.0 => remaining / limit,
        (Some(remaining), _) if remaining > 0.0 => 1.0,
        _ => 0.0,
    }
}

/// Numbers with units, one after the other: `1h0m2.5s`. A number without a unit is seconds.
fn time(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "" if digits == text.len() => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = number.parse::<f64>().ok()? * seconds;
        sum = sum.saturating_add(Duration::try_from_secs_f64(part).unwrap_or(Duration::MAX));
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        rate_limit_reset(&headers.collect())
    }

    #[test]
    fn times_are_read_in_each_form_that_is_sent() {
        let reset = |value| told(&[("x-ratelimit-reset-tokens", value)]);
        for (text, millis) in [
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("20ms", 20),
            ("2m59.56s", 179_560),
            ("1h0m2.5s", 3_602_500),
            ("1d", 86_400_000),
            ("7", 7_000),
            (" 1.5 ", 1_500),
            ("0s", 0),
            ("1500us", 1),
        ] {
            let read = reset(text).map(|time| u64::try_from(time.as_millis()).unwrap());
            assert_eq!(read, Some(millis), "{text:?}");
        }
        for nonsense in ["", "soon", "-1s", "1x", "s", "1.2.3s", "1m30", "1s,2s", "NaN"] {
            assert_eq!(reset(nonsense), None, "{nonsense:?}");
        }
        let ever = "9".repeat(400);
        assert_eq!(reset(&ever), Some(Duration::MAX));
    }

    #[test]
    fn the_limit_that_is_meant_is_the_scarcest() {
        let secs = |n| Some(Duration::from_secs(n));
        let both = [("x-ratelimit-reset-requests", "9s"), ("x-ratelimit-reset-tokens", "5s")];
        assert_eq!(told(&both), secs(9), "either may be");
        let with = |more: &[(&'static str, &str)]| told(&[&both, more].concat());
        let (left, of) = ("x-ratelimit-remaining-requests", "x-ratelimit-limit-requests");
        assert_eq!(with(&[(left, "0")]), secs(9), "of both, nothing is left for all we know");
        assert_eq!(with(&[(left, "1")]), secs(5));
        let tokens = ("x-ratelimit-remaining-tokens", "900");
        let some = [(left, "50"), (of, "100"), tokens, ("x-ratelimit-limit-tokens", "9000")];
        assert_eq!(with(&some), secs(5), "a tenth is less than half");
        assert_eq!(with(&[(left, "0"), (of, "100"), some[2], some[3]]), secs(9));
        assert_eq!(with(&[(left, "-3"), (of, "0"), tokens]), secs(9), "nonsense is no number");
        assert_eq!(told(&[(left, "0")]), None);
    }
}
