//! The load generator.

use crate::run::{output, program};

/// Connections that are kept busy.
const CONNECTIONS: &str = "32";

/// What wrk reports.
#[derive(Default)]
pub(super) struct Load {
    pub(super) requests: u64,
    /// Answers that are not 2xx or 3xx, and requests without any.
    pub(super) errors: u64,
    pub(super) per_second: f64,
}

/// Keeps a server on loopback as busy as it gets for so long.
pub(super) fn run(port: u16, seconds: u32) -> Result<Load, String> {
    let url = format!("http://127.0.0.1:{port}/");
    let (core, duration) = (super::servers::LOAD_CORE, format!("{seconds}s"));
    let arguments = ["-c", core, "wrk", "-t1", "-c", CONNECTIONS, "-d", &duration, &url];
    let text = output(&mut program("taskset", &arguments))?;
    parse(&text).ok_or_else(|| format!("wrk says what is not understood:\n{text}"))
}

fn parse(text: &str) -> Option<Load> {
    let mut load = Load::default();
    for line in text.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            load.requests = count.parse().ok()?;
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses: ") {
            load.errors += count.parse::<u64>().ok()?;
        } else if let Some(counts) = line.strip_prefix("Socket errors: ") {
            let counts = counts.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
            load.errors += counts.map_while(|count| count.parse::<u64>().ok()).sum::<u64>();
        } else if let Some(rate) = line.strip_prefix("Requests/sec:") {
            load.per_second = rate.trim().parse().ok()?;
        }
    }
    (load.requests > 0).then_some(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let text = "\
Running 3s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms  512.00us  12.00ms   90.00%
    Req/Sec    31.20k     1.10k   33.00k    70.00%
  93600 requests in 3.00s, 110.20MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 7
Requests/sec:  31200.50
Transfer/sec:     36.73MB
";
        let load = parse(text).unwrap();
        assert_eq!((load.requests, load.errors), (93_600, 10));
        assert!((load.per_second - 31_200.5).abs() < 1e-6);
        assert!(parse("unable to connect to 127.0.0.1:1 Connection refused\n").is_none());
    }
}
