//! HTTP/2 in the clear, for clients that begin with it.
//!
//! Behaviours are decided in HTTP/1.1 and translated, so that each is the same in both; those that
//! only HTTP/2 can have are in [`fault`].

mod fault;
mod socket;
mod translate;

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request as Http2Request};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::behaviour::{Action, HEADER};
use super::control;
use super::handle::Handle;
use super::request::{Framing, Head, MOST_BODY, Request};
use super::respond::{self, Act, Answer, End, PLAIN};
use super::stats::Ticket;
use socket::{Raw, Socket};
use translate::{Part, Translator};

/// What a client begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams a client may have open.
const MOST_STREAMS: u32 = 1_000;

/// How long what was sent has to go out before a connection is closed.
const BEFORE_CLOSE: Duration = Duration::from_millis(20);

/// What a stream wants of its connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Order {
    /// FIN.
    Close,
    /// RST.
    Reset,
}

/// What a stream has of its connection.
#[derive(Clone)]
struct Line {
    raw: Raw,
    orders: mpsc::UnboundedSender<Order>,
    handle: Handle,
}

/// The stream, or the connection, is gone.
struct Gone;

/// Answers requests, each as it comes, until either side has had enough or the server refuses.
pub(super) async fn converse(
    socket: TcpStream,
    ahead: BytesMut,
    handle: Handle,
    mut refused: watch::Receiver<u64>,
) {
    let (socket, raw) = Socket::new(socket, ahead);
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(MOST_STREAMS).initial_window_size(1 << 20);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let line = Line { raw, orders, handle };
    // Dropped with this future, and every stream with it.
    let mut streams = JoinSet::new();
    let mut first = true;
    let order = loop {
        tokio::select! {
            biased;
            // The server's end aborts this task, so `changed` means a refusal.
            _ = refused.changed() => break Order::Reset,
            // There is always one who could send.
            order = ordered.recv() => break order.unwrap_or(Order::Close),
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let counted = !is_control(&request);
                    streams.spawn(exchange(request, respond, line.clone(), first && counted));
                    first &= !counted;
                }
                Some(Err(_)) | None => return,
            },
            Some(_) = streams.join_next() => {}
        }
    };
    let goes_out = poll_fn(|cx| connection.poll_closed(cx));
    let _ = timeout(BEFORE_CLOSE, goes_out).await;
    if order == Order::Reset {
        line.raw.break_off();
    }
}

fn is_control<T>(request: &Http2Request<T>) -> bool {
    control::concerns_path(request.uri().path())
}

/// Reads a request and answers it.
async fn exchange(
    request: Http2Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    line: Line,
    first: bool,
) {
    let (parts, body) = request.into_parts();
    let head = head(&parts);
    let done = if control::concerns(&head) {
        let Ok(request) = whole(head, body).await else { return };
        let answer = control::answer(&request, &line.handle).await;
        perform(answer, &request, respond, &line, None).await
    } else {
        let ticket = line.handle.stats().arrived(&head, first);
        let read = tokio::select! {
            read = whole(head, body) => read,
            _ = poll_fn(|cx| respond.poll_reset(cx)) => Err(Gone),
        };
        let Ok(request) = read else { return };
        answer(request, respond, &line, ticket).await
    };
    if let Ok(Some(order)) = done {
        // If nobody takes it, the connection is gone already.
        let _ = line.orders.send(order);
    }
}

async fn answer(
    request: Request,
    respond: SendResponse<Bytes>,
    line: &Line,
    ticket: Ticket,
) -> Result<Option<Order>, Gone> {
    let answer = match line.handle.scene().behaviour_for(&request) {
        Ok(behaviour) => {
            ticket.read(&request, &behaviour);
            let answer = respond::answer(&behaviour, &request, ticket.number());
            if let Action::Http2(fault) = behaviour.action {
                return fault::perform(fault, answer, &request, respond, line, ticket).await;
            }
            answer
        }
        Err(error) => {
            let text = format!("{HEADER}: {error}\n");
            respond::text(400, PLAIN, &text, &request, End::KeepAlive)
        }
    };
    perform(answer, &request, respond, line, Some(ticket)).await
}

fn head(parts: &http::request::Parts) -> Head {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let pseudo = [
        (":authority", parts.uri.authority().map(http::uri::Authority::as_str)),
        (":scheme", parts.uri.scheme_str()),
    ];
    let pseudo = pseudo
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.as_bytes().to_vec())));
    let headers = parts.headers.iter().map(owned);
    Head {
        method: parts.method.to_string(),
        target: target.to_owned(),
        minor: 1,
        http2: true,
        headers: pseudo.chain(headers).collect(),
    }
}

fn owned((name, value): (&http::HeaderName, &http::HeaderValue)) -> (String, Vec<u8>) {
    (name.as_str().to_owned(), value.as_bytes().to_vec())
}

/// The request, read to its end.
async fn whole(head: Head, mut stream: RecvStream) -> Result<Request, Gone> {
    let framing = if stream.is_end_stream() { Framing::None } else { Framing::Frames };
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.map_err(|_| Gone)?;
        let _ = stream.flow_control().release_capacity(piece.len());
        if body.len() + piece.len() > MOST_BODY {
            return Err(Gone);
        }
        body.extend_from_slice(&piece);
    }
    let trailers = stream.trailers().await.map_err(|_| Gone)?.unwrap_or_default();
    let trailers = trailers.iter().map(owned).collect();
    Ok(Request { head, framing, body, trailers })
}

/// Gives the answer, and says what is to become of the connection.
async fn perform(
    answer: Answer,
    request: &Request,
    mut respond: SendResponse<Bytes>,
    line: &Line,
    mut ticket: Option<Ticket>,
) -> Result<Option<Order>, Gone> {
    let mut translator = Translator::new(&request.head.method);
    let mut stream: Option<SendStream<Bytes>> = None;
    for act in answer.acts {
        match act {
            Act::Send(bytes) => {
                if let (Some(ticket), Some(status)) = (&mut ticket, answer.status) {
                    ticket.answered(status);
                }
                if answer.status.is_none() {
                    // Not HTTP of any version.
                    line.raw.send(&bytes).await;
                    continue;
                }
                let Ok(parts) = translator.feed(&bytes) else {
                    if let Some(stream) = &mut stream {
                        stream.send_reset(Reason::PROTOCOL_ERROR);
                    }
                    return Ok(None);
                };
                send(parts, &mut respond, &mut stream, &mut ticket).await?;
            }
            Act::Wait(time) => tokio::select! {
                () = sleep(time) => {}
                () = gone(&mut respond, &mut stream) => return Err(Gone),
            },
            Act::Silence | Act::Mirror => {
                gone(&mut respond, &mut stream).await;
                return Err(Gone);
            }
            Act::Repeat(bytes, every) => loop {
                tokio::select! {
                    () = sleep(every) => {}
                    () = gone(&mut respond, &mut stream) => return Err(Gone),
                }
                let parts = translator.feed(&bytes).map_err(|_| Gone)?;
                send(parts, &mut respond, &mut stream, &mut ticket).await?;
            },
        }
    }
    Ok(match answer.end {
        End::KeepAlive => None,
        End::Close => Some(Order::Close),
        End::Reset => Some(Order::Reset),
    })
}

/// Sends parts of an answer. The ticket is handed back just before the end is sent.
async fn send(
    parts: Vec<Part>,
    respond: &mut SendResponse<Bytes>,
    stream: &mut Option<SendStream<Bytes>>,
    ticket: &mut Option<Ticket>,
) -> Result<(), Gone> {
    let ends = matches!(parts.last(), Some(Part::End(_)));
    let count = parts.len();
    for (index, part) in parts.into_iter().enumerate() {
        // An end without trailers is a flag on what comes before it.
        let last = ends && index + 2 == count;
        match (part, &mut *stream) {
            (Part::Head(head), _) => {
                if last {
                    *ticket = None;
                }
                *stream = Some(respond.send_response(head, last).map_err(|_| Gone)?);
            }
            (Part::Data(data), Some(stream)) => push(stream, data.into()).await?,
            (Part::End(trailers), Some(stream)) => {
                *ticket = None;
                end(stream, trailers);
            }
            (Part::Data(_) | Part::End(_), None) => return Err(Gone),
        }
    }
    Ok(())
}

/// Ends a stream in order, unless its head did.
fn end(stream: &mut SendStream<Bytes>, trailers: HeaderMap) {
    // Either fails only where the stream has ended already.
    let _ = match trailers.is_empty() {
        true => stream.send_data(Bytes::new(), true),
        false => stream.send_trailers(trailers),
    };
}

/// Sends data as the client takes it.
async fn push(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Gone> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.and_then(Result::ok).ok_or(Gone)?;
        let piece = data.split_to(room.min(data.len()));
        stream.send_data(piece, false).map_err(|_| Gone)?;
    }
    Ok(())
}

/// Waits until the client takes the request back.
async fn gone(respond: &mut SendResponse<Bytes>, stream: &mut Option<SendStream<Bytes>>) {
    // An error is an end, too.
    let _ = match stream {
        Some(stream) => poll_fn(|cx| stream.poll_reset(cx)).await,
        None => poll_fn(|cx| respond.poll_reset(cx)).await,
    };
}
