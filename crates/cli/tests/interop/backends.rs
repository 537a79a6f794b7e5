//! Servers that note each request they took for whole: method, target and body.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::programs::{Server, beside, debian, free_address, python};

/// A server behind the gateway.
pub(crate) struct Backend {
    pub(crate) server: Server,
    /// The one that notes requests, if another.
    behind: Option<Server>,
}

/// A request as a server read it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: String,
    /// What it answered, where it says so.
    #[serde(default = "ok")]
    status: u16,
}

fn ok() -> u16 {
    200
}

/// The file in which a server notes requests.
const NOTES: &str = "notes";

pub(crate) fn nginx() -> Backend {
    let (directory, address) = place();
    let path = directory.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind}; "))
        .concat();
    // A body is read, and noted, only where it is passed on.
    let config = format!(
        r#"daemon off; worker_processes 1; pid {path}/pid; error_log stderr;
        events {{ worker_connections 512; }}
        http {{
          {temporary}
          log_format notes escape=json '{{"method":"$request_method","target":"$request_uri",'
            '"body":"$request_body","status":$status}}';
          server {{
            listen {address};
            access_log {path}/{NOTES} notes;
            client_body_in_single_buffer on;
            location / {{ proxy_pass http://unix:{path}/socket; }}
          }}
          server {{ listen unix:{path}/socket; access_log off; return 200 ok; }}
        }}"#
    );
    let file = written(directory.path(), "nginx.conf", &config);
    let mut command = Command::new(debian("nginx"));
    command.args(["-e", "stderr", "-c"]).arg(file);
    Backend { server: Server::start(&mut command, address, directory), behind: None }
}

/// Before node, which notes what it is passed.
pub(crate) fn haproxy() -> Backend {
    let behind = node();
    let (directory, address) = place();
    let config = format!(
        "global\n  nbthread 1\n\
         defaults\n  mode http\n  timeout client 10s\n  timeout server 10s\n  timeout connect 10s\n\
         listen all\n  bind {address}\n  server node {}\n",
        behind.server.address
    );
    let file = written(directory.path(), "haproxy.cfg", &config);
    let mut command = Command::new(debian("haproxy"));
    command.args(["-db", "-f"]).arg(file);
    let server = Server::start(&mut command, address, directory);
    Backend { server, behind: Some(behind.server) }
}

/// Before node as well.
pub(crate) fn apache() -> Backend {
    let behind = node();
    let (directory, address) = place();
    let path = directory.path().display();
    let modules: String = ["mpm_event", "authz_core", "proxy", "proxy_http"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    // Targets are to be passed on as they came.
    let config = format!(
        "{modules}ServerRoot {path}\nServerName test\nListen {address}\nPidFile {path}/pid\n\
         DefaultRuntimeDir {path}\nErrorLog {path}/error\nUser nobody\nGroup nogroup\n\
         AllowEncodedSlashes NoDecode\nProxyPass / http://{}/ nocanon\n",
        behind.server.address
    );
    let file = written(directory.path(), "apache.conf", &config);
    let mut command = Command::new(debian("apache2"));
    command.args(["-D", "FOREGROUND", "-f"]).arg(file);
    let server = Server::start(&mut command, address, directory);
    Backend { server, behind: Some(behind.server) }
}

pub(crate) fn node() -> Backend {
    let (directory, address) = place();
    let mut command = Command::new(debian("node"));
    command.arg(beside("backends/node.js")).arg(address.port().to_string());
    command.arg(directory.path().join(NOTES));
    Backend { server: Server::start(&mut command, address, directory), behind: None }
}

pub(crate) fn uvicorn(parser: &str) -> Backend {
    let arguments = |address: SocketAddr| {
        let port = address.port().to_string();
        [
            "-m",
            "uvicorn",
            "python_apps:asgi",
            "--http",
            parser,
            "--lifespan",
            "off",
            "--port",
            &port,
        ]
        .map(str::to_owned)
        .to_vec()
    };
    python_server(arguments)
}

pub(crate) fn gunicorn() -> Backend {
    python_server(|address| {
        let bind = address.to_string();
        ["-m", "gunicorn", "python_apps:wsgi", "--worker-class", "gthread", "--threads", "16"]
            .into_iter()
            .chain(["--workers", "1", "--keep-alive", "10", "--bind", &bind])
            .map(str::to_owned)
            .collect()
    })
}

fn python_server(arguments: impl Fn(SocketAddr) -> Vec<String>) -> Backend {
    let (directory, address) = place();
    let mut command = Command::new(python());
    command
        .current_dir(beside("backends"))
        .env("SEEN", directory.path().join(NOTES))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(arguments(address));
    Backend { server: Server::start(&mut command, address, directory), behind: None }
}

fn place() -> (tempfile::TempDir, SocketAddr) {
    (tempfile::tempdir().unwrap(), free_address())
}

fn written(directory: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = directory.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

impl Backend {
    /// The requests it has answered as whole ones, in their order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let noting = self.behind.as_ref().unwrap_or(&self.server);
        let notes = std::fs::read(noting.directory.path().join(NOTES));
        let notes = String::from_utf8_lossy(&notes.unwrap_or_default()).into_owned();
        // A line may be half written.
        let whole = notes.rfind('\n').map_or("", |end| &notes[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .filter(|seen: &Seen| seen.status == 200)
            .collect()
    }
}
