//! Settings of circuits at run time.
//!
//! What a circuit is told here is laid over file, environment and command line, and checked with
//! them as a whole. It holds until the process ends, or until a reload changes what the file says of
//! that circuit: then the file has the last word.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use panelboard_config::Config;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::audit::Act;
use super::circuits::{find, reason};
use super::extract::{Body, Named};
use super::guard::Done;
use super::problem::{Answer, Problem};
use super::token::{Caller, hex};
use super::view::circuit::{Setting, settings};
use super::view::config::Finding;
use crate::shared::{Shared, TellError};

/// The settings of a circuit.
#[derive(Serialize, ToSchema)]
pub(super) struct CircuitSettings {
    circuit: String,
    /// Those in force, with where each was said.
    settings: BTreeMap<&'static str, Setting>,
    /// What was told here: the settings whose origin is `admin`.
    #[schema(value_type = Object)]
    told: Value,
}

/// What to tell a circuit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSettings {
    /// Settings as in a configuration file. They take the place of all that was told before; none
    /// takes it back.
    #[schema(value_type = Object, example = json!({ "failure_threshold": 3, "window": "30s" }))]
    settings: Map<String, Value>,
    /// Why; one line.
    #[schema(max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: Option<String>,
}

/// The settings of a circuit. Their `ETag` goes into the `If-Match` of a change.
#[utoipa::path(get, path = "/api/v1/circuits/{name}/settings", tag = "circuits",
    params(("name" = String, Path, description = "The circuit; a slash in it is written %2F")),
    security(("token" = ["viewer"])),
    responses((status = 200, body = CircuitSettings,
            headers(("ETag" = String, description = "What these settings are known by"))),
        (status = 404, description = "There is no such circuit", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Named(name): Named<String>,
) -> Answer<Response> {
    find(&shared, &name)?;
    Ok(answer(&shared, &name))
}

/// Tells a circuit other thresholds.
///
/// They are checked as those of a file are, and take effect at once; calls under way are not touched.
/// They hold until the process ends, or a reload changes what the file says of this circuit. What a
/// circuit is (`key`, `extends`, `depends_on`, …) and who decides (`mode`) cannot be told.
#[utoipa::path(put, path = "/api/v1/circuits/{name}/settings", tag = "circuits",
    params(("name" = String, Path, description = "The circuit; a slash in it is written %2F"),
        ("If-Match" = Option<String>, Header, description = "Only if the settings are still these")),
    security(("token" = ["operator"])), request_body = NewSettings,
    responses((status = 200, body = CircuitSettings,
            headers(("ETag" = String, description = "What these settings are known by"))),
        (status = 404, description = "There is no such circuit", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "The settings are those of the circuit's family", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "The settings are others by now", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
    headers: HeaderMap,
    Body(body): Body<NewSettings>,
) -> Response {
    let mut act = Act {
        action: "settings".into(),
        circuit: Some(name.clone()),
        reason: body.reason.clone(),
        before: shared.told(&name),
        after: Some(Value::Object(body.settings.clone())),
        ..Act::default()
    };
    let mut response = match tell(&shared, &name, &headers, &body) {
        Ok(()) => {
            let by = &caller.name;
            tracing::warn!(circuit = name, %by, "`{name}` was told other settings");
            answer(&shared, &name)
        }
        Err(problem) => {
            act.before = None;
            problem.into_response()
        }
    };
    response.extensions_mut().insert(Done::Act(Box::new(act)));
    response
}

fn tell(shared: &Arc<Shared>, name: &str, headers: &HeaderMap, body: &NewSettings) -> Answer<()> {
    let breaker = find(shared, name)?;
    reason(body.reason.as_deref())?;
    if shared.runtime().config.circuit(name).is_none()
        && let Some((family, _)) = breaker.name().split_once('/')
    {
        let detail =
            format!("`{name}` has the settings of its family: change those of `{family}`.");
        return Err(Problem::conflict(detail));
    }
    let fits = |config: &Config| match headers.get(IF_MATCH).map(HeaderValue::to_str) {
        None => true,
        Some(Err(_)) => false,
        Some(Ok(wanted)) => {
            let tag = tag(name, config);
            wanted.split(',').map(str::trim).any(|wanted| wanted == "*" || wanted == tag)
        }
    };
    let told = (!body.settings.is_empty()).then(|| Value::Object(body.settings.clone()));
    match shared.tell(name, told.as_ref(), fits) {
        Ok(()) => Ok(()),
        Err(TellError::Stale) => {
            let detail = "The settings are others by now: look at them again (`If-Match`).";
            Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail))
        }
        Err(TellError::Invalid(wrong)) => {
            let first = wrong.iter().next().map(ToString::to_string).unwrap_or_default();
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, first).with(Finding::all(&wrong)))
        }
        Err(TellError::Load(error)) => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
        }
    }
}

fn answer(shared: &Shared, name: &str) -> Response {
    let runtime = shared.runtime();
    let body = CircuitSettings {
        circuit: name.to_owned(),
        settings: settings(name, &runtime.config).unwrap_or_default(),
        told: shared.told(name).unwrap_or_else(|| json!({})),
    };
    let mut response = Json(&body).into_response();
    if let Ok(tag) = HeaderValue::from_str(&tag(name, &runtime.config)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Settings, and where they were said: who finds the same there decides on the same grounds.
fn tag(name: &str, config: &Config) -> String {
    let text = serde_json::to_vec(&(name, settings(name, config))).unwrap_or_default();
    format!("\"{}\"", hex(&Sha256::digest(text)[..12]))
}
