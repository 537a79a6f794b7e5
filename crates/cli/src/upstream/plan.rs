//! What the server is told: a script, and exceptions from it.

use std::fmt;
use std::str::FromStr;

use super::behaviour::{Behaviour, ParseError};
use super::script::Script;

/// A script, and the paths and models it does not hold for.
///
/// The text has an exception on each line, `path:/v1/embeddings=hang` or `model:gpt-4o=slow:2s`;
/// the other lines are the script, `ok` where there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    pub(super) script: Script,
    /// The first that fits counts.
    exceptions: Vec<Exception>,
}

/// A part of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    Always(Script),
    Except(Exception),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Exception {
    to: To,
    behaviour: Behaviour,
}

/// Which requests an exception is for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum To {
    /// Those whose path begins so.
    Path(String),
    /// Those whose JSON body asks for this model.
    Model(String),
}

// ===== impl Plan =====

impl Plan {
    /// The exception for such a request. Finding the model out costs, so it is asked for late.
    pub(super) fn exception(
        &self,
        path: &str,
        model: impl Fn() -> Option<String>,
    ) -> Option<&Behaviour> {
        let fits = |exception: &&Exception| match &exception.to {
            To::Path(prefix) => path.starts_with(prefix),
            To::Model(name) => model().is_some_and(|model| model == *name),
        };
        self.exceptions.iter().find(fits).map(|exception| &exception.behaviour)
    }

    /// One plan of the rules that were given one by one.
    ///
    /// # Errors
    /// More than one of them is for all requests.
    pub(super) fn of(rules: impl IntoIterator<Item = Rule>) -> Result<Plan, ParseError> {
        let (mut scripts, mut exceptions) = (Vec::new(), Vec::new());
        for rule in rules {
            match rule {
                Rule::Always(script) => scripts.push(script),
                Rule::Except(exception) => exceptions.push(exception),
            }
        }
        if let [_, second, ..] = scripts.as_slice() {
            let accepted = "path:/PREFIX=… or model:NAME=… beside a behaviour or script";
            return Err(ParseError::new(&second.to_string(), accepted));
        }
        let script = scripts.pop().unwrap_or_else(|| Behaviour::ok().into());
        Ok(Plan { script, exceptions })
    }

    /// The same exceptions from another behaviour.
    pub(super) fn with(&self, behaviour: Behaviour) -> Plan {
        Plan { script: behaviour.into(), exceptions: self.exceptions.clone() }
    }
}

impl<S: Into<Script>> From<S> for Plan {
    fn from(script: S) -> Plan {
        Plan { script: script.into(), exceptions: Vec::new() }
    }
}

impl FromStr for Plan {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Plan, ParseError> {
        let lines = text.lines().map(str::trim);
        let (exceptions, script): (Vec<_>, Vec<_>) = lines.partition(|line| excepts(line));
        let script = script.join(" ");
        // Exceptions alone are a plan, nothing at all is a mistake.
        let script = match script.trim().is_empty() && !exceptions.is_empty() {
            true => None,
            false => Some(script.as_str()),
        };
        let rules: Result<Vec<Rule>, _> =
            script.into_iter().chain(exceptions).map(str::parse).collect();
        Plan::of(rules?)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.script)?;
        self.exceptions.iter().try_for_each(|exception| writeln!(f, "{exception}"))
    }
}

// ===== impl Rule =====

impl FromStr for Rule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Rule, ParseError> {
        match excepts(text) {
            true => text.parse().map(Rule::Except),
            false => text.parse().map(Rule::Always),
        }
    }
}

/// Whether a line is meant as an exception.
fn excepts(line: &str) -> bool {
    line.starts_with("path:") || line.starts_with("model:")
}

// ===== impl Exception =====

impl FromStr for Exception {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Exception, ParseError> {
        let accepted = "path:/PREFIX=BEHAVIOUR or model:NAME=BEHAVIOUR";
        let (to, behaviour) =
            line.split_once('=').ok_or_else(|| ParseError::new(line, accepted))?;
        let to = match to.split_once(':') {
            Some(("path", prefix)) if prefix.starts_with('/') => To::Path(prefix.to_owned()),
            Some(("model", name)) if !name.is_empty() => To::Model(name.to_owned()),
            _ => return Err(ParseError::new(line, accepted)),
        };
        Ok(Exception { to, behaviour: for_one_request(behaviour)? })
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Path(prefix) => write!(f, "path:{prefix}={}", self.behaviour),
            To::Model(name) => write!(f, "model:{name}={}", self.behaviour),
        }
    }
}

/// A behaviour that a single request can have.
///
/// # Errors
/// Also for `refuse`: a request that is here was not refused.
pub(super) fn for_one_request(text: &str) -> Result<Behaviour, ParseError> {
    match text.parse::<Behaviour>()? {
        behaviour if behaviour.refuses() => {
            Err(ParseError::new(text, "`refuse` for the whole server only"))
        }
        behaviour => Ok(behaviour),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(plan: &Plan, path: &str, model: &str) -> Option<String> {
        let behaviour = plan.exception(path, || Some(model.to_owned()));
        behaviour.map(ToString::to_string)
    }

    #[test]
    fn the_first_exception_that_fits_counts() {
        let text = "8s=ok 2s=hang\npath:/v1/slow=slow:1s\nmodel:llama3.1:8b=status:429,retry-after=3\npath:/v1=close\n";
        let plan: Plan = text.parse().unwrap();
        assert_eq!(plan.to_string(), text);
        assert_eq!(found(&plan, "/v1/slow/er", "m").unwrap(), "slow:1s");
        assert_eq!(found(&plan, "/v1/x", "llama3.1:8b").unwrap(), "status:429,retry-after=3");
        assert_eq!(found(&plan, "/v1/x", "llama3.1").unwrap(), "close");
        assert_eq!(found(&plan, "/", "m"), None);
    }

    #[test]
    fn exceptions_alone_leave_the_rest_healthy() {
        let plan: Plan = "path:/a=hang".parse().unwrap();
        assert_eq!(plan.to_string(), "ok\npath:/a=hang\n");
    }

    #[test]
    fn what_is_no_plan_is_told_what_would_be() {
        for (text, accepted) in [
            ("", "a behaviour, or steps"),
            ("path:a=ok", "path:/PREFIX=BEHAVIOUR"),
            ("model:=ok", "model:NAME=BEHAVIOUR"),
            ("path:/a", "path:/PREFIX=BEHAVIOUR"),
            ("path:/a=refuse:3s", "for the whole server only"),
            ("path:/a=8s=ok", "one of the behaviours"),
        ] {
            let error = text.parse::<Plan>().unwrap_err().to_string();
            assert!(error.contains(accepted), "{text}: {error}");
        }
    }
}
