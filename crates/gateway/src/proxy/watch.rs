//! What is known of an answer while it passes, and what is made of that in the end.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::time::Instant;

use super::answer::now;
use super::cut::AnswerError;
use super::guard::Guard;
use crate::judge::{Observed, StreamEnd, StreamJudge};
use crate::llm::Meter;
use crate::llm::translate::Translator;
use crate::policies::cache::Recording;

/// What a client is told whose stream is cut.
const EARLY: &str = "the upstream ended this stream early";

/// A probe that is still getting somewhere renews its lease this often.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// What is known of the body while it passes.
pub(super) struct Watch {
    /// `None` once judged, be it by the head.
    pub(super) guard: Option<Guard>,
    pub(super) stream: Option<StreamJudge>,
    /// For a client who does not know the upstream's words.
    pub(super) translator: Option<Box<Translator>>,
    /// What is written down of it, to be kept.
    pub(super) recording: Option<Box<Recording>>,
    /// What it costs, if that matters.
    pub(super) meter: Option<Meter>,
    /// How long the upstream may be silent.
    pub(super) stall: Duration,
    /// When it must be through.
    pub(super) until: Option<Instant>,
    /// What it is if it is not.
    pub(super) overdue: Observed,
    /// Since when it has been silent.
    pub(super) silent_since: Instant,
    pub(super) renewed: Instant,
    /// What to add before the connection is ended abnormally.
    pub(super) last_words: Option<Bytes>,
    pub(super) state: State,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    Passing,
    /// The upstream failed; what came before is yet to be written.
    Failing(Observed),
    /// The upstream failed; the client is yet to be told.
    Ending(Observed),
    Done,
}

/// What a poll of the body gives.
pub(super) type Passed = Poll<Option<Result<Frame<Bytes>, AnswerError>>>;

impl Watch {
    /// Takes note of a frame that goes to the client.
    pub(super) fn pass(&mut self, frame: &Frame<Bytes>) {
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
    pub(super) fn translate(&mut self, frame: Frame<Bytes>, cx: &mut Context<'_>) -> Passed {
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
    pub(super) fn translate_end(&mut self, cx: &mut Context<'_>) -> Passed {
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
    pub(super) fn finding(&mut self) -> Option<Observed> {
        let stream = self.stream.as_mut()?;
        match stream.finish() {
            StreamEnd::Error => Some(Observed::StreamError),
            StreamEnd::Unreasoned => Some(Observed::NoFinishReason),
            StreamEnd::Open if stream.needs_marker() => Some(Observed::StreamUnfinished),
            StreamEnd::Open | StreamEnd::Marked => None,
        }
    }

    /// The body has come to its end.
    pub(super) fn end(&mut self) {
        self.state = State::Done;
        self.judge_whole();
    }

    /// All of the body has come.
    pub(super) fn judge_whole(&mut self) {
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
    pub(super) fn fail(&mut self, observed: Observed, cx: &mut Context<'_>) -> Passed {
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
    pub(super) fn fail_with(
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
    pub(super) fn flush(&mut self, observed: Observed, cx: &mut Context<'_>) -> Passed {
        self.state = State::Ending(observed);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(super) fn deadline(&self) -> Instant {
        let stalled = self.silent_since + self.stall;
        self.until.map_or(stalled, |until| until.min(stalled))
    }

    /// When there is something to do although nothing comes.
    pub(super) fn next(&self) -> Instant {
        let slow_at = self.guard.as_ref().and_then(Guard::slow_at);
        slow_at.map_or(self.deadline(), |slow_at| slow_at.min(self.deadline()))
    }

    /// Whether what the timer rang for is that the call is slow from now on.
    pub(super) fn found_slow(&mut self) -> bool {
        let deadline = self.deadline();
        match &mut self.guard {
            Some(guard) if guard.slow_at().is_some_and(|slow_at| slow_at < deadline) => {
                guard.mark_slow();
                true
            }
            _ => false,
        }
    }

    pub(super) fn timed_out(&self) -> Observed {
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
