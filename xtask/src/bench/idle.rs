//! What a connection costs that lies idle.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::servers::Server;

/// How many of them.
const CONNECTIONS: u32 = 5_000;

/// Bytes of memory for each connection that has had an answer and is kept open.
#[expect(clippy::disallowed_methods, reason = "waits for another process")]
pub(super) fn bytes_each(server: &Server) -> Result<f64, String> {
    let before = server.memory()?;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(used(server.port()).map_err(|error| format!("an idle connection: {error}"))?);
    }
    std::thread::sleep(Duration::from_millis(200));
    let after = server.memory()?;
    Ok(after.saturating_sub(before) as f64 / f64::from(CONNECTIONS))
}

/// A connection that a request has been served on.
fn used(port: u16) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    // The answer has a little more than 1 KiB; some of it is enough to know that it was served.
    let mut some = [0; 256];
    stream.read_exact(&mut some)?;
    Ok(stream)
}
