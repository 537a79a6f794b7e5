//! Answers that are nothing but a status.

use super::Answer;
use super::wire::{Head, PLAIN, end_after};
use crate::upstream::behaviour::{Manner, Status, StatusBody};
use crate::upstream::llm::Api;
use crate::upstream::request::Request;

/// The status with its hints, and the body it is to come with.
pub(super) fn answer(status: &Status, request: &Request, manner: &Manner) -> Answer {
    let (media_type, body) = match &status.body {
        StatusBody::Text => (PLAIN, format!("status {} as scripted\n", status.code)),
        StatusBody::Empty => ("", String::new()),
        StatusBody::Api(code) => {
            let api = Api::of(request.head.path());
            ("application/json", api.error(status.code, code.as_deref()).to_string())
        }
    };
    let seconds = status.retry_after.clone().map(|text| (String::from("retry-after"), text));
    let millis =
        status.retry_after_ms.map(|millis| (String::from("retry-after-ms"), millis.to_string()));
    let headers: Vec<_> =
        seconds.into_iter().chain(millis).chain(manner.headers.iter().cloned()).collect();
    let head = Head { status: status.code, media_type, headers: &headers };
    head.whole(body.as_bytes(), request, end_after(request))
}
