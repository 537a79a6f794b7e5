//! Clients that speak HTTP/2 in the clear, well and badly.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{Gateway, Upstream, eventually};

const PATIENCE: Duration = Duration::from_secs(10);

fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [gateway]
        admin = "127.0.0.1:0"
        listen = {{ address = "127.0.0.1:0", h2c = true }}
        {more}
        [circuit_breaker.circuits.api]
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        upstream.url()
    ))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, future).await.expect("in time") })
}

type Client = SendRequest<Bytes>;
type Connection = JoinHandle<Result<(), h2::Error>>;

async fn connect(gateway: &Gateway) -> (Client, Connection) {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    (client, tokio::spawn(connection))
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://panel.example{path}"))
}

async fn get(client: &mut Client, path: &str) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
    ask(client, request("GET", path)).await
}

async fn ask(
    client: &mut Client,
    request: http::request::Builder,
) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
    let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
    let (head, body) = response.await.unwrap().into_parts();
    let (body, trailers) = whole(body).await;
    (Response::from_parts(head, ()), body, trailers)
}

async fn whole(mut body: RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        all.extend_from_slice(&piece);
    }
    (all, body.trailers().await.unwrap())
}

#[test]
fn both_protocols_are_served_at_one_address() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "");
    assert_eq!(gateway.get("/").status, 200);
    block_on(async {
        let (mut client, _connection) = connect(&gateway).await;
        let asked = request("GET", "/a").header("cookie", "a=1").header("cookie", "b=2");
        let (head, body, _) = ask(&mut client, asked).await;
        assert_eq!(head.status(), 200);
        let seen: Value = serde_json::from_slice(&body).unwrap();
        let headers = seen["headers"].to_string();
        assert!(headers.contains("[\"cookie\",\"a=1; b=2\"]"), "{headers}");
        assert!(headers.contains("[\"x-forwarded-host\",\"panel.example\"]"), "{headers}");

        let (head, body, _) = get(&mut client, "/bytes/3000000").await;
        assert_eq!(
            (head.headers()["content-length"].as_bytes(), body.len()),
            (&b"3000000"[..], 3_000_000)
        );
        let (_, body, trailers) = get(&mut client, "/trailers").await;
        assert_eq!((body.len(), trailers.unwrap().contains_key("x-crc32")), (1_000, true));

        // Up and down at once, more than any window has room for.
        let asked = request("POST", "/echo").header("content-type", "x/y").body(()).unwrap();
        let (response, mut upload) = client.send_request(asked, false).unwrap();
        let sending = tokio::spawn(async move {
            for part in 0..40 {
                let piece = Bytes::from(vec![part; 50_000]);
                upload.reserve_capacity(piece.len());
                while upload.capacity() < piece.len() {
                    poll_fn(|cx| upload.poll_capacity(cx)).await.unwrap().unwrap();
                }
                upload.send_data(piece, part == 39).unwrap();
            }
        });
        let (body, _) = whole(response.await.unwrap().into_body()).await;
        sending.await.unwrap();
        assert_eq!((body.len(), body[0], body[1_999_999]), (2_000_000, 0, 39));
    });
    eventually("all are judged", || gateway.count("api", "success") == 5);
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "max_headers = 20");
    block_on(async {
        let (mut client, _connection) = connect(&gateway).await;
        let (head, body, _) = ask(&mut client, request("GET", "/").header("host", "other")).await;
        let body = String::from_utf8(body).unwrap();
        assert_eq!(head.status(), 400, "{body}");
        assert!(body.contains("contradict"), "{body}");
        let many = (0..30).fold(request("GET", "/"), |r, i| r.header(format!("x-{i}"), "y"));
        assert_eq!(ask(&mut client, many).await.0.status(), 431);
        // More was promised than sent.
        let asked = request("POST", "/").header("content-length", "5").body(()).unwrap();
        let (response, mut upload) = client.send_request(asked, false).unwrap();
        upload.send_data(Bytes::from_static(b"abc"), true).unwrap();
        match response.await {
            Ok(response) => assert_eq!(response.status(), 400),
            Err(error) => assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR)),
        }
        assert_eq!(get(&mut client, "/").await.0.status(), 200, "the connection goes on");
    });
    assert_eq!(gateway.count("api", "failure"), 0);
}

#[test]
fn a_client_that_takes_back_all_it_asks_for_is_let_go() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "http2 = { max_resets = 10 }");
    upstream.set("slow:100ms");
    block_on(async {
        // Frames by hand: the library would not send a reset before the head has gone.
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for index in 0..2_000_u32 {
            let id = (2 * index + 1).to_be_bytes();
            // GET, http, / from the table of headers, and `a` as the authority.
            bytes.extend([&[0, 0, 6, 1, 5][..], &id, &[0x82, 0x86, 0x84, 0x41, 1, b'a']].concat());
            bytes.extend([&[0, 0, 4, 3, 0][..], &id, &[0, 0, 0, 8]].concat());
        }
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let sent = async {
            let _ = write.write_all(&bytes).await;
        };
        let _ = tokio::join!(sent, read.read_to_end(&mut answer));
        // GOAWAY, for the reason ENHANCE_YOUR_CALM.
        let told = answer.windows(9).any(|frame| frame[3] == 7 && frame[5..] == [0; 4]);
        let calm = answer.windows(4).any(|reason| reason == [0, 0, 0, 11]);
        assert!(told && calm, "{answer:?}");
    });
    assert!(upstream.requests() < 1_000, "{}", upstream.requests());
    upstream.set("ok");
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_body_that_does_not_go_on_is_given_up() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, r#"idle_timeout = "300ms""#);
    block_on(async {
        let (mut client, _connection) = connect(&gateway).await;
        let asked = request("POST", "/").body(()).unwrap();
        let (response, mut upload) = client.send_request(asked, false).unwrap();
        upload.send_data(Bytes::from_static(b"abc"), false).unwrap();
        assert_eq!(response.await.unwrap().status(), 400);
        assert_eq!(get(&mut client, "/").await.0.status(), 200, "others are not concerned");
    });
    assert_eq!((gateway.count("api", "neutral"), gateway.count("api", "failure")), (1, 0));
}

#[test]
fn connections_that_want_nothing_or_take_nothing_are_let_go() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "idle_timeout = \"300ms\"\nheader_read_timeout = \"300ms\"");
    block_on(async {
        // Nothing at all, half a preface, and a head that does not end.
        for sent in [
            &b""[..],
            b"PRI * HT",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x10\x01",
        ] {
            let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
            stream.write_all(sent).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{sent:?}");
        }
        let (mut client, connection) = connect(&gateway).await;
        assert_eq!(get(&mut client, "/").await.0.status(), 200);
        connection.await.unwrap().expect("closed in order");
        // An answer larger than the window, of which nothing is taken.
        let (mut client, connection) = connect(&gateway).await;
        let asked = request("GET", "/bytes/1000000").body(()).unwrap();
        let (response, _) = client.send_request(asked, true).unwrap();
        let _response = response.await.unwrap();
        let _ = connection.await.unwrap();
    });
}

#[test]
fn requests_under_way_finish_when_the_gateway_stops() {
    let upstream = Upstream::start();
    let mut gateway = gateway(&upstream, "");
    upstream.set("slow:500ms");
    block_on(async {
        let (mut client, connection) = connect(&gateway).await;
        let asked = request("GET", "/").body(()).unwrap();
        let (response, _) = client.send_request(asked, true).unwrap();
        while upstream.stats()["in_flight"] != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gateway.process.signal("TERM");
        assert_eq!(response.await.unwrap().status(), 200);
        let _ = connection.await.unwrap();
    });
    assert_eq!(gateway.process.exit_code(), Some(0));
}
