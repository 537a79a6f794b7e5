//! `panelboard demo`: a gateway before a flaky upstream, and somebody who keeps calling.
//!
//! Everything is real but the outage: requests go over sockets, and what is shown of the circuit
//! is asked from the admin API, as anybody could from another terminal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use panelboard_config::{LoadOptions, load_bytes};
use panelboard_gateway::{Inherited, Leave};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::serve;
use crate::admin::Admin;
use crate::args::DemoArgs;
use crate::exit::{Code, Failure};
use crate::upstream::{Demo, Server};
use crate::{logging, output};

/// Where the demo listens if it can.
const ADDRESS: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9090";

/// Requests a second.
const RATE: u32 = 20;

/// How often the circuit is looked at: a good deal more often than once in a round of probes, or
/// half-open would go by unseen.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often the figures are printed while nothing happens.
const TELL_EVERY: u32 = 100;

/// Prints a line. If nobody reads, the demo goes on: it can be looked at from elsewhere, too.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = output::data(format_args!($($text)*));
    }};
}

pub(crate) async fn run(args: &DemoArgs) -> Result<(), Failure> {
    logging::init();
    let upstream = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .map_err(|error| Failure::new(Code::Runtime, error))?;
    let url = format!("http://{}", upstream.local_addr());
    let text = config(&url, free(ADDRESS).await, free(ADMIN).await);
    let options = LoadOptions::default();
    let path = std::path::Path::new("panelboard.demo.toml");
    let loaded = load_bytes(&options, Some(path), text.as_bytes())
        .map_err(|errors| Failure::new(Code::Runtime, errors.summary()))?;
    let gateway = serve::open(loaded, Inherited::default())?;
    let signal = serve::stop()?;
    serve::announce(&gateway);
    let (Some(address), Some(admin)) =
        (gateway.addresses().first().copied(), gateway.admin_address())
    else {
        return Err(Failure::new(Code::Runtime, "the listeners are gone"));
    };
    introduce(address, admin);

    let stopped = Arc::new(AtomicBool::new(false));
    let tally = Arc::new(Tally::default());
    let load = spawn_load(address, Arc::clone(&stopped), Arc::clone(&tally));
    let view = spawn_view(admin, Arc::clone(&stopped), tally);
    let stop = async {
        match args.duration {
            Some(time) => tokio::select! {
                () = signal => {}
                () = tokio::time::sleep(time) => {}
            },
            None => signal.await,
        }
        // Nobody is left to ask when the gateway goes.
        stopped.store(true, Ordering::Release);
        let _ = tokio::task::spawn_blocking(move || (load.join(), view.join())).await;
    };
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let script = Demo::default().script();
    let serve_upstream = upstream.run(script, async {
        let _ = ended.await;
    });
    let serve_gateway = async {
        let leave = async {
            stop.await;
            Leave::Stopping
        };
        gateway.run(leave).await;
        let _ = end.send(());
    };
    let (result, ()) = tokio::join!(serve_upstream, serve_gateway);
    result.map_err(|error| Failure::new(Code::Runtime, error))
}

/// A circuit that is quick to notice, so that a round of the script shows everything.
fn config(upstream: &str, listen: SocketAddr, admin: SocketAddr) -> String {
    format!(
        r#"[circuit_breaker.circuits.llm]
failure_threshold = 5
failure_rate = 0.5
min_calls = 10
window = "5s"
slow_call_duration = "1s"
recovery_timeout = "3s"
backoff = {{ multiplier = 1.5, max = "6s" }}
success_threshold = 3
half_open_max_calls = 2

[gateway]
listen = "{listen}"
admin = "{admin}"
shutdown_grace = "2s"

[upstreams.flaky]
url = "{upstream}"
kind = "openai"

[[routes]]
path = "/v1/"
upstreams = ["flaky"]
circuit = "llm"
"#
    )
}

/// The usual address, or any other if somebody else listens there.
async fn free(usual: &str) -> SocketAddr {
    let usual: SocketAddr = usual.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
    match TcpListener::bind(usual).await {
        Ok(_) => usual,
        Err(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

fn introduce(address: SocketAddr, admin: SocketAddr) {
    let binary = std::env::args().next().unwrap_or_else(|| "panelboard".into());
    say!(
        "\nAn LLM API that is healthy, slow, failing, recovering and rate-limited by turns, \
         {RATE} requests a second,\nand a circuit between them. From another terminal:\n\n  \
         {binary} status --admin http://{admin}\n  \
         {binary} explain llm --admin http://{admin}\n  \
         {binary} open llm --reason 'trying it out' --for 10s --admin http://{admin}\n  \
         curl -s http://{address}/api/health/status\n  \
         curl -s http://{admin}/metrics\n  \
         curl -si http://{address}/v1/chat/completions -H 'content-type: application/json' \
         -d '{{\"model\":\"gpt-4o\",\"messages\":[]}}'\n"
    );
}

// ===== the caller =====

/// What the caller got.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    fallbacks: AtomicU64,
    errors: AtomicU64,
}

/// Calls at a steady rate, whatever becomes of the calls before.
fn spawn_load(
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    tally: Arc<Tally>,
) -> std::thread::JoinHandle<()> {
    // A slow answer holds up its caller, so there are enough of them.
    const CALLERS: u32 = 40;
    std::thread::spawn(move || {
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (stopped, tally) = (&stopped, &tally);
                scope.spawn(move || {
                    let agent = agent();
                    let pause = Duration::from_secs(1) * CALLERS / RATE;
                    pause_for(Duration::from_secs(1) * caller / RATE, stopped);
                    while !stopped.load(Ordering::Acquire) {
                        call(&agent, address, tally);
                        pause_for(pause, stopped);
                    }
                });
            }
        });
    })
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into()
}

fn call(agent: &ureq::Agent, address: SocketAddr, tally: &Tally) {
    let body = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hi" }] });
    let url = format!("http://{address}/v1/chat/completions");
    let counter = match agent.post(url).send_json(body) {
        Ok(mut answer) => {
            let fallback = answer.headers().contains_key("x-panelboard-fallback");
            let good = answer.status().is_success();
            // Read to its end, or the connection could not be used again.
            let read = answer.body_mut().read_to_string().is_ok();
            match (fallback, good && read) {
                (true, _) => &tally.fallbacks,
                (false, true) => &tally.answered,
                (false, false) => &tally.errors,
            }
        }
        Err(_) => &tally.errors,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

#[expect(clippy::disallowed_methods, reason = "a thread of the demo, which is to take its time")]
fn pause_for(time: Duration, stopped: &AtomicBool) {
    let step = Duration::from_millis(50);
    let mut left = time;
    while !left.is_zero() && !stopped.load(Ordering::Acquire) {
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
}

// ===== the onlooker =====

/// Shows what the admin API says whenever the circuit changes, and now and then between.
fn spawn_view(
    admin: SocketAddr,
    stopped: Arc<AtomicBool>,
    tally: Arc<Tally>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let client = Admin::at(&format!("http://{admin}"));
        let mut shown = String::new();
        let mut looks = 0;
        while !stopped.load(Ordering::Acquire) {
            if let Ok(circuit) = client.get("/api/v1/circuits/llm") {
                let state = state(&circuit);
                if state != shown {
                    change(&client, &circuit, &state);
                    shown = state;
                    looks = 0;
                } else if looks % TELL_EVERY == 0 {
                    figures(&circuit, &tally);
                }
                looks += 1;
            }
            pause_for(LOOK_EVERY, &stopped);
        }
    })
}

fn state(circuit: &Value) -> String {
    let text = |key: &str| circuit[key].as_str().unwrap_or_default().to_owned();
    match circuit.get("paced_for_seconds") {
        Some(_) if text("state") == "closed" => "closed, paced".into(),
        _ => text("state"),
    }
}

/// Everything an operator could look at, at the moment of a change.
fn change(client: &Admin, circuit: &Value, state: &str) {
    say!("\n── llm is {} ──", state.replace('_', "-"));
    say!("explain  {}", circuit["explain"].as_str().unwrap_or_default());
    if let Ok(health) = client.get("/api/health/status") {
        let circuit = &health["circuit_breakers"]["circuit_breakers"][0];
        let status = health["status"].as_str().unwrap_or_default();
        say!("health   {status} {}", circuit["statistics"]);
    }
    if let Ok(metrics) = client.text("/metrics") {
        let lines = metrics.lines().filter(|line| {
            line.starts_with("panelboard_circuit_state{") && line.ends_with(" 1.0")
                || line.starts_with("panelboard_circuit_rejected_total") && !line.ends_with(" 0")
        });
        for line in lines {
            say!("metrics  {line}");
        }
    }
}

fn figures(circuit: &Value, tally: &Tally) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    say!(
        "status   {}: {} answered, {} fallbacks, {} errors to the caller; failure ratio {:.0} %",
        state(circuit),
        count(&tally.answered),
        count(&tally.fallbacks),
        count(&tally.errors),
        circuit["failure_ratio"].as_f64().unwrap_or_default() * 100.0,
    );
}
