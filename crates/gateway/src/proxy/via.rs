//! Which proxies a request has passed, so that none passes it for ever (RFC 9110, section 7.6.3).

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

/// More proxies than any request has a reason to pass.
const MOST: usize = 24;

/// Who we are among the proxies that a request passes: a name that no other process has.
pub(crate) struct Pseudonym {
    name: String,
    /// What is added to `Via`, by the protocol that the request came in.
    lines: [HeaderValue; 3],
}

/// Why a request goes no further.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Loop {
    /// It has been here before.
    Again,
    /// It has passed so many proxies that it must be going round.
    TooFar,
}

impl Pseudonym {
    /// A new one.
    pub(crate) fn random() -> Pseudonym {
        Pseudonym::new(fastrand::u64(..))
    }

    fn new(number: u64) -> Pseudonym {
        let name = format!("panelboard-{number:016x}");
        let lines = ["1.1", "1.0", "2.0"]
            .map(|version| HeaderValue::try_from(format!("{version} {name}")))
            .map(|line| line.unwrap_or(HeaderValue::from_static("1.1 panelboard")));
        Pseudonym { name, lines }
    }

    /// Whether a request comes from nowhere but from ourselves.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Loop> {
        let mut passed = 0;
        for line in headers.get_all(VIA) {
            // Comments may have commas, which makes the count too high at worst.
            for proxy in line.as_bytes().split(|byte| *byte == b',') {
                let mut words = proxy.trim_ascii().split(u8::is_ascii_whitespace);
                if words.nth(1).is_some_and(|name| name == self.name.as_bytes()) {
                    return Err(Loop::Again);
                }
                passed += 1;
            }
        }
        if passed < MOST { Ok(()) } else { Err(Loop::TooFar) }
    }

    /// Adds that the request has passed here.
    pub(crate) fn sign(&self, headers: &mut HeaderMap, version: Version) {
        let line = match version {
            Version::HTTP_10 => 1,
            Version::HTTP_2 => 2,
            _ => 0,
        };
        headers.append(VIA, self.lines[line].clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (VIA, HeaderValue::from_str(line).unwrap())).collect()
    }

    #[test]
    fn what_has_been_here_is_known_again() {
        let (us, other) = (Pseudonym::new(1), Pseudonym::new(2));
        let mut headers = via(&["1.1 cache.example (a, b), 2 edge"]);
        assert_eq!(us.check(&headers), Ok(()));
        us.sign(&mut headers, Version::HTTP_11);
        assert_eq!(us.check(&headers), Err(Loop::Again));
        assert_eq!(other.check(&headers), Ok(()));
        other.sign(&mut headers, Version::HTTP_2);
        assert_eq!(us.check(&headers), Err(Loop::Again));
        let lines: Vec<_> = headers.get_all(VIA).iter().collect();
        assert_eq!(
            lines[1..],
            ["1.1 panelboard-0000000000000001", "2.0 panelboard-0000000000000002"]
        );
        assert_eq!(us.check(&via(&["1.1 x\t, ,,1.0  panelboard-0000000000000001x"])), Ok(()));
    }

    #[test]
    fn no_request_passes_proxies_without_end() {
        let us = Pseudonym::new(1);
        assert_eq!(us.check(&via(&["1.1 a"; MOST - 1])), Ok(()));
        assert_eq!(us.check(&via(&["1.1 a"; MOST])), Err(Loop::TooFar));
        assert_eq!(us.check(&via(&[&"1.1 a,".repeat(MOST)])), Err(Loop::TooFar));
    }
}
