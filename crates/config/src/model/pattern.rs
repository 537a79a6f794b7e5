//! What routes match by.

use std::fmt;

use super::glob::Glob;

/// Which paths a route takes.
///
/// Without `*`, a path stands for itself and everything below it: `/v1` and `/v1/` both take
/// `/v1`, `/v1/` and `/v1/chat`, but not `/v10`. With `*` the whole path must match: `*` stands for
/// any run of characters within a segment, `**` for any run at all. Matching is on the path as
/// sent, without its query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern {
    text: String,
    form: PathForm,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum PathForm {
    /// The prefix without its last slash; empty for `/`.
    Below(String),
    Glob(Glob),
}

/// Which hosts a route takes, without regard to case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostPattern {
    /// This one.
    Exact(String),
    /// Every name that ends in this, which begins with a dot: `*.example.com` takes
    /// `a.example.com` and `a.b.example.com`, but not `example.com`.
    Under(String),
}

// ===== impl PathPattern =====

impl PathPattern {
    /// Reads a path that is known to begin with `/`.
    pub(crate) fn new(text: &str) -> PathPattern {
        let form = if text.contains('*') {
            PathForm::Glob(Glob::path(text))
        } else {
            PathForm::Below(text.trim_end_matches('/').to_owned())
        };
        PathPattern { text: text.to_owned(), form }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `path` is taken.
    pub fn matches(&self, path: &str) -> bool {
        match &self.form {
            PathForm::Below(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() && !prefix.is_empty() || rest.starts_with('/')),
            PathForm::Glob(glob) => glob.matches(path),
        }
    }

    /// The prefix, without a slash at its end, of a pattern without `*`; `""` for `/`.
    pub fn prefix(&self) -> Option<&str> {
        match &self.form {
            PathForm::Below(prefix) => Some(prefix),
            PathForm::Glob(_) => None,
        }
    }

    /// What every path it takes begins with.
    pub(crate) fn literal_head(&self) -> &str {
        match &self.form {
            PathForm::Below(prefix) => prefix,
            PathForm::Glob(_) => self.text.split('*').next().unwrap_or_default(),
        }
    }

    /// Whether it takes every path that `other` takes.
    pub(crate) fn covers(&self, other: &PathPattern) -> bool {
        if !other.literal_head().starts_with(self.literal_head()) {
            return false;
        }
        let ours = self.globs();
        other.globs().iter().all(|theirs| ours.iter().any(|our| our.covers(theirs)))
    }

    /// Globs that together take the same paths.
    fn globs(&self) -> Vec<Glob> {
        match &self.form {
            PathForm::Below(prefix) => {
                let below = Glob::path(&format!("{prefix}/")).and_below();
                if prefix.is_empty() { vec![below] } else { vec![Glob::path(prefix), below] }
            }
            PathForm::Glob(glob) => vec![glob.clone()],
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// ===== impl HostPattern =====

impl HostPattern {
    /// Whether `host`, without its port, is taken.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(name) => host.eq_ignore_ascii_case(name),
            HostPattern::Under(suffix) => {
                host.len() > suffix.len()
                    && host.as_bytes()[host.len() - suffix.len()..]
                        .eq_ignore_ascii_case(suffix.as_bytes())
            }
        }
    }

    /// Whether it takes every host that `other` takes.
    pub(crate) fn covers(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Exact(a), HostPattern::Exact(b)) => a == b,
            (HostPattern::Exact(_), HostPattern::Under(_)) => false,
            (HostPattern::Under(_), HostPattern::Exact(name)) => self.matches(name),
            (HostPattern::Under(a), HostPattern::Under(b)) => b.ends_with(a.as_str()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Under(suffix) => write!(f, "*{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_itself_and_what_is_below() {
        for text in ["/v1", "/v1/"] {
            let path = PathPattern::new(text);
            for taken in ["/v1", "/v1/", "/v1/chat", "/v1//x"] {
                assert!(path.matches(taken), "{text} {taken}");
            }
            for other in ["/", "/v10", "/v", "", "v1"] {
                assert!(!path.matches(other), "{text} {other}");
            }
        }
        let root = PathPattern::new("/");
        assert!(root.matches("/") && root.matches("/a") && !root.matches("*") && !root.matches(""));
        assert_eq!(root.prefix(), Some(""));
    }

    #[test]
    fn a_path_covers_what_is_below_it() {
        let covers = |a: &str, b: &str| PathPattern::new(a).covers(&PathPattern::new(b));
        assert!(covers("/", "/v1") && covers("/", "/**") && covers("/v1", "/v1/"));
        assert!(covers("/v1", "/v1/chat") && covers("/v1", "/v1/*/chat"));
        assert!(!covers("/v1", "/v10") && !covers("/v1/chat", "/v1") && !covers("/v1/*", "/v1"));
        assert!(covers("/**", "/v1"));
    }

    #[test]
    fn hosts_match_without_regard_to_case() {
        let under = HostPattern::Under(String::from(".example.com"));
        assert!(under.matches("a.EXAMPLE.com") && under.matches("a.b.example.com"));
        assert!(!under.matches("example.com") && !under.matches("badexample.com"));
        assert!(!under.matches(".example.com"));
        assert!(under.covers(&HostPattern::Exact(String::from("a.example.com"))));
        assert!(under.covers(&HostPattern::Under(String::from(".b.example.com"))));
        assert!(!HostPattern::Exact(String::from("a")).covers(&under));
    }
}
