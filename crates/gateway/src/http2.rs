//! Clients that speak HTTP/2.
//!
//! hyper bounds what one connection can ask for; when it has been asking for nothing for too long,
//! or does not take what it asked for, is noticed here.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use panelboard_config::Http2Limits;
use pin_project_lite::pin_project;

use crate::fallback;
use crate::listen::Limits;
use crate::wire::Stream;

/// How much of a body may be under way on a stream, and on all of a connection: what one upstream
/// does not take must not hold up the others.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// How much of an answer waits for a client that does not take it.
const SEND_BUFFER: usize = 64 << 10;

/// Serves a connection to its end, which comes in order once `stop` is ready.
pub(crate) async fn serve<S, F, B>(
    stream: Stream,
    limits: Limits,
    stop: impl Future<Output = ()>,
    answer: S,
) -> Result<(), hyper::Error>
where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let flow = Arc::new(Flow::default());
    let service = service_fn(|request: Request<Incoming>| {
        let turn = Turn::new(&flow);
        let refused = (request.headers().len() > limits.max_headers).then(too_many_headers);
        let response = refused.is_none().then(|| answer(request));
        async move {
            let response = match (refused, response) {
                (None, Some(response)) => response.await.map(Either::Left),
                (refused, _) => refused.unwrap_or_default().map(Either::Right),
            };
            Ok::<_, Infallible>(response.map(|body| Taken { body, turn }))
        }
    });
    let connection = builder(limits).serve_connection(TokioIo::new(stream), service);
    let (mut connection, mut stop) = (pin!(connection), pin!(stop));
    let mut stopping = false;
    let mut seen = None;
    loop {
        let patience = match flow.has_begun() {
            true => limits.idle_timeout,
            false => limits.header_read_timeout,
        };
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.as_mut(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(patience) => {
                let progress = flow.progress.load(Ordering::Relaxed);
                let before = seen.replace(progress);
                match flow.hangs_by() {
                    _ if flow.has_begun() && before != Some(progress) => {}
                    None => {}
                    // It was asked to end before, or has never begun.
                    Some(Hangs::Idle) if stopping || !flow.has_begun() => return Ok(()),
                    Some(Hangs::Idle) => {
                        stopping = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    Some(Hangs::Client) => return Ok(()),
                }
            }
        }
    }
}

fn builder(limits: Limits) -> http2::Builder<TokioExecutor> {
    let Http2Limits { max_streams, max_resets, ping_interval, ping_timeout } = limits.http2;
    let header_bytes = u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(max_streams)
        .max_header_list_size(header_bytes)
        .max_pending_accept_reset_streams(max_resets as usize)
        .max_local_error_reset_streams(max_resets as usize)
        .keep_alive_interval(ping_interval)
        .keep_alive_timeout(ping_timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

fn too_many_headers() -> Response<Full<Bytes>> {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let detail = "The request has more headers than are accepted here.";
    fallback::refusal(status, "Too many headers", detail).map(Full::new)
}

// ===== progress =====

/// How the requests of a connection get on.
#[derive(Default)]
struct Flow {
    /// Requests under way.
    open: AtomicUsize,
    /// Those of them for which it is not the client's turn: there is nothing to take yet.
    waiting: AtomicUsize,
    /// Grows with every request and every piece that is taken.
    progress: AtomicU64,
}

/// Whom a connection without progress waits for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Hangs {
    /// Nobody: it has no requests.
    Idle,
    /// The client, to take what is there for it.
    Client,
}

/// A request's part in the flow.
struct Turn {
    flow: Arc<Flow>,
    waits: bool,
}

impl Flow {
    fn has_begun(&self) -> bool {
        self.progress.load(Ordering::Relaxed) > 0
    }

    /// Read while nothing moves, so that numbers that are a moment apart do not matter.
    fn hangs_by(&self) -> Option<Hangs> {
        match (self.open.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed)) {
            (0, _) => Some(Hangs::Idle),
            (_, 0) => Some(Hangs::Client),
            _ => None,
        }
    }
}

impl Turn {
    fn new(flow: &Arc<Flow>) -> Turn {
        flow.open.fetch_add(1, Ordering::Relaxed);
        flow.waiting.fetch_add(1, Ordering::Relaxed);
        flow.progress.fetch_add(1, Ordering::Relaxed);
        Turn { flow: Arc::clone(flow), waits: true }
    }

    fn set_waits(&mut self, waits: bool) {
        if !waits {
            self.flow.progress.fetch_add(1, Ordering::Relaxed);
        }
        if self.waits != waits {
            self.waits = waits;
            match waits {
                true => self.flow.waiting.fetch_add(1, Ordering::Relaxed),
                false => self.flow.waiting.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.set_waits(false);
        self.flow.open.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The body of an answer, with an eye on whether it is taken.
    struct Taken<B> {
        #[pin]
        body: B,
        turn: Turn,
    }
}

impl<B: Body<Data = Bytes>> Body for Taken<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        this.turn.set_waits(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_hangs_by_its_client_only_if_there_is_something_to_take() {
        let flow = Arc::new(Flow::default());
        assert!(!flow.has_begun());
        assert_eq!(flow.hangs_by(), Some(Hangs::Idle));
        let (mut one, other) = (Turn::new(&flow), Turn::new(&flow));
        assert!(flow.has_begun());
        assert_eq!(flow.hangs_by(), None, "it waits for answers");
        one.set_waits(false);
        assert_eq!(flow.hangs_by(), None, "the other does");
        drop(other);
        assert_eq!(flow.hangs_by(), Some(Hangs::Client));
        one.set_waits(true);
        assert_eq!(flow.hangs_by(), None);
        drop(one);
        assert_eq!(flow.hangs_by(), Some(Hangs::Idle));
    }
}
