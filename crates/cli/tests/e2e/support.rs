//! Real processes for end-to-end tests: the gateway, and upstreams with scripted faults.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_panelboard");

// ===== processes =====

/// A process of the binary under test; ended when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Kept,
    stderr: Kept,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Process {
    /// Starts it and reads so many lines of the sort `… on http://ADDRESS`.
    pub(crate) fn start(command: &mut Command, lines: usize) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        let stderr = Kept::new(BufReader::new(child.stderr.take().unwrap()));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut addresses = Vec::new();
        for _ in 0..lines {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let line = line.replace(" on https://", " on http://");
            let Some((_, address)) = line.trim().split_once(" on http://") else {
                let _ = child.wait();
                panic!("not started: {line:?}\n{}", stderr.text());
            };
            addresses.push(address.parse().expect("an address"));
        }
        Process { child, stdout: Kept::new(stdout), stderr, addresses }
    }

    /// What it has printed after the lines that `start` read.
    pub(crate) fn printed(&self) -> String {
        self.stdout.text()
    }

    /// Waits until this has been printed so many times, and returns everything printed.
    pub(crate) fn printed_within(&self, time: Duration, text: &str, times: usize) -> String {
        let deadline = Instant::now() + time;
        while self.printed().matches(text).count() < times {
            assert!(Instant::now() < deadline, "no {text} in {time:?}:\n{}", self.printed());
            pause();
        }
        self.printed()
    }

    pub(crate) fn log(&self) -> String {
        self.stderr.text()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How much memory it has.
    pub(crate) fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits for its end, and for the last of what it said, and returns its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.stdout.finish();
                self.stderr.finish();
                return status.code();
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.log());
            pause();
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a process has written; read as it comes, so that it fills no pipe.
struct Kept {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Kept {
    fn new(mut lines: impl BufRead + Send + 'static) -> Kept {
        let text = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                kept.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Kept { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Reads the rest, once the process has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

// ===== the upstream =====

/// An upstream with scripted faults, as a process of its own.
pub(crate) struct Upstream {
    pub(crate) process: Process,
    agent: ureq::Agent,
}

impl Upstream {
    pub(crate) fn start() -> Upstream {
        Upstream::at("127.0.0.1:0")
    }

    pub(crate) fn at(listen: &str) -> Upstream {
        let mut command = Command::new(BINARY);
        let process = Process::start(command.args(["upstream", "--listen", listen]), 1);
        Upstream { process, agent: agent() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.process.addresses[0]
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Changes how requests are answered.
    pub(crate) fn set(&self, behaviour: &str) {
        let url = format!("{}/__upstream/behaviour", self.url());
        let mut answer = self.agent.put(url).send(behaviour).unwrap();
        let status = answer.status().as_u16();
        assert!(status < 300, "{behaviour}: {}", answer.body_mut().read_to_string().unwrap());
    }

    pub(crate) fn stats(&self) -> Value {
        let url = format!("{}/__upstream/stats", self.url());
        let mut answer = self.agent.get(url).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// How many requests have arrived.
    pub(crate) fn requests(&self) -> u64 {
        self.stats()["requests"].as_u64().unwrap()
    }

    pub(crate) fn reset_stats(&self) {
        let url = format!("{}/__upstream/stats/reset", self.url());
        assert!(self.agent.post(url).send("").unwrap().status().is_success());
    }
}

// ===== the gateway =====

/// A gateway, as a process of its own, with its configuration in a directory of its own.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) config: PathBuf,
    agent: ureq::Agent,
    _directory: tempfile::TempDir,
}

/// An answer, all of it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What a circuit made of a call.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Judged {
    pub(crate) outcome: &'static str,
    /// Of a failure; else empty.
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

impl Gateway {
    /// Starts a gateway with this TOML, on ports of its own unless it says where to listen.
    pub(crate) fn start(toml: &str) -> Gateway {
        Gateway::start_with("panelboard.toml", toml, &[], &[])
    }

    pub(crate) fn start_with(
        name: &str,
        text: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Gateway {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join(name);
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(&config).args(arguments);
        if !text.contains("listen =") {
            let ports = ["gateway.listen=127.0.0.1:0", "gateway.admin=127.0.0.1:0"];
            command.args(ports.iter().flat_map(|port| ["--set", port]));
        }
        command.envs(environment.iter().copied());
        let process = Process::start(&mut command, 2);
        Gateway { process, config, agent: agent(), _directory: directory }
    }

    /// Starts a gateway that finds its file by itself.
    pub(crate) fn start_in_its_directory(toml: &str) -> Gateway {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("panelboard.toml");
        std::fs::write(&config, toml).unwrap();
        let mut command = Command::new(BINARY);
        command.current_dir(&directory).args(["serve", "--set", "gateway.listen=127.0.0.1:0"]);
        command.args(["--set", "gateway.admin=127.0.0.1:0"]);
        let process = Process::start(&mut command, 2);
        Gateway { process, config, agent: agent(), _directory: directory }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.process.addresses[0]
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.process.addresses[1]
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.admin_address())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(format!("http://{}{path}", self.address()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.call())
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, body, &[("content-type", "application/json")])
    }

    pub(crate) fn post_with(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.post(format!("http://{}{path}", self.address()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send(body))
    }

    pub(crate) fn admin(&self, path: &str) -> Answer {
        self.admin_with(path, &[])
    }

    pub(crate) fn admin_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.admin_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.call())
    }

    pub(crate) fn order(&self, circuit: &str, order: &str, body: &str) -> Answer {
        let url = format!("{}/api/v1/circuits/{circuit}/{order}", self.admin_url());
        read(self.agent.post(url).header("content-type", "application/json").send(body))
    }

    /// A circuit as the admin API shows it.
    pub(crate) fn circuit(&self, name: &str) -> Value {
        // A member of a family has the parts of its key in its name.
        let name = name.replace('/', "%2F");
        let answer = self.admin(&format!("/api/v1/circuits/{name}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    pub(crate) fn state(&self, name: &str) -> String {
        self.circuit(name)["state"].as_str().unwrap().to_owned()
    }

    /// How often the circuit recorded this outcome.
    pub(crate) fn count(&self, name: &str, outcome: &str) -> u64 {
        self.circuit(name)["calls"][outcome].as_u64().unwrap()
    }

    /// Replaces the configuration as editors do: by another file of the same name.
    pub(crate) fn rewrite(&self, text: &str) {
        let next = self.config.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &self.config).unwrap();
    }

    /// The value of one series, as scraped; `None` if there is no such series.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(line.parse().expect("a number"))
    }

    /// Does something that is one call on this circuit, and says what the circuit made of it.
    pub(crate) fn judged<T>(&self, name: &str, call: impl FnOnce() -> T) -> (T, Judged) {
        const OUTCOMES: [&str; 4] = ["success", "failure", "neutral", "pushback"];
        let counts =
            |circuit: &Value| OUTCOMES.map(|outcome| circuit["calls"][outcome].as_u64().unwrap());
        let errors = |circuit: &Value| circuit["last_errors"].as_array().unwrap().clone();
        let before = self.circuit(name);
        let done = call();
        // A call can end after the client has its answer.
        let mut after = Value::Null;
        eventually("an outcome", || {
            after = self.circuit(name);
            after["in_flight"] == 0 && counts(&after) != counts(&before)
        });
        assert_eq!(
            after["calls"]["admitted"].as_u64(),
            before["calls"]["admitted"].as_u64().map(|admitted| admitted + 1),
            "one call"
        );
        let mut outcomes = OUTCOMES
            .into_iter()
            .zip(counts(&after))
            .zip(counts(&before))
            .filter(|((_, after), before)| after > before);
        let ((outcome, now), then) = outcomes.next().unwrap();
        assert!(now == then + 1 && outcomes.next().is_none(), "exactly one: {after:#}");
        let error = match outcome {
            "failure" => errors(&after).pop(),
            _ => None,
        };
        let of = |key: &str| {
            error.as_ref().and_then(|error| error[key].as_str()).unwrap_or_default().to_owned()
        };
        (done, Judged { outcome, kind: of("kind"), message: of("message") })
    }

    /// Runs the command line against this gateway.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).env("PANELBOARD_ADMIN", self.admin_url());
        run(&mut command)
    }

    /// A connection for raw bytes.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// Sends raw bytes and reads until the gateway closes the connection.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        raw(self.address(), bytes)
    }
}

/// Sends raw bytes and reads until the other side closes the connection.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end, too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A connection that does not wait for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// An upstream that is not there: nothing listens on a port this low.
pub(crate) const NOBODY: &str = "http://127.0.0.1:1";

/// A command that has ended.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

// ===== waiting =====

/// Waits until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        pause();
    }
}

pub(crate) fn pause() {
    pass(Duration::from_millis(10));
}

/// Lets time pass, where that is the very thing a test is about.
pub(crate) fn pass(time: Duration) {
    std::thread::sleep(time);
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .build()
        .into()
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut answer = answer.expect("an answer");
    Answer {
        status: answer.status().as_u16(),
        headers: answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
            })
            .collect(),
        body: answer.body_mut().read_to_string().unwrap_or_default(),
    }
}
