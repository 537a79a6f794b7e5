//! HTTP/2 and TLS with programs that others wrote: nginx as the upstream, curl as the client.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};

use crate::nginx;
use crate::programs::debian;
use crate::support::{Gateway, Upstream, run};

/// A certificate for loopback that is its own authority, as `cert.pem` and `key.pem`.
fn certificate(directory: &Path) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([String::from("127.0.0.1")]).unwrap();
    std::fs::write(directory.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
}

#[test]
fn nginx_over_tls_is_spoken_to_in_http2_and_may_end_connections_as_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    certificate(directory.path());
    // After so many requests nginx says GOAWAY, whatever is under way.
    let nginx = nginx::start_on(
        "ssl http2",
        &format!(
            "ssl_certificate {path}/cert.pem; ssl_certificate_key {path}/key.pem;
             ssl_protocols TLSv1.2 TLSv1.3;
             keepalive_requests 5;
             location / {{ return 200 '$server_protocol $ssl_protocol $host'; }}"
        ),
    );
    let start = |http2: &str| {
        Gateway::start(&format!(
            r#"
            [circuit_breaker.circuits.web]
            [upstreams.web]
            url = "https://{}"
            http2 = "{http2}"
            tls = {{ ca = "{path}/cert.pem" }}
            [[routes]]
            upstream = "web"
            circuit = "web"
            "#,
            nginx.address
        ))
    };
    let gateway = start("auto");
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "HTTP/2.0 TLSv1.3 127.0.0.1"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    assert_eq!(gateway.get("/").status, 200);
                }
            });
        }
    });
    assert_eq!((gateway.count("web", "success"), gateway.count("web", "failure")), (101, 0));
    let answer = start("off").get("/");
    assert_eq!(answer.body, "HTTP/1.1 TLSv1.3 127.0.0.1");
}

fn curl(address: SocketAddr, arguments: &[&str], path: &str) -> (String, String) {
    let scheme = if arguments.contains(&"--cacert") { "https" } else { "http" };
    let mut command = Command::new(debian("curl"));
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]);
    command.args(["--write-out", "\n%{http_code} HTTP/%{http_version}"]).args(arguments);
    let output = run(command.arg(format!("{scheme}://{address}{path}")));
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let (body, status) = output.stdout.rsplit_once('\n').unwrap();
    (body.to_owned(), status.to_owned())
}

#[test]
fn curl_is_served_in_http2() {
    let upstream = Upstream::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    certificate(directory.path());
    let start = |listen: &str| {
        Gateway::start(&format!(
            "[gateway]\nadmin = \"127.0.0.1:0\"\nlisten = {{ address = \"127.0.0.1:0\", {listen} }}\n\
             [upstreams.web]\nurl = \"{}\"\n[[routes]]\nupstream = \"web\"\n",
            upstream.url()
        ))
    };
    let secure =
        start(&format!("tls = {{ cert = \"{path}/cert.pem\", key = \"{path}/key.pem\" }}"));
    let clear = start("h2c = true");
    let authority = format!("{path}/cert.pem");
    let body = "x".repeat(400_000);
    std::fs::write(directory.path().join("body"), &body).unwrap();
    let upload = format!("@{path}/body");
    for (gateway, arguments, version) in [
        (&secure, &["--cacert", &authority, "--http2"][..], "200 HTTP/2"),
        (&secure, &["--cacert", &authority, "--http1.1"], "200 HTTP/1.1"),
        (&secure, &["--cacert", &authority, "--tls-max", "1.2"], "200 HTTP/2"),
        (&clear, &["--http2-prior-knowledge"], "200 HTTP/2"),
        // It offers to change over, which is passed by.
        (&clear, &["--http2"], "200 HTTP/1.1"),
    ] {
        let (seen, status) = curl(gateway.address(), arguments, "/a?b");
        assert_eq!(status, version, "{arguments:?}: {seen}");
        assert!(seen.contains("\"target\":\"/a?b\""), "{arguments:?}: {seen}");
        let posted = [arguments, &["--data-binary", &upload, "--header", "expect:"]].concat();
        let (echo, status) = curl(gateway.address(), &posted, "/echo");
        assert_eq!((status.as_str(), echo == body), (version, true), "{arguments:?}");
    }
}
