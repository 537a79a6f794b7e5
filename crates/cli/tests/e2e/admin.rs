//! The admin API: what circuits look like, and orders to them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Gateway, Upstream, eventually};

/// Two circuits, of which `api` trips at two failures and stays open.
fn start(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = 2
        recovery_timeout = "1m"
        jitter = "none"
        [circuit_breaker.circuits.spare]
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        upstream.url()
    ))
}

fn trip(gateway: &Gateway, upstream: &Upstream) {
    upstream.set("status:500");
    while gateway.state("api") == "closed" {
        assert_eq!(gateway.get("/").status, 500);
    }
}

fn names_of(list: &Value) -> Vec<&str> {
    let circuits = list["circuits"].as_array().unwrap();
    circuits.iter().map(|circuit| circuit["name"].as_str().unwrap()).collect()
}

// ===== seeing =====

#[test]
fn circuits_are_listed_by_state() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    trip(&gateway, &upstream);
    let list = |query: &str| gateway.admin(&format!("/api/v1/circuits{query}"));
    assert_eq!(names_of(&list("").json()), ["api", "spare"]);
    assert_eq!(names_of(&list("?state=open").json()), ["api"]);
    assert_eq!(names_of(&list("?state=closed").json()), ["spare"]);
    assert_eq!(list("?state=half_open").json(), json!({ "circuits": [] }));
    // A slip must not look like an empty answer.
    for (query, named) in [("?state=opne", "`opne`"), ("?state=", "``"), ("?stat=open", "`stat`")] {
        let answer = list(query);
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(named) && detail.contains("state"), "{detail}");
    }
    assert!(list("?state=opne").body.contains("must be closed, open or half_open"));
}

#[test]
fn many_circuits_are_listed_in_parts() {
    let names = |n: u32| format!("c{n:04}");
    let circuits: Vec<String> =
        (0..1_100).map(|n| format!("[circuit_breaker.circuits.{}]\n", names(n))).collect();
    let gateway = Gateway::start(&circuits.concat());
    let list = |query: &str| gateway.admin(&format!("/api/v1/circuits{query}")).json();
    let first = list("");
    let count = |list: &Value| list["circuits"].as_array().unwrap().len();
    assert_eq!((count(&first), &first["next"]), (1_000, &json!("c0999")));
    let rest = list("?after=c0999");
    assert_eq!((count(&rest), rest.get("next")), (100, None));
    let some = list("?after=c0007&limit=2&state=closed");
    assert_eq!((names_of(&some), &some["next"]), (vec!["c0008", "c0009"], &json!("c0009")));
    assert_eq!(list("?limit=1100")["detail"], "`limit` is 1100, but must be from 1 to 1000.");
    let output = gateway.cli(&["status", "--json"]);
    let all: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((count(&all), &all["version"]), (1_100, &json!(1)));
}

#[test]
fn a_circuit_shows_what_fired_with_its_numbers() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let fresh = gateway.circuit("api");
    assert_eq!((&fresh["trip"], &fresh["last_errors"]), (&Value::Null, &json!([])));
    assert_eq!(gateway.get("/").status, 200);
    upstream.set("status:503");
    for _ in 0..2 {
        let parent = format!("00-{trace}-b7ad6b7169203331-01");
        assert_eq!(gateway.get_with("/", &[("traceparent", &parent)]).status, 503);
    }
    assert_eq!(gateway.get("/").json()["reason"], "open");

    let api = gateway.circuit("api");
    assert_eq!((&api["state"], &api["mode"]), (&json!("open"), &json!("auto")));
    assert_eq!((&api["health"], &api["generation"]), (&json!("degraded"), &json!(2)));
    assert_eq!(api["consecutive_failures"], 2);
    let wait = api["retry_after_seconds"].as_f64().unwrap();
    assert!(wait > 30.0 && wait <= 60.0, "{wait}");
    assert_eq!(api["trip"]["rule"]["name"], "consecutive_failures");
    assert_eq!(api["trip"]["rule"]["consecutive_failures"], 2);
    assert_eq!(api["trip"]["rule"]["thresholds"]["failure_threshold"], 2);
    assert_eq!(api["trip"]["rule"]["calls"], 3);
    assert_eq!(api["trip"]["failures_by_kind"], json!({ "server_error": 2 }));
    assert_eq!(api["trip"]["opens_for_seconds"], 60.0);
    let errors = api["last_errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    for error in errors {
        assert_eq!((&error["kind"], &error["status"]), (&json!("server_error"), &json!(503)));
        assert_eq!(error["trace_id"], trace);
        assert!(error["latency_seconds"].as_f64().unwrap() < 5.0);
    }
    // Every setting says where it comes from.
    let origin = |key: &str| api["settings"][key]["origin"].as_str().unwrap().to_owned();
    assert!(origin("failure_threshold").ends_with("panelboard.toml:3"));
    assert_eq!(origin("min_calls"), "default");

    let explained = gateway.admin("/api/v1/circuits/api/explain").json();
    assert_eq!((&explained["name"], &explained["state"]), (&json!("api"), &json!("open")));
    for sentence in [&explained["explain"], &api["explain"]] {
        let sentence = sentence.as_str().unwrap();
        assert!(sentence.starts_with("`api` OPEN for "), "{sentence}");
        let why = "onsecutive_failures fired: 2 failures in a row (limit 2).";
        assert!(sentence.contains(why), "{sentence}");
        assert!(sentence.contains("HTTP 503 (2)") && sentence.contains("Next probe in "));
        assert!(sentence.contains("1 call rejected since"), "{sentence}");
    }
}

#[test]
fn an_unknown_circuit_is_not_found_and_its_neighbour_is_named() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    for path in ["/api/v1/circuits/spaer", "/api/v1/circuits/spaer/explain"] {
        let answer = gateway.admin(path);
        assert_eq!(answer.status, 404);
        let detail = "There is no circuit `spaer`. Did you mean `spare`?";
        assert_eq!(answer.json()["detail"], detail);
    }
    let answer = gateway.order("spaer", "auto", "{}");
    assert_eq!((answer.status, answer.body.contains("`spare`?")), (404, true));
    let nothing_like_it = gateway.admin("/api/v1/circuits/zzzzzz").json();
    assert_eq!(nothing_like_it["detail"], "There is no circuit `zzzzzz`.");
    assert_eq!(
        gateway.admin("/api/v1/circuit").json()["detail"],
        "There is nothing at /api/v1/circuit."
    );
}

// ===== orders =====

#[test]
fn orders_steer_a_circuit_and_say_who_and_why() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);

    let answer = gateway.order("api", "force-open", r#"{"reason":"disk swap","for":"10m"}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let api = answer.json();
    assert_eq!((&api["mode"], &api["health"]), (&json!("forced_open"), &json!("unhealthy")));
    assert_eq!(api["override"]["reason"], "disk swap");
    assert_eq!(api["override"]["by"], "admin API");
    let left = api["override"]["for_seconds"].as_f64().unwrap();
    assert!(left > 590.0 && left <= 600.0, "{left}");
    assert!(api["explain"].as_str().unwrap().contains("FORCED OPEN"), "{api}");
    let refused = gateway.get("/");
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &json!("forced")));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((590..=600).contains(&wait), "until the override ends: {wait}");
    assert_eq!(upstream.requests(), 0);

    // Forced closed, failures neither stop anything nor count against anybody.
    let body = r#"{"reason":"false alarm"}"#;
    let api = gateway.order("api", "force-closed", body).json();
    let hour = api["override"]["for_seconds"].as_f64().unwrap();
    assert!(hour > 3_590.0 && hour <= 3_600.0, "an hour unless it is said: {hour}");
    upstream.set("status:500");
    for _ in 0..5 {
        assert_eq!(gateway.get("/").status, 500);
    }
    assert_eq!((gateway.state("api"), upstream.requests()), ("closed".into(), 5));

    // Observed, it trips, and refuses nothing.
    assert_eq!(gateway.order("api", "observe", "{}").json()["mode"], "observe");
    for _ in 0..4 {
        assert_eq!(gateway.get("/").status, 500);
    }
    assert_eq!((gateway.state("api"), upstream.requests()), ("open".into(), 9));
    assert_eq!((gateway.count("api", "rejected"), gateway.count("api", "would_reject")), (1, 2));

    // Left to itself again, it refuses: the phase it observed goes on.
    let api = gateway.order("api", "auto", "{}").json();
    assert_eq!((&api["mode"], &api["state"]), (&json!("auto"), &json!("open")));
    assert_eq!((gateway.get("/").status, upstream.requests()), (503, 9));

    upstream.set("ok");
    let api = gateway.order("api", "reset", r#"{"reason":"fixed"}"#).json();
    assert_eq!((&api["state"], &api["consecutive_failures"]), (&json!("closed"), &json!(0)));
    assert!(api.get("override").is_none(), "{api}");
    assert_eq!((gateway.get("/").status, upstream.requests()), (200, 10));
    let last = &gateway.circuit("api")["last_transition"];
    assert_eq!((&last["cause"], &last["reason"]), (&json!("reset"), &json!("fixed")));
    assert_eq!(gateway.circuit("spare")["mode"], "auto", "nobody else is concerned");

    assert_eq!(gateway.order("api", "trip", "{}").json()["state"], "open");
    assert_eq!(gateway.get("/").json()["reason"], "open");
}

#[test]
fn an_override_ends_by_itself() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    // Long enough for a slow machine to see it, and in the two ways durations are written.
    for time in ["\"700ms\"", "0.7"] {
        let body = format!(r#"{{"reason":"a moment","for":{time}}}"#);
        assert_eq!(gateway.order("api", "force-open", &body).status, 200);
        assert_eq!(gateway.get("/").json()["reason"], "forced");
        eventually("the end of the override", || gateway.get("/").status == 200);
        let api = gateway.circuit("api");
        assert_eq!((&api["mode"], api.get("override")), (&json!("auto"), None));
    }
    // The end is announced even if nobody calls.
    let body = r#"{"reason":"quiet","for":"100ms"}"#;
    assert_eq!(gateway.order("spare", "force-open", body).status, 200);
    eventually("a line about the end", || {
        gateway.process.log().contains("`spare` forced_open → auto")
    });
    let log = gateway.process.log();
    assert!(log.contains("`spare` auto → forced_open") && log.contains("quiet"), "{log}");
}

#[test]
fn orders_that_cannot_be_are_refused_with_a_reason() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(501));
    for (order, body, status, named) in [
        ("force-open", "{}", 400, "`force-open` needs a `reason`"),
        ("force-open", r#"{"reason":"  "}"#, 400, "needs a `reason`"),
        ("force-closed", "{}", 400, "`force-closed` needs a `reason`"),
        ("force-open", &long, 400, "longer than 500 characters"),
        ("observe", r#"{"for":"soon"}"#, 400, "`for` is \"soon\", but must be a duration"),
        ("observe", r#"{"for":0}"#, 400, "`for` is 0"),
        ("observe", r#"{"for":-5}"#, 400, "`for` is -5"),
        ("observe", r#"{"for":true}"#, 400, "`for` is true"),
        ("observe", r#"{"for":"8d"}"#, 400, "must not be longer than 7 days"),
        ("observe", r#"{"for":1e300}"#, 400, "`for` is"),
        ("reset", r#"{"for":"1m"}"#, 400, "`reset` happens at once: it takes no `for`"),
        ("explode", "{}", 404, "There is no order `explode`: use force-open"),
        ("observe", r#"{"reasn":"x"}"#, 422, "unknown field `reasn`"),
        ("observe", r#"{"reason":5}"#, 422, "expected a string"),
        ("observe", "[null, null]", 422, "a list, but must be an object"),
        ("observe", r#"{"reason""#, 400, "EOF while parsing"),
        ("observe", "reason=x", 400, "line 1 column 1"),
        ("observe", "", 400, "EOF while parsing"),
    ] {
        let answer = gateway.order("api", order, body);
        assert_eq!(answer.status, status, "{order} {body}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{order} {body}: {detail}");
        assert_eq!(
            (&problem["status"], gateway.circuit("api")["mode"].as_str()),
            (&json!(status), Some("auto"))
        );
    }
    // What is just allowed.
    let body = format!(r#"{{"reason":"{}","for":"7d"}}"#, "ü".repeat(500));
    let api = gateway.order("api", "observe", &body).json();
    let week = Duration::from_secs(7 * 24 * 3_600).as_secs_f64();
    assert!(week - api["override"]["for_seconds"].as_f64().unwrap() < 60.0, "{api}");
}
