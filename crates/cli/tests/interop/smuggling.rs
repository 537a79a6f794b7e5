//! Requests that two servers might read in two ways, sent through the gateway to servers that read
//! by different rules.
//!
//! The rule for each payload: the server sees exactly the requests that were sent, as the table
//! says by a strict reading of RFC 9112; anything else is answered 400 (or what the table says),
//! the connection is closed, and the server has not seen it. The payloads are data, in
//! `payloads/*.toml`.

use std::net::Shutdown;

use serde::Deserialize;

use crate::backends::{self, Backend, Seen};
use crate::raw::Client;
use crate::support::{Gateway, pause};

/// Bytes, and what becomes of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    name: String,
    /// Each character is one byte. `{id}` stands for the payload's name; see `expanded`.
    bytes: String,
    /// The statuses that the client gets, in their order.
    gets: Vec<u16>,
    /// The requests that the server sees, as `METHOD TARGET` or `METHOD TARGET BODY`.
    #[serde(default)]
    sees: Vec<String>,
    /// The client ends its side after the bytes.
    #[serde(default)]
    cut: bool,
    /// The connection ends although all is well.
    #[serde(default)]
    closes: bool,
    /// Servers that refuse it though it is fine, or cannot say what exactly they saw.
    #[serde(default)]
    not_for: Vec<String>,
}

const FILES: [&str; 6] = [
    include_str!("payloads/framing.toml"),
    include_str!("payloads/lines.toml"),
    include_str!("payloads/chunks.toml"),
    include_str!("payloads/targets.toml"),
    include_str!("payloads/connection.toml"),
    include_str!("payloads/limits.toml"),
];

fn payloads() -> Vec<Payload> {
    #[derive(Deserialize)]
    struct File {
        payload: Vec<Payload>,
    }
    FILES.iter().flat_map(|text| toml::from_str::<File>(text).unwrap().payload).collect()
}

impl Payload {
    /// With its placeholders filled in: `{get}` and `{post}` are the request line and the host,
    /// `{smuggled}` is a whole request that nobody may see, `{fill:N}` is a word of N letters.
    fn expanded(&self, text: &str) -> Vec<u8> {
        let mut text = text
            .replace("{get}", "GET /{id} HTTP/1.1\r\nHost: test\r\n")
            .replace("{post}", "POST /{id} HTTP/1.1\r\nHost: test\r\n")
            .replace("{smuggled}", "GET /{id}/smuggled HTTP/1.1\r\nHost: test\r\n\r\n")
            .replace("{id}", &self.name);
        while let Some((before, rest)) = text.split_once("{fill:") {
            let (count, after) = rest.split_once('}').unwrap();
            text = format!("{before}{}{after}", "x".repeat(count.parse().unwrap()));
        }
        text.chars().map(|c| u8::try_from(c).expect("a byte")).collect()
    }

    /// Whether the connection serves another request at the end.
    fn goes_on(&self) -> bool {
        let refused = self.gets.iter().any(|status| *status >= 400);
        !refused && !self.cut && !self.closes
    }

    fn expected(&self) -> Vec<String> {
        let text = |text: &String| String::from_utf8_lossy(&self.expanded(text)).into_owned();
        let mut expected: Vec<String> = self.sees.iter().map(text).collect();
        if self.goes_on() {
            expected.push(format!("GET /{}/end", self.name));
        }
        expected
    }

    /// Sends it, and says what was wrong with the answers.
    fn play(&self, gateway: &Gateway) -> Result<(), String> {
        let mut client = Client::of(gateway);
        client.try_send(self.expanded(&self.bytes));
        if self.cut {
            client.shutdown(Shutdown::Write);
        }
        let mut got = Vec::new();
        while let Some(status) = client.try_status() {
            got.push(status);
            if got.len() == self.gets.len() && self.goes_on() {
                break;
            }
        }
        if got != self.gets {
            return Err(format!("gets {got:?} instead of {:?}", self.gets));
        }
        if self.goes_on() {
            client.try_send(self.expanded("GET /{id}/end HTTP/1.1\r\nHost: test\r\n\r\n"));
            if client.try_status() != Some(200) {
                return Err("the connection does not go on".into());
            }
        }
        Ok(())
    }
}

#[test]
fn payloads_are_many_and_have_names_of_their_own() {
    let payloads = payloads();
    let mut names: Vec<&str> = payloads.iter().map(|payload| payload.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), payloads.len(), "names are targets");
    assert!(names.len() >= 120, "{}", names.len());
}

fn check(name: &str, backend: &Backend) {
    let gateway = Gateway::start(&format!(
        r#"
        [gateway]
        header_read_timeout = "1s"
        idle_timeout = "2s"
        max_header_bytes = "64KiB"
        max_headers = 50
        [circuit_breaker.circuits.back]
        failure_threshold = "off"
        failure_rate = "off"
        [upstreams.back]
        url = "{}"
        first_byte_timeout = "5s"
        [[routes]]
        upstream = "back"
        max_body_bytes = "1MiB"
        "#,
        backend.server.url()
    ));
    let mut payloads = payloads();
    payloads.retain(|payload| !payload.not_for.iter().any(|server| server == name));
    let mut faults = Vec::new();
    for some in payloads.chunks(16) {
        std::thread::scope(|scope| {
            let playing: Vec<_> =
                some.iter().map(|payload| scope.spawn(|| payload.play(&gateway))).collect();
            for (playing, payload) in playing.into_iter().zip(some) {
                match playing.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(fault)) => faults.push(format!("{}: {fault}", payload.name)),
                    Err(_) => faults.push(format!("{}: nothing comes", payload.name)),
                }
            }
        });
    }
    // Some servers note a request after its answer.
    let expected: usize = payloads.iter().map(|payload| payload.expected().len()).sum();
    for _ in 0..100 {
        if backend.seen().len() >= expected {
            break;
        }
        pause();
    }
    let mut seen = backend.seen();
    for payload in &payloads {
        let id = &payload.name;
        let is_its = |target: &str| {
            target.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|part| part == id)
        };
        let (its, others) = seen.into_iter().partition(|seen| is_its(&seen.target));
        seen = others;
        let texts = |seen: &Vec<Seen>| -> Vec<String> {
            let text = |s: &crate::backends::Seen| {
                format!("{} {} {}", s.method, s.target, s.body).trim_end().to_owned()
            };
            seen.iter().map(text).collect()
        };
        let (its, expected) = (texts(&its), payload.expected());
        if its != expected {
            faults.push(format!("{id}: the server saw {its:?} instead of {expected:?}"));
        }
    }
    if !seen.is_empty() {
        faults.push(format!("nobody sent {seen:?}"));
    }
    assert_eq!(gateway.circuit("back")["in_flight"], 0);
    assert!(faults.is_empty(), "{name}, {} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn nothing_is_smuggled_to_nginx() {
    check("nginx", &backends::nginx());
}

#[test]
fn nothing_is_smuggled_through_haproxy() {
    check("haproxy", &backends::haproxy());
}

#[test]
fn nothing_is_smuggled_through_apache() {
    check("apache", &backends::apache());
}

#[test]
fn nothing_is_smuggled_to_node() {
    check("node", &backends::node());
}

#[test]
fn nothing_is_smuggled_to_uvicorn_by_either_of_its_parsers() {
    check("uvicorn-h11", &backends::uvicorn("h11"));
    check("uvicorn-httptools", &backends::uvicorn("httptools"));
}

#[test]
fn nothing_is_smuggled_to_gunicorn() {
    check("gunicorn", &backends::gunicorn());
}
