//! How much of an answer is read before it is passed on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::judge::{Observed, StreamJudge};
use crate::llm;

/// How much of a stream is held back while only comments come, before it is passed on after all.
pub(super) const HELD_BACK: usize = 64 * 1024;

/// How long an error's body is waited for to find out what it means.
const ERROR_WAIT: Duration = Duration::from_secs(2);

/// Whether an answer with this status has a body.
pub(super) fn has_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Reads an error's body, as far as it comes soon and is short; `None` if it breaks off.
pub(super) async fn error_body(incoming: &mut Incoming) -> Option<Bytes> {
    let mut read = BytesMut::new();
    let whole = async {
        while read.len() <= llm::LONGEST_ERROR {
            match incoming.frame().await {
                Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return false,
                None => break,
            }
        }
        true
    };
    // What has not come by then is passed on as it comes.
    match tokio::time::timeout(ERROR_WAIT, whole).await {
        Ok(false) => None,
        Ok(true) | Err(_) => Some(read.freeze()),
    }
}

/// Reads until there is more than comments, or to the end of a stream that need not have any.
pub(super) async fn begin(
    incoming: &mut Incoming,
    stream: &mut StreamJudge,
) -> Result<Bytes, Observed> {
    let mut held = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Observed::BodyCut)?;
        if let Ok(data) = frame.into_data() {
            let progress = stream.feed(&data);
            if progress.data && held.is_empty() {
                return Ok(data);
            }
            held.extend_from_slice(&data);
            if progress.data || held.len() > HELD_BACK {
                return Ok(held.freeze());
            }
        }
    }
    match stream.needs_marker() {
        true => Err(Observed::StreamUnfinished),
        false => Ok(held.freeze()),
    }
}
