//! Values that come in by other ways than a configuration, read by the same rules.

use std::time::Duration;

use panelboard_core::limits;
use serde_json::Value;

use crate::text;

/// Reads a duration from JSON: a number of seconds, or text such as `"1h30m"`.
///
/// # Errors
/// What would be accepted, as part of a sentence.
///
/// ```
/// use std::time::Duration;
/// use panelboard_config::duration_from_json;
///
/// assert_eq!(duration_from_json(&"10m".into()), Ok(Duration::from_secs(600)));
/// assert_eq!(duration_from_json(&90.into()), Ok(Duration::from_secs(90)));
/// assert!(duration_from_json(&"soon".into()).is_err());
/// ```
pub fn duration_from_json(value: &Value) -> Result<Duration, String> {
    let duration = match value {
        Value::Number(seconds) => {
            seconds.as_f64().and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        }
        Value::String(text) => match text::parse_duration(text) {
            // Where the type is given by a word of the command line, a number is one of seconds.
            Err(text::DurationFault::NoUnit(number)) => {
                number.parse().ok().and_then(|secs| Duration::try_from_secs_f64(secs).ok())
            }
            result => result.ok(),
        },
        _ => None,
    };
    let range = limits::SHORTEST..=limits::LONGEST;
    duration.filter(|duration| range.contains(duration)).ok_or_else(|| {
        let (least, most) = (text::duration(*range.start()), text::duration(*range.end()));
        format!("a duration from {least} to {most}, such as 30 (seconds) or \"1m30s\"")
    })
}
