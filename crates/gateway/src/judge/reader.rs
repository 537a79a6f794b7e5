//! What an answer of a model says of itself, read off its JSON as it passes.
//!
//! Nothing is kept but the word at hand. Only what stands where the API has it counts: a model may
//! say anything, also JSON that looks like the API's own.

/// Longest key or text that matters.
const LONGEST: usize = 40;

/// The types of events that end a stream: Anthropic's, and those of `OpenAI`'s that are no chat.
const ENDS: [&[u8]; 7] = [
    b"message_stop",
    b"response.completed",
    b"response.incomplete",
    b"transcript.text.done",
    b"speech.audio.done",
    b"image_generation.completed",
    b"image_edit.completed",
];

/// Reads JSON piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    /// How many objects and arrays are open.
    depth: u32,
    state: State,
    word: Word,
    /// The key whose value is to come.
    key: Option<Word>,
    /// The depth of the counts, while they are read.
    counts: Option<u32>,
    facts: Facts,
    usage: Usage,
}

/// What one document said, or all of a stream.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Facts {
    /// There was an `error`.
    pub(crate) error: bool,
    /// It is the last of its stream: Ollama's `done`, or by its type.
    pub(crate) ended: bool,
    /// It only keeps the stream alive.
    pub(crate) ping: bool,
    /// How far the choices have come, in the way of chat completions.
    pub(crate) choices: Choices,
}

/// How far the choices of an answer have come.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Choices {
    /// There are none.
    #[default]
    None,
    /// None has come to its end.
    Begun,
    /// One has said why it ended.
    Finished,
}

/// What an answer has cost, as far as it says.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Usage {
    /// Tokens of the prompt; those that were read from a cache are not among Anthropic's.
    pub(crate) input: Option<u64>,
    /// Tokens of the answer.
    pub(crate) output: Option<u64>,
    /// Tokens of the prompt that Anthropic wrote to its cache, which come on top.
    cached: u64,
}

/// A key, or a value that is no text of people.
#[derive(Copy, Clone, Debug)]
struct Word {
    bytes: [u8; LONGEST],
    /// More than fit, if there were more.
    length: usize,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Between,
    Text,
    Escaped,
    /// A number, or `true`, `false`, `null`.
    Bare,
}

// ===== impl Reader =====

impl Reader {
    /// Reads on.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            match self.state {
                State::Text => match byte {
                    b'"' => {
                        self.state = State::Between;
                        self.end_text();
                    }
                    b'\\' => self.state = State::Escaped,
                    byte => self.word.push(*byte),
                },
                State::Escaped => {
                    // No name of the API has any.
                    self.word.push(b'\\');
                    self.state = State::Text;
                }
                State::Bare if !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r') => {
                    self.word.push(*byte);
                }
                State::Bare => {
                    self.state = State::Between;
                    self.end_bare();
                    self.between(*byte);
                }
                State::Between => self.between(*byte),
            }
        }
    }

    /// A new document begins. What came before counts on.
    pub(crate) fn begin(&mut self) {
        let facts = Facts { ping: false, ..self.facts };
        *self = Reader { facts, usage: self.usage, ..Reader::default() };
    }

    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }

    pub(crate) fn usage(&self) -> Usage {
        let Usage { input, output, cached } = self.usage;
        Usage { input: input.map(|input| input.saturating_add(cached)), output, cached: 0 }
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.word.clear();
                self.state = State::Text;
            }
            b'{' | b'[' => {
                self.open(byte == b'{');
                self.depth = self.depth.saturating_add(1);
                self.key = None;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.counts.is_some_and(|depth| self.depth < depth) {
                    self.counts = None;
                }
                self.key = None;
            }
            b':' => self.key = Some(self.word),
            b',' => self.key = None,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            byte => {
                self.word.clear();
                self.word.push(byte);
                self.state = State::Bare;
            }
        }
    }

    /// An object or array begins, perhaps as the value of a key.
    fn open(&mut self, object: bool) {
        let Some(key) = &self.key else { return };
        match (key.text(), self.depth) {
            // Of the answer itself, or of the message or response that an event is about.
            (b"usage", 1 | 2) if object => self.counts = Some(self.depth + 1),
            (b"error", 1) => self.facts.error = true,
            (b"delta" | b"message", 3) => self.choose(Choices::Begun),
            _ => {}
        }
    }

    fn choose(&mut self, choices: Choices) {
        self.facts.choices = self.facts.choices.max(choices);
    }

    fn end_text(&mut self) {
        let Some(key) = self.key.take() else { return };
        match (key.text(), self.depth) {
            (b"error", 1) => self.facts.error = true,
            (b"finish_reason", 3) => self.choose(Choices::Finished),
            (b"text", 3) => self.choose(Choices::Begun),
            (b"type", 1) => match self.word.text() {
                b"error" | b"response.failed" => self.facts.error = true,
                b"ping" => self.facts.ping = true,
                word => self.facts.ended |= ENDS.contains(&word),
            },
            _ => {}
        }
    }

    fn end_bare(&mut self) {
        let Some(key) = self.key.take() else { return };
        if (key.text(), self.depth) == (b"finish_reason", 3) {
            return self.choose(Choices::Begun);
        }
        let number = || std::str::from_utf8(self.word.text()).ok()?.parse::<u64>().ok();
        let most = |known: &mut Option<u64>, number: Option<u64>| *known = (*known).max(number);
        let usage = &mut self.usage;
        match (key.text(), self.depth) {
            (b"done", 1) => self.facts.ended |= self.word.text() == b"true",
            (b"prompt_eval_count", 1) => most(&mut usage.input, number()),
            (b"eval_count", 1) => most(&mut usage.output, number()),
            // What is told again while a stream goes on only grows.
            (b"prompt_tokens" | b"input_tokens", depth) if self.counts == Some(depth) => {
                most(&mut usage.input, number());
            }
            (b"completion_tokens" | b"output_tokens", depth) if self.counts == Some(depth) => {
                most(&mut usage.output, number());
            }
            (b"cache_creation_input_tokens", depth) if self.counts == Some(depth) => {
                usage.cached = usage.cached.max(number().unwrap_or(0));
            }
            _ => {}
        }
    }
}

// ===== impl Usage =====

impl Usage {
    /// All tokens, if any are known.
    pub(crate) fn cost(self) -> Option<u64> {
        let Usage { input, output, .. } = self;
        input.or(output)?;
        Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0)))
    }
}

// ===== impl Word =====

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }

    fn clear(&mut self) {
        self.length = 0;
    }

    /// Nothing if there was too much of it.
    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Default for Word {
    fn default() -> Word {
        Word { bytes: [0; LONGEST], length: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However it is cut into pieces.
    fn read(documents: &[&str]) -> (Facts, (Option<u64>, Option<u64>)) {
        let mut found = [1, 2, 3, 7, 1_000].map(|size| {
            let mut reader = Reader::default();
            for document in documents {
                reader.begin();
                for piece in document.as_bytes().chunks(size) {
                    reader.feed(piece);
                }
            }
            let Usage { input, output, .. } = reader.usage();
            (reader.facts(), (input, output))
        });
        found.sort_by_key(|(_, usage)| *usage);
        assert_eq!(found.first(), found.last(), "{documents:?}");
        found[0]
    }

    fn usage(documents: &[&str]) -> (Option<u64>, Option<u64>) {
        read(documents).1
    }

    #[test]
    fn usage_is_read_in_each_dialect() {
        let openai = r#"{"choices":[{"message":{"content":"x"}}], "usage" : {"prompt_tokens":12,
            "completion_tokens": 34 ,"total_tokens":46,
            "prompt_tokens_details":{"cached_tokens":8,"prompt_tokens":99}}}"#;
        assert_eq!(usage(&[openai]), (Some(12), Some(34)));
        let response = r#"{"type":"response.completed","response":{"usage":{"input_tokens":1,
            "input_tokens_details":{"cached_tokens":0},"output_tokens":2}}}"#;
        assert_eq!(usage(&[response]), (Some(1), Some(2)));
        let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":25,
            "cache_creation_input_tokens":5,"cache_read_input_tokens":700,"output_tokens":1}}}"#;
        let delta = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":15}}"#;
        assert_eq!(usage(&[start, delta]), (Some(30), Some(15)));
        let ollama = r#"{"done":true,"prompt_eval_count":26,"eval_count":290}"#;
        assert_eq!(usage(&["{\"done\":false}", ollama]), (Some(26), Some(290)));
    }

    #[test]
    fn what_a_model_says_is_not_taken_for_the_apis_own() {
        for document in [
            r#"{"content":"{\"usage\":{\"prompt_tokens\":7}}","usage":null}"#,
            r#"{"content":[{"input":{"usage":{"output_tokens":7},"error":"x"}}]}"#,
            r#"{"usage":[{"prompt_tokens":7}],"usage\u0022":{"prompt_tokens":7}}"#,
            r#"{"prompt_tokens":7,"usage":{"prompt_tokens":"7","completion_tokens":-7}}"#,
            r#"{"usage":{"prompt_tokens":99999999999999999999999999999999999999999999999}}"#,
            "[[[[",
            "}}}}{\"a\"",
            "\"",
            "{\"usage\":",
            "nonsense",
            "",
        ] {
            let (facts, usage) = read(&[document]);
            assert_eq!((facts, usage), (Facts::default(), (None, None)), "{document}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(usage(&[&format!("{{\"a\":{deep}")]), (None, None));
    }

    #[test]
    fn errors_ends_and_pings_are_what_says_so_at_the_top() {
        let facts = |document: &str| read(&[document]).0;
        for document in [
            r#"{"error":{"message":"overloaded"}}"#,
            r#"{"id":"x","choices":[],"error":{"code":502}}"#,
            r#"{"error":"model not found"}"#,
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
            r#"{"sequence_number":3,"type":"response.failed"}"#,
        ] {
            assert!(facts(document).error, "{document}");
        }
        for document in [r#"{"error":null}"#, r#"{"response":{"error":{}}}"#, "{\"a\":\"error\"}"] {
            assert!(!facts(document).error, "{document}");
        }
        assert!(facts(r#"{"type":"message_stop"}"#).ended);
        assert!(facts(r#"{"type":"response.incomplete","response":{}}"#).ended);
        assert!(!facts(r#"{"type":"response.output_text.done"}"#).ended);
        assert!(facts("{\"done\":true}").ended && !facts("{\"done\":false}").ended);
        assert!(facts(r#"{"type": "ping"}"#).ping);
        assert!(!read(&[r#"{"type":"ping"}"#, "{}"]).0.ping, "of one document");
    }

    #[test]
    fn a_choice_has_come_to_its_end_with_its_reason() {
        let facts = |document: &str| read(&[document]).0.choices;
        let chunk = |reason| {
            format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":{reason}}}]}}"#)
        };
        assert_eq!(facts(&chunk("null")), Choices::Begun);
        assert_eq!(facts(&chunk("\"stop\"")), Choices::Finished);
        assert_eq!(facts(r#"{"choices":[{"text":"a"}]}"#), Choices::Begun);
        assert_eq!(facts(r#"{"choices":[],"usage":{}}"#), Choices::None);
    }
}
