//! The same load for a while: memory and descriptors stay what they were.
//!
//! Ten seconds, or as long as `PANELBOARD_SOAK_SECONDS` says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Gateway, Upstream, agent, eventually, pass};
use crate::turn;

const STREAM: &str = r#"{"model":"tinyllama","stream":true,"messages":[]}"#;

fn seconds() -> u64 {
    std::env::var("PANELBOARD_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

fn text(upstream: &Upstream, number: u32) -> String {
    format!(
        r#"
        [circuit_breaker.circuits.llm]
        key = ["upstream", "model"]
        max_keys = 50
        failure_threshold = {}
        recovery_timeout = "100ms"
        ramp = "off"
        [circuit_breaker.circuits.sick]
        failure_threshold = 3
        recovery_timeout = "50ms"
        [upstreams.api]
        url = "{url}"
        [upstreams.llm]
        url = "{url}"
        kind = "openai"
        [[routes]]
        path = "/v1"
        upstreams = ["llm"]
        circuit = "llm"
        [[routes]]
        path = "/sick"
        upstreams = ["api"]
        circuit = "sick"
        [[routes]]
        upstreams = ["api"]
        "#,
        1_000 + number % 2,
        url = upstream.url()
    )
}

/// What a process holds.
#[derive(Copy, Clone, Debug)]
struct Held {
    /// Bytes of memory of its own.
    memory: u64,
    descriptors: usize,
}

fn held(gateway: &Gateway) -> Held {
    let pid = gateway.process.id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib: u64 = kib.trim().trim_end_matches(" kB").parse().unwrap();
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Held { memory: kib * 1024, descriptors }
}

/// Goes on until `stopped`, or until something is wrong: then all stop.
fn go_on(stopped: &AtomicBool, rounds: &AtomicU64, mut one: impl FnMut(u64)) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let _stop = Stop(stopped);
    let mut round = 0;
    while !stopped.load(Ordering::Relaxed) {
        one(round);
        round += 1;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn memory_and_descriptors_are_flat() {
    let _turn = turn();
    let upstream = Upstream::start();
    upstream.set("ok,gap=1ms");
    upstream.set("path:/sick=flaky:60");
    let gateway = Gateway::start(&text(&upstream, 0));
    let stopped = AtomicBool::new(false);
    let rounds: [AtomicU64; 5] = std::array::from_fn(|_| AtomicU64::new(0));
    let url = |path: &str| format!("http://{}{path}", gateway.address());
    let samples = std::thread::scope(|scope| {
        let (stopped, rounds, url, gateway) = (&stopped, &rounds, &url, &gateway);
        let upstream = &upstream;
        // Plain requests over one connection.
        scope.spawn(move || {
            let agent = agent();
            go_on(stopped, &rounds[0], |_| {
                let mut answer = agent.get(url("/")).call().expect("an answer");
                assert_eq!(answer.status(), 200);
                assert!(!answer.body_mut().read_to_string().unwrap().is_empty());
            });
        });
        // Streams, each of a model that nobody has asked for before.
        scope.spawn(move || {
            let agent = agent();
            go_on(stopped, &rounds[1], |round| {
                let body = STREAM.replace("tinyllama", &format!("model-{round}"));
                let request = agent.post(url("/v1/chat/completions"));
                let mut answer =
                    request.header("content-type", "application/json").send(body).unwrap();
                let text = answer.body_mut().read_to_string().unwrap_or_else(|error| {
                    panic!("{error}: {:#}\n{}", gateway.circuit("llm"), gateway.process.log())
                });
                assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
            });
        });
        // A circuit that opens and closes, each time over a connection of its own.
        scope.spawn(move || {
            go_on(stopped, &rounds[2], |_| {
                let answer = agent().get(url("/sick")).call().expect("an answer");
                assert!(matches!(answer.status().as_u16(), 200 | 503), "{}", answer.status());
            });
        });
        // Clients that go away in the middle, or send what is no HTTP.
        scope.spawn(move || {
            use std::io::{Read as _, Write as _};
            go_on(stopped, &rounds[3], |round| {
                let mut client = gateway.connect();
                let request = match round % 3 {
                    0 => format!(
                        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\
                         content-type: application/json\r\ncontent-length: {}\r\n\r\n{STREAM}",
                        STREAM.len()
                    ),
                    1 => "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\
                          content-length: 100\r\n\r\nhalf"
                        .to_owned(),
                    _ => "\u{16}\u{3}\u{1} no HTTP\r\n\r\n".to_owned(),
                };
                client.write_all(request.as_bytes()).unwrap();
                if round % 3 != 1 {
                    let _ = client.read(&mut [0; 200]);
                }
            });
        });
        // Operators.
        scope.spawn(move || {
            go_on(stopped, &rounds[4], |round| {
                gateway.rewrite(&text(upstream, u32::try_from(round).unwrap()));
                gateway.process.signal("HUP");
                assert_eq!(gateway.admin("/metrics").status, 200);
                assert_eq!(gateway.admin("/api/v1/circuits").status, 200);
                pass(Duration::from_millis(100));
            });
        });
        let whole = Duration::from_secs(seconds());
        let start = Instant::now();
        let mut samples = Vec::new();
        // What is made once has been made after a third.
        while start.elapsed() < whole && !stopped.load(Ordering::Relaxed) {
            pass(whole / 30);
            if start.elapsed() > whole / 3 {
                samples.push(held(gateway));
            }
        }
        stopped.store(true, Ordering::Relaxed);
        samples
    });
    let rounds = rounds.map(AtomicU64::into_inner);
    println!("rounds {rounds:?}");
    assert!(rounds.iter().all(|rounds| *rounds > 5), "everything was under way: {rounds:?}");
    let half = samples.len() / 2;
    let most = |samples: &[Held], of: fn(&Held) -> u64| samples.iter().map(of).max().unwrap();
    let (early, late) = samples.split_at(half);
    let memory = [early, late].map(|part| most(part, |held| held.memory));
    let descriptors = [early, late].map(|part| most(part, |held| held.descriptors as u64));
    println!("memory {memory:?}, descriptors {descriptors:?}");
    // Allocators keep what they may need; a leak of 100 bytes a request would show.
    assert!(memory[1] <= memory[0] + memory[0] / 10 + (2 << 20), "{samples:?}");
    assert!(descriptors[1] <= descriptors[0] + 20, "{samples:?}");
    eventually("connections to go", || held(&gateway).descriptors <= 40);
    let log = gateway.process.log();
    assert!(!log.contains("panicked"), "{log}");
}
