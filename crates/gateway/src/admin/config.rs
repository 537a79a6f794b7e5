//! The configuration: what runs, what is wrong with another, and reading it again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::StatusCode;
use panelboard_config::{Input, Source, diff};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::circuits::reason;
use super::extract::Body;
use super::guard::{Done, Peer};
use super::problem::{Answer, Problem};
use super::token::Caller;
use super::view::config::{Configured, Finding, Findings, Running};
use crate::reload::Ask;
use crate::shared::Shared;

/// A configuration to check.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    /// What would stand in the file.
    text: String,
    /// How it is written.
    #[serde(default)]
    #[schema(required = false)]
    format: TextFormat,
}

/// How a configuration is written.
#[derive(Copy, Clone, Deserialize, ToSchema, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum TextFormat {
    #[default]
    Toml,
    Json,
}

/// What goes with a reload.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadBody {
    /// Why; one line.
    #[schema(max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: Option<String>,
}

/// What a reload has changed.
#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded {
    changes: Vec<String>,
}

/// What the gateway runs on. Of secrets only where they are.
#[utoipa::path(get, path = "/api/v1/config", tag = "config",
    security(("token" = ["viewer"])), responses((status = 200, body = Running)))]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Answer<Json<Running>> {
    let (path, told, listing) = shared.listed();
    // What runs was checked; it is the same text.
    let listing = listing.map_err(|wrong| {
        let detail = format!("The configuration cannot be listed: {wrong}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })?;
    let path = path.map(|path| path.display().to_string());
    let values = listing.values.into_iter().map(Configured::of).collect();
    Ok(Json(Running { path, values, told }))
}

/// Says what is wrong with a configuration, and what it would change.
///
/// Only the text is looked at: neither the environment nor the command line of the gateway, no file
/// and no network. So whether its secrets are there is not said.
#[utoipa::path(post, path = "/api/v1/config/check", tag = "config",
    security(("token" = ["viewer"])), request_body = Text,
    responses((status = 200, description = "What was found", body = Findings)))]
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    Body(Text { text, format }): Body<Text>,
) -> Answer<Json<Findings>> {
    let name = match format {
        TextFormat::Toml => "body.toml",
        TextFormat::Json => "body.json",
    };
    // A large text takes a while, and others are waiting.
    let checked = tokio::task::spawn_blocking(move || {
        panelboard_config::check(Input::new().file(Source::new(name, text)))
    });
    let checked = checked.await.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The text could not be checked.")
    })?;
    let mut findings = Findings::of(&checked.diagnostics);
    findings.changes = checked.config.map(|config| {
        diff(&shared.runtime().config, &config).iter().map(ToString::to_string).collect()
    });
    Ok(Json(findings))
}

/// Reads the configuration again, as SIGHUP does.
#[utoipa::path(post, path = "/api/v1/config/reload", tag = "config",
    security(("token" = ["operator"])), request_body = ReloadBody,
    responses((status = 200, description = "It is in force", body = Reloaded),
        (status = 409, description = "There is nothing to reload, or a reload is under way",
            body = Problem, content_type = "application/problem+json")))]
pub(super) async fn reload(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(Peer(peer)): Extension<Peer>,
    Body(body): Body<ReloadBody>,
) -> Response {
    match ask(&shared, &caller, peer, &body).await {
        Ok(reloaded) => recorded(Json(reloaded).into_response()),
        Err((problem, true)) => recorded(problem.into_response()),
        Err((problem, false)) => problem.into_response(),
    }
}

/// Whoever reloads puts it on record, for it may go on when the client is gone.
fn recorded(mut response: Response) -> Response {
    response.extensions_mut().insert(Done::Recorded);
    response
}

/// With a problem goes whether it is on record.
async fn ask(
    shared: &Shared,
    caller: &Caller,
    peer: std::net::IpAddr,
    body: &ReloadBody,
) -> Result<Reloaded, (Box<Problem>, bool)> {
    let reason = reason(body.reason.as_deref()).map_err(|problem| (problem, false))?.to_owned();
    let (answer, answered) = oneshot::channel();
    let ask = Ask { author: caller.name.to_string(), peer, reason, answer };
    if let Err(why) = shared.desk.reloads.ask(ask) {
        return Err((Problem::conflict(why), false));
    }
    match answered.await {
        Ok(Ok(changes)) => Ok(Reloaded { changes }),
        Ok(Err(kept)) => {
            let detail = format!("The running configuration is kept: {}", kept.why());
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
            Err((problem.with(Finding::all(kept.diagnostics())), true))
        }
        Err(_) => Err((Problem::conflict("The gateway is stopping."), false)),
    }
}
