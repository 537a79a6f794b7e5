//! Control over HTTP: never counted, never subject to the behaviour.

use super::connection::Connection;
use super::converse::turn_away;
use super::handle::Handle;
use super::plan::Plan;
use super::request::{Head, Request, read_body};
use super::respond::{self, Answer, End, PLAIN, end_after};

/// Every control path begins so.
const ROOT: &str = "/__upstream/";

const ENDPOINTS: &str = "\
GET  /__upstream/stats        what arrived, as JSON
POST /__upstream/stats/reset  count anew
GET  /__upstream/behaviour    the behaviour in force, and exceptions from it
PUT  /__upstream/behaviour    another behaviour, or a script, and exceptions from it
GET  /__upstream/script       the script in force, and exceptions from it
";

/// Whether a request is for this module.
pub(super) fn concerns(head: &Head) -> bool {
    concerns_path(head.path())
}

/// Whether a request for this path is.
pub(super) fn concerns_path(path: &str) -> bool {
    path.starts_with(ROOT)
}

/// Answers a control request. `None` when the client has gone.
pub(super) async fn converse(
    head: Head,
    connection: &mut Connection,
    handle: &Handle,
) -> Option<End> {
    let request = match read_body(head, connection).await {
        Ok(request) => request,
        Err(unreadable) => return turn_away(unreadable, connection, None).await,
    };
    let answer = answer(&request, handle).await;
    respond::perform(answer, connection, None).await.ok()
}

/// The answer to a control request, which has been obeyed.
pub(super) async fn answer(request: &Request, handle: &Handle) -> Answer {
    let (status, media_type, text) = reply(request, handle);
    // Whoever has the answer can rely on it, also on being refused from now on.
    handle.settled().await;
    let end = match handle.behaviour().refuses() {
        true => End::Close,
        false => end_after(request),
    };
    respond::text(status, media_type, &text, request, end)
}

/// Status, media type and text of the answer.
fn reply(request: &Request, handle: &Handle) -> (u16, &'static str, String) {
    let path = request.head.path();
    match (request.head.method.as_str(), path.strip_prefix(ROOT).unwrap_or_default()) {
        ("GET", "stats") => match serde_json::to_string(&handle.report()) {
            Ok(json) => (200, "application/json", json),
            Err(error) => (500, PLAIN, format!("{error}\n")),
        },
        ("POST", "stats/reset") => {
            handle.reset_report();
            (200, PLAIN, String::from("counting anew\n"))
        }
        ("GET", "behaviour") => (200, PLAIN, handle.plan().with(handle.behaviour()).to_string()),
        ("PUT", "behaviour") => match understood(&request.body) {
            Ok(plan) => {
                let text = plan.to_string();
                handle.set(plan);
                (200, PLAIN, text)
            }
            Err(why) => (400, PLAIN, format!("{why}\n")),
        },
        ("GET", "script") => (200, PLAIN, handle.plan().to_string()),
        _ => (404, PLAIN, format!("there is nothing at {path}, but\n{ENDPOINTS}")),
    }
}

fn understood(body: &[u8]) -> Result<Plan, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let plan = text.parse::<Plan>().map_err(|error| error.to_string())?;
    match plan.script.locks_out() {
        true => Err(String::from(
            "`refuse` without a time would shut out whoever could end it, write refuse:3s",
        )),
        false => Ok(plan),
    }
}
