//! Real programs, found and started.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{BINARY, pause};

/// Longer than any of them takes to start, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program from Debian, also where it is not on the path of a plain user.
pub(crate) fn debian(name: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed: run `cargo xtask install`"))
}

/// Python with the packages of `requirements.txt`.
pub(crate) fn python() -> PathBuf {
    // Beside what cargo builds: `target/debug/panelboard`.
    let target = Path::new(BINARY).ancestors().nth(2).unwrap();
    let python = target.join("python/bin/python");
    assert!(python.exists(), "{} is missing: run `cargo xtask install`", python.display());
    python
}

/// The path of a file beside these tests.
pub(crate) fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

/// Runs a script with the arguments and returns what it prints. What it writes to stderr is shown
/// if it fails.
pub(crate) fn run_python(script: &str, arguments: &[&str]) -> String {
    let output = Command::new(python())
        .arg(beside(script))
        .args(arguments)
        // Nothing of the user's may have a say, and nothing goes through a proxy of theirs.
        .env_clear()
        .env("NO_PROXY", "*")
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} {}:\n{out}\n{err}", output.status);
    out.into_owned()
}

/// An address that nobody has at this moment.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A server in the foreground; ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it is configured by and writes to.
    pub(crate) directory: tempfile::TempDir,
}

impl Server {
    /// Starts it and waits until it accepts connections.
    pub(crate) fn start(
        command: &mut Command,
        address: SocketAddr,
        directory: tempfile::TempDir,
    ) -> Server {
        let log = std::fs::File::create(directory.path().join("output")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut server = Server { child, address, directory };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{command:?} does not listen on {address} ({ended:?}):\n{}",
                server.output()
            );
            pause();
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has written to its terminal, had it one.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // To a master of several processes, SIGTERM ends them all; a kill would orphan them.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
