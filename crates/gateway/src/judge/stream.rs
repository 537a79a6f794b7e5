//! Streams: whether they make progress, report an error, and end as they should.
//!
//! The bytes pass by unchanged and unbuffered; only as much of each line is kept as it takes to
//! tell what it is.

use panelboard_config::UpstreamKind;

use super::reader::{Choices, Reader, Usage};

/// Of a line no more than this is kept: the name of an event, or an end marker.
const LINE: usize = 64;

/// So much of an event's data is no ping any more.
const PING: usize = 48;

/// Follows a stream line by line.
#[derive(Debug)]
pub(crate) struct StreamJudge {
    dialect: Dialect,
    line: Vec<u8>,
    /// Bytes of the line so far.
    length: usize,
    /// What the events say.
    reader: Reader,
    /// What the event is called that the data lines which follow belong to.
    event: Event,
    /// Lines have come, but not the blank one that ends their event.
    within_event: bool,
    /// The byte before.
    last: u8,
    end: StreamEnd,
}

/// How a stream ends, as far as it has been seen.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum StreamEnd {
    /// Nothing was seen that a dialect would end with.
    Open,
    /// The end marker was seen, but nothing before it says that the answer had come to its end.
    Unreasoned,
    /// The end marker was seen.
    Marked,
    /// An error was reported.
    Error,
}

/// What a stream is made of.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Dialect {
    /// Server-sent events of any sort: no end marker is known.
    Sse,
    /// `OpenAI`'s: ends with `data: [DONE]`, of a chat after a finish reason; or with an event
    /// whose type says so.
    OpenAi,
    /// Anthropic's: ends with the event `message_stop`.
    Anthropic,
    /// Ollama's lines of JSON: the last says `"done":true`.
    Ollama,
}

/// What an event is called.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Event {
    Error,
    /// Only keeps the stream alive.
    Ping,
    Other,
}

/// What a piece of a stream held.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Progress {
    /// Anything but comments, pings and blank lines.
    pub(crate) data: bool,
}

// ===== impl StreamJudge =====

impl StreamJudge {
    /// Follows an answer of this type from this kind of upstream, if it is a stream.
    pub(crate) fn of(kind: UpstreamKind, content_type: Option<&str>) -> Option<StreamJudge> {
        let media = content_type?.split(';').next()?.trim();
        let events = media.eq_ignore_ascii_case("text/event-stream");
        let lines = media.eq_ignore_ascii_case("application/x-ndjson");
        let dialect = match kind {
            UpstreamKind::Anthropic if events => Dialect::Anthropic,
            UpstreamKind::Ollama if lines => Dialect::Ollama,
            // Ollama serves OpenAI's API as well.
            UpstreamKind::OpenAi | UpstreamKind::Ollama if events => Dialect::OpenAi,
            _ if events => Dialect::Sse,
            _ => return None,
        };
        Some(StreamJudge {
            dialect,
            line: Vec::new(),
            length: 0,
            reader: Reader::default(),
            event: Event::Other,
            within_event: false,
            last: 0,
            end: StreamEnd::Open,
        })
    }

    /// Takes note of a piece.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) -> Progress {
        let mut progress = Progress::default();
        while let Some(end) = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.take(&piece[..end]);
            let byte = piece[end];
            match byte {
                // The rest of one line end.
                b'\n' if self.length == 0 && self.last == b'\r' => {}
                _ if self.length == 0 => (self.within_event, self.event) = (false, Event::Other),
                _ => progress.data |= self.end_line(),
            }
            self.last = byte;
            piece = &piece[end + 1..];
        }
        self.take(piece);
        // A long line that is still coming is progress, too.
        progress.data |= self.is_data_so_far();
        progress
    }

    /// How the stream has ended, now that there is no more of it.
    pub(crate) fn finish(&mut self) -> StreamEnd {
        if self.length > 0 {
            self.end_line();
        }
        self.end
    }

    /// Whether an error was reported so far.
    pub(crate) fn reports_error(&self) -> bool {
        self.end == StreamEnd::Error
    }

    /// Whether a stream of this sort that ends without its marker is incomplete.
    pub(crate) fn needs_marker(&self) -> bool {
        self.dialect != Dialect::Sse
    }

    /// Whether an error can be added at the end as one more event.
    pub(crate) fn is_events(&self) -> bool {
        self.dialect != Dialect::Ollama
    }

    /// Whether what comes next is not part of what has come.
    pub(crate) fn is_between_events(&self) -> bool {
        self.length == 0 && !self.within_event
    }

    /// What the answer has cost, as far as it has said.
    pub(crate) fn usage(&self) -> Usage {
        self.reader.usage()
    }

    /// A part of a line.
    fn take(&mut self, part: &[u8]) {
        let Some(last) = part.last() else { return };
        self.last = *last;
        let kept = part.len().min(LINE - self.line.len());
        self.line.extend_from_slice(&part[..kept]);
        // Where what is read as JSON begins in this line.
        let start = match self.dialect {
            Dialect::Sse => None,
            Dialect::Ollama => Some(0),
            Dialect::OpenAi | Dialect::Anthropic => {
                self.line.starts_with(b"data:").then_some(b"data:".len())
            }
        };
        if let Some(start) = start {
            let read = self.length.max(start);
            self.reader.feed(part.get(read - self.length..).unwrap_or_default());
        }
        self.length += part.len();
    }

    /// Whether the line that is still coming carries data for certain.
    fn is_data_so_far(&self) -> bool {
        match self.dialect {
            Dialect::Sse | Dialect::Ollama => self.line.first().is_some_and(|it| *it != b':'),
            Dialect::OpenAi => self.line.starts_with(b"data:"),
            Dialect::Anthropic => {
                self.line.starts_with(b"data:") && self.event != Event::Ping && self.length > PING
            }
        }
    }

    /// Says whether the line carried data.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let data = line[0] != b':' && {
            self.within_event = true;
            self.read(&line)
        };
        // The room is used again.
        self.line = line;
        self.line.clear();
        self.length = 0;
        self.reader.begin();
        data
    }

    /// Takes note of a line that is no comment, and says whether it carried data.
    fn read(&mut self, line: &[u8]) -> bool {
        let facts = self.reader.facts();
        if self.dialect == Dialect::Ollama {
            match (facts.error, facts.ended) {
                (true, _) => self.mark(StreamEnd::Error),
                (false, true) => self.mark(StreamEnd::Marked),
                (false, false) => {}
            }
            return true;
        }
        let (field, value) = field_of(line);
        if field == b"event" {
            self.event = match value {
                b"error" => Event::Error,
                b"ping" => Event::Ping,
                _ => Event::Other,
            };
            if self.dialect == Dialect::Anthropic && value == b"message_stop" {
                self.mark(StreamEnd::Marked);
            }
        }
        if field != b"data" {
            // Of an API that is not known, any line may be all there is.
            return self.dialect == Dialect::Sse;
        }
        if self.event == Event::Error || facts.error {
            self.mark(StreamEnd::Error);
        } else if facts.ended {
            self.mark(StreamEnd::Marked);
        } else if self.dialect == Dialect::OpenAi && value == b"[DONE]" {
            let cut = facts.choices == Choices::Begun;
            self.mark(if cut { StreamEnd::Unreasoned } else { StreamEnd::Marked });
        }
        self.dialect != Dialect::Anthropic || self.event != Event::Ping && !facts.ping
    }

    /// An error stays one, whatever comes after it.
    fn mark(&mut self, end: StreamEnd) {
        if self.end != StreamEnd::Error {
            self.end = end;
        }
    }
}

/// The name and value of a line of server-sent events.
fn field_of(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(kind: UpstreamKind) -> StreamJudge {
        let media = match kind {
            UpstreamKind::Ollama => "application/x-ndjson",
            _ => "text/event-stream; charset=utf-8",
        };
        StreamJudge::of(kind, Some(media)).unwrap()
    }

    /// However it is cut into pieces.
    fn end_of(kind: UpstreamKind, stream: &str) -> StreamEnd {
        let mut ends = [1, 2, 3, 7, 64, stream.len()].map(|size| {
            let mut judge = judge(kind);
            for piece in stream.as_bytes().chunks(size) {
                judge.feed(piece);
            }
            judge.finish()
        });
        ends.sort_by_key(|end| *end as u8);
        assert_eq!(ends.first(), ends.last(), "{stream:?}");
        ends[0]
    }

    #[test]
    fn openai_streams_end_with_done() {
        use UpstreamKind::OpenAi;
        let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"an error: {\\\"error\\\":1}\"},\"finish_reason\":\"stop\"}]}\n\n";
        assert_eq!(end_of(OpenAi, chunk), StreamEnd::Open);
        assert_eq!(end_of(OpenAi, &format!("{chunk}data: [DONE]\n\n")), StreamEnd::Marked);
        assert_eq!(end_of(OpenAi, &format!("{chunk}data:[DONE]\r\n\r\n")), StreamEnd::Marked);
        assert_eq!(end_of(OpenAi, &format!("{chunk}data: [DONE]")), StreamEnd::Marked);
        let error = "data: {\"error\": {\"message\": \"overloaded\"}}\n\ndata: [DONE]\n\n";
        assert_eq!(end_of(OpenAi, error), StreamEnd::Error);
        assert_eq!(end_of(OpenAi, "data: {\"error\":null,\"id\":1}\n\n"), StreamEnd::Open);
    }

    #[test]
    fn a_chat_ends_with_a_reason_before_the_marker() {
        use UpstreamKind::OpenAi;
        let chunk = |reason| {
            format!("data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":{reason}}}]}}\n\n")
        };
        let (word, last, done) = (chunk("null"), chunk("\"stop\""), "data: [DONE]\n\n");
        assert_eq!(end_of(OpenAi, &format!("{word}{last}{done}")), StreamEnd::Marked);
        assert_eq!(end_of(OpenAi, &format!("{word}{done}")), StreamEnd::Unreasoned);
        assert_eq!(end_of(OpenAi, &format!("{word}{last}")), StreamEnd::Open);
        // What is no chat has no reasons.
        assert_eq!(end_of(OpenAi, &format!("event: done\n{done}")), StreamEnd::Marked);
    }

    #[test]
    fn streams_of_responses_end_with_an_event_of_their_own() {
        use UpstreamKind::OpenAi;
        let event = |kind, more: &str| {
            format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":4{more}}}\n\n")
        };
        let text = event("response.output_text.done", ",\"text\":\"x\"");
        assert_eq!(end_of(OpenAi, &text), StreamEnd::Open);
        let usage = ",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}";
        let end = event("response.completed", usage);
        assert_eq!(end_of(OpenAi, &format!("{text}{end}")), StreamEnd::Marked);
        let failed = event("response.failed", ",\"response\":{\"error\":{}}");
        assert_eq!(end_of(OpenAi, &format!("{text}{failed}")), StreamEnd::Error);
        let mut judge = judge(OpenAi);
        judge.feed(end.as_bytes());
        assert_eq!((judge.usage().input, judge.usage().output), (Some(3), Some(5)));
    }

    #[test]
    fn anthropic_streams_end_with_message_stop() {
        use UpstreamKind::Anthropic;
        let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        assert_eq!(end_of(Anthropic, stop), StreamEnd::Marked);
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n";
        assert_eq!(end_of(Anthropic, error), StreamEnd::Error);
        assert_eq!(
            end_of(Anthropic, "event: ping\ndata: {\"type\":\"ping\"}\n\n"),
            StreamEnd::Open
        );
    }

    #[test]
    fn ollama_streams_end_with_done_true() {
        use UpstreamKind::Ollama;
        let token = "{\"message\":{\"content\":\"done\"},\"done\":false}\n";
        assert_eq!(end_of(Ollama, token), StreamEnd::Open);
        assert_eq!(end_of(Ollama, &format!("{token}{{\"done\":true}}\n")), StreamEnd::Marked);
        assert_eq!(end_of(Ollama, "{\"error\":\"model not found\"}\n"), StreamEnd::Error);
    }

    #[test]
    fn plain_event_streams_have_no_end_marker() {
        let mut plain = judge(UpstreamKind::Http);
        plain.feed(b"data: hello\n\n");
        assert_eq!(plain.finish(), StreamEnd::Open);
        assert!(!plain.needs_marker());
        assert_eq!(end_of(UpstreamKind::Http, "event: error\ndata: x\n\n"), StreamEnd::Error);
        assert!(StreamJudge::of(UpstreamKind::Http, Some("text/html")).is_none());
        assert!(StreamJudge::of(UpstreamKind::Http, None).is_none());
    }

    #[test]
    fn an_event_ends_with_a_blank_line() {
        for (stream, between) in [
            ("", true),
            ("data: x", false),
            ("data: x\n", false),
            ("data: x\r\n", false),
            ("data: x\n\n", true),
            ("data: x\r\n\r\n", true),
            ("data: x\r\r", true),
            ("data: x\n\nevent: y\n", false),
            ("data: x\n\n: comment\n", true),
            ("data: x\n: comment\n", false),
            ("data: x\n\n: com", false),
        ] {
            for size in [1, 2, 100] {
                let mut judge = judge(UpstreamKind::OpenAi);
                for piece in stream.as_bytes().chunks(size) {
                    judge.feed(piece);
                }
                assert_eq!(judge.is_between_events(), between, "{stream:?}");
            }
        }
    }

    #[test]
    fn pings_are_no_progress() {
        let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
        let bare = "data: {\"type\":\"ping\"}\n\n";
        for size in [1, 2, 5, 20, 100] {
            let mut judge = judge(UpstreamKind::Anthropic);
            for piece in [ping, bare].concat().as_bytes().chunks(size) {
                assert!(!judge.feed(piece).data, "{piece:?}");
            }
            let token = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n";
            let progress = token.as_bytes().chunks(size).filter(|piece| judge.feed(piece).data);
            assert!(progress.count() > 0);
        }
    }

    #[test]
    fn comments_are_no_progress_but_long_lines_are() {
        let mut judge = judge(UpstreamKind::OpenAi);
        assert!(!judge.feed(b": keepalive\n\n").data);
        assert!(!judge.feed(b": keep").data);
        assert!(!judge.feed(b"alive\n\n").data);
        assert!(judge.feed(b"data: {\"choi").data);
        assert!(judge.feed(&[b'x'; 10_000]).data, "of which no more than a little is kept");
        assert!(judge.line.len() <= LINE);
    }
}
