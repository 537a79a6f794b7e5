//! Scripts from text and as text.

use std::fmt;
use std::str::FromStr;

use super::{Demo, Script};
use crate::upstream::behaviour::{Behaviour, ParseError};
use crate::upstream::text::{self, A_DURATION};

/// A script of more steps was not written by hand, and every request looks through them.
const MOST_STEPS: usize = 1_000;

/// The name of the built-in script.
const DEMO: &str = "demo";

impl FromStr for Script {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Script, ParseError> {
        if text.trim() == DEMO {
            return Ok(Demo::default().script());
        }
        let mut script = Script { steps: Vec::new(), rest: None };
        for word in text::split(text, char::is_whitespace).filter(|word| !word.is_empty()) {
            if let Some(rest) = &script.rest {
                let accepted = "nothing after a step without a time, which stays for ever";
                return Err(ParseError::new(&format!("{rest} {word}"), accepted));
            }
            // No behaviour's name begins with a digit, and every time does.
            match word.starts_with(|c: char| c.is_ascii_digit()) {
                true => script.steps.push(step(word)?),
                false => script.rest = Some(word.parse()?),
            }
        }
        let accepted = match script.steps.len() {
            0 if script.rest.is_none() => "a behaviour, or steps such as 8s=ok 6s=status:503",
            1..=MOST_STEPS | 0 => return Ok(script),
            _ => "at most 1000 steps",
        };
        Err(ParseError::new(text.trim(), accepted))
    }
}

/// `TIME=BEHAVIOUR`.
fn step(word: &str) -> Result<(std::time::Duration, Behaviour), ParseError> {
    let Some((time, behaviour)) = word.split_once('=') else {
        return Err(ParseError::new(word, "a step, such as 8s=ok"));
    };
    match text::parse_duration(time).filter(|time| !time.is_zero()) {
        Some(time) => Ok((time, behaviour.parse()?)),
        None => Err(ParseError::new(time, format!("{A_DURATION}, above zero"))),
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        for (time, behaviour) in &self.steps {
            write!(f, "{blank}{}={behaviour}", text::duration(*time))?;
            blank = " ";
        }
        match &self.rest {
            Some(rest) => write!(f, "{blank}{rest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_written_as_they_are_read() {
        for text in [
            "ok",
            "8s=ok 6s=slow:1s500ms 12s=status:503",
            "5s=status:429,retry-after=\"Wed, 21 Oct 2026 07:28:00 GMT\" 1m30s=hang ok",
            "status:503,retry-after=3",
        ] {
            assert_eq!(text.parse::<Script>().unwrap().to_string(), text);
        }
        let spread = " 8s=ok\n\t6s=hang \n".parse::<Script>().unwrap();
        assert_eq!(spread.to_string(), "8s=ok 6s=hang");
    }

    #[test]
    fn what_is_no_script_is_told_what_would_be() {
        for (text, accepted) in [
            ("", "a behaviour, or steps"),
            ("8s", "a step, such as 8s=ok"),
            ("8=ok", "a duration up to 24h"),
            ("0s=ok", "above zero"),
            ("8s=okay", "one of the behaviours ok, slow,"),
            ("ok 8s=hang", "nothing after a step without a time"),
        ] {
            let error = text.parse::<Script>().unwrap_err().to_string();
            assert!(error.contains(accepted), "{text}: {error}");
        }
        let endless = "1s=ok ".repeat(MOST_STEPS + 1);
        assert!(endless.parse::<Script>().unwrap_err().to_string().contains("at most 1000"));
    }
}
