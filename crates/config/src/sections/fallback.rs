//! Fallbacks.

use crate::context::At;
use crate::describe::keys;
use crate::kinds::{List, Rules, Status, Text};

const SUGGESTION: Text = Text { what: "a suggestion", longest: 1_024, lines: true };

keys! {
    /// A friendly answer for when nothing is left. When to try again is added from the breaker.
    pub(crate) struct FallbackKeys = "fallback" in "fallbacks.NAME" {
        /// What is the matter. Those built in have one already.
        message: String = Text { what: "a message", longest: 4_096, lines: true },
            optional "the built-in one";
        /// A heading.
        title: String = Text { what: "a heading", longest: 256, lines: false },
            optional "Service is unavailable";
        /// What one can do meanwhile.
        alternatives: Vec<At<String>> = List { item: SUGGESTION, rules: Rules::ANY },
            optional "[]";
        /// The HTTP status.
        status: u16 = Status(200..=599), optional "503";
    }
}
