//! Guards an LLM client, by upstream and model: `cargo run -p panelboard --features reqwest --example
//! llm`.
//!
//! Two upstreams speak the same API. When a model of the first is overloaded or fails, the second is
//! asked; other models of the first go on. A 429 or 529 only paces: the model is alive, and has said
//! when to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use panelboard::classify::Reqwest;
use panelboard::{Error, Family, Registry};
use panelboard_config::{Input, Source, check};
use tokio::net::TcpListener;

/// In production, a file that `panelboard_config::load` finds.
const CONFIG: &str = r#"
[circuit_breaker.circuits.llm]
preset = "llm"
key = ["upstream", "model"]
recovery_timeout = "10s"

# What runs in house is back sooner, and gives up later.
[circuit_breaker.circuits.llm.keys."local/*"]
failure_threshold = 20
recovery_timeout = "1s"

[circuit_breaker.circuits.llm.keys."*/large"]
failure_threshold = 3
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (config, ..) = check(Input::new().file(Source::new("panelboard.toml", CONFIG)))
        .into_result()
        .map_err(|problems| format!("{problems:?}"))?;
    let registry = Registry::from_config(&config);
    let llm = Llm {
        client: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?,
        circuits: registry.keyed("llm"),
        upstreams: [("cloud", serve(cloud).await?), ("local", serve(local).await?)],
    };

    for round in 0..10 {
        for model in ["large", "small"] {
            match llm.complete(model, "Why is the sky blue?").await {
                Some(answer) => println!("{round}: {model}: {answer}"),
                None => println!("{round}: {model}: nobody answers"),
            }
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    println!();
    for circuit in registry.snapshots() {
        let counters = &circuit.counters;
        let rejected: u64 = counters.rejected.iter().sum();
        let (asked, pushback) = (counters.admitted, counters.pushback);
        println!(
            "{}: {}, asked {asked} times, pushed back {pushback}, refused {rejected}",
            circuit.name, circuit.phase,
        );
    }
    println!("\n{}", llm.circuits.breaker(&["cloud", "large"]).explain());
    Ok(())
}

// ===== the client =====

struct Llm {
    client: reqwest::Client,
    circuits: Family,
    upstreams: [(&'static str, String); 2],
}

impl Llm {
    /// Asks one upstream after the other until one answers.
    async fn complete(&self, model: &str, prompt: &str) -> Option<String> {
        for (name, url) in &self.upstreams {
            match self.ask(name, &format!("{url}/{model}"), model, prompt).await {
                Ok(answer) => return Some(format!("{name} says {answer:?}")),
                Err(error) => println!("   {name}/{model}: {error}"),
            }
        }
        None
    }

    async fn ask(
        &self,
        upstream: &str,
        url: &str,
        model: &str,
        prompt: &str,
    ) -> Result<String, Error<reqwest::Error>> {
        let request = self.client.post(url).body(prompt.to_owned()).send();
        // `Reqwest` judges the answer by its status, and takes `Retry-After` for a hint; only then
        // may it become an error.
        let circuit = self.circuits.breaker(&[upstream, model]);
        let answer = circuit.call_async_classified(request, Reqwest).await?;
        let answer = answer.error_for_status().map_err(Error::Inner)?;
        answer.text().await.map_err(Error::Inner)
    }
}

// ===== the upstreams =====

type Answer = (StatusCode, [(&'static str, &'static str); 1], &'static str);

/// The large model is overloaded for a second, and then broken.
fn cloud(model: &str, request: u32) -> Answer {
    match (model, request) {
        ("large", 1) => {
            (StatusCode::from_u16(529).unwrap_or_default(), [("retry-after", "1")], "overloaded")
        }
        ("large", 2..) => (StatusCode::BAD_GATEWAY, [("server", "cloud")], "no backend"),
        _ => (StatusCode::OK, [("server", "cloud")], "Rayleigh scattering"),
    }
}

fn local(_: &str, _: u32) -> Answer {
    (StatusCode::OK, [("server", "local")], "it just is")
}

async fn serve(answer: fn(&str, u32) -> Answer) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let large = Arc::new(AtomicU32::new(0));
    let handler = async move |State(large): State<Arc<AtomicU32>>, Path(model): Path<String>| {
        let request = if model == "large" { large.fetch_add(1, Ordering::Relaxed) } else { 0 };
        answer(&model, request)
    };
    let app = Router::new().route("/{model}", post(handler)).with_state(large);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}
