//! The one list of behaviours.

use std::fmt::Write as _;

use super::parse::{Argument, ParseError};
use super::{Action, Fault, Flaky, Http2Fault, Status, StreamFault, Then};
use crate::upstream::text;

/// The most events or pieces an answer may be asked to have.
pub(super) const MOST_EVENTS: u32 = 10_000;

/// A behaviour as it is written, made, and told to whoever asks for help.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) make: Make,
    pub(super) options: &'static [&'static str],
    /// What goes over the wire.
    pub(super) wire: &'static str,
}

/// How a behaviour is made from its argument.
pub(super) enum Make {
    Plain(Action),
    With(Argument, fn(&str) -> Option<Action>),
    /// The argument may be left out.
    Perhaps(Argument, Action, fn(&str) -> Option<Action>),
    Stream(Then),
}

const TIME: Argument = Argument { name: "TIME", accepted: text::A_DURATION };
const CODE: Argument = Argument { name: "CODE", accepted: "a status from 200 to 999" };
const PERCENT: Argument = Argument { name: "PERCENT", accepted: "a whole number from 0 to 100" };
const EVENTS: Argument = Argument { name: "N", accepted: "a whole number from 0 to 10000" };

const REASON: Argument = Argument {
    name: "REASON",
    accepted: "a reason of HTTP/2, such as refused-stream or cancel, or its number from 0 to 13",
};

/// What HTTP/2 calls the reasons that a stream or a connection is given up for, by number.
const REASONS: [&str; 14] = [
    "no-error",
    "protocol-error",
    "internal-error",
    "flow-control-error",
    "settings-timeout",
    "stream-closed",
    "frame-size-error",
    "refused-stream",
    "cancel",
    "compression-error",
    "connect-error",
    "enhance-your-calm",
    "inadequate-security",
    "http-1-1-required",
];

/// Options of whatever gives out healthy content.
const CONTENT: &[&str] = &["events", "gap", "header"];

static TABLE: [Entry; 35] = [
    plain("ok", Action::Ok, CONTENT, "the healthy answer"),
    with("slow", TIME, slow, CONTENT, "the healthy answer, its first byte TIME later"),
    with(
        "status",
        CODE,
        status,
        &["retry-after", "retry-after-ms", "body", "code", "header"],
        "this status with a short body",
    ),
    with(
        "flaky",
        PERCENT,
        flaky,
        &["seed", "events", "gap", "header"],
        "503 for PERCENT of the requests, the same ones in each run, else healthy",
    ),
    fault("hang", Fault::Hang, "nothing; the connection stays open"),
    fault("reset", Fault::Reset, "nothing, then RST"),
    fault("close", Fault::Close, "nothing, then FIN"),
    fault("garbage", Fault::Garbage, "bytes that are not HTTP, then FIN"),
    fault("http09", Fault::Http09, "the body without any head, then FIN"),
    fault("truncate", Fault::Truncate, "half the body that content-length promised, then FIN"),
    fault("bad-chunk", Fault::BadChunk, "half the body, then a size that is none, then FIN"),
    fault("missing-last-chunk", Fault::MissingLastChunk, "all chunks but the last, then FIN"),
    fault("head-then-hang", Fault::HeadThenHang, "the head and half the body, then silence"),
    fault("two-lengths", Fault::TwoLengths, "two content-lengths that differ, then FIN"),
    fault("length-and-chunked", Fault::LengthAndChunked, "content-length beside chunked, FIN"),
    fault("huge-head", Fault::HugeHead, "the body under a head of 1 MiB, then FIN"),
    fault("close-after", Fault::CloseAfter, "the healthy answer, then FIN without notice"),
    fault("no-first-token", Fault::NoFirstToken, "the head of a stream, then silence"),
    stream("stream-cut", Then::Cut, "N events, then FIN without the last chunk"),
    stream("stream-reset", Then::Reset, "N events, then RST"),
    stream("stream-no-end", Then::NoEnd, "N events, then the last chunk, but no end marker"),
    stream(
        "stream-no-reason",
        Then::NoReason,
        "N events, then an end marker without a finish reason",
    ),
    stream("stream-error", Then::Error, "N events, an error event, then the last chunk"),
    stream("stream-stall", Then::Stall, "N events, then silence"),
    stream(
        "stream-keepalive",
        Then::Keepalive,
        "N events, then a comment or ping each 100 ms for ever",
    ),
    with("h2-reset", REASON, h2_reset, CONTENT, "over HTTP/2: nothing, then RST_STREAM"),
    with(
        "h2-reset-body",
        REASON,
        h2_reset_body,
        CONTENT,
        "over HTTP/2: head and half the body, then RST_STREAM",
    ),
    http2("h2-goaway", Http2Fault::GoAway, "a GOAWAY that leaves this request out, then FIN"),
    http2("h2-goaway-after", Http2Fault::GoAwayAfter, "a GOAWAY, the healthy answer, then FIN"),
    http2("h2-goaway-body", Http2Fault::GoAwayBody, "head, half the body, a GOAWAY, then FIN"),
    http2("h2-bad-frame", Http2Fault::BadFrame, "a frame of data that belongs to no request"),
    http2("h2-bad-headers", Http2Fault::BadHeaders, "headers that cannot be decompressed"),
    http2("h2-short", Http2Fault::Short, "half the body that content-length promised, its end"),
    http2("h2-long", Http2Fault::Long, "twice the body that content-length promised"),
    Entry {
        name: "refuse",
        make: Make::Perhaps(TIME, Action::Refuse(None), refuse),
        options: &[],
        wire: "connects are refused, open connections reset; for TIME, then as before",
    },
];

const fn plain(
    name: &'static str,
    action: Action,
    options: &'static [&'static str],
    wire: &'static str,
) -> Entry {
    Entry { name, make: Make::Plain(action), options, wire }
}

const fn with(
    name: &'static str,
    argument: Argument,
    make: fn(&str) -> Option<Action>,
    options: &'static [&'static str],
    wire: &'static str,
) -> Entry {
    Entry { name, make: Make::With(argument, make), options, wire }
}

/// A fault breaks the healthy content, so it can be told what content that is.
const fn fault(name: &'static str, fault: Fault, wire: &'static str) -> Entry {
    plain(name, Action::Fault(fault), CONTENT, wire)
}

const fn http2(name: &'static str, fault: Http2Fault, wire: &'static str) -> Entry {
    plain(name, Action::Http2(fault), CONTENT, wire)
}

const fn stream(name: &'static str, then: Then, wire: &'static str) -> Entry {
    Entry { name, make: Make::Stream(then), options: &["gap", "header"], wire }
}

fn reason(text: &str) -> Option<u32> {
    let named = REASONS.iter().position(|name| *name == text);
    let number = named.or_else(|| text.parse().ok()).filter(|number| *number < REASONS.len())?;
    u32::try_from(number).ok()
}

/// What HTTP/2 calls a reason.
pub(super) fn reason_name(reason: u32) -> &'static str {
    REASONS.get(reason as usize).copied().unwrap_or_default()
}

fn h2_reset(text: &str) -> Option<Action> {
    reason(text).map(|reason| Action::Http2(Http2Fault::Reset(reason)))
}

fn h2_reset_body(text: &str) -> Option<Action> {
    reason(text).map(|reason| Action::Http2(Http2Fault::ResetBody(reason)))
}

fn slow(text: &str) -> Option<Action> {
    text::parse_duration(text).map(Action::Slow)
}

fn status(text: &str) -> Option<Action> {
    // Statuses below announce another answer, so they cannot be one.
    let code = text.parse().ok().filter(|code| (200..=999).contains(code));
    code.map(|code| Action::Status(Status::new(code)))
}

fn flaky(text: &str) -> Option<Action> {
    let percent = text.parse().ok().filter(|percent| *percent <= 100);
    percent.map(|percent| Action::Flaky(Flaky { percent, seed: 0 }))
}

fn refuse(text: &str) -> Option<Action> {
    text::parse_duration(text).map(|time| Action::Refuse(Some(time)))
}

/// The entry of this name.
///
/// # Errors
/// What names there are.
pub(super) fn find(name: &str) -> Result<&'static Entry, ParseError> {
    let found = TABLE.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = TABLE.iter().map(|entry| entry.name).collect();
        ParseError::new(name, format!("one of the behaviours {}", names.join(", ")))
    })
}

/// Every behaviour, its options, and what it puts on the wire, for people.
pub(crate) fn help() -> String {
    let mut help = String::from("Behaviours:\n");
    for entry in &TABLE {
        // Writing to a string cannot fail.
        let _ = writeln!(help, "  {:<20} {}", entry.usage(), entry.wire);
    }
    help.push_str(OPTIONS);
    help
}

/// Tested to name every option of the table.
const OPTIONS: &str = "
Options, as in `status:429,retry-after=3,body=api`:
  events=N             events of a stream, pieces of a slow body (8)
  gap=TIME             time between two of them (10ms)
  header=\"NAME: VALUE\" a header more; may be repeated
  retry-after=TEXT     seconds, a date in quotes, or anything else
  retry-after-ms=N     the same in milliseconds, under that name
  body=text|empty|api  what a status comes with; `api` is the asked API's own error object
  code=TEXT            the code in that object, such as insufficient_quota; implies body=api
  seed=N               which requests are the flaky ones (0)
";

// ===== impl Entry =====

impl Entry {
    /// Its name with what must or may follow.
    pub(super) fn usage(&self) -> String {
        let name = self.name;
        match &self.make {
            Make::Plain(_) => name.to_owned(),
            Make::With(argument, _) => format!("{name}:{}", argument.name),
            Make::Perhaps(argument, ..) => format!("{name}[:{}]", argument.name),
            Make::Stream(_) => format!("{name}:{}", EVENTS.name),
        }
    }

    /// The action it stands for.
    ///
    /// # Errors
    /// What argument it takes, if not this one.
    pub(super) fn action(&self, argument: Option<&str>) -> Result<Action, ParseError> {
        match (&self.make, argument) {
            (Make::Plain(action) | Make::Perhaps(_, action, _), None) => Ok(action.clone()),
            (Make::Plain(_), Some(extra)) => {
                Err(ParseError::new(extra, format!("no argument after `{}`", self.name)))
            }
            (Make::With(argument, make) | Make::Perhaps(argument, _, make), Some(text)) => {
                make(text).ok_or_else(|| ParseError::new(text, argument.accepted))
            }
            (Make::Stream(then), Some(text)) => {
                let events = text.parse().ok().filter(|events| *events <= MOST_EVENTS);
                let events = events.ok_or_else(|| ParseError::new(text, EVENTS.accepted))?;
                Ok(Action::Stream(StreamFault { events, then: *then }))
            }
            (Make::With(..) | Make::Stream(_), None) => {
                Err(ParseError::new(self.name, format!("an argument: {}", self.usage())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_behaviour_and_every_option() {
        let help = help();
        for entry in &TABLE {
            assert!(help.contains(&format!("  {} ", entry.usage())), "{}", entry.name);
            for option in entry.options {
                assert!(help.contains(&format!("\n  {option}=")), "{option}");
            }
        }
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }

    #[test]
    fn an_entry_makes_the_action_that_bears_its_name() {
        for entry in &TABLE {
            let argument = match &entry.make {
                Make::Plain(_) | Make::Perhaps(..) => None,
                Make::With(argument, _) if argument.name == TIME.name => Some("2s"),
                Make::With(argument, _) if argument.name == CODE.name => Some("503"),
                Make::With(..) | Make::Stream(_) => Some("7"),
            };
            assert_eq!(entry.action(argument).unwrap().name(), entry.name);
        }
    }
}
