//! What is wrong with a key, a value and the names around them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::lint::is_loopback;
use crate::model::HostPattern;
use crate::text::{self, DurationFault};

/// What files are held against.
pub(super) struct Rules<'a> {
    pub(super) deprecated: &'a [HostPattern],
    pub(super) least: BTreeMap<String, Duration>,
}

/// Switches that are dangerous when off, and those that are when on: letters and digits of their
/// names, which may have something before them.
const VERIFY: [&str; 12] = [
    "pythonhttpsverify",
    "rejectunauthorized",
    "sslverification",
    "sslverify",
    "sslverifypeer",
    "tlsverification",
    "tlsverify",
    "verifycertificate",
    "verifycertificates",
    "verifypeer",
    "verifyssl",
    "verifytls",
];

const SKIP: [&str; 9] = [
    "allowinsecure",
    "disabletlsverification",
    "insecureskiptlsverify",
    "insecureskipverify",
    "insecuretls",
    "skipsslverify",
    "skiptlsverify",
    "tlsinsecure",
    "tlsskipverify",
];

/// Hosts of names that look like addresses and are none.
const NAMESPACES: [&str; 3] = ["json-schema.org", "schemas.microsoft.com", "www.w3.org"];

/// Whether this switches the verification of certificates off.
pub(super) fn switches_tls_off(key: &str, value: &str) -> bool {
    let plain: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let value = value.to_ascii_lowercase();
    let off = matches!(value.as_str(), "false" | "0" | "no" | "off" | "none" | "cert_none");
    let on = matches!(value.as_str(), "true" | "1" | "yes" | "on");
    off && VERIFY.iter().any(|name| plain.ends_with(name))
        || on && SKIP.iter().any(|name| plain.ends_with(name))
        || plain.ends_with("sslmode") && matches!(value.as_str(), "disable" | "allow")
}

/// Where plain http goes to another machine: the scheme and the host.
pub(super) fn plain_http(value: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    value.match_indices("http://").filter_map(|(at, scheme)| {
        let rest = &value[at + scheme.len()..];
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"',;)]}".contains(c) && c != ']');
        let authority = &rest[..end.unwrap_or(rest.len())];
        let credentials = authority.contains('@');
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(six) => six.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let placeholder = host.contains(['$', '{', '<', '%', '*']);
        if host.is_empty() || placeholder || is_loopback(host) || NAMESPACES.contains(&host) {
            return None;
        }
        // Credentials stand between the two.
        let length = if credentials { scheme.len() } else { scheme.len() + authority.len() };
        Some((at..at + length, host))
    })
}

/// Hosts in a text that are named as deprecated, and by which pattern.
pub(super) fn deprecated<'t, 'r>(
    value: &'t str,
    patterns: &'r [HostPattern],
) -> Vec<(Range<usize>, &'t str, &'r HostPattern)> {
    let sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let mut found = Vec::new();
    let mut start = 0;
    for word in value.split(|c| !sign(c)) {
        let host = word.trim_matches('.');
        let at = start + (word.len() - word.trim_start_matches('.').len());
        if !host.is_empty()
            && let Some(pattern) = patterns.iter().find(|pattern| pattern.matches(host))
        {
            found.push((at..at + host.len(), host, pattern));
        }
        // Every other sign may be longer than a byte.
        start += word.len() + value[start + word.len()..].chars().next().map_or(0, char::len_utf8);
    }
    found
}

/// The subject whose timeout this is, and the least it may be. `around` are the names of the blocks
/// it is in, the outermost first.
pub(super) fn too_short<'r>(
    key: &str,
    value: &str,
    around: &[String],
    least: &'r BTreeMap<String, Duration>,
) -> Option<(&'r str, Duration, Duration)> {
    let inner = around.last().map_or("", String::as_str);
    let is_timeout = |name: &str| name.to_ascii_lowercase().contains("timeout");
    if !is_timeout(key) && !is_timeout(inner) {
        return None;
    }
    let timeout = duration(key, value)?;
    let named = |subject: &str| {
        around.iter().map(String::as_str).chain([key]).any(|name| is_about(name, subject))
    };
    let (subject, least) =
        least.iter().find(|(subject, least)| timeout < **least && named(subject))?;
    Some((subject, timeout, *least))
}

/// Whether a name is one for the subject.
pub(super) fn is_about(name: &str, subject: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let subject = subject.to_ascii_lowercase();
    if name.contains(&subject) {
        return true;
    }
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    subject == "database"
        && words().any(|word| word == "db" || word.contains("postgres") || word.contains("sql"))
}

/// A timeout: with a unit, or in the unit that its name says, or else in seconds.
fn duration(key: &str, value: &str) -> Option<Duration> {
    let number = match text::parse_duration(value) {
        Ok(duration) => return Some(duration),
        Err(DurationFault::Meant(meant)) => return text::parse_duration(&meant).ok(),
        Err(DurationFault::NoUnit(number)) => number,
        Err(_) => return None,
    };
    let number: f64 = number.parse().ok()?;
    let key = key.to_ascii_lowercase();
    let unit = [("ms", 0.001), ("millis", 0.001), ("milliseconds", 0.001), ("minutes", 60.0)];
    let unit = unit.into_iter().find(|(suffix, _)| key.ends_with(suffix));
    Duration::try_from_secs_f64(number * unit.map_or(1.0, |(_, seconds)| seconds)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least() -> BTreeMap<String, Duration> {
        BTreeMap::from([
            (String::from("database"), Duration::from_secs(600)),
            (String::from("health"), Duration::from_secs(60)),
        ])
    }

    #[test]
    fn timeouts_are_compared_in_their_units() {
        let blocks = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        for (key, value, around, subject) in [
            ("DATABASE_TIMEOUT", "30", &[][..], Some("database")),
            ("DATABASE_TIMEOUT", "600", &[], None),
            ("DATABASE_TIMEOUT", "10m", &[], None),
            ("DATABASE_TIMEOUT", "9 minutes", &[], Some("database")),
            ("DATABASE_TIMEOUT_MS", "30000", &[], Some("database")),
            ("POSTGRES_TIMEOUT_MS", "600000", &[], None),
            ("timeout", "5s", &["healthcheck"], Some("health")),
            ("create", "5m", &["resource \"google_sql_database\"", "timeouts"], Some("database")),
            ("timeout", "5s", &["web"], None),
            ("DATABASE_SIZE", "5", &[], None),
            ("DATABASE_TIMEOUT", "${TIMEOUT}", &[], None),
            ("sqlalchemy_timeout", "1", &[], Some("database")),
        ] {
            let least = least();
            let found = too_short(key, value, &blocks(around), &least);
            assert_eq!(
                found.map(|(subject, ..)| subject),
                subject,
                "{key} = {value} in {around:?}"
            );
        }
    }

    #[test]
    fn switches_are_known_by_many_names() {
        for (key, value) in [
            ("verify_ssl", "false"),
            ("APP_SSL_VERIFY", "0"),
            ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
            ("insecure_skip_verify", "true"),
            ("insecureSkipTLSVerify", "True"),
            ("PGSSLMODE", "disable"),
        ] {
            assert!(switches_tls_off(key, value), "{key}={value}");
        }
        for (key, value) in [("verify_ssl", "true"), ("sslmode", "verify-full"), ("verify", "no")] {
            assert!(!switches_tls_off(key, value), "{key}={value}");
        }
    }

    #[test]
    fn plain_http_is_found_with_its_host_and_without_credentials() {
        let found = |value: &str| {
            plain_http(value)
                .map(|(at, host)| (value[at].to_owned(), host.to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found("a http://b.example:80/c"),
            [("http://b.example:80".into(), "b.example".into())]
        );
        assert_eq!(found("http://me:pw@b/"), [("http://".into(), "b".into())]);
        for value in [
            "https://a",
            "http://localhost:1",
            "http://127.0.0.1",
            "http://[::1]:80/",
            "http://${HOST}/",
            "http://www.w3.org/ns",
        ] {
            assert!(found(value).is_empty(), "{value}");
        }
    }

    #[test]
    fn each_deprecated_host_is_found_once_and_whole() {
        let patterns = [
            HostPattern::Under(String::from(".old.example.com")),
            HostPattern::Exact(String::from("db.example.com")),
        ];
        let found = |value: &str| {
            deprecated(value, &patterns)
                .into_iter()
                .map(|(at, host, _)| {
                    assert_eq!(&value[at], host);
                    host.to_owned()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found("https://A.old.example.com/x, ünd db.example.com."),
            ["A.old.example.com", "db.example.com"]
        );
        assert!(found("old.example.com mydb.example.com db.example.com.evil").is_empty());
    }
}
