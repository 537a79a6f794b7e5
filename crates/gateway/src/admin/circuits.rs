//! Circuits: what they look like, and orders to them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use panelboard::{CircuitBreaker, Command, Order, PhaseName};
use panelboard_config::{duration_from_json, nearest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{detail, keys, summary};
use super::problem;
use crate::shared::Shared;

/// How long an order lasts unless it says so.
const USUAL: Duration = Duration::from_secs(3_600);

/// How long it may last at most.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    state: Option<String>,
}

/// What goes with an order.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    reason: Option<String>,
    #[serde(rename = "for")]
    for_: Option<serde_json::Value>,
}

/// `GET /api/v1/circuits[?state=]`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Query(filter) = match filter {
        Ok(filter) => filter,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    if let Some(state) = &filter.state
        && !PhaseName::ALL.iter().any(|phase| phase.name() == state)
    {
        let detail = format!("`state` is `{state}`, but must be closed, open or half_open.");
        return problem(StatusCode::BAD_REQUEST, &detail);
    }
    let circuits: Vec<_> = shared
        .registry
        .snapshots()
        .iter()
        .filter(|circuit| filter.state.as_deref().is_none_or(|s| circuit.phase.name() == s))
        .map(summary)
        .collect();
    Json(json!({ "circuits": circuits })).into_response()
}

/// `GET /api/v1/circuits/{name}`
pub(super) async fn show(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match find(&shared, &name) {
        Ok(breaker) => {
            let snapshot = breaker.snapshot();
            let runtime = shared.runtime();
            Json(detail(&snapshot, &runtime.config)).into_response()
        }
        Err(response) => *response,
    }
}

/// `GET /api/v1/circuits/{name}/explain`
pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Response {
    match find(&shared, &name) {
        Ok(breaker) => {
            let snapshot = breaker.snapshot();
            let mut body = json!({
                "name": &*snapshot.name,
                "state": snapshot.phase.name(),
                "explain": snapshot.explain(),
            });
            if let Some(keys) = keys(&snapshot) {
                body["keys"] = keys;
            }
            Json(body).into_response()
        }
        Err(response) => *response,
    }
}

/// `POST /api/v1/circuits/{name}/{order}`
pub(super) async fn order(
    State(shared): State<Arc<Shared>>,
    Path((name, order)): Path<(String, String)>,
    body: Result<Json<Body>, JsonRejection>,
) -> Response {
    let Json(body) = match body {
        Ok(body) => body,
        Err(error) => return problem(error.status(), &error.body_text()),
    };
    let breaker = match find(&shared, &name) {
        Ok(breaker) => breaker,
        Err(response) => return *response,
    };
    let (command, reason) = match command(&order, &body) {
        Ok(command) => command,
        Err((status, detail)) => return problem(status, &detail),
    };
    let order = Order::new("admin API", reason);
    match shared.registry.family(breaker.name()) {
        Some(family) => family.command_by(command, &order),
        None => breaker.command_by(command, &order),
    }
    let snapshot = breaker.snapshot();
    let mut answer = summary(&snapshot);
    answer["explain"] = snapshot.explain().into();
    Json(answer).into_response()
}

/// What an order comes down to, and its reason.
fn command(order: &str, body: &Body) -> Result<(Command, String), (StatusCode, String)> {
    let bad = |detail: String| (StatusCode::BAD_REQUEST, detail);
    let time = match &body.for_ {
        None => USUAL,
        Some(value) => duration_from_json(value).map_err(|accepted| {
            bad(format!("`for` is {value}, but must be {accepted}, at most 7 days."))
        })?,
    };
    if time > LONGEST {
        let value = body.for_.as_ref().unwrap_or(&Value::Null);
        return Err(bad(format!("`for` is {value}, but must not be longer than 7 days.")));
    }
    let reason = body.reason.as_deref().map(str::trim).unwrap_or_default();
    if reason.chars().count() > 500 {
        return Err(bad("`reason` must not be longer than 500 characters.".into()));
    }
    // It is shown on terminals, which would obey it.
    if reason.contains(char::is_control) {
        return Err(bad("`reason` must be one line without control characters.".into()));
    }
    let command = match order {
        "force-open" => Command::ForceOpen(time),
        "force-closed" => Command::ForceClosed(time),
        "observe" => Command::Observe(time),
        "auto" => Command::Auto(time),
        "reset" | "trip" if body.for_.is_some() => {
            return Err(bad(format!("`{order}` happens at once: it takes no `for`.")));
        }
        "reset" => Command::Reset,
        "trip" => Command::Trip,
        _ => {
            let detail = format!(
                "There is no order `{order}`: use force-open, force-closed, observe, auto, reset \
                 or trip."
            );
            return Err((StatusCode::NOT_FOUND, detail));
        }
    };
    // Whoever is paged next must be able to see why.
    let forced = matches!(command, Command::ForceOpen(_) | Command::ForceClosed(_));
    if forced && reason.is_empty() {
        return Err(bad(format!("`{order}` needs a `reason`.")));
    }
    Ok((command, reason.to_owned()))
}

fn find(shared: &Shared, name: &str) -> Result<CircuitBreaker, Box<Response>> {
    if let Some(breaker) = shared.registry.find(name) {
        return Ok(breaker);
    }
    let names: Vec<String> =
        shared.registry.breakers().iter().map(|breaker| breaker.name().to_string()).collect();
    let nearest = nearest(name, names.iter().map(String::as_str));
    let hint = match nearest {
        Some(known) => format!(" Did you mean `{known}`?"),
        None if names.is_empty() => " None is configured.".to_owned(),
        None => String::new(),
    };
    let text = format!("There is no circuit `{name}`.{hint}");
    Err(Box::new(problem(StatusCode::NOT_FOUND, &text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(order: &str, body: serde_json::Value) -> Result<(Command, String), String> {
        let body: Body = serde_json::from_value(body).unwrap();
        command(order, &body).map_err(|(_, detail)| detail)
    }

    #[test]
    fn orders_last_an_hour_unless_they_say_otherwise() {
        let hour = Duration::from_secs(3_600);
        let reason = json!({ "reason": " upgrade " });
        assert_eq!(ask("force-open", reason), Ok((Command::ForceOpen(hour), "upgrade".into())));
        assert_eq!(ask("observe", json!({})), Ok((Command::Observe(hour), String::new())));
        let ten = Duration::from_secs(600);
        for time in [json!("10m"), json!(600)] {
            let body = json!({ "reason": "x", "for": time });
            assert_eq!(ask("force-closed", body), Ok((Command::ForceClosed(ten), "x".into())));
        }
        assert_eq!(ask("reset", json!({})).unwrap().0, Command::Reset);
    }

    #[test]
    fn orders_that_cannot_be_say_why() {
        let refused = |order, body| ask(order, body).unwrap_err();
        assert_eq!(refused("force-open", json!({})), "`force-open` needs a `reason`.");
        let long = refused("auto", json!({ "for": "8d" }));
        assert_eq!(long, "`for` is \"8d\", but must not be longer than 7 days.");
        for reason in ["two\nlines", "\u{1b}[31mred", "\u{9b}31mred"] {
            let text = refused("force-open", json!({ "reason": reason }));
            assert!(text.contains("control characters"), "{reason:?}: {text}");
        }
        assert!(refused("auto", json!({ "for": "soon" })).starts_with("`for` is \"soon\""));
        assert!(refused("auto", json!({ "for": -1 })).contains("must be"));
        assert!(refused("reset", json!({ "for": "1m" })).contains("takes no `for`"));
        assert!(refused("explode", json!({})).contains("use force-open"));
    }
}
