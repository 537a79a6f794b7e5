use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::client::{Ended, Upstream, get, put};
use crate::upstream::behaviour::Behaviour;
use crate::upstream::plan::Plan;

/// Whether a connect is refused. One that is just being let in when the socket closes is reset.
async fn refused(upstream: &Upstream) -> bool {
    let connected = TcpStream::connect(upstream.addr).await;
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Waits until connects are let in again.
async fn back(upstream: &Upstream) {
    let back = async {
        while refused(upstream).await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(5), back).await.unwrap();
}

async fn set(upstream: &Upstream, behaviour: &str) {
    upstream.handle.set(behaviour.parse::<Plan>().unwrap());
    upstream.handle.settled().await;
}

#[tokio::test]
async fn refusing_closes_the_socket_and_resets_connections() {
    let upstream = Upstream::start("hang");
    let (mut idle, mut busy) = (upstream.connect().await, upstream.connect().await);
    idle.send(get("/", "ok")).await;
    idle.reply().await;
    busy.send(get("/", "")).await;
    upstream.report_when(|report| report.in_flight == 1).await;
    set(&upstream, "refuse").await;
    assert!(refused(&upstream).await);
    assert_eq!(idle.rest().await, (String::new(), Ended::ByReset));
    assert_eq!(busy.rest().await, (String::new(), Ended::ByReset));
    upstream.report_when(|report| report.in_flight == 0).await;
    set(&upstream, "ok").await;
    assert_eq!(upstream.ask(get("/", "")).await.status, 200, "the same port again");
}

#[tokio::test]
async fn refusing_for_a_time_ends_by_itself() {
    let upstream = Upstream::start("status:418");
    for _ in 0..3 {
        set(&upstream, "refuse:40ms").await;
        assert!(refused(&upstream).await);
        back(&upstream).await;
        assert_eq!(upstream.ask(get("/", "")).await.status, 418, "as before");
    }
}

#[tokio::test]
async fn a_refusal_asked_for_over_http_is_confirmed_first() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    client.send(put("/__upstream/behaviour", "refuse:50ms")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text()), (200, "refuse:50ms\n"));
    assert!(reply.head.contains("connection: close\r\n"), "{}", reply.head);
    assert!(refused(&upstream).await);
    assert_eq!(client.rest().await, (String::new(), Ended::InOrder));
    back(&upstream).await;
    assert_eq!(upstream.ask(get("/__upstream/behaviour", "")).await.text(), "ok\n");
}

#[tokio::test]
async fn a_script_can_refuse_now_and_then() {
    let upstream = Upstream::start("refuse:1ms");
    upstream.handle.settled().await;
    set(&upstream, "30ms=ok 30ms=refuse").await;
    for _ in 0..3 {
        back(&upstream).await;
        let shut = async {
            while !refused(&upstream).await {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(5), shut).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_refuses_can_be_stopped() {
    let upstream = Upstream::start("ok");
    set(&upstream, "refuse").await;
    let handle = upstream.handle.clone();
    upstream.stop().await;
    handle.set(Behaviour::ok());
    handle.settled().await;
}
