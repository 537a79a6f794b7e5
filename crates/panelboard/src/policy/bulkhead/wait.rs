use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::line::Line;
use super::{Arrived, Bulkhead, BulkheadFull, BulkheadPermit, Seat, Waiting, come};

pin_project! {
    /// The future of [`Bulkhead::enter`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Enter {
        bulkhead: Option<Bulkhead>,
        #[pin]
        queue: Option<Queue>,
    }
}

pin_project! {
    /// A place in the queue, and until when to keep it.
    pub(super) struct Queue {
        waiting: Waiting<Arc<Line>>,
        max_wait: Duration,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Enter {
    pub(super) fn new(bulkhead: Bulkhead) -> Enter {
        Enter { bulkhead: Some(bulkhead), queue: None }
    }
}

impl Future for Enter {
    type Output = Result<BulkheadPermit, BulkheadFull>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(bulkhead) = this.bulkhead.take() {
            match come(bulkhead.line, None)? {
                Arrived::In(seat) => return Poll::Ready(Ok(BulkheadPermit(seat))),
                Arrived::Waits(waiting) => this.queue.set(Some(Queue::new(waiting))),
            }
        }
        match this.queue.as_mut().as_pin_mut() {
            Some(queue) => queue.poll_seat(cx).map_ok(BulkheadPermit),
            None => panic!("a wait for a bulkhead was polled after it was ready"),
        }
    }
}

impl fmt::Debug for Enter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enter").finish_non_exhaustive()
    }
}

// ===== impl Queue =====

impl Queue {
    pub(super) fn new(waiting: Waiting<Arc<Line>>) -> Queue {
        let max_wait = waiting.line.as_ref().map_or(Duration::ZERO, |line| line.room.max_wait());
        Queue { waiting, max_wait, sleep: None }
    }

    /// The place in the room, or an error after `max_wait`, which begins with the first poll.
    pub(super) fn poll_seat(
        self: Pin<&mut Queue>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Seat<Arc<Line>>, BulkheadFull>> {
        let mut this = self.project();
        if let Some(seat) = this.waiting.seat(cx.waker()) {
            return Poll::Ready(Ok(seat));
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep(*this.max_wait)));
        }
        let Some(sleep) = this.sleep.as_mut().as_pin_mut() else { return Poll::Pending };
        match sleep.poll(cx) {
            // Whoever is told that it was in vain no longer stands in the line.
            Poll::Ready(()) => {
                this.waiting.give_up();
                Poll::Ready(Err(BulkheadFull))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
