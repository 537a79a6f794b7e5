//! `OpenAI`'s chat completions.

pub(super) mod answer;
pub(super) mod request;
pub(super) mod stream;
