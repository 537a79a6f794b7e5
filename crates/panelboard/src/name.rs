//! Names that cost nothing to hand out.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// The name of a circuit.
///
/// A refusal carries the name of the breaker that refused, and refusing must be cheap: cloning a
/// `&'static str` is free, cloning an `Arc<str>` costs two contended writes. So names from source
/// code are kept as they are, names from configuration are [interned](Name::interned), and only
/// names made up at run time (keys of a family) are counted references.
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Shared(Arc<str>),
}

// ===== impl Name =====

impl Name {
    /// A name that lives as long as the process; the same text is kept once.
    ///
    /// For names that come from configuration: few, and used for ever.
    pub fn interned(name: &str) -> Name {
        static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let names = names.get_or_insert_default();
        if let Some(known) = names.get(name) {
            return Name(Repr::Static(known));
        }
        let kept: &'static str = Box::leak(name.into());
        names.insert(kept);
        Name(Repr::Static(kept))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(name) => name,
            Repr::Shared(name) => name,
        }
    }
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Name {
        Name(Repr::Static(name))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Name {
        Name(Repr::Shared(name.into()))
    }
}

impl Name {
    /// For messages: keys may come from requests, and nothing in a name is to act on a terminal or
    /// begin a line of a log.
    pub(crate) fn printable(&self) -> impl fmt::Display {
        struct Printable<'a>(&'a str);

        impl fmt::Display for Printable<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for piece in self.0.split_inclusive(char::is_control) {
                    let end = piece.find(char::is_control).unwrap_or(piece.len());
                    write!(f, "{}{}", &piece[..end], piece[end..].escape_default())?;
                }
                Ok(())
            }
        }

        Printable(self)
    }
}

impl From<Arc<str>> for Name {
    fn from(name: Arc<str>) -> Name {
        Name(Repr::Shared(name))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interning_keeps_a_text_once() {
        let (a, b) = (Name::interned("payments"), Name::interned(&String::from("payments")));
        assert!(std::ptr::eq(a.as_str(), b.as_str()));
        assert_eq!(a, Name::from(String::from("payments")));
        assert_eq!(format!("{a:>10}"), "  payments");
    }

    #[test]
    fn messages_show_no_control_characters() {
        let shown = |name: &str| Name::from(name.to_owned()).printable().to_string();
        assert_eq!(shown("llm/größe \"x\""), "llm/größe \"x\"");
        assert_eq!(shown("a\nERROR all is lost\u{1b}[2Jb"), "a\\nERROR all is lost\\u{1b}[2Jb");

        let breaker =
            crate::CircuitBreaker::new("a\n\u{9b}b".to_owned(), crate::Settings::default());
        breaker.command(crate::Command::Trip);
        let refused = breaker.try_acquire().unwrap_err().to_string();
        assert!(refused.starts_with("circuit `a\\n\\u{9b}b` refused"), "{refused}");
        assert!(breaker.explain().starts_with("`a\\n\\u{9b}b` OPEN"), "{}", breaker.explain());
    }
}
