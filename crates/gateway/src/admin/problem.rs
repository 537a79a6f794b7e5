//! What is answered when something is wrong, as RFC 9457 has it.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::config::Finding;

/// What is wrong with a request, or with what it asks for.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Problem {
    /// What sort of problem it is, for programs.
    #[serde(rename = "type")]
    kind: String,
    /// The same, for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, and what would be accepted.
    pub(super) detail: String,
    /// Of settings and configurations: everything that is wrong with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    diagnostics: Vec<Finding>,
    /// When it is worth asking again, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// What handlers answer.
pub(super) type Answer<T> = Result<T, Box<Problem>>;

#[expect(
    clippy::unnecessary_box_returns,
    reason = "as results carry it: large errors make them large"
)]
impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Box<Problem> {
        let title = status.canonical_reason().unwrap_or("Error");
        let kind = title.to_lowercase().replace(' ', "-");
        Box::new(Problem {
            kind: format!("urn:panelboard:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            diagnostics: Vec::new(),
            retry_after: None,
        })
    }

    pub(super) fn bad(detail: impl Into<String>) -> Box<Problem> {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Box<Problem> {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Box<Problem> {
        Problem::new(StatusCode::CONFLICT, detail)
    }

    /// With everything that was found.
    pub(super) fn with(mut self: Box<Self>, diagnostics: Vec<Finding>) -> Box<Problem> {
        self.diagnostics = diagnostics;
        self
    }

    /// Worth another try after so many seconds.
    pub(super) fn after(mut self: Box<Self>, seconds: u64) -> Box<Problem> {
        self.retry_after = Some(seconds);
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Box<Problem> {
    fn into_response(self) -> Response {
        (*self).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        // A struct of texts and numbers can always be written.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // For the audit log.
        response.extensions_mut().insert(Reason(self.detail.into()));
        response
    }
}

/// Why something was refused.
#[derive(Clone)]
pub(super) struct Reason(pub(super) std::sync::Arc<str>);
