//! What commands print.
//!
//! Whoever reads may have seen enough and be gone (`panelboard status | head -1`). That is no
//! error, and least of all one for a gateway that serves others; the macros of the standard library
//! would panic.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use serde_json::Value;

use crate::exit::{Code, Failure};

/// Prints data: text and a line break, to stdout.
///
/// # Errors
/// When it cannot be written, but somebody is there to read it.
pub(crate) fn data(text: impl Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Runtime, format_args!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

/// The version of what `--json` prints; it is raised when something that was there is gone.
const JSON_VERSION: u32 = 1;

/// Prints an object as JSON, with the version of its form.
///
/// # Errors
/// As [`data`].
pub(crate) fn json(mut object: Value) -> Result<(), Failure> {
    if let Some(object) = object.as_object_mut() {
        object.insert("version".to_owned(), JSON_VERSION.into());
    }
    data(object)
}

/// Prints a message, as it is, to stderr. If that is not possible, there is nobody to tell.
pub(crate) fn message(text: impl Display) {
    let _ = write!(std::io::stderr().lock(), "{text}");
}
