//! What a builder says of a setting it cannot take.

use alloc::string::String;
use core::fmt;

/// A setting that cannot be: which, what it was, what it may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError {
    pub(crate) field: &'static str,
    pub(crate) value: String,
    pub(crate) accepted: String,
}

impl SettingsError {
    /// The setting's name, as in config.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was given.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What would be accepted.
    pub fn accepted(&self) -> &str {
        &self.accepted
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, but must be {}", self.field, self.value, self.accepted)
    }
}

impl core::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use crate::Settings;

    /// A form can put each part where it belongs.
    #[test]
    fn an_error_can_be_taken_apart() {
        let error = Settings::builder().min_calls(0).build().unwrap_err();
        assert_eq!((error.field(), error.value()), ("min_calls", "0"));
        assert_eq!(error.accepted(), "1 to 1000000000");
    }
}
