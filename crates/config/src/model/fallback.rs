//! What to say when nothing is left.

use std::collections::BTreeMap;

/// A friendly answer. When to try again is added from the breaker, not written here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fallback {
    /// A heading.
    pub title: String,
    /// What is the matter, and what was done about it.
    pub message: String,
    /// What one can do meanwhile.
    pub alternatives: Vec<String>,
    /// The HTTP status.
    pub status: u16,
}

/// The fallbacks that need no configuration.
const BUILT_IN: [(&str, &str, &str, &[&str]); 5] = [
    (
        "code_review",
        "Code review is limited",
        "The code review service is temporarily unavailable. Only basic safety checks were run; \
         treat the code as not reviewed.",
        &[
            "Review the change by hand before it is merged",
            "Run the linters and tests that need no model",
            "Ask for the full review again later",
        ],
    ),
    (
        "data_analysis",
        "Data analysis is unavailable",
        "The analysis service is temporarily unavailable, so this question was not answered.",
        &[
            "Try a simpler query",
            "Use summary statistics",
            "Export the data and analyse it with your own tools",
        ],
    ),
    (
        "default",
        "Service is unavailable",
        "The service behind this address is temporarily unavailable, so the request was not \
         served.",
        &["Try again later"],
    ),
    (
        "rag_retrieval",
        "Document search is unavailable",
        "The document search is temporarily unavailable, so no documents were consulted.",
        &[
            "Read the documents directly",
            "Search for exact words by hand",
            "Ask again without reference to documents",
        ],
    ),
    (
        "visualization",
        "Charts are unavailable",
        "The chart service is temporarily unavailable, so no chart was drawn.",
        &[
            "Plot the data by hand",
            "Use a plotting library such as matplotlib, plotly or ggplot2",
            "Read the numbers as a table",
        ],
    ),
];

/// The fallbacks that need no configuration, by name.
pub(crate) fn built_in_fallbacks() -> BTreeMap<String, Fallback> {
    BUILT_IN
        .into_iter()
        .map(|(name, title, message, alternatives)| {
            let fallback = Fallback {
                title: title.to_owned(),
                message: message.to_owned(),
                alternatives: alternatives.iter().map(|&text| text.to_owned()).collect(),
                status: 503,
            };
            (name.to_owned(), fallback)
        })
        .collect()
}
