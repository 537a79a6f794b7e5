//! Streams: whether they make progress, report an error, and end as they should.
//!
//! The bytes pass by unchanged and unbuffered; only as much of each line is kept as it takes to
//! tell what it is.

use panelboard_config::UpstreamKind;

/// Of a line no more than this is looked at. An error or an end marker is known by its beginning.
const LINE: usize = 512;

/// Follows a stream line by line.
#[derive(Debug)]
pub(crate) struct StreamJudge {
    dialect: Dialect,
    line: Vec<u8>,
    /// `event: error` applies to the data line that follows.
    error_event: bool,
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
    /// `OpenAI`'s: ends with `data: [DONE]`.
    OpenAi,
    /// Anthropic's: ends with the event `message_stop`.
    Anthropic,
    /// Ollama's lines of JSON: the last says `"done":true`.
    Ollama,
}

/// What a piece of a stream held.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Progress {
    /// Anything but comments and blank lines.
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
            error_event: false,
            within_event: false,
            last: 0,
            end: StreamEnd::Open,
        })
    }

    /// Takes note of a piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Progress {
        let mut progress = Progress::default();
        for byte in piece {
            match byte {
                // The rest of one line end.
                b'\n' if self.last == b'\r' => {}
                b'\n' | b'\r' if self.line.is_empty() => self.within_event = false,
                b'\n' | b'\r' => progress.data |= self.end_line(),
                byte if self.line.len() < LINE => self.line.push(*byte),
                _ => {}
            }
            self.last = *byte;
        }
        // A long line that is still coming is progress, too.
        progress.data |= self.line.first().is_some_and(|first| *first != b':');
        progress
    }

    /// How the stream has ended, now that there is no more of it.
    pub(crate) fn finish(&mut self) -> StreamEnd {
        if !self.line.is_empty() {
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
        self.line.is_empty() && !self.within_event
    }

    /// Says whether the line carried data.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let data = line[0] != b':';
        if data {
            self.within_event = true;
            self.read(&line);
        }
        // The room is used again.
        self.line = line;
        self.line.clear();
        data
    }

    fn read(&mut self, line: &[u8]) {
        if self.dialect == Dialect::Ollama {
            return self.read_json(line);
        }
        let (field, value) = field_of(line);
        match (field, self.dialect) {
            (b"event", _) => {
                self.error_event = value == b"error";
                if self.dialect == Dialect::Anthropic && value == b"message_stop" {
                    self.mark(StreamEnd::Marked);
                }
            }
            (b"data", Dialect::OpenAi) if value == b"[DONE]" => self.mark(StreamEnd::Marked),
            (b"data", Dialect::Anthropic | Dialect::OpenAi) => {
                if self.error_event || is_error(value) {
                    self.mark(StreamEnd::Error);
                }
                self.error_event = false;
            }
            (b"data", _) if self.error_event => self.mark(StreamEnd::Error),
            _ => {}
        }
    }

    fn read_json(&mut self, line: &[u8]) {
        if is_error(line) {
            self.mark(StreamEnd::Error);
        } else if contains(line, b"\"done\":true") || contains(line, b"\"done\": true") {
            self.mark(StreamEnd::Marked);
        }
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

/// Whether a JSON object says `error` first of all, or as its type: `{"error":…}`,
/// `{"type":"error",…}`. A text that merely mentions errors does not.
fn is_error(value: &[u8]) -> bool {
    let compact: Vec<u8> =
        value.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(24).collect();
    compact.starts_with(b"{\"error\":") && !compact.starts_with(b"{\"error\":null")
        || compact.starts_with(b"{\"type\":\"error\"")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
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
        let chunk =
            "data: {\"choices\":[{\"delta\":{\"content\":\"an error: {\\\"error\\\":1}\"}}]}\n\n";
        assert_eq!(end_of(OpenAi, chunk), StreamEnd::Open);
        assert_eq!(end_of(OpenAi, &format!("{chunk}data: [DONE]\n\n")), StreamEnd::Marked);
        assert_eq!(end_of(OpenAi, &format!("{chunk}data:[DONE]\r\n\r\n")), StreamEnd::Marked);
        assert_eq!(end_of(OpenAi, &format!("{chunk}data: [DONE]")), StreamEnd::Marked);
        let error = "data: {\"error\": {\"message\": \"overloaded\"}}\n\ndata: [DONE]\n\n";
        assert_eq!(end_of(OpenAi, error), StreamEnd::Error);
        assert_eq!(end_of(OpenAi, "data: {\"error\":null,\"id\":1}\n\n"), StreamEnd::Open);
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
