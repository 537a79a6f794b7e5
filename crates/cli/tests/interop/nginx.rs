//! nginx as the upstream.

use std::process::Command;

use crate::programs::{Server, debian, free_address};
use crate::support::Gateway;

/// An nginx whose `server` block has these directives.
pub(crate) fn start(directives: &str) -> Server {
    start_on("", directives)
}

/// The same, with these words behind the address it listens on.
pub(crate) fn start_on(listen: &str, directives: &str) -> Server {
    let address = free_address();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind}; "))
        .concat();
    let config = format!(
        "daemon off; worker_processes 1; pid {path}/pid; error_log stderr;
         events {{ worker_connections 512; }}
         http {{ access_log {path}/access; {temporary} server {{ listen {address} {listen}; {directives} }} }}"
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(debian("nginx"));
    command.args(["-e", "stderr", "-c"]).arg(&file);
    Server::start(&mut command, address, directory)
}

#[test]
fn a_real_server_is_reached_over_connections_that_are_kept() {
    let nginx = start("location / { add_header X-Connection $connection; return 200 'hello'; }");
    let gateway = Gateway::start(&format!(
        "[upstreams.web]\nurl = \"{}\"\n[[routes]]\nupstream = \"web\"\n",
        nginx.url()
    ));
    let connections: Vec<String> = (0..3)
        .map(|_| {
            let answer = gateway.get("/a/b?c=d");
            assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
            answer.header("x-connection").unwrap().to_owned()
        })
        .collect();
    assert_eq!(connections, [connections[0].as_str(); 3], "one connection for all");
}
