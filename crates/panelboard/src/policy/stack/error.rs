use std::fmt;

use panelboard_core::stack::{Finding, Severity};

use crate::Name;

/// Policies of a stack of which one can never do anything: which, with their numbers.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::stack::Stack;
///
/// let builder = Stack::builder("users").timeout(Duration::from_secs(2));
/// let error = builder.deadline(Duration::from_secs(1)).build().unwrap_err();
/// assert!(error.to_string().starts_with("stack `users`: "));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackError {
    pub(super) name: Name,
    pub(super) findings: Vec<Finding>,
}

impl StackError {
    /// Everything that was found, warnings included, in one pass.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stack `{}`: ", self.name)?;
        let errors = self.findings.iter().filter(|found| found.severity() == Severity::Error);
        for (n, error) in errors.enumerate() {
            let comma = if n == 0 { "" } else { "; " };
            write!(f, "{comma}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for StackError {}
