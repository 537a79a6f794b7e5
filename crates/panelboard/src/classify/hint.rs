//! When a server asks to come back.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::reset::rate_limit_reset;

/// What some send beside it, or instead: finer, and without the doubt whether it is a date.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// The most that is read from a header; what is believed of it is a setting of the circuit.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How long the server asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date
/// (RFC 9110, section 10.2.3). What cannot be read is no hint; nobody is asked to wait for more than
/// a week. `now` is the wall clock, since dates are of the server's.
///
/// # Examples
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::HeaderMap;
/// use panelboard::classify::retry_after;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", "120".parse()?);
/// assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), Some(Duration::from_secs(120)));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = text(RETRY_AFTER_MS).and_then(|millis| millis.parse::<f64>().ok());
    let wait = match millis.and_then(|ms| Duration::try_from_secs_f64(ms / 1_000.0).ok()) {
        Some(wait) => wait,
        None => {
            let value = text(RETRY_AFTER.as_str())?;
            let is_whole = !value.is_empty() && value.bytes().all(|it| it.is_ascii_digit());
            match value.parse::<f64>() {
                // What is too long for a number is a long time.
                _ if is_whole => Duration::from_secs(value.parse().unwrap_or(u64::MAX)),
                // Some send fractions, though the standard knows none.
                Ok(secs) => Duration::try_from_secs_f64(secs).ok()?,
                Err(_) => {
                    let date = httpdate::parse_http_date(value).ok()?;
                    date.duration_since(now).unwrap_or_default()
                }
            }
        }
    };
    Some(wait.min(LONGEST))
}

/// How long an answer with this status asks to wait: as [`retry_after`], and of a 429 or 529 without
/// that as [`rate_limit_reset`]. Other answers tell of limits, too, and mean nothing by it. `now` is
/// asked for the wall clock if there may be a date, which in most answers there is not.
///
/// # Examples
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::HeaderMap;
/// use panelboard::classify::retry_hint;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-reset-tokens", "6m0s".parse()?);
/// assert_eq!(retry_hint(429, &headers, SystemTime::now), Some(Duration::from_secs(360)));
/// assert_eq!(retry_hint(503, &headers, SystemTime::now), None);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn retry_hint(
    status: u16,
    headers: &HeaderMap,
    now: impl FnOnce() -> SystemTime,
) -> Option<Duration> {
    let says_when = headers.contains_key(RETRY_AFTER) || headers.contains_key(RETRY_AFTER_MS);
    let hint = says_when.then(|| retry_after(headers, now())).flatten();
    hint.or_else(|| match status {
        429 | 529 => rate_limit_reset(headers).map(|wait| wait.min(LONGEST)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Option<Duration> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        retry_after(&headers, now)
    }

    #[test]
    fn reads_seconds_dates_and_milliseconds() {
        let secs = |n| Some(Duration::from_secs(n));
        assert_eq!(read("retry-after", "120"), secs(120));
        assert_eq!(read("retry-after", " 0 "), secs(0));
        assert_eq!(read("retry-after", "1.5"), Some(Duration::from_millis(1_500)));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT"), secs(20));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), secs(0), "past");
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
    }

    #[test]
    fn what_makes_no_sense_is_no_hint() {
        for value in ["", "soon", "-5", "NaN", "inf", "1e400", "99999999999999999999999x"] {
            assert_eq!(read("retry-after", value), None, "{value:?}");
        }
        for long in ["18446744073709551615", "18446744073709551616", "99999999999999999999999"] {
            assert_eq!(read("retry-after", long), Some(LONGEST), "{long}");
        }
        let never = "Fri, 31 Dec 9999 23:59:59 GMT";
        assert_eq!(read("retry-after", never), Some(LONGEST));
        let mut both = HeaderMap::new();
        both.insert(RETRY_AFTER, "7".parse().unwrap());
        both.insert("retry-after-ms", "soon".parse().unwrap());
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(retry_after(&both, now), Some(Duration::from_secs(7)), "one of two is enough");
    }

    #[test]
    fn resets_of_limits_are_a_hint_where_one_is_used_up_and_no_other_is_given() {
        let told = |status: u16, headers: &[(&'static str, &str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
            retry_hint(status, &headers.collect(), || SystemTime::UNIX_EPOCH)
        };
        let (reset, secs) = (("x-ratelimit-reset-tokens", "6m0s"), Duration::from_secs);
        for status in [429, 529] {
            assert_eq!(told(status, &[reset]), Some(secs(360)), "{status}");
        }
        for status in [200, 500, 503] {
            assert_eq!(told(status, &[reset]), None, "{status}");
        }
        assert_eq!(told(429, &[reset, ("retry-after", "7")]), Some(secs(7)));
        assert_eq!(told(429, &[reset, ("retry-after", "soon")]), Some(secs(360)));
        assert_eq!(told(429, &[("x-ratelimit-reset-tokens", "99d")]), Some(LONGEST));
    }
}
