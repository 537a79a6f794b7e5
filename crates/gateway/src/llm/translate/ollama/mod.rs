//! Ollama's chat.

pub(super) mod answer;
pub(super) mod request;
pub(super) mod stream;
