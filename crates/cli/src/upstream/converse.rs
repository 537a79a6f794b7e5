//! One connection, from its first request to its end.

use tokio::sync::watch;
use tokio::time::timeout;

use super::behaviour::HEADER;
use super::connection::Connection;
use super::control;
use super::handle::Handle;
use super::http2;
use super::request::{Head, IDLE, Unreadable, read_body, read_head};
use super::respond::{self, End, PLAIN, end_after};
use super::stats::Ticket;

/// Answers one request after the other, until either side has had enough or the server refuses.
pub(super) async fn converse(
    mut connection: Connection,
    handle: Handle,
    mut refused: watch::Receiver<u64>,
) {
    // The first of the bytes that a client sends on its own account; one that sends none is idle.
    let http2 = timeout(IDLE, connection.begins_with(http2::PREFACE));
    let http2 = tokio::select! {
        biased;
        _ = refused.changed() => return connection.reset(),
        http2 = http2 => http2.unwrap_or(false),
    };
    if http2 {
        let (socket, ahead) = connection.into_parts();
        return http2::converse(socket, ahead, handle, refused).await;
    }
    let mut first = true;
    loop {
        // The server's end aborts this task, so `changed` means a refusal.
        let head = tokio::select! {
            biased;
            _ = refused.changed() => return connection.reset(),
            head = read_head(&mut connection) => head,
        };
        let end = match head {
            // Control is outside of the refusal and of the statistics.
            Ok(head) if control::concerns(&head) => {
                control::converse(head, &mut connection, &handle).await
            }
            Ok(head) => {
                let ticket = handle.stats().arrived(&head, first);
                first = false;
                tokio::select! {
                    biased;
                    _ = refused.changed() => Some(End::Reset),
                    end = exchange(head, &mut connection, &handle, ticket) => end,
                }
            }
            Err(unreadable) => {
                handle.stats().unreadable(&unreadable);
                turn_away(unreadable, &mut connection, None).await
            }
        };
        match end {
            Some(End::KeepAlive) => {}
            Some(End::Close) => return connection.close().await,
            Some(End::Reset) => return connection.reset(),
            None => return,
        }
    }
}

/// Reads the rest of a request and answers it. `None` when the client has gone.
async fn exchange(
    head: Head,
    connection: &mut Connection,
    handle: &Handle,
    ticket: Ticket,
) -> Option<End> {
    let request = match read_body(head, connection).await {
        Ok(request) => request,
        Err(unreadable) => {
            handle.stats().unreadable(&unreadable);
            return turn_away(unreadable, connection, Some(ticket)).await;
        }
    };
    let answer = match handle.scene().behaviour_for(&request) {
        Ok(behaviour) => {
            ticket.read(&request, &behaviour);
            respond::answer(&behaviour, &request, ticket.number())
        }
        Err(error) => {
            let text = format!("{HEADER}: {error}\n");
            respond::text(400, PLAIN, &text, &request, end_after(&request))
        }
    };
    // Not needed any more, and giving the answer can take long.
    drop(request);
    respond::perform(answer, connection, Some(ticket)).await.ok()
}

/// Tells the client why it is not understood, after which nothing it sends has a meaning.
pub(super) async fn turn_away(
    unreadable: Unreadable,
    connection: &mut Connection,
    ticket: Option<Ticket>,
) -> Option<End> {
    match unreadable {
        Unreadable::Gone => None,
        Unreadable::Refused(status, why) => {
            respond::perform(respond::farewell(status, why), connection, ticket).await.ok()
        }
    }
}
