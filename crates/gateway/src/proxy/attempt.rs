//! One attempt at one upstream.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::response::Parts as ResponseHead;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use panelboard::policy::bulkhead::{BulkheadFull, BulkheadPermit};
use panelboard::{Outcome, OwnedPermit, Rejected};
use panelboard_config::Balance;
use tokio::time::Instant;

use super::admit::{Admission, Admitted, Circuit, Way, permit};
use super::answer::{Answer, Bounds, Kept};
use super::guard::Guard;
use super::headers;
use super::model::{self, Asked};
use super::opening::{begin, error_body, has_body};
use super::origin::Origin;
use super::patience::{bounds, first_byte, first_token, lease};
use super::speech::{Speech, Translation};
use super::tokens::Bill;
use super::translated;
use super::upgrade::Upgrade;
use super::upload::{Upload, UploadBody, UploadFault};
use super::via::Pseudonym;
use crate::fallback::shape;
use crate::judge::{Observed, StreamJudge, retry_after, retry_hint};
use crate::llm::{self, Room, translate::Foreign};
use crate::policies::UnderWay;
use crate::runtime::{Plan, Target};
use crate::upstream::{SendError, Unseen};

/// What the attempts of one exchange have in common.
pub(crate) struct Exchange<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) head: &'a Parts,
    pub(crate) upload: &'a Upload,
    /// The path and query that go to the upstream.
    pub(crate) target: &'a str,
    pub(crate) asked: &'a Asked,
    pub(crate) speech: &'a Speech,
    pub(crate) origin: &'a Origin,
    pub(crate) pseudonym: &'a Pseudonym,
    /// The protocol that the client wants to go on in.
    pub(crate) upgrade: Option<&'a Upgrade>,
    pub(crate) deadline: Option<Instant>,
    /// What the request may cost in tokens.
    pub(crate) estimate: Option<u64>,
    /// Room for that in the limit of the route.
    pub(crate) room: Option<Room>,
}

/// An upstream's place among those of an exchange.
#[derive(Copy, Clone)]
pub(crate) struct Turn {
    /// Whether it is the one that the client addressed, and gave its credentials to.
    pub(crate) addressed: bool,
    /// Whether nobody else has been asked, so that it has all of the deadline.
    pub(crate) unshared: bool,
}

/// How an attempt went.
pub(crate) enum Attempt {
    /// There is an answer for the client.
    Answered(Response<Answer>),
    /// The same, and all of it is here.
    Whole(Response<Bytes>),
    /// The upstream goes on in the protocol that was asked for.
    Switched(Box<Switched>),
    /// There is none worth having, or only one that another upstream might better.
    Failed { observed: Observed, answer: Option<Response<Answer>> },
    /// The circuit refused.
    Refused(Rejected),
    /// There are no tokens left for this upstream, for so long.
    Limited(Duration),
    /// The route's bulkhead is full.
    Full,
    /// It cannot be asked in its own API's words. It was not asked, and its circuit knows nothing.
    Foreign(Foreign),
    /// The client's own body failed, so nothing is to be said of the upstream.
    Upload(UploadFault),
}

/// A connection to an upstream that has changed its protocol.
pub(crate) struct Switched {
    /// Its 101.
    pub(crate) head: ResponseHead,
    pub(crate) upstream: OnUpgrade,
    /// What errors from here on belong to.
    pub(crate) trace: Option<Arc<str>>,
    /// Held to the end of the tunnel.
    pub(crate) kept: Kept,
}

/// Asks the circuit, sends the request, and waits until it is clear whether the answer is one.
pub(crate) async fn attempt(
    exchange: &Exchange<'_>,
    target: &Target,
    turn: Turn,
    admission: Admission,
) -> (Circuit, Attempt) {
    let circuit = Circuit::of(exchange, target);
    let translation =
        match exchange.speech.translated(exchange.head, exchange.upload, &target.client) {
            Ok(translation) => translation,
            Err(foreign) => return (circuit, Attempt::Foreign(foreign)),
        };
    let bill = match Bill::open(exchange, target) {
        Ok(bill) => bill,
        Err(wait) => return (circuit, Attempt::Limited(wait)),
    };
    let Ok((place, waited)) = exchange.enter().await else {
        return (circuit, Attempt::Full);
    };
    let turn = Turn { unshared: turn.unshared && !waited, ..turn };
    match permit(&circuit, exchange, target, admission) {
        Ok(permit) => {
            let way = Way { exchange, target, turn, translation };
            send(Admitted { way, circuit, permit, place, bill }).await
        }
        Err(rejected) => (circuit, Attempt::Refused(rejected)),
    }
}

/// Sends the request, and waits until it is clear whether the answer is one.
pub(crate) async fn send(admitted: Admitted<'_>) -> (Circuit, Attempt) {
    let Admitted { way, circuit, permit, place, bill } = admitted;
    let outcome = guarded(way, permit, place, &bill).await;
    (circuit, bill.charge(outcome))
}

/// The attempt as far as it goes under the circuit.
async fn guarded(
    way: Way<'_>,
    permit: Option<OwnedPermit>,
    place: Option<BulkheadPermit>,
    bill: &Bill<'_>,
) -> Attempt {
    let Way { exchange, target, turn, ref translation } = way;
    let (translation, lease) = (translation.as_ref(), lease(exchange, target));
    let kept = Kept { place, under_way: exchange.under_way(target) };
    let trace = exchange.origin.trace(&exchange.head.headers);
    let mut guard = Guard::new(permit, lease, trace.clone(), target.times.clone())
        .with_last_words(shape::last_words(target.client.kind(), exchange.head.uri.path()));
    let Ok(request) = request(exchange, target, turn, translation) else {
        // The target makes no URI: the client's affair, not the upstream's.
        return Attempt::Upload(UploadFault::Client);
    };
    // The circuit's timeout is for answers that come in one piece. A stream is as long as it is: what
    // bounds it is the wait for its first token, and for the next ones.
    let of_stream = bounds(exchange, target, turn, None);
    let of_whole = bounds(exchange, target, turn, guard.until());
    let streams = match translation {
        Some(translation) => translation.stream,
        None => exchange.asked.stream == Some(true),
    };
    let asked = if streams { of_stream } else { of_whole };
    match guard.watch(sent(exchange, target, turn, translation, request, asked)).await {
        Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let upstream = hyper::upgrade::on(&mut response);
            let (head, _) = response.into_parts();
            // Judged now: what follows may last for days.
            guard.complete();
            Attempt::Switched(Box::new(Switched { head, upstream, trace, kept }))
        }
        Ok(response) => {
            let asked = (translation, of_whole, of_stream);
            body(response, guard, exchange, target, asked, bill).await.keeping(kept)
        }
        Err(SendError { observed, cause, .. }) => match exchange.upload.fault() {
            Some(fault) => {
                guard.settle(Observed::ClientGone);
                Attempt::Upload(fault)
            }
            None => {
                guard.settle_because(observed, cause.as_deref());
                Attempt::Failed { observed, answer: None }
            }
        },
    }
}

impl Exchange<'_> {
    /// A place in the route's bulkhead, where it has one, and whether it had to be waited for.
    async fn enter(&self) -> Result<(Option<BulkheadPermit>, bool), BulkheadFull> {
        let Some(bulkhead) = &self.plan.policies.bulkhead else { return Ok((None, false)) };
        if let Ok(place) = bulkhead.try_enter() {
            return Ok((Some(place), false));
        }
        tokio::select! {
            place = bulkhead.enter() => place.map(|place| (Some(place), true)),
            () = reached(self.deadline) => Err(BulkheadFull),
        }
    }

    /// Counts a request at an upstream, where somebody asks how many there are.
    fn under_way(&self, target: &Target) -> Option<UnderWay> {
        let counts = self.plan.route.balance == Balance::LeastPending;
        counts.then(|| target.client.pending().begin())
    }
}

impl Attempt {
    /// With what the answer has to keep to its end.
    fn keeping(mut self, kept: Kept) -> Attempt {
        if let Attempt::Answered(answer) | Attempt::Failed { answer: Some(answer), .. } = &mut self
        {
            answer.body_mut().keep(kept);
        }
        self
    }
}

fn request(
    exchange: &Exchange<'_>,
    target: &Target,
    turn: Turn,
    translation: Option<&Translation>,
) -> Result<Request<UploadBody>, http::Error> {
    let client = &target.client;
    let mut map = exchange.head.headers.clone();
    headers::for_upstream(&mut map);
    if exchange.head.version == Version::HTTP_2 {
        headers::join_cookies(&mut map);
    }
    exchange.origin.tell(&mut map, &exchange.head.uri);
    exchange.pseudonym.sign(&mut map, exchange.head.version);
    if let Some(upgrade) = exchange.upgrade {
        upgrade.ask(&mut map);
    }
    if !turn.addressed || client.auth().is_some() {
        headers::remove_credentials(&mut map);
    }
    if let Some((name, value)) = client.auth() {
        map.insert(name.clone(), value.clone());
    }
    if client.kind().is_llm() {
        // What is compressed cannot be read as it passes.
        map.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let body = match (translation, renamed(exchange, target)) {
        (Some(translation), _) => {
            translation.ask(&mut map, turn.addressed && client.auth().is_none());
            UploadBody::whole(translation.body.clone())
        }
        (None, Some(bytes)) => {
            map.insert(CONTENT_LENGTH, bytes.len().into());
            UploadBody::whole(bytes)
        }
        (None, None) => exchange.upload.body(),
    };
    // hyper sends a GET without its body unless the head says where that ends.
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        map.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let mut request = Request::new(body);
    *request.method_mut() = exchange.head.method.clone();
    *request.uri_mut() = match (translation, in_path(exchange, target)) {
        (Some(translation), _) => client.uri(translation.path)?,
        (None, Some(renamed)) => client.uri(&renamed)?,
        (None, None) => client.uri(exchange.target)?,
    };
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = map;
    Ok(request)
}

/// The body with the model's name as it is at this upstream, if that is another.
fn renamed(exchange: &Exchange<'_>, target: &Target) -> Option<Bytes> {
    let Upload::Whole(body) = exchange.upload else { return None };
    if exchange.asked.in_path.is_some() {
        return None;
    }
    let name = target.client.model(exchange.asked.model.as_deref()?)?;
    Some(model::renamed(body, &exchange.asked.place, name))
}

/// The path with the model's name as it is at this upstream, if that is another.
fn in_path(exchange: &Exchange<'_>, target: &Target) -> Option<String> {
    let place = exchange.asked.in_path.as_ref()?;
    let name = target.client.model(exchange.asked.model.as_deref()?)?;
    Some(llm::renamed(exchange.target, place, name))
}

/// Sends the request, and once more if the upstream need not have seen it.
async fn sent(
    exchange: &Exchange<'_>,
    target: &Target,
    turn: Turn,
    translation: Option<&Translation>,
    request: Request<UploadBody>,
    bounds: Bounds,
) -> Result<Response<Incoming>, SendError> {
    let sent = head(exchange, target, request, Unseen::No, bounds).await;
    match sent.as_ref().err().map(|error| error.unseen) {
        Some(unseen) if may_be_sent_again(exchange, unseen) => {
            match self::request(exchange, target, turn, translation) {
                Ok(request) => head(exchange, target, request, unseen, bounds).await,
                Err(_) => sent,
            }
        }
        _ => sent,
    }
}

/// Whether a request that the upstream need not have seen goes to it once more, which is no
/// evidence against it (RFC 9110, section 9.2.2).
fn may_be_sent_again(exchange: &Exchange<'_>, unseen: Unseen) -> bool {
    let harmless = match unseen {
        Unseen::No => false,
        Unseen::ClosedIdle => exchange.head.method.is_idempotent(),
        Unseen::Certainly => true,
    };
    harmless && exchange.upload.is_repeatable()
}

/// Sends the request and waits for the head of the answer. `before` is what became of it the first
/// time.
async fn head(
    exchange: &Exchange<'_>,
    target: &Target,
    request: Request<UploadBody>,
    before: Unseen,
    bounds: Bounds,
) -> Result<Response<Incoming>, SendError> {
    let send = async {
        match (exchange.upgrade, before) {
            (Some(upgrade), _) => target.client.send_to_upgrade(request, upgrade).await,
            // Another idle connection may be as old as the one that was closed.
            (None, Unseen::ClosedIdle) => target.client.send_afresh(request).await,
            (None, Unseen::No | Unseen::Certainly) => target.client.send(request).await,
        }
    };
    tokio::select! {
        biased;
        answer = send => answer,
        () = exchange.upload.upstream_silent(first_byte(exchange, target)) => {
            Err(Observed::FirstByteTimeout.into())
        }
        () = reached(bounds.until) => Err(bounds.overdue.into()),
    }
}

pub(super) async fn reached(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Judges the head, and of a stream also its first token.
async fn body(
    response: Response<Incoming>,
    mut guard: Guard,
    exchange: &Exchange<'_>,
    target: &Target,
    (translation, of_whole, of_stream): (Option<&Translation>, Bounds, Bounds),
    bill: &Bill<'_>,
) -> Attempt {
    let (parts, mut incoming) = response.into_parts();
    let hint = retry_hint(parts.status.as_u16(), &parts.headers, wall_now);
    let mut observed = Observed::Answered(parts.status, hint);
    let mut read = None;
    if target.client.kind().is_llm() && llm::may_tell(parts.status) {
        let error = tokio::select! {
            biased;
            error = error_body(&mut incoming) => error,
            () = reached(of_whole.until) => None,
        };
        let Some(error) = error else {
            // It did not come to its end, but its status did.
            guard.settle(observed);
            return Attempt::Failed { observed, answer: None };
        };
        if llm::used_up(parts.status, &error) {
            // When a limit of requests or tokens is as before is another matter.
            observed = Observed::QuotaUsedUp(parts.status, retry_after(&parts.headers, wall_now()));
        }
        read = Some(error).filter(|error| !error.is_empty()).map(Frame::data);
    }
    if observed.verdict().outcome != Outcome::Success {
        guard.settle(observed);
        let answer = match translation {
            Some(translation) => {
                translated::error(parts, incoming, read, None, translation, of_whole)
            }
            None => {
                let answer = Answer::new(incoming, read, None, None, of_whole);
                Response::from_parts(parts, answer)
            }
        };
        return Attempt::Failed { observed, answer: Some(answer) };
    }
    if let Some(translation) = translation {
        if read.is_some() {
            let answer =
                translated::error(parts, incoming, read, Some(guard), translation, of_whole);
            return Attempt::Answered(answer);
        }
        let bounds = if translation.stream { of_stream } else { of_whole };
        let patience = first_token(exchange, target);
        let asked = (translation, bounds, patience);
        return translated::answer(parts, incoming, guard, target, asked, bill).await;
    }
    let media = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // What has no body says what its body would be, and what is compressed cannot be read.
    let legible = has_body(&exchange.head.method, parts.status)
        && !parts.headers.contains_key(CONTENT_ENCODING);
    let media = media.filter(|_| legible);
    let Some(mut stream) = StreamJudge::of(target.client.kind(), media) else {
        let answer = Answer::new(incoming, read, Some(guard), None, of_whole);
        return Attempt::Answered(Response::from_parts(parts, answer));
    };
    let bounds = of_stream;
    let first = async {
        tokio::select! {
            biased;
            first = begin(&mut incoming, &mut stream) => first,
            () = tokio::time::sleep(first_token(exchange, target)) => Err(Observed::NoFirstToken),
            () = reached(bounds.until) => Err(bounds.overdue),
        }
    };
    let first = guard.watch(first).await;
    let first = match first {
        Ok(first) => first,
        Err(observed) => {
            guard.settle(observed);
            return Attempt::Failed { observed, answer: None };
        }
    };
    // What has been looked at is looked at again when it passes.
    let failed = stream.reports_error();
    let stream = StreamJudge::of(target.client.kind(), media);
    let frame = Some(first).filter(|first| !first.is_empty()).map(Frame::data);
    if failed {
        let observed = Observed::StreamError;
        guard.settle(observed);
        let answer = Answer::new(incoming, frame, None, stream, bounds);
        return Attempt::Failed { observed, answer: Some(Response::from_parts(parts, answer)) };
    }
    target.saw_first_token(guard.elapsed());
    let answer = Answer::new(incoming, frame, Some(guard), stream, bounds);
    Attempt::Answered(Response::from_parts(parts, answer))
}

#[expect(clippy::disallowed_methods, reason = "a date in a header is by the wall clock")]
pub(crate) fn wall_now() -> SystemTime {
    SystemTime::now()
}
