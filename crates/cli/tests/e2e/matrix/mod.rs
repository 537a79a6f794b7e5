//! Every row of the fault matrix, played.

mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::raw::{Client, End, Reply, request};
use crate::support::{Gateway, Judged, Upstream, pass};
use table::{Act, Ask, Gets, Over, Play, ROWS, Row};

/// How many rows are played at once.
const AT_ONCE: usize = 8;

/// No row takes longer: the longest timeout, and a good deal for a busy machine.
const LONGEST: Duration = Duration::from_secs(8);

/// More than fits in buffers on the way.
const UPLOAD: usize = 16 << 20;

const CHAT: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// A row over one version of HTTP.
struct Job {
    row: &'static Row,
    name: String,
    expected: Over,
    server: Option<Acting>,
    url: String,
    http2: bool,
}

// ===== servers =====

/// A server that acts once and is healthy from then on.
struct Acting {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
}

impl Acting {
    fn start(acts: &'static [Act]) -> Acting {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counted.connections.fetch_add(1, Ordering::SeqCst);
                let Ok(stream) = stream else { continue };
                std::thread::spawn(move || {
                    // Whatever goes wrong is the other side's end.
                    let first = if number == 0 { acts } else { &[] };
                    if act(&stream, first).is_some() {
                        while read_head(&stream).is_some() {
                            let healthy = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nhealthy";
                            if (&stream).write_all(healthy.as_bytes()).is_err() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        Acting { address, counts }
    }
}

/// Does what is to be done. `None` when that was the end of the connection.
fn act(mut stream: &TcpStream, acts: &[Act]) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut piece = String::new();
    for (place, act) in acts.iter().enumerate() {
        if let Act::Send(text) = act {
            piece.push_str(text);
            if !matches!(acts.get(place + 1), Some(Act::Send(_))) {
                stream.write_all(std::mem::take(&mut piece).as_bytes()).ok()?;
            }
            continue;
        }
        match act {
            Act::Send(_) => {}
            Act::Read => read_head(stream)?,
            Act::Times(text, times) => {
                stream.write_all(text.repeat(*times as usize).as_bytes()).ok()?;
            }
            Act::ForEver(text) => loop {
                stream.write_all(text.as_bytes()).ok()?;
                pass(Duration::from_millis(50));
            },
            Act::Wait => pass(Duration::from_millis(50)),
            Act::Hang => {
                let mut nothing = [0; 1];
                // What has come is left where it is, so that more of it has no room.
                while stream.peek(&mut nothing).is_ok_and(|read| read > 0) {
                    pass(Duration::from_millis(50));
                }
                return None;
            }
            Act::Close => return None,
            Act::Reset => {
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
                return None;
            }
        }
    }
    Some(())
}

fn read_head(mut stream: &TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(())
}

/// An address whose queue of new connections is full for as long as this is kept.
struct FullQueue {
    address: SocketAddr,
    _sockets: Vec<Socket>,
}

impl FullQueue {
    fn start() -> FullQueue {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // The last of them is never connected.
            let _ = socket.connect_timeout(&address, Duration::from_millis(50));
            sockets.push(socket);
        }
        FullQueue { address: address.as_socket().unwrap(), _sockets: sockets }
    }
}

// ===== jobs =====

fn jobs(scripted: &[Upstream], full: &FullQueue) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (number, row) in ROWS.iter().enumerate() {
        for (http2, expected) in [(false, row.http1), (true, row.http2)] {
            if expected == Over::No {
                continue;
            }
            let server = match row.play {
                Play::Acts(acts) | Play::Tls(acts) => Some(Acting::start(acts)),
                _ => None,
            };
            let address = server.as_ref().map(|server| server.address);
            let url = match (row.play, address) {
                (Play::Tls(_), Some(address)) => format!("https://{address}"),
                (_, Some(address)) => format!("http://{address}"),
                (Play::Nobody(url), None) => url.to_owned(),
                (Play::Full, None) => format!("http://{}", full.address),
                _ => scripted[jobs.len() % AT_ONCE].url(),
            };
            let name = format!("row-{number}-{}", if http2 { "h2" } else { "h1" });
            jobs.push(Job { row, name, expected, server, url, http2 });
        }
    }
    jobs
}

fn config(jobs: &[Job]) -> String {
    let mut toml = String::new();
    for Job { name, url, http2, row, .. } in jobs {
        let kind = if row.ask == Ask::Chat { "openai" } else { "http" };
        let http2 = if *http2 { "on" } else { "off" };
        let total = if row.does.contains("total_timeout") { "total_timeout = \"1s\"" } else { "" };
        write!(
            toml,
            r#"
            [circuit_breaker.circuits.{name}]
            failure_threshold = "off"
            failure_rate = "off"
            pace = false
            [upstreams.{name}]
            url = "{url}"
            kind = "{kind}"
            http2 = "{http2}"
            connect_timeout = "400ms"
            first_byte_timeout = "600ms"
            first_token_timeout = "600ms"
            stall_timeout = "600ms"
            {total}
            [[routes]]
            path = "/{name}"
            strip_prefix = "/{name}"
            upstream = "{name}"
            circuit = "{name}"
            "#
        )
        .unwrap();
    }
    toml
}

/// Asks as the row says, or as any other client would.
fn ask(gateway: &Gateway, job: &Job, behaviour: Option<&str>) -> Reply {
    let behaviour = behaviour.map(|text| format!("x-upstream-behaviour: {text}\r\n"));
    let headers = behaviour.unwrap_or_default();
    let mut client = Client::of(gateway);
    match job.row.ask {
        Ask::Get => {
            client.send(request("GET", &format!("/{}/bytes/10000", job.name), &headers, ""));
        }
        Ask::Chat => {
            let headers = format!("content-type: application/json\r\n{headers}");
            let path = format!("/{}/v1/chat/completions", job.name);
            client.send(request("POST", &path, &headers, CHAT));
        }
        Ask::Upload => {
            let path = format!("/{}", job.name);
            client.try_send(request("PUT", &path, &headers, vec![b'x'; UPLOAD]));
        }
    }
    client.reply()
}

fn gets(reply: &Reply) -> Gets {
    let text = reply.text();
    match (reply.header("x-panelboard-fallback"), reply.end) {
        (Some(_), _) => Gets::Fallback,
        (None, End::Whole) => Gets::Answer(reply.status),
        (None, End::Cut) if text.contains("\"error\"") => Gets::Told,
        (None, End::Cut) => Gets::Cut,
    }
}

/// Whether every byte of the answer is the upstream's.
fn invents(row: &Row, reply: &Reply) -> bool {
    let text = reply.text();
    match (row.ask, row.play, row.gets) {
        (_, _, Gets::Fallback) => text.contains("poison"),
        (Ask::Chat, ..) => {
            let ended = text.contains("[DONE]");
            ended != (row.outcome == "success" || row.does.contains("reports an error")) && ended
        }
        (_, Play::Script(_), Gets::Answer(200) | Gets::Cut) => {
            !(0..251).cycle().zip(&reply.body).all(|(made, got): (u8, &u8)| made == *got)
        }
        (_, Play::Acts(_), _) => !"hello".starts_with(text.trim_end()),
        _ => false,
    }
}

fn play(job: &Job, gateway: &Gateway, scripted: &Upstream) -> Result<(), String> {
    let row = job.row;
    let script = match row.play {
        Play::Script(behaviour) => Some(behaviour),
        _ => None,
    };
    scripted.reset_stats();
    let started = Instant::now();
    let (reply, Judged { outcome, kind, .. }) =
        gateway.judged(&job.name, || ask(gateway, job, script));
    let took = started.elapsed();
    let mut wrong = Vec::new();
    if gets(&reply) != row.gets {
        wrong.push(format!("gets {:?} instead of {:?}", gets(&reply), row.gets));
    }
    if (outcome, &*kind) != (row.outcome, row.kind) {
        wrong.push(format!("is {outcome} {kind:?} instead of {} {:?}", row.outcome, row.kind));
    }
    if reply.header("retry-after").is_none()
        && gets(&reply) == Gets::Fallback
        && reply.status == 503
    {
        wrong.push("has no Retry-After".into());
    }
    if invents(row, &reply) {
        wrong.push(format!("invents something: {}", reply.text()));
    }
    if took > LONGEST {
        wrong.push(format!("takes {took:?}"));
    }
    if matches!(row.play, Play::Script(_) | Play::Acts(_)) {
        // What comes unasked has come by then.
        pass(Duration::from_millis(100));
        let next = ask(gateway, job, None);
        if next.status != 200 || next.text().contains("poison") {
            wrong.push(format!("harms the next: {} {}", next.status, next.text()));
        }
        let connections = match &job.server {
            Some(server) => server.counts.connections.load(Ordering::SeqCst),
            None => scripted.stats()["connections"].as_u64().unwrap(),
        };
        let over = if connections == 1 { Over::Reused } else { Over::Gone };
        if over != job.expected {
            wrong.push(format!("is {over:?} instead of {:?}", job.expected));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("{} ({}): {}", row.does, job.name, wrong.join("; "))),
    }
}

/// What the metrics say of each circuit: calls by outcome, and failures by kind.
fn counted(gateway: &Gateway) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut counted: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for line in gateway.admin("/metrics").body.lines() {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let what = match line.split_once('{').map(|(name, _)| name) {
            Some("panelboard_circuit_calls_total") => label("outcome"),
            Some("panelboard_circuit_failures_total") => label("kind"),
            _ => None,
        };
        let count: f64 = line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default();
        if let (Some(circuit), Some(what)) = (label("circuit"), what)
            && count > 0.0
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            counted.entry(circuit).or_default().insert(what, count as u64);
        }
    }
    counted
}

#[test]
fn every_row_of_the_fault_matrix_is_as_it_says() {
    let scripted: Vec<Upstream> = (0..AT_ONCE).map(|_| Upstream::start()).collect();
    let full = FullQueue::start();
    let jobs = jobs(&scripted, &full);
    let gateway = Gateway::start(&config(&jobs));
    let mut wrong: Vec<String> = std::thread::scope(|scope| {
        let (jobs, gateway) = (&jobs, &gateway);
        let players: Vec<_> = scripted
            .iter()
            .enumerate()
            .map(|(player, upstream)| {
                scope.spawn(move || {
                    let mine = jobs.iter().skip(player).step_by(AT_ONCE);
                    mine.filter_map(|job| play(job, gateway, upstream).err()).collect::<Vec<_>>()
                })
            })
            .collect();
        players.into_iter().flat_map(|player| player.join().expect("an answer in time")).collect()
    });
    let counted = counted(&gateway);
    for Job { row, name, .. } in &jobs {
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        *expected.entry(row.outcome.to_owned()).or_default() += 1;
        if !row.kind.is_empty() {
            expected.insert(row.kind.to_owned(), 1);
        }
        if matches!(row.play, Play::Script(_) | Play::Acts(_)) {
            *expected.entry("success".to_owned()).or_default() += 1;
        }
        if counted.get(name) != Some(&expected) {
            wrong.push(format!("{} ({name}): counted {:?}", row.does, counted.get(name)));
        }
    }
    let log = gateway.process.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), jobs.len(), wrong.join("\n"));
}

#[test]
fn the_page_has_every_row() {
    let page = table::markdown();
    for row in ROWS {
        assert_eq!(page.matches(&format!("| {} |", row.does)).count(), 1, "{}", row.does);
    }
}
