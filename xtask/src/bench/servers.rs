//! The servers under measurement, each on a port of its own, and the upstream they share.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{output, program};

/// Where the measured proxy runs.
pub(super) const PROXY_CORE: &str = "0";
/// Where the load and the upstream run.
pub(super) const LOAD_CORE: &str = "1";

/// What all servers are started with.
pub(super) struct Setup {
    binary: PathBuf,
    directory: PathBuf,
    upstream: u16,
}

impl Setup {
    pub(super) fn new(binary: PathBuf) -> Result<Setup, String> {
        let directory = crate::root().join("target/bench");
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        Ok(Setup { binary, directory, upstream: free_port()? })
    }

    pub(super) fn upstream(&self) -> u16 {
        self.upstream
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.directory.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

/// A server; ended when dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// CPU time that it and its children have taken, user and system.
    pub(super) fn cpu_micros(&self) -> Result<u64, String> {
        self.pids().into_iter().map(micros).sum()
    }

    /// Memory of its own that it and its children have, in bytes.
    pub(super) fn memory(&self) -> Result<u64, String> {
        self.pids().into_iter().map(memory).sum()
    }

    fn pids(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        std::iter::once(pid).chain(children).collect()
    }

    /// Starts it on one core and waits until it accepts connections.
    pub(super) fn start(core: &str, command: &[&str], port: u16) -> Result<Server, String> {
        let child = Command::new("taskset")
            .args(["-c", core])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot run taskset: {error}"))?;
        let mut server = Server { child, port };
        server.wait(command)?;
        Ok(server)
    }

    #[expect(clippy::disallowed_methods, reason = "waits for another process")]
    fn wait(&mut self, command: &[&str]) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(format!("`{}` does not listen on {}", command.join(" "), self.port));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // To the master of nginx, SIGTERM ends its workers too; a kill would orphan them.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.child.wait();
    }
}

/// User and system time of a process, from the kernel's books (`proc_pid_stat(5)`), which count
/// in ticks of 10 ms.
fn micros(pid: u32) -> Result<u64, String> {
    const TICK_MICROS: u64 = 10_000;
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| error.to_string())?;
    // The name stands in brackets and may contain anything; the state follows as the third field.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    let times = fields.map(|fields| fields.skip(11).take(2).map(str::parse::<u64>));
    let ticks: Option<u64> = times.and_then(|times| times.map(Result::ok).sum());
    ticks.map(|ticks| ticks * TICK_MICROS).ok_or_else(|| format!("/proc/{pid}/stat is odd: {stat}"))
}

/// What is in memory and not backed by a file (`proc_pid_status(5)`): programs differ in size, and
/// share what they are.
fn memory(pid: u32) -> Result<u64, String> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = kib.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| format!("/proc/{pid}/status has no RssAnon"))
}

/// The upstream itself, with nothing in front of it.
pub(super) fn direct(setup: &Setup) -> Result<Server, String> {
    let port = free_port()?;
    let server = format!("server {{ listen 127.0.0.1:{port} backlog=8192; {} }}", answer());
    start_nginx(setup, "direct", PROXY_CORE, &server, port)
}

/// An nginx that answers every request itself.
pub(super) fn upstream(setup: &Setup) -> Result<Server, String> {
    let port = setup.upstream;
    let server = format!("server {{ listen 127.0.0.1:{port} backlog=8192; {} }}", answer());
    start_nginx(setup, "upstream", LOAD_CORE, &server, port)
}

fn answer() -> String {
    format!("location / {{ return 200 '{}'; }}", "x".repeat(1_024))
}

/// An nginx with this `server` block.
pub(super) fn start_nginx(
    setup: &Setup,
    name: &str,
    core: &str,
    server: &str,
    port: u16,
) -> Result<Server, String> {
    let directory = setup.directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {directory}/{name}-{kind}; "))
        .concat();
    let config = format!(
        "daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {directory}/{name}.pid; error_log {directory}/{name}.log;
         events {{ worker_connections 16384; }}
         http {{ access_log off; keepalive_requests 100000000; {temporary} {server} }}\n"
    );
    let path = setup.write(&format!("{name}.conf"), &config)?;
    Server::start(core, &["nginx", "-c", text(&path)?], port)
}

/// The gateway with a circuit in front of the upstream.
pub(super) fn guarded(setup: &Setup) -> Result<Server, String> {
    gateway(setup, "guarded", true).map(|(server, _)| server)
}

/// The gateway with all circuits switched off.
pub(super) fn unguarded(setup: &Setup) -> Result<Server, String> {
    gateway(setup, "unguarded", false).map(|(server, _)| server)
}

/// The gateway with its circuit forced open.
pub(super) fn refusing(setup: &Setup) -> Result<Server, String> {
    let (server, admin) = gateway(setup, "refusing", true)?;
    let admin = format!("http://127.0.0.1:{admin}");
    let order = ["open", "api", "--reason", "benchmark", "--admin", &admin];
    output(&mut program(text(&setup.binary)?, &order))?;
    Ok(server)
}

fn gateway(setup: &Setup, name: &str, enabled: bool) -> Result<(Server, u16), String> {
    let (port, admin, upstream) = (free_port()?, free_port()?, setup.upstream);
    let config = format!(
        "[circuit_breaker]\nenabled = {enabled}\n\
         [circuit_breaker.circuits.api]\nfailure_threshold = 5\nfailure_rate = 0.5\n\
         [gateway]\nlisten = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:{admin}\"\n\
         [upstreams.api]\nurl = \"http://127.0.0.1:{upstream}\"\n\
         [[routes]]\nupstreams = [\"api\"]\ncircuit = \"api\"\n"
    );
    let path = setup.write(&format!("{name}.toml"), &config)?;
    let command = [text(&setup.binary)?, "serve", "--config", text(&path)?];
    Ok((Server::start(PROXY_CORE, &command, port)?, admin))
}

/// A port that nobody has at this moment.
pub(super) fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|error| error.to_string())
}

pub(super) fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is no text", path.display()))
}
