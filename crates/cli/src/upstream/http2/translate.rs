//! Answers of HTTP/1.1, which is what behaviours are decided in, as HTTP/2.

use http::{HeaderMap, HeaderName, HeaderValue, Response};

/// What of an answer there is to send.
#[derive(Debug)]
pub(super) enum Part {
    Head(Response<()>),
    Data(Vec<u8>),
    /// The end, as its framing promised, with trailers or without.
    End(HeaderMap),
}

/// Reads the bytes of an answer.
pub(super) struct Translator {
    inbox: Vec<u8>,
    at: At,
    /// Whether there is no body, whatever the head says.
    bodiless: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum At {
    Head,
    Length(usize),
    ChunkSize,
    Chunk(usize),
    Trailers,
    Done,
}

/// Not an answer, or one that breaks its own framing.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Nonsense;

/// What the head of HTTP/1.1 has that HTTP/2 says by frames.
const FRAMING: [&str; 3] = ["connection", "transfer-encoding", "keep-alive"];

impl Translator {
    /// For an answer to a request with this method.
    pub(super) fn new(method: &str) -> Translator {
        Translator { inbox: Vec::new(), at: At::Head, bodiless: method == "HEAD" }
    }

    /// Reads on, and gives the parts that are complete, data as far as it has come.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Part>, Nonsense> {
        self.inbox.extend_from_slice(bytes);
        let mut parts = Vec::new();
        while self.at != At::Done {
            let before = (self.at, self.inbox.len());
            self.step(&mut parts)?;
            if before == (self.at, self.inbox.len()) {
                break;
            }
        }
        Ok(parts)
    }

    fn step(&mut self, parts: &mut Vec<Part>) -> Result<(), Nonsense> {
        match self.at {
            At::Head => {
                if let Some(head) = self.head()? {
                    parts.push(Part::Head(head));
                    if self.at == At::Done {
                        parts.push(Part::End(HeaderMap::new()));
                    }
                }
            }
            At::Length(left) => {
                let data = self.take(left);
                self.at = At::Length(left - data.len());
                push(parts, data);
                if self.at == At::Length(0) {
                    self.at = At::Done;
                    parts.push(Part::End(HeaderMap::new()));
                }
            }
            At::ChunkSize => {
                let Some(line) = self.line() else { return Ok(()) };
                let size = usize::from_str_radix(&line, 16).map_err(|_| Nonsense)?;
                self.at = if size == 0 { At::Trailers } else { At::Chunk(size) };
            }
            At::Chunk(0) => {
                if self.inbox.len() >= 2 {
                    self.inbox.drain(..2);
                    self.at = At::ChunkSize;
                }
            }
            At::Chunk(left) => {
                let data = self.take(left);
                self.at = At::Chunk(left - data.len());
                push(parts, data);
            }
            At::Trailers => {
                let mut space = [httparse::EMPTY_HEADER; 16];
                match httparse::parse_headers(&self.inbox, &mut space).map_err(|_| Nonsense)? {
                    httparse::Status::Complete((_, trailers)) => {
                        parts.push(Part::End(trailers.iter().filter_map(pair).collect()));
                        self.at = At::Done;
                    }
                    httparse::Status::Partial => {}
                }
            }
            At::Done => {}
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Option<Response<()>>, Nonsense> {
        // There is a behaviour that sends far more headers than any client takes.
        let mut space = vec![httparse::EMPTY_HEADER; 2_000];
        let mut parsed = httparse::Response::new(&mut space);
        let httparse::Status::Complete(length) = parsed.parse(&self.inbox).map_err(|_| Nonsense)?
        else {
            return Ok(None);
        };
        let mut response = Response::new(());
        let status = parsed.code.and_then(|code| http::StatusCode::from_u16(code).ok());
        *response.status_mut() = status.ok_or(Nonsense)?;
        for (name, value) in parsed.headers.iter().filter_map(|header| pair(header)) {
            response.headers_mut().append(name, value);
        }
        let headers = response.headers_mut();
        let chunked = headers.contains_key("transfer-encoding");
        let length_of_body = headers
            .get("content-length")
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        for name in FRAMING {
            headers.remove(name);
        }
        let none = self.bodiless || matches!(response.status().as_u16(), 204 | 304);
        self.at = match (none, chunked, length_of_body) {
            (true, ..) | (false, false, None | Some(0)) => At::Done,
            (false, true, _) => At::ChunkSize,
            (false, false, Some(length)) => At::Length(length),
        };
        self.inbox.drain(..length);
        Ok(Some(response))
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        self.inbox.drain(..most.min(self.inbox.len())).collect()
    }

    fn line(&mut self) -> Option<String> {
        let end = self.inbox.windows(2).position(|pair| pair == b"\r\n")?;
        let line = String::from_utf8_lossy(&self.inbox[..end]).into_owned();
        self.inbox.drain(..end + 2);
        Some(line)
    }
}

fn push(parts: &mut Vec<Part>, data: Vec<u8>) {
    if !data.is_empty() {
        parts.push(Part::Data(data));
    }
}

fn pair(header: &httparse::Header<'_>) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
    Some((name, HeaderValue::from_bytes(header.value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Head, data, trailers and end, however the bytes are cut.
    fn translated(method: &str, bytes: &str) -> Result<(u16, String, usize, bool), Nonsense> {
        let mut results = [1, 3, 1_000].map(|size| {
            let mut translator = Translator::new(method);
            let (mut status, mut data, mut trailers, mut ended) = (0, Vec::new(), 0, false);
            for piece in bytes.as_bytes().chunks(size) {
                for part in translator.feed(piece)? {
                    match part {
                        Part::Head(head) => status = head.status().as_u16(),
                        Part::Data(more) => data.extend(more),
                        Part::End(map) => (trailers, ended) = (map.len(), true),
                    }
                }
            }
            Ok((status, String::from_utf8(data).unwrap(), trailers, ended))
        });
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        std::mem::replace(&mut results[0], Err(Nonsense))
    }

    #[test]
    fn bodies_end_where_they_say() {
        let of = |bytes: &str| translated("GET", bytes);
        let length = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        assert_eq!(of(length), Ok((200, "hello".into(), 0, true)));
        assert_eq!(of(&length[..length.len() - 2]), Ok((200, "hel".into(), 0, false)));
        let chunked =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n";
        assert_eq!(of(chunked), Ok((200, "hello".into(), 0, false)));
        assert_eq!(of(&format!("{chunked}0\r\n\r\n")), Ok((200, "hello".into(), 0, true)));
        let trailed = format!("{chunked}0\r\nx-crc32: 1\r\n\r\n");
        assert_eq!(of(&trailed), Ok((200, "hello".into(), 1, true)));
        assert_eq!(of("HTTP/1.1 204 No Content\r\n\r\n"), Ok((204, String::new(), 0, true)));
        assert!(translated("HEAD", &length[..length.len() - 5]).unwrap().3);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        assert_eq!(translated("GET", "no, not HTTP at all\r\n\r\n"), Err(Nonsense));
        let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n";
        assert_eq!(translated("GET", chunk), Err(Nonsense));
    }
}
