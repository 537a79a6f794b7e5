//! SDKs whose own provider is gone: another one answers, and they do not notice.

use std::fmt::Write as _;

use crate::programs::run_python;
use crate::support::{Gateway, NOBODY, Upstream};

const APIS: [&str; 3] = ["openai", "anthropic", "ollama"];

/// For each client and each other provider a route on which the client's own is gone, and one that
/// has the other one only.
fn config(url: &str) -> String {
    let mut toml = String::from("[circuit_breaker.defaults]\nfailure_threshold = \"off\"\n");
    for client in APIS {
        let native = if client == "ollama" { "api = \"native\"" } else { "" };
        write!(
            toml,
            r#"
            [upstreams.gone-{client}]
            url = "{NOBODY}"
            kind = "{client}"
            [upstreams.{client}]
            url = "{url}"
            kind = "{client}"
            models = {{ "m" = "theirs" }}
            {native}
            "#
        )
        .unwrap();
        for other in APIS.into_iter().filter(|other| *other != client) {
            let own = format!("/{client}-{other}");
            for (path, upstreams) in [
                (own.clone(), format!("\"gone-{client}\", \"{other}\"")),
                (format!("/only{own}"), format!("\"{other}\"")),
            ] {
                write!(
                    toml,
                    "[[routes]]\npath = \"{path}\"\nstrip_prefix = \"{path}\"\n\
                     upstreams = [{upstreams}]\n"
                )
                .unwrap();
            }
        }
    }
    toml
}

#[test]
fn sdks_do_not_notice_that_another_provider_answers() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&config(&upstream.url()));
    let url = format!("http://{}", gateway.address());
    let held = run_python("translation.py", &[&url, &upstream.url()]);
    assert_eq!(held, "answers\nlater\nrefused\ncut\nlimited\n");
}
