//! Equals: who is asked first, and who is left out.

use std::collections::BTreeMap;

use crate::raw::{Client, get};
use crate::support::{Gateway, Upstream, eventually};

fn gateway(upstreams: &[Upstream; 3], balance: &str) -> Gateway {
    let [a, b, c] = upstreams.each_ref().map(Upstream::url);
    Gateway::start(&format!(
        r#"
        [circuit_breaker.defaults]
        failure_threshold = 3
        recovery_timeout = "1h"
        [upstreams]
        a.url = "{a}"
        b.url = "{b}"
        c.url = "{c}"
        [[routes]]
        path = "/again"
        upstreams = ["a", "b", "c"]
        balance = "{balance}"
        retry = {{ max_attempts = 2, base_delay = "1ms" }}
        [[routes]]
        upstreams = ["a", "b", "c"]
        balance = "{balance}"
        "#
    ))
}

fn three() -> [Upstream; 3] {
    [(); 3].map(|()| Upstream::start())
}

/// Who answered how many of so many requests.
fn shares(gateway: &Gateway, requests: u32) -> BTreeMap<String, u32> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        let answer = gateway.get("/");
        assert_eq!(answer.status, 200);
        let by = answer.header("x-panelboard-upstream").unwrap().to_owned();
        *shares.entry(by).or_default() += 1;
    }
    shares
}

fn of(shares: &[(&str, u32)]) -> BTreeMap<String, u32> {
    shares.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect()
}

#[test]
fn each_has_its_turn() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "round-robin");
    assert_eq!(shares(&gateway, 30), of(&[("a", 10), ("b", 10), ("c", 10)]));
}

#[test]
fn nobody_asks_an_open_one_while_another_is_closed() {
    for balance in ["round-robin", "least-pending"] {
        let upstreams = three();
        let gateway = gateway(&upstreams, balance);
        upstreams[1].set("status:500");
        // Until it is open, its failures are made good by the others.
        shares(&gateway, 30);
        assert_eq!(gateway.state("b"), "open", "{balance}");
        assert_eq!(upstreams[1].requests(), 3, "{balance}");
        gateway.order("a", "trip", "{}");
        assert_eq!(shares(&gateway, 6), of(&[("c", 6)]), "{balance}");
        // The last one is protected like the others.
        gateway.order("c", "trip", "{}");
        let before = upstreams.each_ref().map(Upstream::requests);
        let answer = gateway.get("/");
        assert_eq!((answer.status, &answer.json()["reason"]), (503, &"open".into()));
        assert_eq!(upstreams.each_ref().map(Upstream::requests), before);
    }
}

#[test]
fn the_one_with_the_fewest_requests_under_way_is_asked() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "least-pending");
    for upstream in &upstreams[..2] {
        upstream.set("path:/hang=hang");
    }
    upstreams[2].set("path:/hang=status:500\npath:/=ok");
    // Whoever gets it, the other two are left with less to do.
    let mut held: Vec<Client> = Vec::new();
    for n in 1..=2 {
        let mut client = Client::of(&gateway);
        client.send(get("/hang"));
        let busy = || upstreams.iter().filter(|u| u.stats()["in_flight"] == 1).count();
        eventually("a request that hangs", || busy() == n);
        held.push(client);
    }
    assert_eq!(shares(&gateway, 9), of(&[("c", 9)]));
    held.into_iter().for_each(Client::leave);
    let idle = || upstreams.iter().all(|upstream| upstream.stats()["in_flight"] == 0);
    eventually("nothing under way", idle);
    assert_eq!(shares(&gateway, 9), of(&[("a", 3), ("b", 3), ("c", 3)]));
}

#[test]
fn a_request_that_failed_goes_to_another_first() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "round-robin");
    for upstream in &upstreams {
        upstream.set("status:502");
    }
    assert_eq!(gateway.get("/again").status, 502);
    assert_eq!(upstreams.each_ref().map(Upstream::requests), [2, 2, 2]);
}

#[test]
fn equals_get_the_clients_credentials() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "round-robin");
    for _ in 0..3 {
        gateway.get_with("/", &[("authorization", "Bearer mine")]);
    }
    for upstream in &upstreams {
        let headers = upstream.stats()["last_requests"][0]["headers"].to_string();
        assert!(headers.contains("authorization"), "{headers}");
    }
}
