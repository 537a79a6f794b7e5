//! Who asks, and what they may do.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use panelboard_config::{Loaded, Role};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The least a token in a file may have, as for those of the configuration.
const SHORTEST: usize = 16;

/// Larger files are no tokens.
const LONGEST: u64 = 4_096;

/// Everybody who may use the admin API; nobody is asked for a token if there is none.
///
/// Only digests are kept: what is not there cannot be shown, and digests are all of one length.
#[derive(Default)]
pub(crate) struct Tokens(Vec<Known>);

struct Known {
    name: Arc<str>,
    role: Role,
    digest: [u8; 32],
}

/// Who sent a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    /// The name of the token, or where the request came from.
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
}

/// Why the admin API cannot tell who asks.
#[derive(Debug)]
pub(crate) enum TokenError {
    /// The file cannot be read or made.
    File(PathBuf, io::Error),
    /// Others may read the file.
    Open(PathBuf, u32),
    /// There is no token in the file.
    Weak(PathBuf),
    /// Others than this machine could change things without a token.
    Public,
}

// ===== impl Tokens =====

impl Tokens {
    /// Those of a configuration whose secrets were read.
    ///
    /// # Errors
    /// When the token file cannot be used.
    pub(crate) fn load(loaded: &Loaded) -> Result<Tokens, TokenError> {
        let admin = &loaded.config.gateway().admin;
        let mut tokens = Tokens::default();
        for token in &admin.tokens {
            if let Some(secret) = loaded.secrets.get(&token.secret) {
                tokens.add(&token.name, token.role, secret.expose());
            }
        }
        if let Some(path) = &admin.token_file {
            let secret = read_or_make(&loaded.resolve(path))?;
            tokens.add("token file", Role::Operator, &secret);
        }
        Ok(tokens)
    }

    fn add(&mut self, name: &str, role: Role, secret: &str) {
        let digest = Sha256::digest(secret).into();
        self.0.push(Known { name: name.into(), role, digest });
    }

    /// Whether nobody is asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is. Takes as long for a good one as for a bad one.
    pub(crate) fn find(&self, presented: &[u8]) -> Option<Caller> {
        let digest = Sha256::digest(presented);
        let mut found = None;
        for known in &self.0 {
            if bool::from(known.digest[..].ct_eq(&digest[..])) {
                found = Some(known);
            }
        }
        found.map(Known::caller)
    }

    /// Whether this caller may still do what they could when they came.
    pub(crate) fn still_has(&self, caller: &Caller) -> bool {
        match self.is_empty() {
            true => *caller == Caller::loopback(),
            false => self.0.iter().any(|known| known.caller() == *caller),
        }
    }
}

impl Known {
    fn caller(&self) -> Caller {
        Caller { name: Arc::clone(&self.name), role: self.role }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|known| (&known.name, known.role))).finish()
    }
}

// ===== impl Caller =====

impl Caller {
    /// Somebody on this machine, where no token is asked for.
    pub(crate) fn loopback() -> Caller {
        Caller { name: "loopback".into(), role: Role::Operator }
    }

    /// Nobody we know, where everybody may look.
    pub(crate) fn anybody() -> Caller {
        Caller { name: "anybody".into(), role: Role::Viewer }
    }
}

// ===== the file =====

fn read_or_make(path: &Path) -> Result<String, TokenError> {
    match make(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        made => made.map_err(|error| TokenError::File(path.to_owned(), error)),
    }
}

/// Makes the file with a random token in it, for its owner alone from the first moment.
fn make(path: &Path) -> io::Result<String> {
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let token = hex(&random);
    let written = writeln!(file, "{token}").and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a token would be taken for a whole one by the next start.
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    Ok(token)
}

/// Bytes as two digits each.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

fn read(path: &Path) -> Result<String, TokenError> {
    let failed = |error| TokenError::File(path.to_owned(), error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        return Err(TokenError::Open(path.to_owned(), mode & 0o777));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    let token = text.trim_end_matches(['\r', '\n']);
    if token.chars().count() < SHORTEST || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(TokenError::Weak(path.to_owned()));
    }
    Ok(token.to_owned())
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::File(path, error) => {
                write!(f, "the admin API's token file {} cannot be used: {error}", path.display())
            }
            TokenError::Open(path, mode) => write!(
                f,
                "the admin API's token file {} has mode {mode:03o}, so others may read it (chmod \
                 600 makes it its owner's alone; if somebody may have read it, remove it, and a new \
                 token is made)",
                path.display()
            ),
            TokenError::Weak(path) => write!(
                f,
                "the admin API's token file {} has no token of at least {SHORTEST} printable \
                 characters in it (remove it, and one is made)",
                path.display()
            ),
            TokenError::Public => write!(
                f,
                "the admin API listens where others can reach it, and without `token_file` or \
                 `tokens` they could steer the gateway"
            ),
        }
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_belongs_to_one_caller() {
        let mut tokens = Tokens::default();
        assert!(tokens.is_empty() && tokens.still_has(&Caller::loopback()));
        tokens.add("grafana", Role::Viewer, "a token of grafana");
        tokens.add("ops", Role::Operator, "a token of ops");
        let grafana = tokens.find(b"a token of grafana").unwrap();
        assert_eq!((&*grafana.name, grafana.role), ("grafana", Role::Viewer));
        assert_eq!(tokens.find(b"a token of ops").unwrap().role, Role::Operator);
        for wrong in [&b""[..], b"a token of", b"a token of ops ", b"A token of ops", b"\xff"] {
            assert_eq!(tokens.find(wrong), None);
        }
        assert!(tokens.still_has(&grafana) && !tokens.still_has(&Caller::loopback()));
        assert!(!format!("{tokens:?}").contains("a token"));
    }

    #[test]
    fn the_file_is_made_once_and_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let made = read_or_make(&path).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_or_make(&path).unwrap(), made, "it is kept");
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_or_make(&path).unwrap_err().to_string();
            assert!(refused.contains("others may read it"), "{refused}");
            assert!(!refused.contains(&made));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "\n", "short", "sixteen letters\u{7}!", "sixteen letters and blanks"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(read_or_make(&path), Err(TokenError::Weak(_))), "{text:?}");
        }
        std::fs::write(&path, "0123456789abcdef\r\n").unwrap();
        assert_eq!(read_or_make(&path).unwrap(), "0123456789abcdef");
        let nowhere = directory.path().join("no/such/directory");
        assert!(matches!(read_or_make(&nowhere), Err(TokenError::File(..))));
        let another = directory.path().join("another");
        assert_ne!(read_or_make(&another).unwrap(), made, "no two are the same");
    }
}
