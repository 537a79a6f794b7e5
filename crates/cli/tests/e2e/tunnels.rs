//! Connections that change their protocol: WebSocket, and whatever else two sides agree on.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::raw::{Client, End, get, post};
use crate::support::{Gateway, NOBODY, Upstream, eventually};

const OPEN: &str = "panelboard_gateway_tunnels{route=\"/\",circuit=\"ws\"}";

fn gateway_with(gateway: &str, upstream: &str, urls: &[String]) -> Gateway {
    let names: Vec<String> = (0..urls.len()).map(|n| format!("u{n}")).collect();
    let upstreams: Vec<String> = names
        .iter()
        .zip(urls)
        .map(|(name, url)| format!("[upstreams.{name}]\nurl = \"{url}\"\n{upstream}\n"))
        .collect();
    let upstreams = upstreams.concat();
    Gateway::start(&format!(
        "[circuit_breaker.circuits.ws]\nfailure_threshold = 3\nrecovery_timeout = \"1m\"\n\
         [gateway]\n{gateway}\n{upstreams}[[routes]]\nupstreams = {names:?}\ncircuit = \"ws\"\n"
    ))
}

fn gateway(url: String) -> Gateway {
    gateway_with("", "", &[url])
}

fn ended(gateway: &Gateway, how: &str) -> Option<f64> {
    let labels = format!("route=\"/\",circuit=\"ws\",end=\"{how}\"");
    gateway.metric(&format!("panelboard_gateway_tunnels_ended_total{{{labels}}}"))
}

// ===== a WebSocket server, and its clients =====

/// Says back what it hears, or does what it is told.
struct Echo {
    runtime: Runtime,
    address: SocketAddr,
}

impl Echo {
    fn start() -> Echo {
        let runtime = Runtime::new().unwrap();
        let bind = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(bind).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(stream));
            }
        });
        Echo { runtime, address }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of the gateway.
    fn connect(&self, gateway: &Gateway) -> WebSocket {
        let address = gateway.address();
        self.runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (socket, answer) = client_async("ws://test/chat?x=1", stream).await.unwrap();
            assert_eq!(answer.status(), 101);
            assert_eq!(answer.headers()["x-panelboard-circuit"], "ws");
            socket
        })
    }

    fn say(&self, socket: &mut WebSocket, message: &Message) {
        self.runtime.block_on(socket.send(message.clone())).unwrap();
    }

    /// The next message; `None` at an end in order, an error otherwise.
    fn hear(&self, socket: &mut WebSocket) -> Option<Result<Message, String>> {
        let heard = self.runtime.block_on(socket.next())?;
        Some(heard.map_err(|error| error.to_string()))
    }

    fn order(&self, socket: &mut WebSocket, order: &'static str) {
        self.say(socket, &Message::text(order));
    }
}

type WebSocket = WebSocketStream<tokio::net::TcpStream>;

async fn converse(stream: tokio::net::TcpStream) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        match &message {
            Message::Text(order) if order.as_str() == "reset" => {
                // What is closed without lingering is reset.
                socket.get_ref().set_zero_linger().unwrap();
                return;
            }
            Message::Text(order) if order.as_str() == "vanish" => return,
            Message::Text(order) if order.as_str() == "close" => {
                let frame = CloseFrame { code: CloseCode::Normal, reason: "enough".into() };
                let _ = socket.close(Some(frame)).await;
            }
            Message::Text(_) | Message::Binary(_) => {
                let Ok(()) = socket.send(message).await else { return };
            }
            _ => {}
        }
    }
}

// ===== a server of bytes =====

/// Reads a head on each connection, answers with these bytes, and then does this with it.
fn serve_raw(
    answer: &'static str,
    then: impl Fn(TcpStream) + Send + Sync + 'static,
) -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0)
            {
                head.push(byte[0]);
            }
            let _ = tell.send(String::from_utf8(head).unwrap().to_lowercase());
            let _ = stream.write_all(answer.as_bytes());
            then(stream);
        }
    });
    (address, heard)
}

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: custom/1\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Go on\r\nConnection: upgrade\r\nUpgrade: custom/1\r\n\r\n";

// ===== WebSocket =====

#[test]
fn messages_pass_both_ways_and_the_end_is_passed_on() {
    let echo = Echo::start();
    let gateway = gateway(echo.url());
    let mut socket = echo.connect(&gateway);
    let large = vec![7_u8; 1 << 20];
    for message in [Message::text("hello"), Message::binary(large), Message::text("bye")] {
        echo.say(&mut socket, &message);
        assert_eq!(echo.hear(&mut socket), Some(Ok(message)));
    }
    assert_eq!(gateway.metric(OPEN), Some(1.0));
    assert_eq!(gateway.count("ws", "success"), 1, "judged at the 101");
    assert_eq!(gateway.circuit("ws")["in_flight"], 0);
    echo.order(&mut socket, "close");
    let heard = echo.hear(&mut socket).unwrap().unwrap();
    let Message::Close(Some(frame)) = heard else { panic!("{heard:?}") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Normal, "enough"));
    assert_eq!(echo.hear(&mut socket), None, "in order");
    eventually("its end", || ended(&gateway, "finished") == Some(1.0));
    assert_eq!(gateway.metric(OPEN), Some(0.0));
    assert_eq!((gateway.count("ws", "failure"), gateway.count("ws", "neutral")), (0, 0));
}

#[test]
fn an_upstream_that_drops_its_tunnels_trips_the_circuit() {
    let echo = Echo::start();
    let gateway = gateway(echo.url());
    let mut sockets: Vec<WebSocket> = (0..4).map(|_| echo.connect(&gateway)).collect();
    for (n, socket) in sockets.iter_mut().take(3).enumerate() {
        let ((), judged) = gateway.judged("ws", || {
            echo.order(socket, if n == 0 { "vanish" } else { "reset" });
            assert!(echo.hear(socket).is_none_or(|heard| heard.is_err()), "no invented close");
        });
        assert_eq!((judged.outcome, &*judged.kind), ("failure", "connect"));
        assert!(judged.message.contains("tunnel"), "{}", judged.message);
    }
    assert_eq!(gateway.state("ws"), "open");
    assert_eq!(ended(&gateway, "upstream_cut"), Some(3.0));
    // Those that are open go on, and have no say in the outage when they end.
    let socket = &mut sockets[3];
    echo.say(socket, &Message::text("still here"));
    assert_eq!(echo.hear(socket), Some(Ok(Message::text("still here"))));
    echo.order(socket, "reset");
    eventually("its end", || ended(&gateway, "upstream_cut") == Some(4.0));
    assert_eq!(gateway.count("ws", "failure"), 3);
    // And nobody gets another.
    let reply = Client::of(&gateway).ask(ASK);
    assert_eq!((reply.status, reply.header("x-panelboard-state")), (503, Some("open")));
    assert!(reply.header("retry-after").is_some());
}

#[test]
fn a_client_that_leaves_says_nothing_of_the_upstream() {
    let echo = Echo::start();
    let gateway = gateway(echo.url());
    let socket = echo.connect(&gateway);
    drop(socket);
    eventually("its end", || ended(&gateway, "client_gone") == Some(1.0));
    let socket = echo.connect(&gateway);
    socket.get_ref().set_zero_linger().unwrap();
    drop(socket);
    eventually("its end", || ended(&gateway, "client_gone") == Some(2.0));
    assert_eq!(gateway.count("ws", "success"), 2);
    assert_eq!((gateway.count("ws", "failure"), gateway.count("ws", "neutral")), (0, 0));
    assert_eq!(gateway.metric(OPEN), Some(0.0));
}

#[test]
fn the_next_upstream_is_asked_before_there_is_a_tunnel() {
    let echo = Echo::start();
    let failing = Upstream::start();
    failing.set("status:500");
    let gateway = gateway_with("", "", &[NOBODY.into(), failing.url(), echo.url()]);
    let mut socket = echo.connect(&gateway);
    echo.say(&mut socket, &Message::text("hello"));
    assert_eq!(echo.hear(&mut socket), Some(Ok(Message::text("hello"))));
    assert_eq!(failing.requests(), 1);
}

#[test]
fn silence_ends_a_tunnel_and_says_so() {
    let echo = Echo::start();
    let gateway = gateway_with("", "tunnel_idle_timeout = \"400ms\"", &[echo.url()]);
    let mut socket = echo.connect(&gateway);
    let started = Instant::now();
    // A heartbeat keeps it.
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(200));
        echo.say(&mut socket, &Message::Ping("x".into()));
        assert_eq!(echo.hear(&mut socket), Some(Ok(Message::Pong("x".into()))));
    }
    let heard = echo.hear(&mut socket).unwrap().unwrap();
    let Message::Close(Some(frame)) = heard else { panic!("{heard:?}") };
    assert_eq!(frame.code, CloseCode::Away);
    assert!(started.elapsed() >= Duration::from_millis(1_200));
    eventually("its end", || ended(&gateway, "idle") == Some(1.0));
    assert_eq!(gateway.count("ws", "failure"), 0);
}

#[test]
fn tunnels_have_their_grace_when_the_gateway_stops() {
    let echo = Echo::start();
    let mut gateway = gateway_with("shutdown_grace = \"700ms\"", "", &[echo.url()]);
    let mut socket = echo.connect(&gateway);
    let started = Instant::now();
    gateway.process.signal("TERM");
    eventually("the listener is closed", || TcpStream::connect(gateway.address()).is_err());
    echo.say(&mut socket, &Message::text("still here"));
    assert_eq!(echo.hear(&mut socket), Some(Ok(Message::text("still here"))));
    let heard = echo.hear(&mut socket).unwrap().unwrap();
    let Message::Close(Some(frame)) = heard else { panic!("{heard:?}") };
    assert_eq!(frame.code, CloseCode::Away);
    assert_eq!(gateway.process.exit_code(), Some(0));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(5), "{took:?}");
    assert!(gateway.process.log().contains("cut off"));
}

#[test]
fn a_tunnel_counts_as_a_connection_to_its_end() {
    let echo = Echo::start();
    let gateway = gateway_with("max_connections = 1", "", &[echo.url()]);
    let mut socket = echo.connect(&gateway);
    let mut client = Client::of(&gateway);
    client.send(get("/"));
    echo.say(&mut socket, &Message::text("hello"));
    assert_eq!(echo.hear(&mut socket), Some(Ok(Message::text("hello"))));
    assert_eq!(gateway.count("ws", "success"), 1, "the other waits");
    drop(socket);
    assert_eq!(client.reply().status, 503, "its turn, though the upstream has no answer to it");
}

// ===== other protocols =====

#[test]
fn any_protocol_is_tunnelled_once_the_upstream_agrees() {
    let (address, heard) = serve_raw(AGREE, |mut stream| {
        // All of one direction, and then of the other.
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        stream.write_all(format!("heard {said}").as_bytes()).unwrap();
    });
    let gateway = gateway(format!("http://{address}"));
    let mut client = gateway.connect();
    let ask =
        ASK.replace("\r\n\r\n", "\r\nUpgrade: h2c, other/2\r\nSec-WebSocket-Key: abc\r\n\r\n");
    client.write_all(ask.as_bytes()).unwrap();
    let head = heard.recv().unwrap();
    assert!(head.contains("\r\nupgrade: custom/1, other/2\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-key: abc\r\n"), "{head}");
    client.write_all(b"all of it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (head, said) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\nupgrade: custom/1"), "{head}");
    assert_eq!(said, "heard all of it");
    eventually("its end", || ended(&gateway, "finished") == Some(1.0));
}

#[test]
fn what_the_upstream_did_not_agree_to_is_no_tunnel() {
    for (answer, cause) in [
        (AGREE.replace("custom/1", "other"), "changes to a protocol nobody asked for"),
        (AGREE.replace("Upgrade: custom/1\r\n", ""), "changes to a protocol nobody asked for"),
        (AGREE.replace("Connection: upgrade\r\n", ""), "changes to a protocol nobody asked for"),
        (AGREE.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\n"), ""),
        (AGREE.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n"), ""),
    ] {
        let shown = answer.clone();
        let (address, _heard) = serve_raw(Box::leak(answer.into_boxed_str()), |mut stream| {
            // Bytes that must not reach the client.
            let _ = stream.write_all(b"\r\n\r\nsecret of the upstream");
        });
        let gateway = gateway(format!("http://{address}"));
        let (reply, judged) = gateway.judged("ws", || Client::of(&gateway).ask(ASK));
        assert_eq!((reply.status, reply.end), (503, End::Whole), "{shown}");
        assert!(!reply.text().contains("secret"));
        assert_eq!((judged.outcome, &*judged.kind), ("failure", "invalid_response"), "{shown}");
        assert!(judged.message.contains(cause), "{}", judged.message);
        assert_eq!(gateway.metric(OPEN), None);
    }
    // And what was not asked for is none, either.
    let (address, heard) = serve_raw(AGREE, drop);
    let gateway = gateway(format!("http://{address}"));
    for request in [
        get("/"),
        ASK.replace("Upgrade: custom/1", "Upgrade: h2c").into_bytes(),
        ASK.replace("keep-alive, Upgrade", "keep-alive").into_bytes(),
        ASK.replace("HTTP/1.1", "HTTP/1.0").into_bytes(),
    ] {
        assert_eq!(Client::of(&gateway).ask(&request).status, 503);
        let head = heard.recv().unwrap();
        assert!(!head.contains("upgrade"), "{head}");
        gateway.order("ws", "reset", "{}");
    }
}

/// A proxy that takes every answer for a 101 passes on, unseen, whatever the client sends next.
#[test]
fn nothing_is_smuggled_through_an_upgrade_that_was_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        "[upstreams.ws]\nurl = \"{}\"\n[[routes]]\npath = \"/chat\"\nupstreams = [\"ws\"]\n",
        upstream.url()
    ));
    for status in [200, 400, 426, 503] {
        upstream.set(&format!("status:{status}"));
        let mut client = Client::of(&gateway);
        let version = ASK.replace("custom/1", "websocket\r\nSec-WebSocket-Version: 1777");
        client.send([version.as_bytes(), &get("/internal/secrets")].concat());
        assert_eq!(client.reply().status, status);
        let refused = client.reply();
        assert_eq!(refused.status, 404, "a request of its own: {}", refused.text());
        gateway.order("ws", "reset", "{}");
    }
    assert!(upstream.stats()["by_path"].as_object().unwrap().keys().eq(["/chat"]));

    // What is no request is refused as such.
    upstream.set("ok");
    let mut client = Client::of(&gateway);
    client.send([ASK.as_bytes(), &[0x81, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9, b'\n']].concat());
    let last = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(last.contains("HTTP/1.1 400 "), "{last}");
    assert_eq!(upstream.stats()["by_path"].as_object().unwrap().len(), 1);
}

#[test]
fn an_upgrade_with_a_body_is_refused() {
    let upstream = Upstream::start();
    let gateway = gateway(upstream.url());
    let body = ASK.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello");
    let mut client = Client::of(&gateway);
    let reply = client.ask(body);
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("has no body here"), "{}", reply.text());
    assert_eq!(upstream.requests(), 0);
    assert_eq!(client.ask(post("/echo", "next")).body, b"next");
}
