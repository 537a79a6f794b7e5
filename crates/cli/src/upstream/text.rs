//! The small pieces that the text of behaviours and scripts is made of.

use std::fmt::Write as _;
use std::time::Duration;

/// Units of time, larger first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The longest wait that can be written: nobody rehearses for longer, and timers cannot overflow.
const LONGEST_MILLIS: u64 = 24 * 3_600_000;

/// What [`parse_duration`] takes, for messages.
pub(super) const A_DURATION: &str = "a duration up to 24h, such as 250ms, 2s or 1m30s";

/// `250ms`, `2s`, `1m30s`: whole numbers, each unit once, the larger first.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut units, mut millis) = (text, &UNITS[..], 0_u64);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let place = units.iter().position(|(name, _)| *name == unit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(units[place].1)?;
        millis = millis.checked_add(part)?;
        (rest, units) = (after, &units[place + 1..]);
    }
    let valid = !text.is_empty() && millis <= LONGEST_MILLIS;
    valid.then(|| Duration::from_millis(millis))
}

/// A duration as [`parse_duration`] reads it, to the millisecond.
pub(super) fn duration(duration: Duration) -> String {
    let mut millis = duration.as_millis();
    if millis == 0 {
        return String::from("0s");
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        let (count, rest) = (millis / u128::from(size), millis % u128::from(size));
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{count}{unit}");
        }
        millis = rest;
    }
    text
}

/// The parts of `text` between separators; a separator within double quotes separates nothing.
pub(super) fn split(text: &str, separates: fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        !quoted && separates(c)
    })
}

/// What [`unquote`] takes, for messages.
pub(super) const A_TEXT: &str = "printable ASCII, in double quotes where it has blanks or commas";

/// A value with its quotes taken off. `None` where a quote stands anywhere else, and for anything
/// that could not stand in a header: values become headers.
pub(super) fn unquote(value: &str) -> Option<&str> {
    let bare = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    let printable = bare.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"');
    (printable && !bare.is_empty()).then_some(bare)
}

/// A value as [`unquote`] reads it.
pub(super) fn quote(value: &str) -> String {
    match value.contains([' ', ',']) {
        true => format!("\"{value}\""),
        false => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_go_both_ways() {
        for (text, millis) in
            [("0s", 0), ("250ms", 250), ("2s", 2_000), ("1m30s", 90_000), ("24h", 86_400_000)]
        {
            let parsed = Duration::from_millis(millis);
            assert_eq!(parse_duration(text), Some(parsed), "{text}");
            assert_eq!(duration(parsed), text);
        }
        assert_eq!(parse_duration("1500ms"), Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "5", "s", "1.5s", "-2s", "2 s", "2S", "30s1m", "1s1s", "25h", "9h99999999999999s"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("99999999999999999999h"), None);
    }

    #[test]
    fn quotes_hide_separators() {
        let parts: Vec<_> = split("a,b=\"1, 2\",c", |c| c == ',').collect();
        assert_eq!(parts, ["a", "b=\"1, 2\"", "c"]);
        assert_eq!(unquote("\"1, 2\""), Some("1, 2"));
        assert_eq!(quote("1, 2"), "\"1, 2\"");
        for text in ["", "\"", "\"\"", "\"open", "in\"side", "\"a\"b\"", "line\nbreak", "naïve"] {
            assert_eq!(unquote(text), None, "{text:?}");
        }
    }
}
