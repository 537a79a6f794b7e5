//! Secrets: where they are, and what they are once they were asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use http::HeaderValue;

/// Where a secret is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SecretRef {
    /// In the environment variable of this name.
    Env(String),
    /// In this file, alone, perhaps with a line break behind it.
    File(PathBuf),
}

/// A secret. It is never printed; [`Secret::expose`] is the one way to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The secrets of a configuration, by where they are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Secrets {
    found: BTreeMap<SecretRef, Secret>,
}

/// What secrets are read from.
pub trait SecretReader {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// Why a secret could not be read: a sentence without the secret in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretError(String);

// ===== impl Secret =====

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

// ===== impl SecretRef =====

impl SecretRef {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not there, is empty, or is nothing a header can carry.
    pub fn resolve(&self, reader: &dyn SecretReader) -> Result<Secret, SecretError> {
        let text = match self {
            SecretRef::Env(name) => reader
                .variable(name)
                .ok_or_else(|| SecretError(format!("the variable {name} is not set")))?,
            SecretRef::File(path) => {
                let file = path.display();
                let bytes = reader
                    .file(path)
                    .map_err(|e| SecretError(format!("the file {file} cannot be read: {e}")))?;
                String::from_utf8(bytes)
                    .map_err(|_| SecretError(format!("the file {file} is not UTF-8 text")))?
            }
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            return Err(SecretError(format!("{self} is empty")));
        }
        if HeaderValue::from_str(text).is_err() {
            return Err(SecretError(format!("{self} has characters no header can carry")));
        }
        Ok(Secret(text.to_owned()))
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "the variable {name}"),
            SecretRef::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

// ===== impl Secrets =====

impl Secrets {
    /// The secret behind a reference of the configuration these belong to.
    pub fn get(&self, at: &SecretRef) -> Option<&Secret> {
        self.found.get(at)
    }

    pub(crate) fn insert(&mut self, at: SecretRef, secret: Secret) {
        self.found.insert(at, secret);
    }
}

// ===== impl SecretError =====

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl SecretReader for Fake {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "KEY" => Some(String::from("s3cret")),
                "EMPTY" => Some(String::new()),
                "BELL" => Some(String::from("a\u{7}b")),
                _ => None,
            }
        }

        fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
            match path.to_str() {
                Some("key") => Ok(b"from file\r\n".to_vec()),
                Some("binary") => Ok(vec![0xff]),
                _ => Err(io::Error::from(io::ErrorKind::NotFound)),
            }
        }
    }

    #[test]
    fn secrets_are_read_and_never_shown() {
        let secret = SecretRef::Env(String::from("KEY")).resolve(&Fake).unwrap();
        assert_eq!(secret.expose(), "s3cret");
        assert!(!format!("{secret:?} {secret}").contains("s3cret"));
        let secret = SecretRef::File(PathBuf::from("key")).resolve(&Fake).unwrap();
        assert_eq!(secret.expose(), "from file");
    }

    #[test]
    fn what_is_no_secret_says_why() {
        let why = |at: SecretRef| at.resolve(&Fake).unwrap_err().to_string();
        assert_eq!(why(SecretRef::Env("NONE".into())), "the variable NONE is not set");
        assert_eq!(why(SecretRef::Env("EMPTY".into())), "the variable EMPTY is empty");
        assert!(why(SecretRef::Env("BELL".into())).contains("no header can carry"));
        assert!(why(SecretRef::File("none".into())).contains("cannot be read"));
        assert!(why(SecretRef::File("binary".into())).contains("not UTF-8"));
    }
}
