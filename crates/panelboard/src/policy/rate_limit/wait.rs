use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::{RateLimit, RateLimited};

pin_project! {
    /// The future of [`RateLimit::acquire`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire {
        limit: RateLimit,
        calls: Option<u32>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Acquire {
    pub(super) fn new(limit: RateLimit, calls: u32) -> Acquire {
        Acquire { limit, calls: Some(calls), sleep: None }
    }
}

impl Future for Acquire {
    type Output = Result<(), RateLimited>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(calls) = this.calls.take() {
            let wait = this.limit.take(calls, this.limit.patience())?;
            if wait.is_zero() {
                return Poll::Ready(Ok(()));
            }
            this.sleep.set(Some(sleep(wait)));
        }
        let Some(sleep) = this.sleep.as_pin_mut() else {
            panic!("a wait for a rate limit was polled after it was ready");
        };
        ready!(sleep.poll(cx));
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("limit", &self.limit).finish_non_exhaustive()
    }
}
