//! Clients that hold connections and get nowhere, 2,000 at a time: their timers end them, and until
//! then nobody else notices.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::{Gateway, Upstream, eventually};

const CROWD: usize = 2_000;

/// More than any buffer on the way holds for a client that does not read.
const LARGE: usize = 1 << 20;

/// How a client is slow.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Slow {
    /// It sends one header after the other and never the end of them.
    Head,
    /// It sends half a body, and not the rest.
    Body,
    /// It reads the head of a large answer, and nothing more.
    Reader,
    /// It connects, and that is all.
    Idle,
}

fn gateway(upstream: &str, large: SocketAddr) -> Gateway {
    Gateway::start(&format!(
        r#"
        [gateway]
        header_read_timeout = "1s"
        idle_timeout = "1500ms"
        [circuit_breaker.circuits.api]
        failure_threshold = "off"
        failure_rate = "off"
        [circuit_breaker.circuits.large]
        failure_threshold = "off"
        failure_rate = "off"
        [upstreams.api]
        url = "{upstream}"
        [upstreams.large]
        url = "http://{large}"
        stall_timeout = "1m"
        [[routes]]
        path = "/large"
        upstream = "large"
        [[routes]]
        upstream = "api"
        "#
    ))
}

/// Two sockets for each slow client here, and as many there.
fn allow_descriptors(pid: u32) {
    let _ = Command::new("prlimit").args(["--nofile=16384:", "--pid", &pid.to_string()]).status();
}

/// Connections to the upstream of large answers: how many there are, and how many there have been.
#[derive(Default)]
struct Here {
    now: AtomicUsize,
    ever: AtomicUsize,
}

/// An upstream that gives every request the same large answer, from the same memory.
async fn large_upstream(listener: TcpListener, here: Arc<Here>) {
    let body: Arc<[u8]> = vec![b'x'; LARGE].into();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (body, here) = (Arc::clone(&body), Arc::clone(&here));
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            here.now.fetch_add(1, Ordering::Relaxed);
            here.ever.fetch_add(1, Ordering::Relaxed);
            let _ = stream.read(&mut [0; 4_096]).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.write_all(&body).await;
            let _ = stream.read(&mut [0; 1]).await;
            here.now.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// What the slow clients have in common.
struct Crowd {
    /// That many at once are more than the system's queue of new connections holds.
    door: Semaphore,
    connected: AtomicUsize,
    released: AtomicBool,
}

impl Slow {
    /// Is slow until the gateway ends it.
    async fn play(self, address: SocketAddr, crowd: Arc<Crowd>) {
        let mut stream = {
            let _turn = crowd.door.acquire().await.unwrap();
            self.connect(address).await
        };
        crowd.connected.fetch_add(1, Ordering::Relaxed);
        match self {
            Slow::Head => {
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n").await;
                while ended(&mut stream, Duration::from_millis(200)).await.is_none() {
                    let _ = stream.write_all(b"X: y\r\n").await;
                }
            }
            Slow::Body => {
                let head = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nhello";
                let _ = stream.write_all(head.as_bytes()).await;
                ended(&mut stream, Duration::from_secs(30)).await.expect("an end");
            }
            Slow::Reader => {
                let _ = stream.write_all(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n").await;
                // It cannot see its end without reading, so it is told when to look.
                while !crowd.released.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(50)).await;
                }
                let read = ended(&mut stream, Duration::from_secs(30)).await.expect("an end");
                assert!(read < LARGE, "all of it was waiting: {read}");
            }
            Slow::Idle => {
                let read = ended(&mut stream, Duration::from_secs(30)).await;
                assert_eq!(read, Some(0), "an end without a word");
            }
        }
    }

    async fn connect(self, address: SocketAddr) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if self == Slow::Reader {
            socket.set_recv_buffer_size(4_096).unwrap();
            // As on a network: the system buffers by segments, and those of loopback are huge.
            socket.set_tcp_mss(1_460).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        TcpSocket::from_std_stream(socket.into()).connect(address).await.unwrap()
    }
}

/// Reads to the end of the connection; says how much, if it ends in time.
async fn ended(stream: &mut TcpStream, time: Duration) -> Option<usize> {
    let mut total = 0;
    let all = async {
        let mut piece = [0; 4_096];
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            total += read;
        }
    };
    timeout(time, all).await.ok()?;
    Some(total)
}

/// One request after the other on connections of their own, and how long each took.
async fn normal_traffic(
    address: SocketAddr,
    until: Arc<AtomicBool>,
    least: usize,
) -> Vec<Duration> {
    let mut times = Vec::new();
    while times.len() < least || !until.load(Ordering::Relaxed) {
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /bytes/100 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        times.push(started.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    times
}

fn typical(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

#[test]
fn two_thousand_slow_clients_of_each_kind_harm_nobody_and_are_let_go() {
    allow_descriptors(std::process::id());
    let upstream = Upstream::start();
    allow_descriptors(upstream.process.id());
    let runtime = Runtime::new().unwrap();
    let listener = {
        let _entered = runtime.enter();
        let socket = TcpSocket::new_v4().unwrap();
        // What waits for 2,000 clients is to wait with the upstream, not with the system.
        socket.set_send_buffer_size(64 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(1_024).unwrap()
    };
    let large = listener.local_addr().unwrap();
    let at_large = Arc::new(Here::default());
    runtime.spawn(large_upstream(listener, Arc::clone(&at_large)));

    for slow in [Slow::Head, Slow::Body, Slow::Reader, Slow::Idle] {
        let gateway = gateway(&upstream.url(), large);
        allow_descriptors(gateway.process.id());
        let address = gateway.address();
        let done = Arc::new(AtomicBool::new(true));
        let usual = runtime.block_on(normal_traffic(address, Arc::clone(&done), 100));
        let memory = gateway.process.resident_kib();

        done.store(false, Ordering::Relaxed);
        let crowd = Arc::new(Crowd {
            door: Semaphore::new(100),
            connected: AtomicUsize::new(0),
            released: AtomicBool::new(false),
        });
        let mut clients = JoinSet::new();
        for _ in 0..CROWD {
            clients.spawn_on(slow.play(address, Arc::clone(&crowd)), runtime.handle());
        }
        eventually("all of them there", || crowd.connected.load(Ordering::Relaxed) == CROWD);
        if slow == Slow::Reader {
            // The first may have been let go before the last came.
            eventually("all of them served", || at_large.ever.load(Ordering::Relaxed) == CROWD);
        }
        let there = Instant::now();
        let traffic = runtime.spawn(normal_traffic(address, Arc::clone(&done), 50));
        let mut most = 0;
        if slow == Slow::Reader {
            eventually("none of them left", || {
                most = most.max(gateway.process.resident_kib());
                at_large.now.load(Ordering::Relaxed) == 0
            });
            crowd.released.store(true, Ordering::Relaxed);
        }
        runtime.block_on(async {
            let mut gone = 0;
            while let Some(client) = clients.join_next().await {
                client.unwrap();
                if gone % (CROWD / 4) == 0 {
                    most = most.max(gateway.process.resident_kib());
                }
                gone += 1;
            }
        });
        let longest = there.elapsed();
        done.store(true, Ordering::Relaxed);
        let under_way = runtime.block_on(traffic).unwrap();

        let (usual, (middle, worst)) = (typical(usual), typical(under_way));
        let kib = most.saturating_sub(memory) / CROWD;
        println!(
            "{slow:?}: gone {longest:?} after the last came, {kib} KiB each; \
             p50 and p99 {middle:?} {worst:?}, else {usual:?}"
        );
        assert!(longest < Duration::from_secs(10), "{slow:?}: {longest:?}");
        // Buffers of both sides fill up for one who does not read.
        let bearable = if slow == Slow::Reader { 256 } else { 64 };
        assert!(kib <= bearable, "{slow:?}: {kib} KiB each");
        // Others pay for the noise that 2,000 clients make on the same machine, but do not wait.
        assert!(
            middle < usual.0 * 20 + Duration::from_millis(50),
            "{slow:?}: {middle:?}, {usual:?}"
        );
        assert!(worst < Duration::from_secs(2), "{slow:?}: {worst:?}");
        eventually("nothing in flight", || {
            ["api", "large"].iter().all(|name| gateway.circuit(name)["in_flight"] == 0)
        });
        let failures: u64 =
            ["api", "large"].iter().map(|name| gateway.count(name, "failure")).sum();
        assert_eq!(failures, 0, "{slow:?}: it is the client that is slow");
    }
}

#[test]
fn a_full_table_lets_others_in_as_it_empties() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        "[gateway]\nmax_connections = 20\nheader_read_timeout = \"200ms\"\nidle_timeout = \"200ms\"\n\
         [upstreams.api]\nurl = \"{}\"\n[[routes]]\nupstream = \"api\"\n",
        upstream.url()
    ));
    let runtime = Runtime::new().unwrap();
    let address = gateway.address();
    // Whoever is let go comes back at once.
    for _ in 0..60 {
        runtime.spawn(async move {
            while let Ok(mut stream) = TcpStream::connect(address).await {
                ended(&mut stream, Duration::from_secs(30)).await;
            }
        });
    }
    let done = Arc::new(AtomicBool::new(true));
    let times = runtime.block_on(normal_traffic(address, done, 5));
    let longest = times.into_iter().max().unwrap();
    assert!(longest < Duration::from_secs(5), "{longest:?}");
}
