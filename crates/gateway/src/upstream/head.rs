//! Heads of answers.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

/// Whether everybody on the way to the client reads the same end of the body from this head.
///
/// hyper takes `chunked` where there is a length beside it, passes over codings that it does not
/// know, and does not look at the length of what has no body. Passed on, any of these could mean
/// something else to the client.
pub(super) fn is_unambiguous(status: StatusCode, headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_number = |length: &HeaderValue| {
        !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit)
    };
    // Nobody asked for another protocol.
    let is_final = status != StatusCode::SWITCHING_PROTOCOLS;
    is_final
        && match (lengths.next(), codings.next()) {
            (None, None) => true,
            (Some(length), None) => is_number(length) && lengths.next().is_none(),
            (None, Some(coding)) => {
                coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
            }
            (Some(_), Some(_)) => false,
        }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn unambiguous(status: u16, pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        is_unambiguous(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_body_has_one_end() {
        let (length, coding) = ("content-length", "transfer-encoding");
        assert!(unambiguous(200, &[]));
        assert!(unambiguous(200, &[(length, "5")]));
        assert!(unambiguous(200, &[(coding, "Chunked")]));
        for headers in [
            &[(length, "5"), (coding, "chunked")][..],
            &[(length, "5"), (length, "5")],
            &[(length, "5, 5")],
            &[(length, "+5")],
            &[(length, "")],
            &[(coding, "gzip, chunked")],
            &[(coding, "identity")],
            &[(coding, "chunked"), (coding, "chunked")],
        ] {
            assert!(!unambiguous(200, headers), "{headers:?}");
        }
        assert!(!unambiguous(101, &[]), "nobody asked for another protocol");
    }
}
