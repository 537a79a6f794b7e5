//! Another binary in the place of the running one, systemd, and signals that must not wait.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};

use crate::raw::{Client, get};
use crate::support::{BINARY, Gateway, Process, Upstream, agent, eventually, run};

fn text(upstream: &Upstream) -> String {
    format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         [upstreams.api]\nurl = \"{}\"\n[[routes]]\nupstreams = [\"api\"]\n",
        upstream.url()
    )
}

/// Ends processes that nobody waits for.
struct Others(Vec<u32>);

impl Drop for Others {
    fn drop(&mut self) {
        for process in &self.0 {
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        }
    }
}

/// The processes that have taken over so far.
fn successors(gateway: &Gateway) -> Vec<u32> {
    let log = gateway.process.log();
    let lines = log.lines().filter(|line| line.contains("the successor serves"));
    lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["process"].as_u64().unwrap() as u32
        })
        .collect()
}

fn signal(process: u32, name: &str) {
    let sent = run(Command::new("kill").args([&format!("-{name}"), &process.to_string()]));
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
}

/// The process that the admin API's listener belongs to says so itself.
fn has_ended(gateway: &mut Gateway) -> bool {
    !gateway.process.is_running()
}

// ===== hand-over =====

const CLIENTS: u64 = 3;

/// Two kinds of clients: those that keep their connections, and those with one for each request.
#[test]
fn no_request_is_lost_when_another_process_takes_over_under_load() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&text(&upstream));
    let url = format!("http://{}/", gateway.address());
    let mut others = Others(Vec::new());
    let stopped = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    let address = gateway.address();
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stopped);
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let _stop = StopAtEnd(&stopped);
                let agent = agent();
                while !stopped.load(Ordering::Relaxed) {
                    let mut answer = agent.get(&url).call().expect("an answer");
                    assert_eq!(answer.status(), 200);
                    assert!(!answer.body_mut().read_to_string().unwrap().is_empty());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
            scope.spawn(|| {
                let _stop = StopAtEnd(&stopped);
                while !stopped.load(Ordering::Relaxed) {
                    let reply = Client::to(address).ask(get("/"));
                    assert_eq!((reply.status, reply.body.is_empty()), (200, false));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=2 {
            let before = answered.load(Ordering::Relaxed);
            let load = || answered.load(Ordering::Relaxed) > before + 700;
            eventually("requests before", || stopped.load(Ordering::Relaxed) || load());
            match others.0.last() {
                None => gateway.process.signal("USR2"),
                Some(process) => signal(*process, "USR2"),
            }
            eventually("a successor", || {
                stopped.load(Ordering::Relaxed) || successors(&gateway).len() == round
            });
            others.0 = successors(&gateway);
            let before = answered.load(Ordering::Relaxed);
            let load = || answered.load(Ordering::Relaxed) > before + 400;
            eventually("requests after", || stopped.load(Ordering::Relaxed) || load());
        }
    });
    let answered = answered.into_inner();
    assert!(answered >= 2_000, "{answered}");
    assert_eq!(others.0.len(), 2);
    eventually("the end of the first", || has_ended(&mut gateway));
    let log = gateway.process.log();
    assert!(!log.contains("cut off") && !log.contains("ERROR"), "{log}");
    let stats = upstream.stats();
    assert_eq!(stats["requests"], answered, "none lost, and none sent twice");
    assert_eq!(stats["by_status"], serde_json::json!({ "200": answered }));
    assert_eq!(gateway.admin("/healthz").status, 200, "the last one's");
    // And that one stops as any other.
    signal(others.0[1], "TERM");
    eventually("nobody listens", || std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&text(&upstream));
    let good = std::fs::read_to_string(&gateway.config).unwrap();
    gateway.rewrite("[gateway]\nlisten = 7\n");
    gateway.process.signal("USR2");
    eventually("a complaint", || gateway.process.log().contains("no successor"));
    let log = gateway.process.log();
    assert!(log.contains("it ended before it served (exit status: 3)"), "{log}");
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(gateway.admin("/readyz").status, 200);

    gateway.rewrite(&good);
    let slow = {
        // What is under way is finished here, by the old one.
        upstream.set("slow:800ms");
        let mut slow = Client::of(&gateway);
        slow.send(get("/"));
        eventually("a request", || upstream.stats()["in_flight"] == 1);
        slow
    };
    upstream.set("ok");
    gateway.process.signal("USR2");
    eventually("a successor", || !successors(&gateway).is_empty());
    let _others = Others(successors(&gateway));
    let mut slow = slow;
    assert_eq!(slow.reply().status, 200);
    eventually("the end of the first", || has_ended(&mut gateway));
    assert_eq!(gateway.get("/").status, 200, "the other's");
    assert_eq!(gateway.count("api", "success"), 1, "which has begun anew");
}

// ===== systemd =====

/// What systemd hears.
struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Manager {
    fn new() -> Manager {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Manager { socket, directory }
    }

    fn path(&self) -> String {
        self.directory.path().join("notify").to_str().unwrap().to_owned()
    }

    fn next(&self) -> String {
        let mut message = [0; 512];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The next message but for the watchdog's.
    fn heard(&self) -> String {
        loop {
            let message = self.next();
            if message.trim() != "WATCHDOG=1" {
                return message.trim().to_owned();
            }
        }
    }
}

#[test]
fn systemd_is_told_how_it_goes() {
    let (upstream, manager) = (Upstream::start(), Manager::new());
    let environment = [("NOTIFY_SOCKET", &*manager.path()), ("WATCHDOG_USEC", "200000")];
    let mut gateway = Gateway::start_with("panelboard.toml", &text(&upstream), &[], &environment);
    assert_eq!(manager.heard(), "READY=1");
    for _ in 0..3 {
        while manager.next().trim() != "WATCHDOG=1" {}
    }
    gateway.process.signal("HUP");
    let reloading = manager.heard();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.heard(), "READY=1");

    gateway.process.signal("USR2");
    // The one by the process that goes, the other by the one that comes.
    let mut heard = [manager.heard(), manager.heard()];
    heard.sort();
    eventually("a successor", || !successors(&gateway).is_empty());
    let others = Others(successors(&gateway));
    assert_eq!(heard, [format!("MAINPID={}", others.0[0]), "READY=1".into()]);
    eventually("the end of the first", || has_ended(&mut gateway));
    for _ in 0..3 {
        while manager.next().trim() != "WATCHDOG=1" {}
    }
    signal(others.0[0], "TERM");
    assert_eq!(manager.heard(), "STOPPING=1");
}

#[test]
fn sockets_that_systemd_has_opened_are_used() {
    let upstream = Upstream::start();
    let bound = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (requests, admin, neither) = (bound(), bound(), bound());
    let address = requests.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("panelboard.toml");
    let listen = format!("listen = \"{address}\"\nadmin = \"{}\"", admin.local_addr().unwrap());
    let text =
        text(&upstream).replace("listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"", &listen);
    std::fs::write(&config, text).unwrap();
    // A connection before there is anybody to take it waits for its turn.
    let mut early = Client::to(address);
    early.send(get("/"));
    let sockets = [requests, admin, neither];
    let mappings = (3..)
        .zip(sockets)
        .map(|(child_fd, socket)| FdMapping { parent_fd: socket.into(), child_fd })
        .collect();
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config"]).arg(&config).env("LISTEN_FDS", "3");
    command.fd_mappings(mappings).unwrap();
    let mut process = Process::start(&mut command, 2);
    drop(command);
    assert_eq!(process.addresses[0], address);
    assert_eq!(early.reply().status, 200);
    assert!(process.log().contains("an inherited socket is closed"), "{}", process.log());
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0), "{}", process.log());
}

/// Those of another process are not for this one, as when a shell passes its environment on.
#[test]
fn sockets_for_another_process_are_left_alone() {
    let upstream = Upstream::start();
    let environment = [("LISTEN_FDS", "1"), ("LISTEN_PID", "1")];
    let gateway = Gateway::start_with("panelboard.toml", &text(&upstream), &[], &environment);
    assert_eq!(gateway.get("/").status, 200);
}

// ===== signals =====

/// A secret on a disk that hangs: here, a pipe that nobody writes to.
#[test]
fn a_reload_that_takes_its_time_does_not_hold_up_the_end() {
    let (upstream, manager) = (Upstream::start(), Manager::new());
    let key = manager.directory.path().join("key");
    std::fs::write(&key, "sk-e2e").unwrap();
    let secret = format!("api_key = {{ file = \"{}\" }}\n[[routes]]", key.display());
    let text = text(&upstream).replace("[[routes]]", &secret);
    let environment = [("NOTIFY_SOCKET", &*manager.path())];
    let mut gateway = Gateway::start_with("panelboard.toml", &text, &[], &environment);
    assert_eq!(manager.heard(), "READY=1");
    std::fs::remove_file(&key).unwrap();
    assert_eq!(run(Command::new("mkfifo").arg(&key)).code, Some(0));
    gateway.process.signal("HUP");
    assert!(manager.heard().starts_with("RELOADING=1"));
    assert_eq!(gateway.get("/").status, 200, "requests do not wait");
    let started = Instant::now();
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.exit_code(), Some(0), "{}", gateway.process.log());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// Tells the others to stop when it goes, be it by a panic.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
