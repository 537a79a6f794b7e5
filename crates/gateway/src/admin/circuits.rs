//! Circuits: what they look like, and orders to them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::StatusCode;
use panelboard::{CircuitBreaker, Command, Order, PhaseName};
use panelboard_config::{duration_from_json, nearest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::audit::Act;
use super::extract::{Body, Named, Params};
use super::guard::Done;
use super::problem::{Answer, Problem};
use super::token::Caller;
use super::view::circuit::{Detail, Explained, Explanation, Summary};
use crate::shared::Shared;

/// How long an order lasts unless it says so.
const USUAL: Duration = Duration::from_secs(3_600);

/// How long it may last at most.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How many circuits are listed at once at most; families may have very many.
const LISTED: u32 = 1_000;

/// Which circuits.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only those in this state.
    #[param(pattern = "^(closed|open|half_open)$")]
    state: Option<String>,
    /// Only those whose names come after this one.
    after: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1_000, default = 1_000)]
    limit: Option<u32>,
}

/// Circuits, by name.
#[derive(Serialize, ToSchema)]
#[schema(as = CircuitList)]
pub(super) struct List {
    circuits: Vec<Summary>,
    /// There are more: ask for those `after` this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What goes with an order.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderBody {
    /// Why; one line. Those who are paged next will read it.
    #[schema(max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: Option<String>,
    /// For how long: seconds, or text such as `"1h30m"`; an hour unless given, 7 days at most.
    #[serde(rename = "for")]
    #[schema(value_type = Option<Lasting>, example = json!("10m"))]
    for_: Option<Value>,
}

/// A time: seconds, or text with units.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the document")]
pub(super) enum Lasting {
    Seconds(f64),
    Text(String),
}

/// The circuits.
#[utoipa::path(get, path = "/api/v1/circuits", params(Filter), tag = "circuits",
    security(("token" = ["viewer"])), responses((status = 200, body = List)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Params(filter): Params<Filter>,
) -> Answer<Json<List>> {
    if let Some(state) = &filter.state
        && !PhaseName::ALL.iter().any(|phase| phase.name() == state)
    {
        let detail = format!("`state` is `{state}`, but must be closed, open or half_open.");
        return Err(Problem::bad(detail));
    }
    let limit = limit(filter.limit, LISTED)?;
    let after = filter.after.as_deref().unwrap_or_default();
    let mut circuits = Vec::new();
    let mut next = None;
    for breaker in shared.registry.breakers() {
        if filter.after.is_some() && breaker.name().as_str() <= after {
            continue;
        }
        let snapshot = breaker.snapshot();
        if filter.state.as_deref().is_some_and(|state| snapshot.phase.name() != state) {
            continue;
        }
        if circuits.len() == limit {
            next = circuits.last().map(|last: &Summary| last.name.clone());
            break;
        }
        circuits.push(Summary::of(&snapshot));
    }
    Ok(Json(List { circuits, next }))
}

/// How many of something are wanted.
pub(super) fn limit(wanted: Option<u32>, most: u32) -> Answer<usize> {
    match wanted.unwrap_or(most) {
        wanted if (1..=most).contains(&wanted) => Ok(wanted as usize),
        wanted => Err(Problem::bad(format!("`limit` is {wanted}, but must be from 1 to {most}."))),
    }
}

/// After what something is wanted; a number that signed ones can hold, as the document says.
pub(super) fn after(number: Option<u64>) -> Answer<Option<u64>> {
    match number {
        Some(number) if i64::try_from(number).is_err() => {
            let detail = format!("`after` is {number}, but must be at most {}.", i64::MAX);
            Err(Problem::bad(detail))
        }
        number => Ok(number),
    }
}

/// A circuit, with everything there is to know of it.
#[utoipa::path(get, path = "/api/v1/circuits/{name}", tag = "circuits",
    params(("name" = String, Path, description = "The circuit; a slash in it is written %2F")),
    security(("token" = ["viewer"])),
    responses((status = 200, body = Detail),
        (status = 404, description = "There is no such circuit", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Named(name): Named<String>,
) -> Answer<Json<Detail>> {
    let snapshot = find(&shared, &name)?.snapshot();
    Ok(Json(Detail::of(&snapshot, &shared.runtime().config)))
}

/// What a circuit is doing, why, and what happens next: in one sentence.
#[utoipa::path(get, path = "/api/v1/circuits/{name}/explain", tag = "circuits",
    params(("name" = String, Path, description = "The circuit; a slash in it is written %2F")),
    security(("token" = ["viewer"])),
    responses((status = 200, body = Explanation),
        (status = 404, description = "There is no such circuit", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    Named(name): Named<String>,
) -> Answer<Json<Explanation>> {
    Ok(Json(Explanation::of(&find(&shared, &name)?.snapshot())))
}

/// An order to a circuit, or to a family and all of its members.
///
/// `force-open`, `force-closed`, `observe` and `auto` override who decides, until they expire;
/// `trip`, `reset` and `probe` happen at once. `probe` ends the wait of an open circuit, so that the
/// next calls probe whether the dependency is back.
#[utoipa::path(post, path = "/api/v1/circuits/{name}/{order}", tag = "circuits",
    params(
        ("name" = String, Path, description = "The circuit; a slash in it is written %2F"),
        ("order" = OrderName, Path, description = "The order")),
    security(("token" = ["operator"])), request_body = OrderBody,
    responses((status = 200, description = "What has become of it", body = Explained),
        (status = 404, description = "There is no such circuit or order", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "There is nothing to probe", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn order(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Named((name, order)): Named<(String, String)>,
    Body(body): Body<OrderBody>,
) -> Response {
    let mut act = Act {
        action: order.clone(),
        circuit: Some(name.clone()),
        reason: body.reason.clone(),
        ..Act::default()
    };
    let mut response = match give(&shared, &caller, (&name, &order), &body, &mut act) {
        Ok(explained) => Json(explained).into_response(),
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(Done::Act(Box::new(act)));
    response
}

/// The orders there are.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "for the document")]
pub(super) enum OrderName {
    Trip,
    Reset,
    ForceOpen,
    ForceClosed,
    Observe,
    Auto,
    Probe,
}

fn give(
    shared: &Shared,
    caller: &Caller,
    (name, order): (&str, &str),
    body: &OrderBody,
    act: &mut Act,
) -> Answer<Explained> {
    let breaker = find(shared, name)?;
    let (command, reason) = command(order, body)?;
    let state = |breaker: &CircuitBreaker| {
        let snapshot = breaker.snapshot();
        json!({ "state": snapshot.phase.name(), "mode": snapshot.mode.name() })
    };
    let family = shared.registry.family(breaker.name());
    if matches!(command, Command::Probe) {
        // The look, too, finds out about phases that are over by now.
        let is_open = |breaker: &CircuitBreaker| breaker.snapshot().phase == PhaseName::Open;
        let members = family.as_ref().map(panelboard::Family::breakers).unwrap_or_default();
        if !is_open(&breaker) && !members.iter().any(is_open) {
            let detail = format!("`{}` is not open, so there is nothing to probe.", breaker.name());
            return Err(Problem::conflict(detail));
        }
    }
    act.before = Some(state(&breaker));
    let order = Order::new(author(caller), reason);
    match family {
        Some(family) => family.command_by(command, &order),
        None => breaker.command_by(command, &order),
    }
    act.after = Some(state(&breaker));
    Ok(Explained::of(&breaker.snapshot()))
}

/// Who orders something, as events and explanations call them.
fn author(caller: &Caller) -> String {
    match *caller == Caller::loopback() {
        true => "admin API".to_owned(),
        false => caller.name.to_string(),
    }
}

/// What an order comes down to, and its reason.
fn command(order: &str, body: &OrderBody) -> Answer<(Command, String)> {
    let time = match &body.for_ {
        None => USUAL,
        Some(value) => duration_from_json(value).map_err(|accepted| {
            Problem::bad(format!("`for` is {value}, but must be {accepted}, at most 7 days."))
        })?,
    };
    if time > LONGEST {
        let value = body.for_.as_ref().unwrap_or(&Value::Null);
        return Err(Problem::bad(format!("`for` is {value}, but must not be longer than 7 days.")));
    }
    let reason = reason(body.reason.as_deref())?;
    let command = match order {
        "force-open" => Command::ForceOpen(time),
        "force-closed" => Command::ForceClosed(time),
        "observe" => Command::Observe(time),
        "auto" => Command::Auto(time),
        "reset" | "trip" | "probe" if body.for_.is_some() => {
            return Err(Problem::bad(format!("`{order}` happens at once: it takes no `for`.")));
        }
        "reset" => Command::Reset,
        "trip" => Command::Trip,
        "probe" => Command::Probe,
        _ => {
            let detail = format!(
                "There is no order `{order}`: use force-open, force-closed, observe, auto, reset, \
                 trip or probe."
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
    };
    // Whoever is paged next must be able to see why.
    let forced = matches!(command, Command::ForceOpen(_) | Command::ForceClosed(_));
    if forced && reason.is_empty() {
        return Err(Problem::bad(format!("`{order}` needs a `reason`.")));
    }
    Ok((command, reason.to_owned()))
}

/// A reason that can be shown.
pub(super) fn reason(said: Option<&str>) -> Answer<&str> {
    let reason = said.unwrap_or_default();
    if reason.chars().count() > 500 {
        return Err(Problem::bad("`reason` must not be longer than 500 characters."));
    }
    // It is shown on terminals, which would obey it.
    if reason.contains(char::is_control) {
        return Err(Problem::bad("`reason` must be one line without control characters."));
    }
    Ok(reason.trim())
}

/// The circuit of this name, or of the family that has it.
pub(super) fn find(shared: &Shared, name: &str) -> Answer<CircuitBreaker> {
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
    let name: String = name.chars().take(200).collect();
    Err(Problem::not_found(format!("There is no circuit `{name}`.{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(order: &str, body: serde_json::Value) -> Result<(Command, String), String> {
        let body: OrderBody = serde_json::from_value(body).unwrap();
        command(order, &body).map_err(|problem| problem.detail)
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
        assert_eq!(ask("probe", json!({})).unwrap().0, Command::Probe);
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
        for order in ["reset", "trip", "probe"] {
            assert!(refused(order, json!({ "for": "1m" })).contains("takes no `for`"));
        }
        assert!(refused("explode", json!({})).contains("use force-open"));
    }
}
