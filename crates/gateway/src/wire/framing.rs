//! Where requests begin and end, and bytes that can be read in more than one way.

/// Of a line no more than this is looked at: names and values that matter are shorter.
const LINE: usize = 256;

/// Follows requests from head to body to head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Framing {
    pub(super) at: At,
    line: Vec<u8>,
    head: Head,
    /// How many heads have ended, as far as that can be counted.
    pub(super) heads: u32,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum At {
    /// Between requests.
    Idle,
    /// In the first line of one.
    RequestLine,
    /// In the lines after it.
    Head,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    Trailers,
    /// Not to be followed any further: hyper will say so, or we have.
    Lost,
}

/// What a head says about its body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Head {
    length: Option<u64>,
    chunked: bool,
    encoded: bool,
}

/// Why a connection's bytes are ambiguous.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    TwoFramings = 1,
    TwoLengths = 2,
    BareLineFeed = 3,
    FoldedLine = 4,
    LongFraming = 5,
}

// ===== impl Framing =====

impl Framing {
    pub(super) fn new() -> Framing {
        Framing { at: At::Idle, line: Vec::new(), head: Head::default(), heads: 0 }
    }

    /// Follows the next bytes. After a fault nothing is followed any more.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            match self.at {
                At::Lost => return Ok(()),
                At::Body(left) | At::ChunkData(left) => {
                    let taken = left.min(bytes.len() as u64);
                    bytes = &bytes[taken as usize..];
                    let left = left - taken;
                    self.at = match self.at {
                        At::Body(_) if left == 0 => At::Idle,
                        At::Body(_) => At::Body(left),
                        _ if left == 0 => At::ChunkSize,
                        _ => At::ChunkData(left),
                    };
                }
                At::Idle | At::RequestLine | At::Head | At::ChunkSize | At::Trailers => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        self.keep(bytes);
                        if self.at == At::Idle {
                            self.at = At::RequestLine;
                        }
                        return Ok(());
                    };
                    let (line, rest) = bytes.split_at(end);
                    bytes = &rest[1..];
                    if let Err(fault) = self.end_line(line) {
                        self.at = At::Lost;
                        return Err(fault);
                    }
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        // One more than is looked at shows that there is more.
        let room = (LINE + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        // Whether a carriage return comes last must be known even of a long line.
        if bytes.len() > room
            && let (Some(kept), Some(last)) = (self.line.last_mut(), bytes.last())
        {
            *kept = *last;
        }
    }

    fn end_line(&mut self, piece: &[u8]) -> Result<(), Fault> {
        // Most lines come in one piece and need not be kept.
        if self.line.is_empty() {
            return self.read_line(piece);
        }
        self.keep(piece);
        let line = std::mem::take(&mut self.line);
        let result = self.read_line(&line);
        self.line = line;
        self.line.clear();
        result
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let long = line.len() > LINE;
        let (line, bare) = match line.strip_suffix(b"\r") {
            Some(line) => (line, false),
            None => (line, true),
        };
        match self.at {
            // Blank lines before a request are allowed (RFC 9112, section 2.2).
            At::Idle | At::RequestLine if line.is_empty() => {
                self.at = At::Idle;
                Ok(())
            }
            _ if bare => Err(Fault::BareLineFeed),
            At::Idle | At::RequestLine => {
                self.at = At::Head;
                self.head = Head::default();
                Ok(())
            }
            At::Head if line.is_empty() => {
                self.heads = self.heads.wrapping_add(1);
                self.at = self.body();
                Ok(())
            }
            At::Head => self.read_header(line, long),
            // An extension may be long.
            At::ChunkSize if long && !line[..LINE].contains(&b';') => Err(Fault::LongFraming),
            At::ChunkSize => {
                self.at = chunk(line);
                Ok(())
            }
            At::Trailers => {
                if line.is_empty() {
                    self.at = At::Idle;
                }
                Ok(())
            }
            At::Body(_) | At::ChunkData(_) | At::Lost => Ok(()),
        }
    }

    fn read_header(&mut self, line: &[u8], long: bool) -> Result<(), Fault> {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(Fault::FoldedLine);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Ok(()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is = |framing: &[u8]| name.eq_ignore_ascii_case(framing);
        if long && (is(b"content-length") || is(b"transfer-encoding")) {
            return Err(Fault::LongFraming);
        }
        if is(b"content-length") {
            // What is no number, or two of them, hyper refuses.
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            if self.head.length.is_some() {
                return Err(Fault::TwoLengths);
            }
            self.head.length = length;
        } else if is(b"transfer-encoding") {
            self.head.encoded = true;
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            self.head.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        } else {
            return Ok(());
        }
        match self.head {
            Head { length: Some(_), encoded: true, .. } => Err(Fault::TwoFramings),
            _ => Ok(()),
        }
    }

    fn body(&self) -> At {
        match self.head {
            Head { chunked: true, .. } => At::ChunkSize,
            // An encoding without an end: hyper refuses it.
            Head { encoded: true, .. } => At::Lost,
            Head { length: Some(length), .. } if length > 0 => At::Body(length),
            Head { .. } => At::Idle,
        }
    }
}

/// What follows a chunk's size line. The data's own line end counts as part of it.
fn chunk(line: &[u8]) -> At {
    let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
    match size {
        Some(0) => At::Trailers,
        Some(size) => match size.checked_add(2) {
            Some(size) => At::ChunkData(size),
            None => At::Lost,
        },
        None => At::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut into pieces.
    fn follow(bytes: &[u8]) -> (At, Option<Fault>) {
        let mut ends: Vec<(At, Option<Fault>)> = [1, 2, 3, 5, 17, bytes.len()]
            .into_iter()
            .map(|size| {
                let mut framing = Framing::new();
                let mut fault = None;
                for piece in bytes.chunks(size) {
                    fault = fault.or(framing.feed(piece).err());
                }
                (framing.at, fault)
            })
            .collect();
        ends.dedup();
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends[0]
    }

    #[test]
    fn follows_requests_one_after_the_other() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\nhello\r\nbody";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n\
                       5;x=y\r\nhello\r\nA\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\nTrailer: x\r\n\r\n";
        for parts in [[get, get, get], [get, post, get], [post, chunked, get], [chunked, get, post]]
        {
            assert_eq!(follow(parts.concat().as_bytes()), (At::Idle, None), "{parts:?}");
        }
        assert_eq!(follow(b"\r\n\r\nGET / HTTP/1.1\r\n").0, At::Head);
        assert_eq!(follow(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc").0, At::Body(2));
    }

    #[test]
    fn ambiguous_bytes_are_found() {
        let fault = |bytes: &str| follow(bytes.as_bytes()).1;
        let head = "POST / HTTP/1.1\r\nHost: a\r\n";
        // Longer than what is kept of a line that comes in pieces.
        let long = |before: &str, after: &str| format!("{before}{}{after}\r\n", "0".repeat(LINE));
        for (rest, expected) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::TwoFramings),
            ("transfer-encoding: x\r\nCONTENT-LENGTH: 5\r\n\r\n", Fault::TwoFramings),
            ("Content-Length: 5\r\nContent-Length: 5\r\n\r\n", Fault::TwoLengths),
            ("Content-Length: 5\nX: y\r\n\r\n", Fault::BareLineFeed),
            ("\n", Fault::BareLineFeed),
            ("X: y\r\n z\r\n\r\n", Fault::FoldedLine),
            (&long("Content-Length: ", "5"), Fault::LongFraming),
            (&long("Transfer-Encoding: ", "chunked"), Fault::LongFraming),
            (&long("Transfer-Encoding: chunked\r\n\r\n", "5"), Fault::LongFraming),
        ] {
            assert_eq!(fault(&format!("{head}{rest}")), Some(expected), "{rest:?}");
            let second = format!("GET / HTTP/1.1\r\n\r\n{head}{rest}");
            assert_eq!(fault(&second), Some(expected), "as the second request: {rest:?}");
        }
        let body = "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nContent-Length: 1\n\n \n";
        assert_eq!(fault(body), None, "a body may hold anything");
        let long = format!("{head}X: {}\r\nContent-Length: 0\r\n\r\n", "y".repeat(5_000));
        assert_eq!(follow(long.as_bytes()), (At::Idle, None), "also after a long line");
        let extension = "y".repeat(5_000);
        let chunks =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n1;{extension}\r\nx\r\n0\r\n\r\n");
        assert_eq!(follow(chunks.as_bytes()), (At::Idle, None), "an extension is nobody's size");
    }

    #[test]
    fn nonsense_is_left_to_hyper() {
        assert_eq!(follow(b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n").0, At::Lost);
        let bad = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
        assert_eq!(follow(bad).0, At::Lost);
        let huge = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
        assert_eq!(follow(huge).0, At::Lost);
    }
}
