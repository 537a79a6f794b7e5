//! A client that sees every byte: how an answer is framed, and whether it came to its end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use crate::support::{Gateway, connect};

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
}

/// An answer, or as much as came of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: String,
    pub(crate) end: End,
}

/// How a body ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// As its framing promised.
    Whole,
    /// Before that: the connection was closed or reset.
    Cut,
}

/// A request with a body of known length.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = match (method, body) {
        ("GET" | "HEAD", []) => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

pub(crate) fn get(path: &str) -> Vec<u8> {
    request("GET", path, "", "")
}

pub(crate) fn post(path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST", path, "content-type: application/json\r\n", body)
}

// ===== impl Client =====

impl Client {
    pub(crate) fn of(gateway: &Gateway) -> Client {
        Client::to(gateway.address())
    }

    pub(crate) fn to(address: SocketAddr) -> Client {
        let stream = connect(address);
        // Pieces are sent when the test says so.
        stream.set_nodelay(true).unwrap();
        Client { stream, inbox: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the gateway may refuse to take.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Goes away.
    pub(crate) fn leave(mut self) {
        self.shutdown(Shutdown::Both);
    }

    /// Reads more. `false` at the end, in order or not.
    fn more(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(read) => {
                self.inbox.extend_from_slice(&piece[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// Everything up to and with these bytes; `None` if the connection ends before.
    pub(crate) fn until(&mut self, wanted: &str) -> Option<Vec<u8>> {
        let mut from = 0;
        loop {
            let found = self.inbox[from..]
                .windows(wanted.len())
                .position(|window| window == wanted.as_bytes());
            if let Some(at) = found {
                return Some(self.inbox.drain(..from + at + wanted.len()).collect());
            }
            from = self.inbox.len().saturating_sub(wanted.len() - 1);
            if !self.more() {
                return None;
            }
        }
    }

    /// Waits until these bytes have come, and leaves them to be read.
    pub(crate) fn peek(&mut self, wanted: &str) {
        let seen = self.until(wanted).expect(wanted);
        self.inbox.splice(..0, seen);
    }

    /// So many bytes, or fewer at the end of the connection.
    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.inbox.len() < count && self.more() {}
        self.inbox.drain(..count.min(self.inbox.len())).collect()
    }

    /// All that is left of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.inbox)
    }

    /// Whether the gateway has ended the connection, or does so without another word.
    pub(crate) fn is_over(&mut self) -> bool {
        self.inbox.is_empty() && !self.more()
    }

    /// A head, be it of an interim answer.
    pub(crate) fn head(&mut self) -> String {
        String::from_utf8(self.until("\r\n\r\n").expect("a head")).unwrap()
    }

    /// The status of the next answer but interim ones, whose body is read too; `None` at the end of
    /// the connection.
    pub(crate) fn try_status(&mut self) -> Option<u16> {
        loop {
            let head = String::from_utf8_lossy(&self.until("\r\n\r\n")?).into_owned();
            let reply = self.body_of(head);
            if reply.status >= 200 {
                return Some(reply.status);
            }
        }
    }

    /// Ends one side of the connection, or both.
    pub(crate) fn shutdown(&mut self, how: Shutdown) {
        let _ = self.stream.shutdown(how);
    }

    /// One answer to a request that may have a body.
    pub(crate) fn reply(&mut self) -> Reply {
        let head = self.head();
        self.body_of(head)
    }

    /// What follows such a head.
    pub(crate) fn body_of(&mut self, head: String) -> Reply {
        let status = head[9..12].parse().unwrap();
        let mut reply =
            Reply { status, head, body: Vec::new(), trailers: String::new(), end: End::Whole };
        match reply.header("content-length").map(|length| length.parse::<usize>().unwrap()) {
            Some(length) => {
                assert_eq!(reply.header("transfer-encoding"), None, "{}", reply.head);
                reply.body = self.take(length);
                if reply.body.len() < length {
                    reply.end = End::Cut;
                }
            }
            None if reply.header("transfer-encoding") == Some("chunked") => {
                self.chunks(&mut reply);
            }
            None if matches!(status, 100..200 | 204 | 304) => {}
            None => reply.body = self.rest(),
        }
        reply
    }

    fn chunks(&mut self, reply: &mut Reply) {
        reply.end = End::Cut;
        loop {
            let Some(size) = self.until("\r\n") else { return };
            let size = std::str::from_utf8(&size).unwrap().trim();
            let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("{size:?}"));
            if size == 0 {
                break;
            }
            let data = self.take(size);
            let whole = data.len() == size;
            reply.body.extend(data);
            if !whole || self.take(2) != b"\r\n" {
                return;
            }
        }
        while let Some(line) = self.until("\r\n") {
            if line == b"\r\n" {
                reply.end = End::Whole;
                return;
            }
            reply.trailers.push_str(&String::from_utf8(line).unwrap());
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request);
        self.reply()
    }
}

// ===== impl Reply =====

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}
