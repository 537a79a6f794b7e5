use serde_json::json;

use super::client::{Ended, Upstream, get, post, put};
use crate::upstream::behaviour::Behaviour;
use crate::upstream::script::Script;
use crate::upstream::server::Server;

const BEHAVIOUR: &str = "/__upstream/behaviour";

/// On two threads, where a request could still be in flight after its answer was read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_tell_what_arrived_and_what_became_of_it() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    client.send(post("/a?secret=1", "hello", "")).await;
    client.reply().await;
    client.send(get("/a", "status:503")).await;
    client.reply().await;
    assert_eq!(upstream.all(get("/x", "reset")).await.1, Ended::ByReset);
    let stats = upstream.stats().await;
    for (field, expected) in [
        ("requests", json!(3)),
        ("in_flight", json!(0)),
        ("peak_in_flight", json!(1)),
        ("connections", json!(2)),
        ("malformed", json!(0)),
        ("by_status", json!({ "200": 1, "503": 1, "none": 1 })),
        ("by_behaviour", json!({ "ok": 1, "status": 1, "reset": 1 })),
        ("by_path", json!({ "/a": 2, "/x": 1 })),
    ] {
        assert_eq!(stats[field], expected, "{field}");
    }
    let first = json!({
        "method": "POST",
        "target": "/a?secret=1",
        "headers": [["host", "test"], ["content-length", "5"]],
        "body_length": 5,
        "behaviour": "ok",
    });
    assert_eq!(stats["last_requests"][0], first);
    assert_eq!(stats["last_requests"][1]["behaviour"], "status:503");
}

#[tokio::test]
async fn what_is_in_flight_is_counted_while_it_is() {
    let upstream = Upstream::start("ok");
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = upstream.connect().await;
        client.send(get("/", "head-then-hang")).await;
        client.until("\r\n\r\n").await;
        clients.push(client);
    }
    let stats = upstream.stats().await;
    assert_eq!((&stats["in_flight"], &stats["peak_in_flight"]), (&json!(5), &json!(5)));
    assert_eq!(upstream.ask(post("/__upstream/stats/reset", "", "")).await.status, 200);
    let stats = upstream.stats().await;
    assert_eq!((&stats["in_flight"], &stats["requests"]), (&json!(5), &json!(0)));
    drop(clients);
    let report = upstream.report_when(|report| report.in_flight == 0).await;
    assert!(report.by_status.is_empty(), "of before the reset");
}

#[tokio::test]
async fn memory_of_requests_is_bounded() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    for number in 0..120 {
        client.send(get(&format!("/{number}"), "")).await;
        client.reply().await;
    }
    let report = upstream.handle.report();
    assert_eq!((report.by_path.len(), report.by_path["(other)"]), (101, 20));
    assert_eq!(
        (report.last_requests.len(), report.last_requests[19].target.as_str()),
        (20, "/119")
    );
}

#[tokio::test]
async fn control_is_neither_counted_nor_subject_to_the_behaviour() {
    let upstream = Upstream::start("reset");
    for _ in 0..3 {
        assert_eq!(upstream.stats().await["requests"], 0);
    }
    let with_header = get("/__upstream/stats", "hang");
    assert_eq!(upstream.ask(with_header).await.json()["connections"], 0);
}

#[tokio::test]
async fn a_behaviour_is_in_force_once_it_is_confirmed() {
    let upstream = Upstream::start("ok");
    for (behaviour, status) in [("status:503", 503), ("ok", 200), ("status:404,body=api", 404)] {
        let reply = upstream.ask(put(BEHAVIOUR, behaviour)).await;
        assert_eq!((reply.status, reply.text()), (200, format!("{behaviour}\n").as_str()));
        assert_eq!(upstream.ask(get("/", "")).await.status, status);
        assert_eq!(upstream.ask(get(BEHAVIOUR, "")).await.text(), format!("{behaviour}\n"));
    }
    upstream.handle.set(Behaviour::status(500));
    assert_eq!(upstream.ask(get("/", "")).await.status, 500);
    assert_eq!(upstream.handle.behaviour(), Behaviour::status(500));
}

#[tokio::test]
async fn what_is_not_understood_changes_nothing() {
    let upstream = Upstream::start("ok");
    for (body, why) in [
        ("statsu:500", "one of the behaviours ok,"),
        ("", "a behaviour, or steps such as"),
        ("refuse", "write refuse:3s"),
        ("5s=ok refuse", "write refuse:3s"),
    ] {
        let reply = upstream.ask(put(BEHAVIOUR, body)).await;
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains(why), "{body}: {}", reply.text());
    }
    assert_eq!(upstream.ask(get(BEHAVIOUR, "")).await.text(), "ok\n");
    let reply = upstream.ask(get("/__upstream/nowhere", "")).await;
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("PUT  /__upstream/behaviour"), "{}", reply.text());
}

#[tokio::test]
async fn exceptions_hold_for_their_paths_and_models() {
    let upstream = Upstream::start("ok");
    let plan = "1h=status:500 ok\npath:/v1/embeddings=status:501\nmodel:llama3.1:8b=status:502\n";
    assert_eq!(upstream.ask(put(BEHAVIOUR, plan)).await.text(), plan);
    let chat = |model| post("/v1/chat/completions", &format!("{{\"model\":\"{model}\"}}"), "");
    assert_eq!(upstream.ask(get("/", "")).await.status, 500);
    assert_eq!(upstream.ask(get("/v1/embeddings/x", "")).await.status, 501);
    assert_eq!(upstream.ask(chat("llama3.1:8b")).await.status, 502);
    assert_eq!(upstream.ask(chat("llama3.1:70b")).await.status, 500);
    assert_eq!(upstream.ask(get("/v1/embeddings", "status:503")).await.status, 503);
    let current = upstream.ask(get(BEHAVIOUR, "")).await;
    assert!(current.text().starts_with("status:500\npath:/v1/"), "{}", current.text());
    assert_eq!(upstream.ask(get("/__upstream/script", "")).await.text(), plan);
    upstream.ask(put(BEHAVIOUR, "ok")).await;
    assert_eq!(upstream.ask(chat("llama3.1:8b")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_script_follows_the_clock() {
    use tokio::time::{Duration, advance};
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let handle = server.handle();
    handle.set("8s=ok 6s=slow:2s 3s=refuse:1s".parse::<Script>().unwrap());
    let mut seen = Vec::new();
    for _ in 0..9 {
        seen.push(handle.behaviour().to_string());
        advance(Duration::from_secs(2)).await;
    }
    let expected =
        ["ok", "ok", "ok", "ok", "slow:2s", "slow:2s", "slow:2s", "refuse:1s", "slow:2s"];
    assert_eq!(seen, expected);
    assert_eq!(handle.behaviour().to_string(), "ok", "it starts over");
    handle.set(Behaviour::status(503));
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(handle.behaviour(), Behaviour::status(503), "the script is over");
}

#[tokio::test]
async fn a_stopped_server_leaves_nothing_behind() {
    let upstream = Upstream::start("hang");
    let (addr, handle) = (upstream.addr, upstream.handle.clone());
    let mut client = upstream.connect().await;
    client.send(get("/", "")).await;
    upstream.report_when(|report| report.in_flight == 1).await;
    upstream.stop().await;
    assert_eq!(client.rest().await.0, "");
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    handle.set(Behaviour::ok());
    handle.settled().await;
    assert_eq!(handle.report().in_flight, 0);
}
