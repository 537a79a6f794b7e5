//! Anthropic's messages.

pub(super) mod answer;
pub(super) mod request;
pub(super) mod stream;
