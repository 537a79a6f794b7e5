//! Durations.

use std::ops::RangeInclusive;
use std::time::Duration;

use panelboard_core::limits;
use serde_json::{Value as Json, json};

use super::scalar::number;
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};
use crate::text::{self, DurationFault};

/// A duration in a range: a number of seconds, or text such as `"1h30m"`.
pub(crate) struct Time(pub(crate) RangeInclusive<Duration>);

impl Time {
    /// Any that a breaker can wait.
    pub(crate) const ANY: Time = Time(limits::SHORTEST..=limits::LONGEST);
}

impl Kind for Time {
    fn accepts(&self) -> String {
        let (least, most) = (text::duration(*self.0.start()), text::duration(*self.0.end()));
        format!("a duration from {least} to {most}, such as 30 (seconds) or \"1m30s\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({
            "anyOf": [
                {
                    "type": "number",
                    "minimum": self.0.start().as_secs_f64(),
                    "maximum": self.0.end().as_secs_f64(),
                },
                { "type": "string", "minLength": 2, "pattern": text::DURATION_PATTERN },
            ]
        })
    }

    fn canonical(&self, node: &Node) -> Option<Json> {
        self.read(node, &mut Context::default()).map(|time| json!(text::duration(time)))
    }
}

impl Read for Time {
    type Out = Duration;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Duration> {
        time(&self.0, node, &self.accepts(), cx)
    }
}

/// A duration in a range, or a report that something else must be `accepted`.
pub(super) fn time(
    range: &RangeInclusive<Duration>,
    node: &Node,
    accepted: &str,
    cx: &mut Context,
) -> Option<Duration> {
    let duration = match (&node.value, number(&node.value)) {
        (_, Some(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
        (Value::Text(text) | Value::Untyped(text), None) => match text::parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(DurationFault::TooLong) => None,
            Err(fault) => {
                let help = match text.as_str() {
                    "off" => String::from("it cannot be switched off"),
                    _ => advice(&fault),
                };
                let problem =
                    cx.refuse(codes::BAD_DURATION, node, accepted, "not a duration").help(help);
                cx.report(problem);
                return None;
            }
        },
        _ => {
            let problem = cx.wrong_type(node, accepted);
            cx.report(problem);
            return None;
        }
    };
    let duration = duration.filter(|duration| range.contains(duration));
    if duration.is_none() {
        let problem = cx.refuse(codes::OUT_OF_RANGE, node, accepted, "out of range");
        cx.report(problem);
    }
    duration
}

fn advice(fault: &DurationFault) -> String {
    match fault {
        DurationFault::NoUnit(number) => {
            format!("write {number} without quotes for seconds, or \"{number}s\"")
        }
        DurationFault::Meant(meant) => format!("did you mean \"{meant}\"?"),
        DurationFault::Order => {
            String::from("each unit stands once, the larger before the smaller: \"1h30m\"")
        }
        DurationFault::TooLong | DurationFault::Other => {
            String::from("the units are ms, s, m, h and d")
        }
    }
}
