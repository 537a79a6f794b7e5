//! A request's body: read as far as it must be, and refused where it is no good.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::model::{self, Asked, BadBody, Look};
use super::paced::Paced;
use super::upload::{Upload, UploadFault};
use crate::fallback;
use crate::runtime::{Plan, Runtime};

/// How large a body may be that is kept only to be sent again: more would cost the memory of many
/// requests for the sake of few.
const KEPT: u64 = 64 * 1024;

/// The body, and what it asks for if that matters.
pub(super) async fn read(
    runtime: &Runtime,
    plan: &Plan,
    head: &Parts,
    body: Incoming,
) -> Result<(Upload, Asked), Response<Bytes>> {
    let patience = runtime.config.gateway().idle_timeout;
    let body = Paced::new(body, (head.version == Version::HTTP_2).then_some(patience));
    let most = plan.route.max_body_bytes;
    // What is known to be too large need not begin.
    if let Some(limit) = most.filter(|limit| body.size_hint().lower() > *limit) {
        return Err(too_large(limit));
    }
    let media = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let look = Look::of(media);
    if !plan.reads_body || look == Look::Never {
        let length = body.size_hint().exact();
        if plan.route.keeps_bodies() && length.is_some_and(|length| 0 < length && length <= KEPT) {
            let whole = model::read(body, KEPT).await.map_err(bad_body)?;
            return Ok((Upload::Whole(whole), Asked::default()));
        }
        return Ok((Upload::streamed(body, most), Asked::default()));
    }
    let limit = runtime.config.gateway().model_body_limit as u64;
    let limit = most.map_or(limit, |most| most.min(limit));
    let whole = model::read(body, limit).await.map_err(bad_body)?;
    let mut asked = model::asked(&whole, look).map_err(bad_body)?;
    if asked.model.is_none() && head.uri.path().contains("/api/") {
        asked = model::by_name(asked, &whole).map_err(bad_body)?;
    }
    Ok((Upload::Whole(whole), asked))
}

pub(super) fn bad_body(bad: BadBody) -> Response<Bytes> {
    match bad {
        BadBody::TooLarge { limit } => too_large(limit),
        BadBody::Cut => cut_short(),
        BadBody::Unreadable(reason) => {
            let detail = format!("The model cannot be read from this request: {reason}.");
            fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", &detail)
        }
    }
}

pub(super) fn bad_upload(fault: UploadFault, plan: &Plan) -> Response<Bytes> {
    match fault {
        UploadFault::Client => cut_short(),
        UploadFault::TooLarge => too_large(plan.route.max_body_bytes.unwrap_or_default()),
    }
}

fn too_large(limit: u64) -> Response<Bytes> {
    let detail = format!("The body is larger than the {limit} bytes that are accepted here.");
    fallback::refusal(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", &detail)
}

fn cut_short() -> Response<Bytes> {
    let detail = "The body did not come to its end.";
    fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", detail)
}
