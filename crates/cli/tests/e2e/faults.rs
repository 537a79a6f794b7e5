//! What an upstream does wrong, what the client gets of it, and what the circuit makes of it: the
//! published classification table, row by row, against a real upstream.

use crate::raw::{Client, End, Reply, get, request};
use crate::support::{Gateway, Judged, Upstream, eventually};

/// What the client gets.
#[derive(Copy, Clone)]
enum Gets {
    /// A fallback for this reason.
    Fallback(&'static str),
    /// The upstream's own answer.
    Answer(u16),
    /// The head and some of the body, and an abnormal end.
    Cut,
}

/// A gateway whose circuit never opens, so that call after call is judged on its own.
fn gateway(upstream: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = "off"
        failure_rate = "off"
        [upstreams.api]
        url = "{upstream}"
        first_byte_timeout = "300ms"
        stall_timeout = "300ms"
        [upstreams.patient]
        url = "{upstream}"
        [[routes]]
        path = "/patient"
        strip_prefix = "/patient"
        upstreams = ["patient"]
        circuit = "api"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#
    ))
}

/// What the published table says of an upstream that does this: outcome, and what the client gets.
fn published(row: &str) -> (String, String) {
    let table = panelboard_gateway::classification_markdown();
    let line = table.lines().find(|line| line.starts_with(&format!("| {row}")));
    let cells: Vec<&str> = line.unwrap_or_else(|| panic!("no row {row:?}")).split('|').collect();
    (cells[2].trim().to_owned(), cells[5].trim().to_owned())
}

fn check(row: &str, gets: Gets, reply: &Reply, judged: &Judged) {
    let outcome = match judged.kind.as_str() {
        "" => judged.outcome.to_owned(),
        kind => format!("{} (`{kind}`)", judged.outcome),
    };
    let (expected, promised) = published(row);
    assert_eq!(outcome, expected);
    let header = |name| reply.header(name);
    match gets {
        Gets::Fallback(reason) => {
            assert!(promised.starts_with("the fallback"), "{promised}");
            assert_eq!((reply.status, reply.end), (503, End::Whole));
            assert_eq!(header("content-type"), Some("application/problem+json"));
            assert_eq!(header("x-panelboard-fallback"), Some("default"));
            assert!(header("retry-after").is_some());
            let problem = reply.json();
            assert_eq!((&problem["reason"], &problem["circuit"]), (&reason.into(), &"api".into()));
            // The cause is for operators: it may tell of addresses and certificates.
            let (words, cause) = judged.message.split_once(": ").unwrap_or((&judged.message, ""));
            assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
            assert!(cause.is_empty() || !reply.text().contains(cause), "{problem}");
        }
        Gets::Answer(status) => {
            assert_eq!(promised, "the upstream's answer");
            assert_eq!((reply.status, reply.end), (status, End::Whole));
            assert_eq!(header("x-panelboard-upstream"), Some("api"));
            assert_eq!(header("x-panelboard-fallback"), None);
        }
        Gets::Cut => {
            assert!(promised.starts_with("the connection ends abnormally"), "{promised}");
            assert_eq!((reply.status, reply.end), (200, End::Cut), "{}", reply.text());
            assert!(reply.body.len() >= 5_000, "what came before: {}", reply.body.len());
        }
    }
}

#[test]
fn each_fault_is_judged_as_the_published_table_says() {
    use Gets::{Answer, Cut, Fallback};
    let early = "closes or resets before an answer";
    let silent = "sends no head within";
    let no_http = "answers with what is not HTTP";
    let short = "sends a body shorter than promised";
    let broken = "500, 502, 503 without";
    let caller = "4xx but 408 and 429";
    let fine = "2xx, 3xx";
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    for (behaviour, row, gets) in [
        ("reset", early, Fallback("bad_answer")),
        ("close", early, Fallback("bad_answer")),
        ("hang", silent, Fallback("timeout")),
        ("slow:2s", silent, Fallback("timeout")),
        ("garbage", no_http, Fallback("bad_answer")),
        ("http09", no_http, Fallback("bad_answer")),
        ("two-lengths", no_http, Fallback("bad_answer")),
        ("length-and-chunked", no_http, Fallback("bad_answer")),
        ("huge-head", no_http, Fallback("bad_answer")),
        ("truncate", short, Cut),
        ("bad-chunk", short, Cut),
        ("missing-last-chunk", short, Cut),
        ("head-then-hang", "stops within a body", Cut),
        ("status:500", broken, Answer(500)),
        ("status:502", broken, Answer(502)),
        ("status:503", broken, Answer(503)),
        ("status:504", broken, Answer(504)),
        ("status:599", broken, Answer(599)),
        ("status:408", "408", Answer(408)),
        ("status:400", caller, Answer(400)),
        ("status:401", caller, Answer(401)),
        ("status:404", caller, Answer(404)),
        ("status:422", caller, Answer(422)),
        ("status:304", fine, Answer(304)),
        ("status:204", fine, Answer(204)),
        ("close-after", fine, Answer(200)),
        ("slow:50ms", fine, Answer(200)),
        ("ok", fine, Answer(200)),
    ] {
        println!("{behaviour}");
        upstream.set(behaviour);
        upstream.reset_stats();
        let (reply, judged) =
            gateway.judged("api", || Client::of(&gateway).ask(get("/bytes/10000")));
        check(row, gets, &reply, &judged);
        assert_eq!(upstream.requests(), 1, "asked once, and not again");
    }
    assert_eq!(gateway.state("api"), "closed");
}

#[test]
fn an_upstream_that_refuses_connections_has_failed_to_connect() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    // One connection lies in the pool, and is reset; then nobody listens.
    assert_eq!(gateway.get("/").status, 200);
    upstream.set("refuse:500ms");
    let (reply, judged) = gateway.judged("api", || Client::of(&gateway).ask(get("/")));
    check("refuses or resets the connection", Gets::Fallback("unreachable"), &reply, &judged);
    eventually("it listens again", || gateway.get("/").status == 200);
}

#[test]
fn what_is_not_tls_has_failed_to_connect() {
    let upstream = Upstream::start();
    let gateway = gateway(&format!("https://{}", upstream.address()));
    let (reply, judged) = gateway.judged("api", || Client::of(&gateway).ask(get("/")));
    check("refuses or resets the connection", Gets::Fallback("unreachable"), &reply, &judged);
}

#[test]
fn a_connection_is_used_again_after_an_answer_and_never_after_doubt() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    let connections = || upstream.stats()["connections"].as_u64().unwrap();
    assert_eq!(gateway.get("/").status, 200);
    for status in [200, 404, 429, 500] {
        upstream.set(&format!("status:{status}"));
        // Each other time on a circuit that may be paced by now.
        gateway.get("/");
    }
    assert_eq!(connections(), 1);
    eventually("no longer paced", || gateway.circuit("api")["paced_for_seconds"].is_null());
    for behaviour in ["truncate", "bad-chunk", "head-then-hang", "length-and-chunked", "hang"] {
        upstream.set(behaviour);
        let before = connections();
        Client::of(&gateway).ask(get("/bytes/10000"));
        upstream.set("ok");
        assert_eq!(gateway.get("/").status, 200);
        assert!(connections() > before, "a fresh connection after {behaviour}");
    }
}

#[test]
fn a_client_that_goes_away_is_nobodys_fault() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    let half_a_body = request("POST", "/patient/echo", "", [b'x'; 1_000]);
    let half_a_body = &half_a_body[..half_a_body.len() - 500];
    for (what, behaviour, sent) in [
        ("before the head of the answer", "hang", get("/patient/")),
        ("within the body of the answer", "head-then-hang", get("/patient/bytes/10000")),
        ("within its own body", "ok", half_a_body.to_vec()),
    ] {
        upstream.set(behaviour);
        upstream.reset_stats();
        let ((), judged) = gateway.judged("api", || {
            let mut client = Client::of(&gateway);
            client.send(&sent);
            eventually("the request under way", || upstream.requests() == 1);
            if behaviour == "head-then-hang" {
                client.head();
            }
            client.leave();
        });
        assert_eq!(judged.outcome, "neutral", "{what}");
        eventually("the upstream let go", || upstream.stats()["in_flight"] == 0);
    }
    assert_eq!(gateway.circuit("api")["last_errors"].as_array().unwrap().len(), 0);
    assert_eq!(gateway.state("api"), "closed");
}

#[test]
fn two_framings_are_called_what_they_are() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    upstream.set("length-and-chunked");
    let (_, judged) = gateway.judged("api", || Client::of(&gateway).ask(get("/")));
    assert_eq!(judged.kind, "invalid_response");
    assert!(judged.message.ends_with("can be read in more than one way"), "{}", judged.message);
}
