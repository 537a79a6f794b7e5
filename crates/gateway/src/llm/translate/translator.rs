//! An answer on its way from an upstream's dialect to the client's.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::chat::{Fault, FaultKind, Part, Spoken, Stamp, Start, Stop, Untranslatable};
use super::events::{Events, Form};
use super::{Dialect, Voice};

/// An answer in one piece is held as a whole; none is nearly as long.
const LONGEST_ANSWER: usize = 16 << 20;

/// Of an error no more than this is read.
const LONGEST_ERROR: usize = 64 << 10;

/// Translates one answer, piece by piece.
#[derive(Debug)]
pub(crate) struct Translator {
    from: Dialect,
    to: Dialect,
    voice: Voice,
    sort: Sort,
}

#[derive(Debug)]
enum Sort {
    /// Event by event.
    Stream { events: Events, stream: Stream },
    /// At its end.
    Whole { held: BytesMut },
    /// An error with this status.
    Error { status: u16, held: BytesMut },
}

/// How far a stream has come.
#[derive(Debug, Default)]
struct Stream {
    start: Option<Start>,
    /// Whether there were words.
    spoke: bool,
    spoken: Spoken,
    stop: Option<Stop>,
    over: bool,
}

impl Translator {
    /// For an answer that comes in events. `tells_usage` is whether they tell the usage, where a
    /// client has to ask for that.
    pub(crate) fn stream(
        from: Dialect,
        to: Dialect,
        stamp: Stamp,
        tells_usage: bool,
    ) -> Translator {
        let form = match from {
            Dialect::OpenAi | Dialect::Anthropic => Form::Sse,
            Dialect::Ollama => Form::Lines,
        };
        let sort = Sort::Stream { events: Events::new(form), stream: Stream::default() };
        Translator { from, to, voice: Voice { stamp, tells_usage }, sort }
    }

    /// For an answer in one piece.
    pub(crate) fn whole(from: Dialect, to: Dialect, stamp: Stamp) -> Translator {
        let voice = Voice { stamp, tells_usage: true };
        Translator { from, to, voice, sort: Sort::Whole { held: BytesMut::new() } }
    }

    /// For an answer that is an error.
    pub(crate) fn error(from: Dialect, to: Dialect, stamp: Stamp, status: u16) -> Translator {
        let voice = Voice { stamp, tells_usage: true };
        Translator { from, to, voice, sort: Sort::Error { status, held: BytesMut::new() } }
    }

    /// Takes a piece of the upstream's answer, and adds what it comes to for the client, perhaps
    /// nothing yet, to `out`.
    ///
    /// # Errors
    /// When it says what the client's API cannot say, or is not what it should be; what came
    /// before is in `out`.
    pub(crate) fn feed(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), Untranslatable> {
        let Translator { from, to, voice, sort } = self;
        match sort {
            Sort::Stream { events, stream } => {
                events.feed(piece, |data| stream.event(data, *from, *to, *voice, out))?;
            }
            Sort::Whole { held } if held.len() + piece.len() > LONGEST_ANSWER => {
                let reason = format!("it is longer than {LONGEST_ANSWER} bytes");
                return Err(Untranslatable::new(reason));
            }
            Sort::Whole { held } => held.extend_from_slice(piece),
            Sort::Error { held, .. } => {
                let room = LONGEST_ERROR - held.len();
                held.extend_from_slice(&piece[..piece.len().min(room)]);
            }
        }
        Ok(())
    }

    /// Adds what is left to say, now that the upstream's answer is at its end.
    ///
    /// # Errors
    /// When the end came before the answer was complete: the client must not take it for one.
    pub(crate) fn finish(&mut self, out: &mut BytesMut) -> Result<(), Untranslatable> {
        let Translator { from, to, voice, sort } = self;
        match sort {
            Sort::Stream { events, stream } => {
                events.finish(|data| stream.event(data, *from, *to, *voice, out))?;
                match stream.over {
                    true => Ok(()),
                    false => Err(Untranslatable::new("it has no end marker")),
                }
            }
            Sort::Whole { held } => {
                let answer = from.read_answer(held)?;
                let answer = to.write_answer(&answer, voice.stamp).to_string();
                out.extend_from_slice(answer.as_bytes());
                Ok(())
            }
            Sort::Error { status, held } => {
                let kind = FaultKind::of_status(*status);
                // What is no error of this API, such as a page of HTML, is left out.
                let body: Value = serde_json::from_slice(held).unwrap_or_default();
                let fault = from.read_fault(kind, &body);
                out.extend_from_slice(to.write_fault(&fault).to_string().as_bytes());
                Ok(())
            }
        }
    }

    /// Whether it is for an error, which can be told whatever comes.
    pub(crate) fn is_of_error(&self) -> bool {
        matches!(self.sort, Sort::Error { .. })
    }

    /// What a client is told last when the answer fails, if its answer has such a place.
    pub(crate) fn last_words(&self, message: &str) -> Bytes {
        match &self.sort {
            Sort::Stream { stream, .. } if !stream.over => {
                let fault = Fault { kind: FaultKind::Server, message: message.to_owned() };
                self.to.fault_event(&fault).into()
            }
            Sort::Stream { .. } | Sort::Whole { .. } | Sort::Error { .. } => Bytes::new(),
        }
    }
}

// ===== impl Stream =====

impl Stream {
    fn event(
        &mut self,
        data: &[u8],
        from: Dialect,
        to: Dialect,
        voice: Voice,
        out: &mut BytesMut,
    ) -> Result<(), Untranslatable> {
        // An API's last word is the last, whatever a server adds to it.
        if self.over {
            return Ok(());
        }
        for part in from.read_event(data)? {
            match part {
                Part::Start(start) => {
                    if self.start.is_none() {
                        out.extend_from_slice(to.opening(&start, voice).as_bytes());
                        self.start = Some(start);
                    }
                }
                Part::Text(text) => {
                    let words = to.words(&text, !self.spoke, self.start()?, voice);
                    out.extend_from_slice(words.as_bytes());
                    self.spoke = true;
                }
                Part::Spoken(spoken) => self.spoken = self.spoken.and(spoken),
                // A refusal may be said to have come to its end.
                Part::Stop(_) if self.stop == Some(Stop::Refused) => {}
                Part::Stop(stop) => self.stop = Some(stop),
                Part::End => {
                    let unsaid = || Untranslatable::new("it does not say why it ended");
                    let stop = self.stop.as_ref().ok_or_else(unsaid)?;
                    let end = to.closing(stop, self.spoken, self.spoke, self.start()?, voice);
                    out.extend_from_slice(end.as_bytes());
                    self.over = true;
                }
                Part::Fault(fault) => {
                    out.extend_from_slice(to.fault_event(&fault).as_bytes());
                    self.over = true;
                }
            }
        }
        Ok(())
    }

    fn start(&self) -> Result<&Start, Untranslatable> {
        self.start.as_ref().ok_or_else(|| Untranslatable::new("its beginning is missing"))
    }
}
