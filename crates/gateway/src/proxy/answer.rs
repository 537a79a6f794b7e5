//! An upstream's answer on its way to the client: passed on as it comes, and judged at its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use panelboard::policy::bulkhead::BulkheadPermit;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::cut::AnswerError;
use super::guard::Guard;
use super::headers::keep_trailers;
use crate::judge::{Observed, StreamEnd, StreamJudge};
use crate::llm::Meter;
use crate::llm::translate::Translator;
use crate::policies::UnderWay;
use crate::policies::cache::Recording;
use crate::upstream::Place;

/// What a client is told whose stream is cut.
const EARLY: &str = "the upstream ended this stream early";

/// A probe that is still getting somewhere renews its lease this often.
const RENEW_EVERY: Duration = Duration::from_secs(1);

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

/// What is known of the body while it passes.
struct Watch {
    /// `None` once judged, be it by the head.
    guard: Option<Guard>,
    stream: Option<StreamJudge>,
    /// For a client who does not know the upstream's words.
    translator: Option<Box<Translator>>,
    /// What is written down of it, to be kept.
    recording: Option<Box<Recording>>,
    /// What it costs, if that matters.
    meter: Option<Meter>,
    /// How long the upstream may be silent.
    stall: Duration,
    /// When it must be through.
    until: Option<Instant>,
    /// What it is if it is not.
    overdue: Observed,
    /// Since when it has been silent.
    silent_since: Instant,
    renewed: Instant,
    /// What to add before the connection is ended abnormally.
    last_words: Option<Bytes>,
    state: State,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    Passing,
    /// The upstream failed; what came before is yet to be written.
    Failing(Observed),
    /// The upstream failed; the client is yet to be told.
    Ending(Observed),
    Done,
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

/// What a poll of the body gives.
type Passed = Poll<Option<Result<Frame<Bytes>, AnswerError>>>;

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

// ===== impl Watch =====

impl Watch {
    /// Takes note of a frame that goes to the client.
    fn pass(&mut self, frame: &Frame<Bytes>) {
        if let (Some(recording), Some(data)) = (&mut self.recording, frame.data_ref())
            && !recording.add(data)
        {
            self.recording = None;
        }
        if let (Some(meter), Some(data)) = (&mut self.meter, frame.data_ref()) {
            meter.feed(data);
        }
        let data = match (&mut self.stream, frame.data_ref()) {
            (Some(stream), Some(data)) => stream.feed(data).data,
            _ => true,
        };
        let now = now();
        if data {
            self.silent_since = now;
            if now.duration_since(self.renewed) >= RENEW_EVERY {
                self.renewed = now;
                if let Some(guard) = &self.guard {
                    guard.renew();
                }
            }
        }
    }

    /// Puts a frame in the client's words.
    fn translate(&mut self, frame: Frame<Bytes>, cx: &mut Context<'_>) -> Passed {
        // Trailers speak of bytes that the client does not get.
        let data = frame.into_data().unwrap_or_default();
        let mut said = BytesMut::new();
        let fed = self.translator.as_mut().map(|translator| translator.feed(&data, &mut said));
        match fed {
            Some(Err(reason)) => {
                let cause = reason.to_string();
                self.fail_with(Observed::Untranslatable, Some(&cause), said, cx)
            }
            Some(Ok(())) | None if said.is_empty() => {
                // Nothing can be said of it yet; the next frame may be here.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Ok(())) | None => Poll::Ready(Some(Ok(Frame::data(said.freeze())))),
        }
    }

    /// The upstream's body has come to its end; the client's may have more to say, or be
    /// incomplete.
    fn translate_end(&mut self, cx: &mut Context<'_>) -> Passed {
        let mut said = BytesMut::new();
        let finished = self.translator.as_mut().map(|translator| translator.finish(&mut said));
        match finished {
            Some(Err(reason)) => {
                // A stream without its end is known as such.
                let observed = self.finding().unwrap_or(Observed::Untranslatable);
                let cause = reason.to_string();
                self.fail_with(observed, Some(&cause), said, cx)
            }
            Some(Ok(())) | None => {
                self.end();
                let said = Some(said.freeze()).filter(|said| !said.is_empty());
                Poll::Ready(said.map(|said| Ok(Frame::data(said))))
            }
        }
    }

    /// What is wrong with a stream that has come to its end, if anything is.
    fn finding(&mut self) -> Option<Observed> {
        let stream = self.stream.as_mut()?;
        match stream.finish() {
            StreamEnd::Error => Some(Observed::StreamError),
            StreamEnd::Unreasoned => Some(Observed::NoFinishReason),
            StreamEnd::Open if stream.needs_marker() => Some(Observed::StreamUnfinished),
            StreamEnd::Open | StreamEnd::Marked => None,
        }
    }

    /// The body has come to its end.
    fn end(&mut self) {
        self.state = State::Done;
        self.judge_whole();
    }

    /// All of the body has come.
    fn judge_whole(&mut self) {
        let observed = self.finding();
        let recording = self.recording.take().filter(|_| observed.is_none());
        if let Some(recording) = recording {
            recording.finish();
        }
        if let Some(guard) = self.guard.take() {
            match observed {
                Some(observed) => guard.settle(observed),
                None => guard.complete(),
            }
        }
    }

    /// The upstream failed: says so to the breaker, and then to the client as far as that goes.
    fn fail(&mut self, observed: Observed, cx: &mut Context<'_>) -> Passed {
        if self.translator.is_some() {
            return self.fail_with(observed, None, BytesMut::new(), cx);
        }
        if let Some(guard) = self.guard.take() {
            guard.settle(observed);
        }
        // Within an event they would become part of it.
        let fits = self.stream.as_ref().is_some_and(StreamJudge::is_between_events);
        match self.last_words.take().filter(|_| fits) {
            Some(words) => {
                self.state = State::Failing(observed);
                Poll::Ready(Some(Ok(Frame::data(words))))
            }
            None => self.flush(observed, cx),
        }
    }

    /// The same where the client gets other words than the upstream's: after those that came out of
    /// it.
    fn fail_with(
        &mut self,
        observed: Observed,
        cause: Option<&str>,
        mut said: BytesMut,
        cx: &mut Context<'_>,
    ) -> Passed {
        if let Some(guard) = self.guard.take() {
            guard.settle_because(observed, cause);
        }
        self.state = State::Failing(observed);
        if let Some(translator) = &mut self.translator {
            if translator.is_of_error() {
                // What an error says is worth less than that it is one.
                self.state = State::Done;
                let finished = translator.finish(&mut said);
                debug_assert!(finished.is_ok(), "an error can be made of anything");
            } else {
                said.extend_from_slice(&translator.last_words(EARLY));
            }
        }
        match said.is_empty() {
            true => self.flush(observed, cx),
            false => Poll::Ready(Some(Ok(Frame::data(said.freeze())))),
        }
    }

    /// When a body fails, hyper drops what it has not written yet. So it gets a turn to write.
    fn flush(&mut self, observed: Observed, cx: &mut Context<'_>) -> Passed {
        self.state = State::Ending(observed);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn deadline(&self) -> Instant {
        let stalled = self.silent_since + self.stall;
        self.until.map_or(stalled, |until| until.min(stalled))
    }

    /// When there is something to do although nothing comes.
    fn next(&self) -> Instant {
        let slow_at = self.guard.as_ref().and_then(Guard::slow_at);
        slow_at.map_or(self.deadline(), |slow_at| slow_at.min(self.deadline()))
    }

    /// Whether what the timer rang for is that the call is slow from now on.
    fn found_slow(&mut self) -> bool {
        let deadline = self.deadline();
        match &mut self.guard {
            Some(guard) if guard.slow_at().is_some_and(|slow_at| slow_at < deadline) => {
                guard.mark_slow();
                true
            }
            _ => false,
        }
    }

    fn timed_out(&self) -> Observed {
        match self.until {
            Some(until) if until <= self.silent_since + self.stall => self.overdue,
            _ => Observed::BodyStalled,
        }
    }
}

/// Whatever became of it: passed on, cut, or the client has gone.
impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(meter) = self.meter.take() {
            meter.finish(self.stream.as_ref().map(StreamJudge::usage));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the timer's own clock, as it must be")]
pub(super) fn now() -> Instant {
    Instant::now()
}
