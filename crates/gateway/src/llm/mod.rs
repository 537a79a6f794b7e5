//! What there is to know of language models' APIs beyond HTTP.

pub(crate) mod translate;
