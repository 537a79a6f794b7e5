//! Answers that have been kept: instead of an upstream's, or when there is no other.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Response};
use http_body::Body as _;
use panelboard::{Outcome, PhaseName};

use crate::fallback::FALLBACK_HEADER;
use crate::judge::Observed;
use crate::policies::cache::{Cache, Consent, Found, Request};
use crate::proxy::attempt::Exchange;
use crate::proxy::reply::{CACHE, CIRCUIT, Reply, STATE, whole};

/// What takes the place of a fallback's name.
const NAME: HeaderValue = HeaderValue::from_static("cache");

const HIT: HeaderValue = HeaderValue::from_static("hit");

/// A request whose answers are kept.
pub(super) struct Cached<'a> {
    cache: &'a Arc<Cache>,
    exchange: &'a Exchange<'a>,
    consent: Consent,
    body: Bytes,
}

impl<'a> Cached<'a> {
    /// `None` where the route keeps nothing, or the request is not of that sort.
    pub(super) fn of(exchange: &'a Exchange<'a>) -> Option<Cached<'a>> {
        let cache = exchange.plan.policies.cache.as_ref()?;
        if exchange.upgrade.is_some() || exchange.asked.stream == Some(true) {
            return None;
        }
        let consent = cache.consent(&exchange.head.method, &exchange.head.headers)?;
        let body = exchange.upload.whole()?;
        Some(Cached { cache, exchange, consent, body })
    }

    /// An answer that is as good as a new one.
    pub(super) fn hit(&self) -> Option<Response<Reply>> {
        if !self.cache.has_hits() || self.consent == Consent::Last {
            return None;
        }
        let found = self.look().filter(|found| found.fresh);
        self.count(if found.is_some() { "hit" } else { "miss" });
        let mut response = found?.response(&self.exchange.head.method);
        response.headers_mut().insert(CACHE, HIT);
        Some(whole(response))
    }

    /// The last good answer, for want of any other. `circuit` is what stands in its way.
    pub(super) fn last(
        &self,
        circuit: Option<(HeaderValue, PhaseName)>,
    ) -> Option<Response<Reply>> {
        let found = self.look();
        self.count(if found.is_some() { "stale" } else { "miss" });
        let mut response = found?.response(&self.exchange.head.method);
        let headers = response.headers_mut();
        headers.insert(FALLBACK_HEADER, NAME);
        if let Some((name, phase)) = circuit {
            headers.insert(CIRCUIT, name);
            headers.insert(STATE, HeaderValue::from_static(phase.name()));
        }
        Some(whole(response))
    }

    /// Writes an upstream's answer down as it passes, if it may be kept.
    pub(super) fn record(&self, answer: Response<Reply>) -> Response<Reply> {
        let counts = &self.exchange.plan.policies.counts;
        let length = answer.body().size_hint().lower();
        match self.cache.record(self.request(), &answer, length, counts) {
            Some(recording) => answer.map(|body| body.recorded(recording)),
            None => answer,
        }
    }

    fn look(&self) -> Option<Found> {
        self.cache.find(self.request())
    }

    fn count(&self, result: &'static str) {
        self.exchange.plan.policies.counts.cache(result);
    }

    fn request(&self) -> Request<'_> {
        let head = self.exchange.head;
        let host = match head.uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => head.headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes),
        };
        Request {
            method: &head.method,
            scheme: self.exchange.origin.scheme(),
            host,
            target: self.exchange.target,
            headers: &head.headers,
            body: &self.body,
        }
    }
}

/// Whether an upstream's own error gives way to a good answer that has been kept.
pub(super) fn gives_way<B>(answer: &Response<B>) -> bool {
    let status = answer.status();
    let outcome = Observed::Answered(status, None).verdict().outcome;
    status.is_server_error() && !matches!(outcome, Outcome::Success | Outcome::Neutral)
}
