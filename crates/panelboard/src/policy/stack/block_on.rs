//! Waiting for a future on a thread that may be blocked.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::policy::wait::unparker;

/// Runs a future to its end.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // Most are ready at once, and then nobody has to be woken.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let waker = unparker();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}
