//! Doing what was decided.

use std::io;

use super::{Act, Answer, End};
use crate::upstream::connection::{Connection, PIECE};
use crate::upstream::stats::Ticket;

/// Gives the answer, and says what is to become of the connection.
///
/// The ticket is handed back just before the last bytes are, so that whoever has read a whole
/// answer finds its request no longer in flight.
///
/// # Errors
/// The client has gone.
pub(crate) async fn perform(
    answer: Answer,
    connection: &mut Connection,
    mut ticket: Option<Ticket>,
) -> io::Result<End> {
    let mut acts = answer.acts.into_iter().peekable();
    while let Some(act) = acts.next() {
        match act {
            Act::Send(bytes) => {
                if let (Some(ticket), Some(status)) = (&mut ticket, answer.status) {
                    ticket.answered(status);
                }
                let last = match acts.peek() {
                    Some(_) => 0,
                    None => bytes.len().min(PIECE),
                };
                let (before, last) = bytes.split_at(bytes.len() - last);
                connection.send(before).await?;
                if acts.peek().is_none() {
                    ticket = None;
                }
                connection.send(last).await?;
            }
            Act::Wait(time) => connection.wait(time).await?,
            Act::Silence => return Err(connection.gone().await),
            Act::Repeat(bytes, every) => loop {
                connection.wait(every).await?;
                connection.send(&bytes).await?;
            },
            Act::Mirror => return Err(connection.mirror().await),
        }
    }
    Ok(answer.end)
}
