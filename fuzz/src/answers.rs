//! What comes from a server: status and hint.

use std::time::{Duration, SystemTime};

use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use panelboard::classify::{Classify, Http, retry_after};
use panelboard::{Kind, Outcome};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Two bytes of status, then what `Retry-After` says, and `retry-after-ms` on the next line.
pub fn answers(data: &[u8]) {
    let Some(([high, low], text)) = data.split_first_chunk() else { return };
    let mut lines = text.splitn(2, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [RETRY_AFTER, HeaderName::from_static("retry-after-ms")] {
        if let Some(Ok(value)) = lines.next().map(HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let hint = retry_after(&headers, now);
    assert!(hint.is_none_or(|hint| hint <= WEEK));
    assert!(hint.is_none() || !headers.is_empty(), "a hint out of nothing");
    if headers.len() == 1
        && let Some(Ok(text)) = headers.get(RETRY_AFTER).map(HeaderValue::to_str)
    {
        if let Ok(secs) = text.parse::<u64>() {
            assert_eq!(hint, Some(Duration::from_secs(secs).min(WEEK)), "{text:?}");
        }
        if let Ok(date) = httpdate::parse_http_date(text) {
            let wait = date.duration_since(now).unwrap_or_default();
            assert_eq!(hint, Some(wait.min(WEEK)), "{text:?}");
        }
    }
    let Ok(status) = StatusCode::from_u16(u16::from_be_bytes([*high, *low])) else { return };
    let mut response = Response::new(());
    *response.status_mut() = status;
    let bare = Http.classify(&Ok::<_, ()>(status));
    assert_eq!(Http::response(&response), bare, "without headers the status is all there is");
    *response.headers_mut() = headers;
    let outcome = Http::response(&response);
    match (status.as_u16(), hint) {
        (429 | 529, _) | (503, Some(_)) => {
            assert!(matches!(outcome, Outcome::Pushback { .. }), "{status}: {outcome:?}");
        }
        (408, _) => assert_eq!(outcome, Outcome::failure(Kind::Timeout)),
        (500.., _) => assert!(
            matches!(outcome, Outcome::Failure { kind: Kind::ServerError, .. }),
            "{status}: {outcome:?}"
        ),
        _ => assert_eq!(outcome, Outcome::Success, "{status}"),
    }
}
