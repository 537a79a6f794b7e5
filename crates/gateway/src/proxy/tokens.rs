//! What a request may cost in tokens, and room for that in the limits of its route and upstream.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::answer::Answer;
use super::attempt::{Attempt, Exchange};
use super::model::Asked;
use super::upload::Upload;
use crate::llm::{self, Meter, Room, TokenLimit};
use crate::runtime::Target;

/// What a request may cost, if it asks for anything that does.
pub(super) fn estimate(upload: &Upload, asked: &Asked) -> Option<u64> {
    match upload {
        Upload::Whole(body) if !body.is_empty() => {
            Some(llm::estimate(body.len(), asked.max_tokens))
        }
        Upload::Whole(_) | Upload::Streamed(_) => None,
    }
}

/// Takes room for so much, where there is a limit.
///
/// # Errors
/// How long until there is room.
pub(super) fn reserve(
    limit: Option<&TokenLimit>,
    estimate: Option<u64>,
) -> Result<Option<Room>, Duration> {
    limit.zip(estimate).map(|(limit, estimate)| limit.reserve(estimate)).transpose()
}

/// What one attempt costs, and who has kept room for that.
pub(super) struct Bill<'a> {
    target: &'a Target,
    /// In the limit of the upstream.
    own: Option<Room>,
    /// In the limit of the route.
    of_route: Option<&'a Room>,
}

impl<'a> Bill<'a> {
    /// Takes room at an upstream, where there is a limit.
    ///
    /// # Errors
    /// How long until there is room.
    pub(super) fn open(exchange: &'a Exchange<'_>, target: &'a Target) -> Result<Self, Duration> {
        let own = reserve(target.client.tokens(), exchange.estimate)?;
        Ok(Bill { target, own, of_route: exchange.room.as_ref() })
    }

    /// Has an answer's cost followed, and room kept where there may be one.
    pub(super) fn charge(&self, outcome: Attempt) -> Attempt {
        match outcome {
            Attempt::Answered(answer) if answer.status().is_success() => {
                let whole = is_json(answer.headers());
                Attempt::Answered(answer.map(|answer| self.metered(answer, whole)))
            }
            // It may have been at work, for all that is known.
            Attempt::Failed { observed, .. } if observed.may_have_cost() => {
                self.rooms().for_each(|room| drop(room.bill()));
                outcome
            }
            outcome => outcome,
        }
    }

    /// Has it followed what the answer costs, by the upstream's own words; `whole` is whether that
    /// is JSON in one piece.
    pub(super) fn metered(&self, answer: Answer, whole: bool) -> Answer {
        let counts = self.target.llm.as_ref().map(|llm| llm.tokens.clone());
        let reserved: Vec<_> = self.rooms().map(Room::bill).collect();
        match counts.is_none() && reserved.is_empty() {
            true => answer,
            false => answer.metered(Meter::new(whole, counts, reserved)),
        }
    }

    fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.own.iter().chain(self.of_route)
    }
}

/// Whether an answer with this head is JSON in one piece.
fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let json = media.get(..16).is_some_and(|it| it.eq_ignore_ascii_case(b"application/json"));
    json && !headers.contains_key(CONTENT_ENCODING)
}
