//! Request bodies.

use tokio::time::timeout;

use super::head::owned;
use super::{Framing, Head, Header, Request, Unreadable};
use crate::upstream::connection::{Connection, STALL};

/// A body larger than this is refused.
pub(crate) const MOST_BYTES: usize = 64 << 20;

/// A chunk's size with its extensions, or the trailers, may not be longer than this.
const MOST_LINE: usize = 8 * 1024;

const MOST_TRAILERS: usize = 32;

/// Reads the body that belongs to this head, whatever its framing.
pub(crate) async fn read_body(
    head: Head,
    connection: &mut Connection,
) -> Result<Request, Unreadable> {
    let framing = head.framing()?;
    let mut request = Request { framing, ..Request::bodiless(head) };
    let wanted = match framing {
        Framing::None | Framing::Frames | Framing::ContentLength(0) => return Ok(request),
        Framing::ContentLength(length) if length > MOST_BYTES => return Err(TOO_LARGE),
        Framing::ContentLength(length) => Some(length),
        Framing::Chunked => None,
    };
    // A client that has not waited for it does not need it any more.
    if request.head.expects_continue() && connection.inbox().is_empty() {
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    match wanted {
        Some(length) => read_exactly(length, &mut request.body, connection).await?,
        None => request.trailers = read_chunks(&mut request.body, connection).await?,
    }
    Ok(request)
}

const TOO_LARGE: Unreadable = Unreadable::Refused(413, "a body above 64 MiB");

async fn more(connection: &mut Connection) -> Result<(), Unreadable> {
    Ok(timeout(STALL, connection.fill()).await.map_err(|_| Unreadable::SLOW)??)
}

/// Adds so many bytes to the body. The room for them is made as they come, not as announced.
async fn read_exactly(
    count: usize,
    body: &mut Vec<u8>,
    connection: &mut Connection,
) -> Result<(), Unreadable> {
    let mut left = count;
    loop {
        let taken = connection.take(left);
        body.extend_from_slice(&taken);
        left -= taken.len();
        if left == 0 {
            return Ok(());
        }
        more(connection).await?;
    }
}

async fn read_chunks(
    body: &mut Vec<u8>,
    connection: &mut Connection,
) -> Result<Vec<Header>, Unreadable> {
    loop {
        let size = read_size(connection).await?;
        if size == 0 {
            return read_trailers(connection).await;
        }
        if size > MOST_BYTES - body.len() {
            return Err(TOO_LARGE);
        }
        read_exactly(size, body, connection).await?;
        let mut end = Vec::new();
        read_exactly(2, &mut end, connection).await?;
        if end != b"\r\n" {
            return Err(Unreadable::bad("a chunk longer than its size"));
        }
    }
}

async fn read_size(connection: &mut Connection) -> Result<usize, Unreadable> {
    const NO_SIZE: Unreadable = Unreadable::bad("a chunk size that is no number");
    loop {
        let line = connection.inbox();
        // The parser takes an empty line for a zero.
        if line.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
            return Err(NO_SIZE);
        }
        match httparse::parse_chunk_size(line) {
            Ok(httparse::Status::Complete((length, size))) => {
                connection.skip(length);
                return Ok(usize::try_from(size).unwrap_or(usize::MAX));
            }
            Ok(httparse::Status::Partial) if line.len() <= MOST_LINE => more(connection).await?,
            Ok(httparse::Status::Partial) | Err(_) => return Err(NO_SIZE),
        }
    }
}

async fn read_trailers(connection: &mut Connection) -> Result<Vec<Header>, Unreadable> {
    loop {
        let mut space = [httparse::EMPTY_HEADER; MOST_TRAILERS];
        match httparse::parse_headers(connection.inbox(), &mut space) {
            Ok(httparse::Status::Complete((length, trailers))) => {
                let trailers = trailers.iter().map(owned).collect();
                connection.skip(length);
                return Ok(trailers);
            }
            Ok(httparse::Status::Partial) if connection.inbox().len() <= MOST_LINE => {}
            Ok(httparse::Status::Partial) | Err(_) => {
                return Err(Unreadable::bad("trailers that are none"));
            }
        }
        more(connection).await?;
    }
}
