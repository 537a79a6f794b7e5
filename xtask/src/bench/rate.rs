//! Load at a constant rate, whatever the server makes of it (an open loop): a request that has to
//! wait for its turn has waited, and is not sent later instead. This is how users come.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::servers::LOAD_CORE;
use crate::run::{output, program};

/// As many requests may be under way.
const CONNECTIONS: u32 = 32;

/// How long requests took from when they were due, in microseconds.
#[derive(Copy, Clone, Debug)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Runs the load in a process of its own on the core that the load has.
pub(super) fn run(port: u16, per_second: f64, seconds: u32) -> Result<Latency, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let this = this.to_string_lossy();
    let (port, rate, seconds) = (port.to_string(), per_second.to_string(), seconds.to_string());
    let command = ["-c", LOAD_CORE, &*this, "rate", &port, &rate, &seconds];
    let text = output(&mut program("taskset", &command))?;
    let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(p50), Some(p99)) => Ok(Latency { p50, p99 }),
        _ => Err(format!("the load says what is not understood: {text}")),
    }
}

/// What that process does: `rate PORT PER_SECOND SECONDS` prints the percentiles.
pub(crate) fn main(arguments: &[String]) -> Result<(), String> {
    let [port, per_second, seconds] = arguments else {
        return Err("usage: rate PORT PER_SECOND SECONDS".into());
    };
    let port: u16 = port.parse().map_err(|error| format!("port {port}: {error}"))?;
    let number = |text: &str| text.parse::<f64>().map_err(|error| format!("{text}: {error}"));
    let (per_second, seconds) = (number(per_second)?, number(seconds)?);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let gap = Duration::try_from_secs_f64(f64::from(CONNECTIONS) / per_second)
        .map_err(|error| format!("{per_second} requests a second: {error}"))?;
    let end = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    let users: Vec<_> = (0..CONNECTIONS)
        // Each begins a little after the one before, so that they are spread evenly.
        .map(|user| std::thread::spawn(move || one(address, gap, gap * user / CONNECTIONS, end)))
        .collect();
    let mut all = Vec::new();
    for user in users {
        let took = user.join().map_err(|_| "the load panicked".to_owned())?;
        all.extend(took.map_err(|error| format!("127.0.0.1:{port}: {error}"))?);
    }
    all.sort_unstable();
    let at = |percent: usize| {
        let took: Duration = all.get(all.len() * percent / 100).copied().unwrap_or_default();
        took.as_secs_f64() * 1e6
    };
    println!("{:.1} {:.1}", at(50), at(99));
    Ok(())
}

/// One connection with a request due at each `gap`.
#[expect(clippy::disallowed_methods, reason = "measures how long another process takes")]
fn one(
    address: SocketAddr,
    gap: Duration,
    offset: Duration,
    end: Duration,
) -> std::io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut took = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let start = Instant::now() + Duration::from_millis(50) + offset;
    let mut due = start;
    while due < start + end {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        answer(&mut stream, &mut buffer)?;
        took.push(due.elapsed());
        due += gap;
    }
    Ok(took)
}

/// Reads one answer; anything but a 200 of known length is an error.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<()> {
    let odd = |what: &str| std::io::Error::other(what.to_owned());
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Err(odd("the connection was closed"));
        }
        filled += read;
        let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end]).map_err(|_| odd("the head is no text"))?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(odd(head.lines().next().unwrap_or_default()));
        }
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())
            .ok_or_else(|| odd("no Content-Length"))?;
        if filled == end + 4 + length {
            return Ok(());
        }
    }
}
