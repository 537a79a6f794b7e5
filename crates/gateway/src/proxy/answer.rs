//! An upstream's answer on its way to the client: passed on as it comes, and judged at its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use panelboard::policy::bulkhead::BulkheadPermit;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::cut::AnswerError;
use super::guard::Guard;
use super::headers::keep_trailers;
use super::watch::{Passed, State, Watch};
use crate::judge::{Observed, StreamJudge};
use crate::llm::Meter;
use crate::llm::translate::Translator;
use crate::policies::UnderWay;
use crate::policies::cache::Recording;
use crate::upstream::Place;

pin_project! {
    /// The body of an answer.
    pub(crate) struct Answer {
        #[pin]
        incoming: Incoming,
        // What the wait for the first token has brought already.
        first: Option<Frame<Bytes>>,
        // The last of the data, while it is not known whether the body ends with it.
        last: Option<Frame<Bytes>>,
        watch: Watch,
        kept: Kept,
        #[pin]
        timer: Sleep,
        // Kept to the end.
        place: Option<Place>,
    }
}

/// What is held until the body is through.
#[derive(Default)]
#[expect(dead_code, reason = "held for their drop")]
pub(crate) struct Kept {
    pub(crate) place: Option<BulkheadPermit>,
    pub(crate) under_way: Option<UnderWay>,
}

/// What bounds an answer.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Bounds {
    /// How long the upstream may be silent.
    pub(crate) stall: Duration,
    /// When the answer must be complete.
    pub(crate) until: Option<Instant>,
    /// What it is if it is not.
    pub(crate) overdue: Observed,
}

impl Answer {
    pub(crate) fn new(
        incoming: Incoming,
        first: Option<Frame<Bytes>>,
        guard: Option<Guard>,
        stream: Option<StreamJudge>,
        bounds: Bounds,
    ) -> Answer {
        Answer::with(incoming, first, guard, stream, None, bounds)
    }

    /// The same in the client's words.
    pub(crate) fn translated(
        incoming: Incoming,
        first: Option<Frame<Bytes>>,
        guard: Option<Guard>,
        stream: Option<StreamJudge>,
        translator: Translator,
        bounds: Bounds,
    ) -> Answer {
        Answer::with(incoming, first, guard, stream, Some(Box::new(translator)), bounds)
    }

    fn with(
        incoming: Incoming,
        first: Option<Frame<Bytes>>,
        guard: Option<Guard>,
        stream: Option<StreamJudge>,
        translator: Option<Box<Translator>>,
        bounds: Bounds,
    ) -> Answer {
        let now = now();
        // Only an event stream of unknown length can take one more event.
        let open_ended = incoming.size_hint().exact().is_none();
        let events = stream.as_ref().is_some_and(StreamJudge::is_events);
        let last_words = guard.as_ref().filter(|_| open_ended && events).map(Guard::last_words);
        let state = State::Passing;
        let mut watch = Watch {
            guard,
            stream,
            translator,
            recording: None,
            meter: None,
            stall: bounds.stall,
            until: bounds.until,
            overdue: bounds.overdue,
            silent_since: now,
            renewed: now,
            last_words,
            state,
        };
        if first.is_none() && incoming.is_end_stream() && watch.translator.is_none() {
            watch.end();
        }
        let timer = tokio::time::sleep_until(watch.next());
        Answer { incoming, first, last: None, watch, kept: Kept::default(), timer, place: None }
    }

    /// The same, with a place on a connection that is free when it ends.
    pub(crate) fn with_place(mut self, place: Option<Place>) -> Answer {
        self.place = place;
        self
    }

    /// Writes down what passes from here on, unless it is put in other words on its way.
    pub(crate) fn record(&mut self, recording: Box<Recording>) {
        match self.watch.state {
            State::Passing if self.watch.translator.is_none() => {
                self.watch.recording = Some(recording);
            }
            // There is no body, which is known to be all of it.
            State::Done if self.first.is_none() => recording.finish(),
            _ => {}
        }
    }

    /// Holds this until the body is through.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept = kept;
    }

    /// The same, and what it costs is told to this.
    pub(crate) fn metered(mut self, meter: Meter) -> Answer {
        self.watch.meter = Some(meter);
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Passed {
        let mut this = self.project();
        match this.watch.state {
            State::Passing => {}
            State::Failing(observed) => return this.watch.flush(observed, cx),
            State::Ending(observed) => {
                this.watch.state = State::Done;
                return Poll::Ready(Some(Err(AnswerError::new(observed))));
            }
            State::Done => return Poll::Ready(this.first.take().map(Ok)),
        }
        let frame = match this.first.take() {
            Some(frame) => Some(Ok(frame)),
            None => match poll_piece(this.incoming.as_mut(), this.last, this.first, cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    loop {
                        let next = this.watch.next();
                        if this.timer.deadline() != next {
                            this.timer.as_mut().reset(next);
                        }
                        if this.timer.as_mut().poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                        if !this.watch.found_slow() {
                            break;
                        }
                    }
                    let observed = this.watch.timed_out();
                    return this.watch.fail(observed, cx);
                }
            },
        };
        match frame {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    keep_trailers(trailers);
                }
                this.watch.pass(&frame);
                if this.watch.translator.is_some() {
                    return this.watch.translate(frame, cx);
                }
                if frame.is_trailers() || this.first.is_some() {
                    // Trailers are not kept, nor what is not all there without them.
                    this.watch.recording = None;
                }
                // Nothing comes after trailers, and over HTTP/2 nobody asks for it.
                if frame.is_trailers() || this.incoming.is_end_stream() {
                    this.watch.end();
                } else if this.incoming.size_hint().exact() == Some(0) {
                    // Over HTTP/2 the end comes by itself, and a client that has all it was
                    // promised need not wait for that.
                    this.watch.judge_whole();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => this.watch.fail(Observed::BodyCut, cx),
            None if this.watch.translator.is_some() => this.watch.translate_end(cx),
            None => {
                this.watch.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.watch.state == State::Done && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.watch.translator.is_some() {
            // In other words it has another length.
            return SizeHint::new();
        }
        match (&self.first, self.watch.state) {
            (Some(frame), _) => {
                let first = frame.data_ref().map_or(0, |data| data.len() as u64);
                let rest = self.incoming.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower() + first);
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper + first);
                }
                hint
            }
            (None, State::Done) => SizeHint::with_exact(0),
            // With a last event to come, the length is anybody's guess.
            (None, _) => self.incoming.size_hint(),
        }
    }
}

/// The next piece of a body. Over HTTP/2 its end comes after it, even where its length was known;
/// and whoever has all of that length does not wait for the end, so the last piece does.
fn poll_piece(
    mut incoming: Pin<&mut Incoming>,
    last: &mut Option<Frame<Bytes>>,
    next: &mut Option<Frame<Bytes>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    loop {
        let frame = ready!(incoming.as_mut().poll_frame(cx));
        match (frame, last.take()) {
            (Some(Ok(frame)), None)
                if !incoming.is_end_stream() && incoming.size_hint().exact() == Some(0) =>
            {
                *last = Some(frame);
            }
            (Some(Ok(trailers)), Some(held)) => {
                *next = Some(trailers);
                return Poll::Ready(Some(Ok(held)));
            }
            (None, Some(held)) => return Poll::Ready(Some(Ok(held))),
            (frame, _) => return Poll::Ready(frame),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the timer's own clock, as it must be")]
pub(super) fn now() -> Instant {
    Instant::now()
}
