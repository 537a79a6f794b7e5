//! A client that sees every byte and how the connection ended.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::upstream::handle::Handle;
use crate::upstream::plan::Plan;
use crate::upstream::server::Server;
use crate::upstream::stats::Report;

/// Above anything that a test waits for in vain.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running server.
pub(super) struct Upstream {
    pub(super) addr: SocketAddr,
    pub(super) handle: Handle,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
}

pub(super) struct Client {
    socket: TcpStream,
    inbox: Vec<u8>,
}

/// How a connection ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    InOrder,
    ByReset,
}

/// An answer with a head.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

// ===== impl Upstream =====

impl Upstream {
    pub(super) fn start(plan: &str) -> Upstream {
        let plan: Plan = plan.parse().unwrap();
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (addr, handle) = (server.local_addr(), server.handle());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(plan, async {
            let _ = stopped.await;
        }));
        Upstream { addr, handle, stop, running }
    }

    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        self.running.await.unwrap().unwrap();
    }

    pub(super) async fn connect(&self) -> Client {
        let socket = timeout(PATIENCE, TcpStream::connect(self.addr)).await.unwrap().unwrap();
        Client { socket, inbox: Vec::new() }
    }

    /// Sends one request over a connection of its own, and reads one answer.
    pub(super) async fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut client = self.connect().await;
        client.send(request).await;
        client.reply().await
    }

    /// Sends one request over a connection of its own, and reads all there is.
    pub(super) async fn all(&self, request: impl AsRef<[u8]>) -> (String, Ended) {
        let mut client = self.connect().await;
        client.send(request).await;
        client.rest().await
    }

    /// The report once it is as wanted.
    pub(super) async fn report_when(&self, wanted: impl Fn(&Report) -> bool) -> Report {
        let polled = async {
            loop {
                let report = self.handle.report();
                if wanted(&report) {
                    return report;
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, polled).await.expect("such a report")
    }

    pub(super) async fn stats(&self) -> Value {
        serde_json::from_slice(&self.ask(get("/__upstream/stats", "")).await.body).unwrap()
    }
}

// ===== impl Client =====

impl Client {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.socket.write_all(bytes.as_ref())).await.unwrap().unwrap();
    }

    /// Sends what may not be taken any more.
    pub(super) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = timeout(PATIENCE, self.socket.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Closes this side only.
    pub(super) async fn say_no_more(&mut self) {
        let _ = self.socket.shutdown().await;
    }

    /// More bytes; `None` at the end in order.
    async fn more(&mut self) -> io::Result<Option<()>> {
        let read = self.socket.read_buf(&mut self.inbox);
        let count = timeout(PATIENCE, read).await.expect("something to come")?;
        Ok((count > 0).then_some(()))
    }

    /// Everything up to the end of the connection.
    pub(super) async fn rest(&mut self) -> (String, Ended) {
        let ended = loop {
            match self.more().await {
                Ok(Some(())) => {}
                Ok(None) => break Ended::InOrder,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                    break Ended::ByReset;
                }
            }
        };
        (String::from_utf8_lossy(&std::mem::take(&mut self.inbox)).into_owned(), ended)
    }

    /// Everything up to and with this text.
    pub(super) async fn until(&mut self, text: &str) -> String {
        loop {
            let seen = String::from_utf8_lossy(&self.inbox).into_owned();
            if let Some(at) = seen.find(text) {
                let end = at + text.len();
                // Only asked for where the bytes are ASCII, so that the lengths agree.
                self.inbox.drain(..end);
                return seen[..end].to_owned();
            }
            self.more().await.unwrap().expect(text);
        }
    }

    async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.inbox.len() < count {
            self.more().await.unwrap().expect("the rest of the body");
        }
        self.inbox.drain(..count).collect()
    }

    /// One answer, its body decoded.
    pub(super) async fn reply(&mut self) -> Reply {
        let head = self.until("\r\n\r\n").await;
        let status = head[9..12].parse().unwrap();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map(|rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
        let body = match length {
            Some(length) => self.exactly(length).await,
            None if head.contains("chunked") => self.chunks().await,
            None => Vec::new(),
        };
        Reply { status, head, body }
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = self.until("\r\n").await;
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            body.extend(self.exactly(size).await);
            assert_eq!(self.exactly(2).await, b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// Whether nothing more comes, and the connection stays open, for a while.
    pub(super) async fn is_silent(&mut self) -> bool {
        let quiet = timeout(Duration::from_millis(60), self.more()).await.is_err();
        quiet && self.inbox.is_empty()
    }
}

// ===== impl Reply =====

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

// ===== requests =====

/// A GET; a behaviour may be asked for.
pub(super) fn get(path: &str, behaviour: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: test\r\n{}\r\n", wanting(behaviour))
}

/// A POST of this body.
pub(super) fn post(path: &str, body: &str, behaviour: &str) -> String {
    sent("POST", path, body, behaviour)
}

/// A PUT of this body.
pub(super) fn put(path: &str, body: &str) -> String {
    sent("PUT", path, body, "")
}

fn sent(method: &str, path: &str, body: &str, behaviour: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n{}\r\n{body}",
        body.len(),
        wanting(behaviour)
    )
}

fn wanting(behaviour: &str) -> String {
    match behaviour {
        "" => String::new(),
        behaviour => format!("x-upstream-behaviour: {behaviour}\r\n"),
    }
}
