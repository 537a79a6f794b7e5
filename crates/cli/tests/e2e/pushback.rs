//! Pushback: an upstream that asks to slow down is left alone for as long as it asked, and is not
//! taken for failing.

use std::fmt::Write as _;

use crate::raw::{Client, End, Reply, get};
use crate::support::{Gateway, Upstream, eventually};

/// A year in which nothing of this runs any more.
const FAR_DATE: &str = "Tue, 31 Dec 2999 23:59:59 GMT";

/// One circuit and path for each, `c0` at `/0` and so on.
fn gateway(upstream: &Upstream, circuits: usize) -> Gateway {
    let mut toml = format!("[upstreams.api]\nurl = \"{}\"\n", upstream.url());
    for number in 0..circuits {
        write!(
            toml,
            r#"
            [circuit_breaker.circuits.c{number}]
            failure_threshold = 3
            max_retry_after = "2m"
            [[routes]]
            path = "/{number}"
            upstreams = ["api"]
            circuit = "c{number}"
            "#
        )
        .unwrap();
    }
    Gateway::start(&toml)
}

fn ask(gateway: &Gateway, path: &str) -> Reply {
    let reply = Client::of(gateway).ask(get(path));
    assert_eq!(reply.end, End::Whole);
    reply
}

fn paced_for(gateway: &Gateway, circuit: &str) -> f64 {
    gateway.circuit(circuit)["paced_for_seconds"].as_f64().unwrap_or_default()
}

#[test]
fn a_hint_in_any_form_paces_and_reaches_the_client_as_it_was_written() {
    let upstream = Upstream::start();
    let far = format!("retry-after=\"{FAR_DATE}\"");
    // What the upstream says, and for how long it is then left alone: at least and at most.
    let cases = [
        ("status:429,retry-after=30", 29.0, 30.0),
        ("status:503,retry-after=30", 29.0, 30.0),
        ("status:529,retry-after=30", 29.0, 30.0),
        (&*format!("status:429,{far}"), 119.0, 120.0),
        (&*format!("status:503,{far}"), 119.0, 120.0),
        ("status:429,retry-after-ms=45000", 44.0, 45.0),
        ("status:429,retry-after=30,retry-after-ms=45000", 44.0, 45.0),
        ("status:429,header=\"x-ratelimit-reset-tokens: 1m15s\"", 74.0, 75.0),
        ("status:429,retry-after=30,header=\"x-ratelimit-reset-tokens: 2m\"", 29.0, 30.0),
        // No hint, or none that can be read: a second.
        ("status:429", 0.0, 1.0),
        ("status:529", 0.0, 1.0),
        ("status:429,retry-after=soon", 0.0, 1.0),
        ("status:429,retry-after=-5", 0.0, 1.0),
    ];
    let gateway = gateway(&upstream, cases.len());
    for (number, (behaviour, least, most)) in cases.into_iter().enumerate() {
        let (circuit, path) = (format!("c{number}"), format!("/{number}"));
        upstream.set(behaviour);
        let (reply, judged) = gateway.judged(&circuit, || ask(&gateway, &path));
        assert_eq!(judged.outcome, "pushback", "{behaviour}");
        assert_eq!(reply.status.to_string(), behaviour[7..10]);
        assert!(reply.text().starts_with("status "), "the upstream's own body: {behaviour}");
        assert_eq!(reply.header("x-panelboard-fallback"), None);
        for name in ["retry-after", "retry-after-ms"] {
            let said = behaviour.split(',').find_map(|part| part.strip_prefix(&format!("{name}=")));
            let said = said.map(|said| said.trim_matches('"'));
            let said = if behaviour.contains(FAR_DATE) && name == "retry-after" {
                Some(FAR_DATE)
            } else {
                said
            };
            assert_eq!(reply.header(name), said, "{behaviour}");
        }
        let wait = paced_for(&gateway, &circuit);
        assert!(least < wait && wait <= most, "{behaviour}: {wait}");

        // While it is paced, the upstream is left alone, and who asks is told when to come back.
        let before = upstream.requests();
        let refused = ask(&gateway, &path);
        assert_eq!(refused.status, 503);
        let problem = refused.json();
        assert_eq!((&problem["reason"], &problem["state"]), (&"paced".into(), &"closed".into()));
        let told: f64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(least.max(0.1) <= told && told <= most, "{behaviour}: {told}");
        assert_eq!(problem["retry_after"].as_f64(), Some(told));
        assert_eq!(refused.header("x-panelboard-fallback"), Some("default"));
        assert_eq!(upstream.requests(), before, "{behaviour}");
        assert_eq!(gateway.circuit(&circuit)["rejected_by_reason"]["paced"], 1);
    }
}

#[test]
fn a_503_without_a_readable_hint_is_a_failure() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, 1);
    let limits = "status:503,header=\"x-ratelimit-reset-requests: 30s\"";
    for behaviour in ["status:503", "status:503,retry-after=soon", limits] {
        upstream.set(behaviour);
        let (reply, judged) = gateway.judged("c0", || ask(&gateway, "/0"));
        assert_eq!((reply.status, judged.outcome), (503, "failure"), "{behaviour}");
        assert_eq!(judged.kind, "server_error");
    }
}

#[test]
fn pushback_never_opens_a_circuit_and_ends_by_itself() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, 1);
    upstream.set("status:429,retry-after-ms=40");
    eventually("more pushback than failures would be borne", || {
        ask(&gateway, "/0");
        gateway.count("c0", "pushback") >= 5
    });
    assert_eq!(gateway.state("c0"), "closed");
    assert_eq!(gateway.count("c0", "failure"), 0);
    upstream.set("ok");
    eventually("the hint has passed", || ask(&gateway, "/0").status == 200);
    assert!(gateway.circuit("c0")["paced_for_seconds"].is_null());
}
