//! Health probes: a cheap request to an upstream, while there is something to learn from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use panelboard::{CircuitBreaker, Command, HealthReport, PhaseName, Registry};
use panelboard::{Order, Outcome};
use panelboard_config::Probe;
use panelboard_core::backoff::mix;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::judge::{Observed, retry_hint};
use crate::metrics::ProbeCounts;
use crate::proxy::UploadBody;
use crate::runtime::{Guarded, Runtime};
use crate::shared::Shared;
use crate::upstream::Client;

/// How long it may take until a change of a circuit is noticed.
const LOOK: Duration = Duration::from_millis(250);

/// Of an answer's body no more than this is read to keep its connection.
const BODY: usize = 64 * 1024;

/// The longest hint that a probe keeps to.
const LONGEST_HINT: Duration = Duration::from_secs(300);

/// Keeps one task for each upstream that has a probe, whatever configuration is in force.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    let mut running: BTreeMap<String, (Arc<Client>, Vec<Guarded>, AbortHandle)> = BTreeMap::new();
    let mut changes = shared.changes();
    loop {
        let runtime = shared.runtime();
        let wanted = wanted(&runtime);
        running.retain(|name, (client, guarded, task)| {
            let same = wanted
                .get(name)
                .is_some_and(|(other, probed, _)| Arc::ptr_eq(client, other) && probed == guarded);
            if !same {
                task.abort();
            }
            same
        });
        for (name, (client, guarded, probe)) in wanted {
            running.entry(name).or_insert_with_key(|name| {
                let counts = shared.metrics.probes(name);
                let prober = Prober {
                    client: Arc::clone(&client),
                    guarded: guarded.clone(),
                    probe,
                    counts,
                    registry: shared.registry.clone(),
                    failed: 0,
                    draws: 0,
                };
                (client, guarded, tasks.spawn(prober.run()))
            });
        }
        drop(runtime);
        // Tasks that were ended are taken note of, so that they do not pile up.
        while tasks.try_join_next().is_some() {}
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Every upstream with a probe, and the circuits that hear of it.
fn wanted(runtime: &Runtime) -> BTreeMap<String, (Arc<Client>, Vec<Guarded>, Probe)> {
    let clients = runtime.clients();
    let probed = clients.filter_map(|client| Some((client, client.probe()?)));
    probed
        .map(|(client, probe)| {
            let guarded = runtime.guarded(client.name());
            (client.name().to_owned(), (Arc::clone(client), guarded, probe.clone()))
        })
        .filter(|(_, (_, guarded, _))| !guarded.is_empty())
        .collect()
}

/// The probe of one upstream.
struct Prober {
    client: Arc<Client>,
    guarded: Vec<Guarded>,
    probe: Probe,
    counts: ProbeCounts,
    registry: Registry,
    /// Probes that failed in a row.
    failed: u32,
    draws: u64,
}

/// What a probe found.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Found {
    Healthy,
    Unhealthy,
    /// It lives, but is not to be asked before this long.
    Pushback(Duration),
}

impl Prober {
    async fn run(mut self) {
        // Instances and upstreams do not probe in step.
        sleep(self.spread() / 10).await;
        loop {
            let interested = self.interested();
            if interested.is_empty() {
                sleep(LOOK.min(self.probe.interval)).await;
                continue;
            }
            let found = self.ask().await;
            self.tell(&interested, found);
            let pause = match found {
                Found::Pushback(hint) => hint.max(self.probe.interval),
                Found::Healthy | Found::Unhealthy => self.spread(),
            };
            sleep(pause).await;
        }
    }

    /// The interval, a tenth more or less.
    fn spread(&mut self) -> Duration {
        self.draws += 1;
        let seed =
            self.client.name().bytes().fold(self.draws, |seed, byte| mix(seed ^ u64::from(byte)));
        let share = u32::try_from(mix(seed) % 200).unwrap_or(100);
        self.probe.interval * (900 + share) / 1_000
    }

    /// The circuits that would learn something now.
    fn interested(&self) -> Vec<CircuitBreaker> {
        let all = self.guarded.iter().flat_map(|guarded| guarded.breakers(&self.registry));
        all.filter(|breaker| {
            // Costs less than a snapshot, and most are closed.
            if breaker.phase() == PhaseName::Closed {
                return self.probe.open_after.is_some() || breaker.settings().adaptive();
            }
            breaker.snapshot().awaits_health
        })
        .collect()
    }

    async fn ask(&self) -> Found {
        let Some(request) = self.request() else { return Found::Unhealthy };
        let exchange = async {
            let answer = self.client.send(request).await.map_err(|error| error.observed)?;
            Ok::<_, Observed>(read(answer).await)
        };
        let found = match timeout(self.probe.timeout, exchange).await {
            Ok(Ok(answer)) => judge(&self.probe, &answer),
            Ok(Err(observed)) => {
                debug!(upstream = self.client.name(), "probe: {}", observed.words());
                Found::Unhealthy
            }
            Err(_) => {
                debug!(upstream = self.client.name(), "probe: no answer in time");
                Found::Unhealthy
            }
        };
        self.counts.count(match found {
            Found::Healthy => "healthy",
            Found::Unhealthy => "unhealthy",
            Found::Pushback(_) => "pushback",
        });
        found
    }

    fn request(&self) -> Option<Request<UploadBody>> {
        let body = self.probe.body.clone().map(Bytes::from).unwrap_or_default();
        let length = body.len();
        let mut request = Request::new(UploadBody::whole(body));
        *request.method_mut() = self.probe.method.clone();
        *request.uri_mut() = self.client.uri(&self.probe.path).ok()?;
        let headers = request.headers_mut();
        headers.extend(self.probe.headers.iter().cloned());
        if length > 0 {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Some((name, value)) = self.client.auth() {
            headers.insert(name.clone(), value.clone());
        }
        headers.remove(HOST);
        Some(request)
    }

    fn tell(&mut self, interested: &[CircuitBreaker], found: Found) {
        self.failed = if found == Found::Unhealthy { self.failed.saturating_add(1) } else { 0 };
        let opens = self.probe.open_after.is_some_and(|most| self.failed >= most);
        for breaker in interested {
            let phase = breaker.phase();
            match found {
                Found::Healthy => breaker.command(Command::Health(HealthReport::Healthy)),
                Found::Unhealthy => {
                    breaker.command(Command::Health(HealthReport::Unhealthy));
                    if opens && phase == PhaseName::Closed {
                        let reason = format!("{} probes failed in a row", self.failed);
                        breaker.command_by(Command::Trip, &Order::new("health probe", reason));
                    }
                }
                // It stays open for at least so long.
                Found::Pushback(hint) if phase == PhaseName::Open && !hint.is_zero() => {
                    breaker.command(Command::OpenFor(hint));
                }
                Found::Pushback(_) => {}
            }
        }
    }
}

/// Reads what there is of a body, so that the connection can be used again.
async fn read(answer: Response<Incoming>) -> Response<()> {
    let (parts, mut body) = answer.into_parts();
    let mut left = BODY;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        left = left.saturating_sub(length);
        if left == 0 {
            break;
        }
    }
    Response::from_parts(parts, ())
}

fn judge(probe: &Probe, answer: &Response<()>) -> Found {
    let status = answer.status();
    let hint = retry_hint(status.as_u16(), answer.headers(), crate::proxy::wall_now);
    let pushed_back = Observed::Answered(status, hint).verdict().outcome;
    match pushed_back {
        _ if probe.expects(status.as_u16()) => Found::Healthy,
        Outcome::Pushback { .. } => {
            Found::Pushback(hint.unwrap_or(probe.interval).min(LONGEST_HINT))
        }
        _ => Found::Unhealthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_is_answered_with_says_how_the_upstream_is() {
        let mut probe = Probe {
            path: "/".into(),
            method: http::Method::GET,
            headers: Vec::new(),
            body: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            expect: vec![200..=299],
            open_after: None,
        };
        let found = |probe: &Probe, status: u16, after: Option<&str>| {
            let mut answer = Response::builder().status(status);
            if let Some(after) = after {
                answer = answer.header("retry-after", after);
            }
            judge(probe, &answer.body(()).unwrap())
        };
        assert_eq!(found(&probe, 204, None), Found::Healthy);
        for status in [301, 401, 404, 500, 503] {
            assert_eq!(found(&probe, status, None), Found::Unhealthy, "{status}");
        }
        let secs = Duration::from_secs;
        assert_eq!(found(&probe, 429, Some("7")), Found::Pushback(secs(7)));
        assert_eq!(found(&probe, 429, Some("9000")), Found::Pushback(LONGEST_HINT));
        assert_eq!(found(&probe, 429, None), Found::Pushback(secs(5)));
        probe.expect = vec![401..=401, 429..=429];
        assert_eq!(found(&probe, 401, None), Found::Healthy);
        assert_eq!(found(&probe, 429, Some("7")), Found::Healthy);
        assert_eq!(found(&probe, 200, None), Found::Unhealthy);
    }
}
