//! Where requests begin and end, and bytes that can be read in more than one way.

/// Of a line no more than this is looked at: names and values that matter are shorter.
const LINE: usize = 256;

/// Follows requests from head to body to head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Framing {
    pub(super) at: At,
    line: Vec<u8>,
    head: Head,
    /// Whether the request line has what no target may have.
    fragment: bool,
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
}

/// Why a connection's bytes are ambiguous.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    TwoFramings,
    TwoLengths,
    BareLineFeed,
    FoldedLine,
    LongFraming,
    OddEncoding,
    NearlyFraming,
    Fragment,
    OddChunk,
}

/// Where a fault is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) fault: Fault,
    /// How many of the bytes come before the line that has it.
    pub(super) before: usize,
    /// Whether that line is part of a body, whose request has begun.
    pub(super) in_body: bool,
}

// ===== impl Framing =====

impl Framing {
    pub(super) fn new() -> Framing {
        Framing { at: At::Idle, line: Vec::new(), head: Head::default(), fragment: false, heads: 0 }
    }

    /// Follows the next bytes. After a fault nothing is followed any more.
    pub(super) fn feed(&mut self, all: &[u8]) -> Result<(), Found> {
        let mut bytes = all;
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
                    let before = all.len() - bytes.len();
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    if matches!(self.at, At::Idle | At::RequestLine) {
                        self.fragment |= line.contains(&b'#');
                    }
                    let [_, rest @ ..] = rest else {
                        self.keep(bytes);
                        if self.at == At::Idle {
                            self.at = At::RequestLine;
                        }
                        return Ok(());
                    };
                    bytes = rest;
                    if let Err(fault) = self.end_line(line) {
                        let in_body = matches!(self.at, At::ChunkSize | At::Trailers);
                        self.at = At::Lost;
                        return Err(Found { fault, before, in_body });
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
            // hyper would drop it and what follows.
            At::Idle | At::RequestLine if self.fragment => Err(Fault::Fragment),
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
                self.at = chunk(line).ok_or(Fault::OddChunk)?;
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
        let (length, encoding) = (is(name, b"content-length"), is(name, b"transfer-encoding"));
        if !length && !encoding {
            return Ok(());
        }
        if name.contains(&b'_') {
            return Err(Fault::NearlyFraming);
        }
        if long {
            return Err(Fault::LongFraming);
        }
        if length {
            if self.head.length.is_some() {
                return Err(Fault::TwoLengths);
            }
            // What is no number hyper refuses.
            self.head.length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        } else if self.head.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::OddEncoding);
        } else {
            self.head.chunked = true;
        }
        match self.head {
            Head { length: Some(_), chunked: true } => Err(Fault::TwoFramings),
            _ => Ok(()),
        }
    }

    fn body(&self) -> At {
        match self.head {
            Head { chunked: true, .. } => At::ChunkSize,
            Head { length: Some(length), .. } if length > 0 => At::Body(length),
            Head { .. } => At::Idle,
        }
    }
}

// ===== impl Fault =====

impl Fault {
    const ALL: [Fault; 9] = [
        Fault::TwoFramings,
        Fault::TwoLengths,
        Fault::BareLineFeed,
        Fault::FoldedLine,
        Fault::LongFraming,
        Fault::OddEncoding,
        Fault::NearlyFraming,
        Fault::Fragment,
        Fault::OddChunk,
    ];

    pub(super) fn from_number(number: u8) -> Option<Fault> {
        Fault::ALL.get(usize::from(number)).copied()
    }

    /// For the client.
    pub(super) fn words(self) -> &'static str {
        match self {
            Fault::TwoFramings => "Content-Length and Transfer-Encoding contradict each other.",
            Fault::TwoLengths => "There is more than one Content-Length.",
            Fault::BareLineFeed => "A line of the head ends with a bare line feed.",
            Fault::FoldedLine => "A header is folded over several lines.",
            Fault::LongFraming => "A length or an encoding is written longer than any need be.",
            Fault::OddEncoding => "Transfer-Encoding is something else than `chunked`.",
            Fault::NearlyFraming => {
                "A name is that of Content-Length or Transfer-Encoding, but for an underscore."
            }
            Fault::Fragment => "The target has a `#`.",
            Fault::OddChunk => "A chunk has no size that can be read.",
        }
    }
}

/// Whether a name is this one, also to whoever takes `_` for `-`, as applications do that get
/// headers as variables.
fn is(name: &[u8], framing: &[u8]) -> bool {
    let dashed = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == framing.len() && name.iter().map(dashed).eq(framing.iter().copied())
}

/// What follows a chunk's size line. The data's own line end counts as part of it. `None` if there
/// is no size, or an extension has what no text has: hyper is not that particular.
fn chunk(line: &[u8]) -> Option<At> {
    let mut parts = line.splitn(2, |byte| *byte == b';');
    let (size, extension) = (parts.next().unwrap_or_default(), parts.next());
    let size = match extension {
        // White space before an extension must be borne (RFC 9112, section 7.1.1).
        Some(_) => size.trim_ascii_end(),
        None => size,
    };
    let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    if !size.iter().all(u8::is_ascii_hexdigit) || !extension.unwrap_or_default().iter().all(is_text)
    {
        return None;
    }
    match u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()? {
        0 => Some(At::Trailers),
        size => size.checked_add(2).map(At::ChunkData),
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
                    fault = fault.or(framing.feed(piece).err().map(|found| found.fault));
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
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: \tChunked \r\n\r\n\
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
            ("transfer-encoding: chunked\r\nCONTENT-LENGTH: 5\r\n\r\n", Fault::TwoFramings),
            ("Transfer-Encoding: gzip, chunked\r\n\r\n", Fault::OddEncoding),
            ("Transfer-Encoding: gzip\r\n\r\n", Fault::OddEncoding),
            ("Transfer-Encoding:\r\n\r\n", Fault::OddEncoding),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                Fault::OddEncoding,
            ),
            ("Content-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n", Fault::NearlyFraming),
            ("CONTENT_LENGTH: 5\r\n\r\n", Fault::NearlyFraming),
            ("Transfer-Encoding: chunked\r\n\r\nxyz\r\n", Fault::OddChunk),
            ("Transfer-Encoding: chunked\r\n\r\n\r\n", Fault::OddChunk),
            ("Transfer-Encoding: chunked\r\n\r\n5 \r\n", Fault::OddChunk),
            ("Transfer-Encoding: chunked\r\n\r\n+5\r\n", Fault::OddChunk),
            ("Transfer-Encoding: chunked\r\n\r\n5;a\0\r\n", Fault::OddChunk),
            ("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", Fault::OddChunk),
            ("Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n", Fault::BareLineFeed),
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
    fn a_target_has_no_fragment_wherever_it_stands() {
        for line in ["GET /a#b HTTP/1.1\r\n", "GET # HTTP/1.1\r\n"] {
            assert_eq!(follow(line.as_bytes()).1, Some(Fault::Fragment), "{line:?}");
        }
        let far = format!("GET /{}#b HTTP/1.1\r\n", "a".repeat(5_000));
        assert_eq!(follow(far.as_bytes()).1, Some(Fault::Fragment));
        let elsewhere = b"GET / HTTP/1.1\r\nX: #\r\nContent-Length: 1\r\n\r\n#GET / HTTP/1.1\r\n";
        assert_eq!(follow(elsewhere), (At::Head, None));
    }

    #[test]
    fn what_comes_before_a_fault_is_known() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let good = format!("{head}5\r\nhello\r\n");
        let found = Framing::new().feed(format!("{good}0\r\nX: y\n\r\n").as_bytes());
        let before = good.len() + 3;
        assert_eq!(found, Err(Found { fault: Fault::BareLineFeed, before, in_body: true }));
    }

    #[test]
    fn every_fault_has_a_number_and_words() {
        for (number, fault) in (0..).zip(Fault::ALL) {
            assert_eq!(fault as u8, number);
            assert_eq!(Fault::from_number(number), Some(fault));
            assert!(fault.words().ends_with('.'));
        }
    }
}
