//! How the process ends.

use std::fmt;
use std::process::ExitCode;

use crate::output;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    /// What to say; empty if everything has been said.
    message: String,
}

/// Exit codes; part of the interface.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    /// Something went wrong while running.
    Runtime = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The configuration has errors.
    Config = 3,
    /// The admin API does not answer.
    Unreachable = 4,
    /// The admin API says no.
    NotAllowed = 5,
    /// There is no such circuit.
    NotFound = 6,
    /// The state of things does not allow it.
    Conflict = 7,
    /// `status --exit-code`: something is open.
    Open = 10,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Failure {
        Failure { code, message: message.to_string() }
    }

    /// A failure that has been reported already.
    pub(crate) fn silent(code: Code) -> Failure {
        Failure { code, message: String::new() }
    }

    /// The same with another code, if it has this one.
    pub(crate) fn instead_of(self, code: Code, other: Code) -> Failure {
        match self.code == code {
            true => Failure { code: other, ..self },
            false => self,
        }
    }

    /// Says what there is to say, and ends with the code.
    pub(crate) fn exit(&self) -> ExitCode {
        if !self.message.is_empty() {
            output::message(format_args!("panelboard: {}\n", self.message));
        }
        ExitCode::from(self.code as u8)
    }
}
