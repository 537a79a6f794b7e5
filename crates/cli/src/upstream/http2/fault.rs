//! Faults that only HTTP/2 can have.

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::Response;
use tokio::time::sleep;

use super::translate::{Part, Translator};
use super::{BEFORE_CLOSE, Gone, Line, Order, end, push};
use crate::upstream::behaviour::Http2Fault;
use crate::upstream::request::Request;
use crate::upstream::respond::{Act, Answer};
use crate::upstream::stats::Ticket;

/// The type of a frame.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;

/// `END_HEADERS`.
const WHOLE: u8 = 4;

/// The healthy answer with this fault.
pub(super) async fn perform(
    fault: Http2Fault,
    answer: Answer,
    request: &Request,
    mut respond: SendResponse<Bytes>,
    line: &Line,
    mut ticket: Ticket,
) -> Result<Option<Order>, Gone> {
    let id = respond.stream_id().as_u32();
    let (mut head, body) = healthy(answer, request).ok_or(Gone)?;
    let half = body.len() / 2;
    let promise = |head: &mut Response<()>, length: usize| {
        head.headers_mut().insert("content-length", length.into());
    };
    match fault {
        Http2Fault::Reset(reason) => {
            drop(ticket);
            respond.send_reset(Reason::from(reason));
            return Ok(None);
        }
        Http2Fault::GoAway => {
            drop(ticket);
            // Streams above the last that it names were not looked at.
            line.raw.send(&go_away(0, Reason::NO_ERROR)).await;
            return Ok(Some(Order::Close));
        }
        Http2Fault::BadFrame => {
            drop(ticket);
            // Data belongs to a stream, and stream 0 is none.
            line.raw.send(&frame(DATA, 0, 0, b"x")).await;
            return Ok(None);
        }
        Http2Fault::BadHeaders => {
            drop(ticket);
            // An index that the table of headers does not have.
            line.raw.send(&frame(HEADERS, WHOLE, id, &[0xff; 8])).await;
            return Ok(None);
        }
        Http2Fault::GoAwayAfter => line.raw.send(&go_away(id, Reason::NO_ERROR)).await,
        Http2Fault::Long => promise(&mut head, half),
        Http2Fault::Short | Http2Fault::ResetBody(_) | Http2Fault::GoAwayBody => {
            promise(&mut head, body.len());
        }
    }
    ticket.answered(head.status().as_u16());
    let mut stream = respond.send_response(head, false).map_err(|_| Gone)?;
    match fault {
        Http2Fault::GoAwayAfter => {
            whole(&mut stream, body, ticket).await?;
            return Ok(Some(Order::Close));
        }
        Http2Fault::Long => whole(&mut stream, body, ticket).await?,
        Http2Fault::Short => whole(&mut stream, body.slice(..half), ticket).await?,
        Http2Fault::ResetBody(reason) => {
            push(&mut stream, body.slice(..half)).await?;
            // A reset takes back what was not sent yet.
            sleep(BEFORE_CLOSE).await;
            drop(ticket);
            stream.send_reset(Reason::from(reason));
        }
        _ => {
            push(&mut stream, body.slice(..half)).await?;
            sleep(BEFORE_CLOSE).await;
            drop(ticket);
            line.raw.send(&go_away(id, Reason::INTERNAL_ERROR)).await;
            return Ok(Some(Order::Close));
        }
    }
    Ok(None)
}

async fn whole(stream: &mut SendStream<Bytes>, body: Bytes, ticket: Ticket) -> Result<(), Gone> {
    push(stream, body).await?;
    drop(ticket);
    end(stream, http::HeaderMap::new());
    Ok(())
}

/// Head and body of an answer without fault. A body is never empty: half of it must be less than
/// all of it.
fn healthy(answer: Answer, request: &Request) -> Option<(Response<()>, Bytes)> {
    let mut translator = Translator::new(&request.head.method);
    let (mut head, mut body) = (None, Vec::new());
    for act in answer.acts {
        let Act::Send(bytes) = act else { continue };
        for part in translator.feed(&bytes).ok()? {
            match part {
                Part::Head(response) => head = Some(response),
                Part::Data(data) => body.extend(data),
                Part::End(_) => {}
            }
        }
    }
    if body.len() < 2 {
        body = b"\n\n".to_vec();
    }
    Some((head?, body.into()))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn go_away(last: u32, reason: Reason) -> Vec<u8> {
    let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}
