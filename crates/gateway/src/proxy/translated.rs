//! An answer that comes in another API's words than the client's.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::answer::{Answer, Bounds};
use super::attempt::{Attempt, reached};
use super::guard::Guard;
use super::opening::HELD_BACK;
use super::speech::Translation;
use super::tokens::Bill;
use crate::judge::{Observed, StreamJudge};
use crate::llm::translate::{Translator, Untranslatable};
use crate::runtime::Target;

/// Why there is no answer yet, and will be none from this upstream.
struct Failed {
    observed: Observed,
    cause: Option<Untranslatable>,
}

/// An upstream's error, which it says in the client's words as soon as it is asked for.
pub(super) fn error(
    mut head: Parts,
    incoming: Incoming,
    first: Option<Frame<Bytes>>,
    guard: Option<Guard>,
    translation: &Translation,
    bounds: Bounds,
) -> Response<Answer> {
    translation.answer(&mut head.headers, false);
    let translator = translation.of_error(head.status.as_u16());
    let answer = Answer::translated(incoming, first, guard, None, translator, bounds);
    Response::from_parts(head, answer)
}

/// Judges an answer that is no error, of a stream its beginning.
pub(super) async fn answer(
    mut head: Parts,
    mut incoming: Incoming,
    mut guard: Guard,
    target: &Target,
    (translation, bounds, patience): (&Translation, Bounds, Duration),
    bill: &Bill<'_>,
) -> Attempt {
    if head.status.is_client_error() {
        return Attempt::Answered(error(head, incoming, None, Some(guard), translation, bounds));
    }
    let legible = match head.status.is_success() {
        true => translation.check(&head.headers),
        false => Err(Untranslatable::new("it is no answer, but leads elsewhere")),
    };
    if let Err(reason) = legible {
        return failed(guard, Observed::Untranslatable, Some(&reason));
    }
    if !translation.stream {
        let translator = translation.of_whole();
        let answer = Answer::translated(incoming, None, Some(guard), None, translator, bounds);
        return match bill.metered(answer, true).collect().await {
            Ok(whole) => {
                translation.answer(&mut head.headers, false);
                Attempt::Whole(Response::from_parts(head, whole.to_bytes()))
            }
            // The circuit knows of it.
            Err(error) => Attempt::Failed { observed: error.observed(), answer: None },
        };
    }
    let media = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let judge = || StreamJudge::of(target.client.kind(), media);
    // Judged like any other, by what the upstream itself sends.
    let Some(mut stream) = judge() else {
        return failed(guard, Observed::Untranslatable, None);
    };
    let first = async {
        tokio::select! {
            biased;
            first = first_words(&mut incoming, &mut stream, translation.of_stream()) => first,
            () = tokio::time::sleep(patience) => Err(Observed::NoFirstToken.into()),
            () = reached(bounds.until) => Err(bounds.overdue.into()),
        }
    };
    let first = match guard.watch(first).await {
        Ok(first) => first,
        Err(Failed { observed, cause }) => return failed(guard, observed, cause.as_ref()),
    };
    // What has been looked at is looked at again when it passes.
    let (reports_error, again) = (stream.reports_error(), judge());
    translation.answer(&mut head.headers, true);
    let (first, translator) = (Some(Frame::data(first)), translation.of_stream());
    if reports_error {
        let observed = Observed::StreamError;
        guard.settle(observed);
        let answer = Answer::translated(incoming, first, None, again, translator, bounds);
        return Attempt::Failed { observed, answer: Some(Response::from_parts(head, answer)) };
    }
    target.saw_first_token(guard.elapsed());
    let answer = Answer::translated(incoming, first, Some(guard), again, translator, bounds);
    Attempt::Answered(Response::from_parts(head, answer))
}

fn failed(guard: Guard, observed: Observed, cause: Option<&Untranslatable>) -> Attempt {
    guard.settle_because(observed, cause.map(ToString::to_string).as_deref());
    Attempt::Failed { observed, answer: None }
}

/// Reads until there is something to say to the client.
async fn first_words(
    incoming: &mut Incoming,
    stream: &mut StreamJudge,
    mut translator: Translator,
) -> Result<Bytes, Failed> {
    let (mut held, mut said) = (BytesMut::new(), BytesMut::new());
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return Err(Observed::BodyCut.into()) };
        let Ok(data) = frame.into_data() else { continue };
        stream.feed(&data);
        held.extend_from_slice(&data);
        match translator.feed(&data, &mut said) {
            Err(reason) if said.is_empty() => return Err(reason.into()),
            // It comes up again when this passes.
            Err(_) => return Ok(held.freeze()),
            Ok(()) if !said.is_empty() || held.len() > HELD_BACK => return Ok(held.freeze()),
            Ok(()) => {}
        }
    }
    Err(Observed::StreamUnfinished.into())
}

impl From<Observed> for Failed {
    fn from(observed: Observed) -> Failed {
        Failed { observed, cause: None }
    }
}

impl From<Untranslatable> for Failed {
    fn from(cause: Untranslatable) -> Failed {
        Failed { observed: Observed::Untranslatable, cause: Some(cause) }
    }
}
