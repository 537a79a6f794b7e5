//! What `panelboard check` looks for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pattern::HostPattern;
use crate::diagnostic::Code;

/// What `panelboard check` looks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checks {
    /// Codes that are not reported.
    pub allow: Vec<Code>,
    /// Hosts that must not be named any more.
    pub deprecated_hosts: Vec<HostPattern>,
    /// Environment variables that must be set.
    pub required_env: Vec<String>,
    /// The least that timeouts may be, by a word in the name of what they are for.
    pub min_timeouts: BTreeMap<String, Duration>,
    /// Files that are looked through, as patterns of paths from the configuration's directory.
    pub files: Vec<String>,
}
