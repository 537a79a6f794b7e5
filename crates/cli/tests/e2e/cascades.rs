//! Circuits that depend on each other: one outage trips one circuit.

use crate::support::{Gateway, Upstream, eventually};

#[test]
fn failures_are_excused_while_a_dependency_is_open_and_a_reload_may_end_that() {
    let upstream = Upstream::start();
    upstream.set("status:500");
    let config = |depends_on: &str| {
        format!(
            r#"
            [circuit_breaker.circuits.database]
            [circuit_breaker.circuits.api]
            failure_threshold = 2
            {depends_on}
            [upstreams.api]
            url = "{}"
            [[routes]]
            upstreams = ["api"]
            circuit = "api"
            "#,
            upstream.url()
        )
    };
    let gateway = Gateway::start(&config(r#"depends_on = ["database"]"#));
    gateway.order("database", "force-open", r#"{"reason":"maintenance"}"#);
    for _ in 0..5 {
        assert_eq!(gateway.get("/").status, 500, "what the upstream says is passed on");
    }
    let circuit = gateway.circuit("api");
    assert_eq!((&circuit["state"], &circuit["calls"]["excused"]), (&"closed".into(), &5.into()));
    assert_eq!(circuit["depends_on"][0]["name"], "database");
    assert_eq!(circuit["depends_on"][0]["open"], true);
    let explained = circuit["explain"].as_str().unwrap();
    assert!(explained.contains("`database` is open, on which it depends"), "{explained}");

    gateway.rewrite(&config(""));
    eventually("the reload", || gateway.circuit("api")["depends_on"].is_null());
    for _ in 0..2 {
        assert_eq!(gateway.get("/").status, 500);
    }
    assert_eq!(gateway.state("api"), "open");
}
