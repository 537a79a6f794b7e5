//! Upstreams, routes, fallbacks, secrets: what the gateway gets.

use std::io;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use panelboard_config::{
    Config, Format, Input, Route, RouteCache, RouteFallback, Scheme, SecretReader, SecretRef,
    Severity, Source, TextStyle, UpstreamKind, check,
};

fn config(text: &str) -> Config {
    let checked = check(Input::new().file(Source::new("panelboard.toml", text)));
    let told = checked.diagnostics.render(Format::Text(TextStyle::default()));
    checked.config.unwrap_or_else(|| panic!("{told}"))
}

fn everything() -> Config {
    config(include_str!("good/everything.toml"))
}

#[test]
fn upstreams_have_what_was_written() {
    let config = everything();
    let openai = &config.upstreams()["openai"];
    assert_eq!(openai.url.to_string(), "https://api.openai.com/v1");
    assert_eq!((openai.url.scheme(), openai.url.port()), (Scheme::Https, 443));
    assert_eq!(openai.kind, UpstreamKind::OpenAi);
    assert_eq!(openai.timeouts.connect, Duration::from_secs(3));
    assert_eq!(openai.timeouts.first_token, Duration::from_secs(120));
    assert_eq!(openai.timeouts.total, Some(Duration::from_secs(300)));
    assert_eq!(openai.max_idle_connections, 8);

    let web = &config.upstreams()["web"];
    assert_eq!(web.kind, UpstreamKind::Http);
    assert_eq!(web.timeouts.connect, Duration::from_secs(5));
    assert_eq!(web.timeouts.first_byte, Duration::from_secs(30));
    assert_eq!(web.timeouts.first_token, Duration::from_secs(30));
    assert_eq!(web.timeouts.stall, Duration::from_secs(30));
    assert_eq!(web.timeouts.total, None);
    assert_eq!(web.timeouts.pool_idle, Duration::from_secs(60));
    assert_eq!((web.max_idle_connections, &web.auth), (64, &None));
    assert_eq!(config.upstreams()["ollama"].models["gpt-4o"], "llama3.1:8b");
}

#[test]
fn only_listed_proxies_are_trusted() {
    let config = everything();
    let gateway = config.gateway();
    for (peer, trusted) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("fd12::1", true),
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("fe80::1", false),
        ("::1", false),
    ] {
        assert_eq!(gateway.trusts(peer.parse().unwrap()), trusted, "{peer}");
    }
    assert_eq!(gateway.max_connections_per_ip, Some(20));
    assert_eq!((gateway.max_uri_bytes, gateway.access_log), (4 << 10, true));
    let idle = |name: &str| config.upstreams()[name].timeouts.tunnel_idle;
    assert_eq!(
        (idle("openai"), idle("web")),
        (Duration::from_secs(7_200), Duration::from_secs(3_600))
    );
}

#[test]
fn credentials_go_where_the_api_wants_them() {
    let config = everything();
    let auth = |name: &str| config.upstreams()[name].auth.clone().unwrap();
    let openai = auth("openai");
    assert_eq!(
        (openai.header.as_str(), openai.scheme.as_deref()),
        ("authorization", Some("Bearer"))
    );
    assert_eq!(openai.value, SecretRef::Env(String::from("OPENAI_API_KEY")));
    let anthropic = auth("anthropic");
    assert_eq!((anthropic.header.as_str(), anthropic.scheme), ("x-api-key", None));
    assert_eq!(anthropic.value, SecretRef::File("secrets/anthropic".into()));
    let ollama = auth("ollama");
    assert_eq!(
        (ollama.header.as_str(), ollama.scheme.as_deref()),
        ("x-gateway-key", Some("Token"))
    );
}

#[test]
fn routes_have_what_was_written_and_names() {
    let config = everything();
    let names: Vec<&str> = config.routes().iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["chat", "/web/*/assets/**", "/"]);
    let [chat, web, rest] = config.routes() else { panic!() };
    assert_eq!(chat.upstreams, ["openai", "ollama"]);
    assert_eq!(chat.circuit_for("ollama"), "everything");
    assert_eq!(chat.deadline, Some(Duration::from_secs(120)));
    assert_eq!(chat.fallback, RouteFallback::ApiError);
    assert_eq!(chat.max_body_bytes, Some(2 << 20));
    assert!(!chat.failover_non_idempotent);
    assert_eq!(web.strip_prefix.as_deref(), Some("/web"));
    assert_eq!(web.circuit_for("web"), "web");
    assert_eq!((rest.deadline, rest.max_body_bytes), (None, None));
}

#[test]
fn the_first_route_that_matches_takes_the_request() {
    let config = everything();
    let mut headers = HeaderMap::new();
    headers.insert("x-tenant", HeaderValue::from_static("blue"));
    let route = |host: &str, path: &str, method: &Method, headers: &HeaderMap| {
        let matches = |route: &&Route| route.matches(Some(host), path, method, headers);
        config.routes().iter().find(matches).map(|route| route.name.clone()).unwrap()
    };
    let none = HeaderMap::new();
    let chat = "/v1/chat/completions";
    assert_eq!(route("a.example.com", chat, &Method::POST, &headers), "chat");
    assert_eq!(route("A.EXAMPLE.COM", chat, &Method::POST, &headers), "chat");
    assert_eq!(route("example.com", chat, &Method::POST, &headers), "/");
    assert_eq!(route("a.example.com", chat, &Method::GET, &headers), "/");
    assert_eq!(route("a.example.com", chat, &Method::POST, &none), "/");
    assert_eq!(route("any", "/web/x/assets/a/b.js", &Method::GET, &none), "/web/*/assets/**");
    assert!(!config.routes()[0].matches(None, chat, &Method::POST, &headers));
}

#[test]
fn upstreams_get_circuits_of_their_own() {
    let config = everything();
    for upstream in ["web", "ollama"] {
        let own = config.circuit(upstream).expect(upstream);
        assert_eq!(own.settings, *config.defaults());
        assert_eq!(own.origins.get("failure_rate").to_string(), "preset external_api");
    }
    assert_eq!(config.circuit("openai"), None, "its routes name another");
}

#[test]
fn routes_with_one_path_are_numbered() {
    let config = config(
        "[upstreams.a]\nurl = \"http://a\"\n\
         [[routes]]\nmethods = [\"GET\"]\nupstream = \"a\"\n\
         [[routes]]\nmethods = [\"POST\"]\nupstream = \"a\"\n\
         [[routes]]\nname = \"/ #3\"\nmethods = [\"PUT\"]\nupstream = \"a\"\n\
         [[routes]]\nmethods = [\"PATCH\"]\nupstream = \"a\"\n",
    );
    let names: Vec<&str> = config.routes().iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["/", "/ #2", "/ #3", "/ #4"]);
}

#[test]
fn only_language_models_get_requests_twice_by_default() {
    let route = |kinds: [&str; 2]| {
        config(&format!(
            "[upstreams.a]\nurl = \"http://a\"\nkind = \"{}\"\n\
             [upstreams.b]\nurl = \"http://b\"\nkind = \"{}\"\n\
             [[routes]]\nupstreams = [\"a\", \"b\"]\n",
            kinds[0], kinds[1]
        ))
        .routes()[0]
            .failover_non_idempotent
    };
    assert!(route(["openai", "ollama"]));
    assert!(!route(["openai", "http"]));
    assert!(!route(["http", "http"]));
}

#[test]
fn fallbacks_come_from_route_circuit_or_default() {
    let config = config(
        r#"
[circuit_breaker.circuits.c]
fallback = "visualization"
[upstreams.a]
url = "http://a"
[[routes]]
path = "/named"
upstream = "a"
circuit = "c"
fallback = "busy"
[[routes]]
path = "/circuit"
upstream = "a"
circuit = "c"
[[routes]]
path = "/error"
upstream = "a"
circuit = "c"
fallback = "error"
[[routes]]
path = "/nothing"
upstream = "a"
[fallbacks.busy]
message = "Busy."
status = 429
[fallbacks.visualization]
alternatives = ["Draw it."]
"#,
    );
    let answer = |index: usize| {
        let route = &config.routes()[index];
        config.fallback_for(route, route.circuit_for("a"))
    };
    let (name, busy) = answer(0).unwrap();
    assert_eq!((name, busy.status, busy.message.as_str()), ("busy", 429, "Busy."));
    assert!(!busy.title.is_empty() && busy.alternatives.is_empty());
    let (name, charts) = answer(1).unwrap();
    assert_eq!((name, charts.status), ("visualization", 503));
    assert_eq!(charts.alternatives, ["Draw it."], "what was said anew");
    assert!(charts.message.contains("chart"), "what was not");
    assert_eq!(answer(2), None);
    assert_eq!(answer(3).unwrap().0, "default");
}

// ===== secrets =====

struct Fake;

impl SecretReader for Fake {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "OPENAI_API_KEY").then(|| String::from("sk-live-1"))
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("secrets/anthropic") => Ok(b"sk-live-2\n".to_vec()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }
}

#[test]
fn secrets_are_read_when_asked_for_and_missing_ones_are_errors() {
    let text = include_str!("good/everything.toml");
    let input = || Input::new().file(Source::new("panelboard.toml", text));
    assert!(check(input()).config.is_some(), "not asked for");

    let checked = check(input().secrets(&Fake));
    assert!(checked.config.is_none());
    let errors = checked.diagnostics.iter().filter(|d| d.severity() == Severity::Error);
    let told: Vec<String> = errors.map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let line = 1 + text.lines().position(|line| line.contains("OLLAMA_KEY")).unwrap();
    assert!(
        told[0].starts_with(&format!("panelboard.toml:{line}:"))
            && told[0]
                .contains("`upstreams.ollama.auth.value`: the variable OLLAMA_KEY is not set"),
        "{told:?}"
    );
    assert_eq!(
        checked.secrets.get(&SecretRef::File("secrets/anthropic".into())).unwrap().expose(),
        "sk-live-2"
    );
    assert!(!format!("{:?}", checked.secrets).contains("sk-live"));
}

#[test]
fn a_cache_is_what_is_said_of_it_or_small() {
    let cache = |value: &str| {
        let text = format!(
            "[upstreams.a]\nurl = \"http://127.0.0.1\"\n[[routes]]\nupstream = \"a\"\ncache = {value}"
        );
        let (config, _, _) =
            check(Input::new().file(Source::new("panelboard.toml", text))).into_result().unwrap();
        let route = &config.routes()[0];
        (route.cache.clone().unwrap(), route.keeps_bodies())
    };
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    let standard = RouteCache {
        ttl: Duration::ZERO,
        stale_if_error: hours(1),
        max_entries: 1_000,
        max_bytes: 64 << 20,
        max_body: 1 << 20,
        methods: vec![Method::GET],
        vary: Vec::new(),
    };
    assert_eq!(cache("{}"), (standard.clone(), false));
    let longer = RouteCache { stale_if_error: hours(2), ..standard.clone() };
    assert_eq!(cache("\"2h\""), (longer, false));
    let said = RouteCache {
        ttl: Duration::from_secs(5),
        max_entries: 10,
        max_bytes: 65_536,
        max_body: 65_536,
        methods: vec![Method::GET, Method::POST],
        vary: vec!["accept".parse().unwrap()],
        ..standard
    };
    let text = r#"{ ttl = "5s", max_entries = 10, max_bytes = "64KiB", methods = ["GET", "POST"], vary = ["Accept"] }"#;
    assert_eq!(cache(text), (said, true));
}

#[test]
fn what_has_a_short_form_can_be_switched_off() {
    let text = |value: &str| {
        format!(
            "[upstreams.a]\nurl = \"http://127.0.0.1\"\nprobe = {value}\n[[routes]]\nupstream = \"a\"\n\
             retry = {value}\nhedge = {value}\nrate_limit = {value}\nbulkhead = {value}\nthrottle = {value}\ncache = {value}\n"
        )
    };
    for value in ["\"off\"", "false"] {
        let input = Input::new().file(Source::new("panelboard.toml", text(value)));
        let (config, _, _) = check(input).into_result().unwrap();
        let route = &config.routes()[0];
        assert!(
            route.retry.is_none() && route.hedge.is_none() && route.rate_limit.is_none(),
            "{value}"
        );
        assert!(route.bulkhead.is_none() && route.throttle.is_none(), "{value}");
        assert_eq!(route.cache, None, "{value}");
        assert_eq!(config.upstreams()["a"].probe, None, "{value}");
    }
}

#[test]
fn requests_are_hedged_after_a_delay_or_a_percentile() {
    let hedge = |value: &str| {
        let text = format!(
            "[upstreams.a]\nurl = \"http://127.0.0.1\"\n[[routes]]\nupstream = \"a\"\nhedge = {value}\n"
        );
        let input = Input::new().file(Source::new("panelboard.toml", text));
        let (config, _, _) = check(input).into_result().unwrap();
        config.routes()[0].hedge.unwrap()
    };
    let millis = Duration::from_millis;
    let learned = Some(millis(20));
    for (value, delay, unlearned) in [
        ("\"200ms\"", 200, Some(millis(200))),
        ("{ delay = \"200ms\" }", 200, Some(millis(200))),
        ("{}", 20, None),
        ("{ percentile = \"99%\" }", 20, None),
        ("{ percentile = 0.5, min_delay = \"30ms\" }", 30, None),
    ] {
        let hedge = hedge(value);
        assert_eq!(hedge.settings.delay(learned), Some(millis(delay)), "{value}");
        assert_eq!(hedge.settings.delay(None), unlearned, "{value}");
        assert!(!hedge.non_idempotent, "{value}");
    }
    let percentile = |value| hedge(value).settings.percentile().map(|share| share.to_string());
    assert_eq!(percentile("{}").as_deref(), Some("95 %"));
    assert_eq!(percentile("{ percentile = 0.9 }").as_deref(), Some("90 %"));
    assert!(hedge("{ delay = \"1s\", non_idempotent = true }").non_idempotent);
}
