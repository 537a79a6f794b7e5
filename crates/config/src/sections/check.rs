//! What `panelboard check` looks for.

use std::time::Duration;

use crate::context::{At, Named};
use crate::describe::keys;
use crate::diagnostic::Code;
use crate::kinds::{AllowedCode, HostKind, List, Rules, Text, Times, VariableName};
use crate::model::HostPattern;

const FILES: Text =
    Text { what: "a path with `*` within a segment and `**` across", longest: 1_024, lines: false };

keys! {
    /// What `panelboard check` looks for, here and in files of the infrastructure.
    pub(crate) struct CheckKeys = "check" in "check" {
        /// Codes of warnings and notes that are not reported.
        allow: Vec<At<Code>> = List { item: AllowedCode, rules: Rules::DISTINCT }, optional "[]";
        /// Hosts that must not be named any more; `*.` and a name stands for all below it.
        deprecated_hosts: Vec<At<HostPattern>> = List { item: HostKind, rules: Rules::DISTINCT },
            optional "[]";
        /// Environment variables that must be set, here or in a `.env` file of `files`. Their
        /// values are never shown.
        required_env: Vec<At<String>> = List { item: VariableName, rules: Rules::DISTINCT },
            optional "[]";
        /// The least that a timeout may be, by a word in the name of what it is for. In `files`,
        /// `database` is 10m and `health` 1m unless said otherwise.
        min_timeouts: Vec<Named<At<Duration>>> = Times {
            what: "a table from words such as `database` to durations",
            key: "a subject",
        }, optional "`database` 10m, `health` 1m";
        /// Files that are looked through as well, by paths from here: `infra/*.tf`, `**/*.yml`.
        files: Vec<At<String>> = List { item: FILES, rules: Rules::DISTINCT }, optional "[]";
    }
}
