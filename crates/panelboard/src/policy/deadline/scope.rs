//! The deadline of what runs on this thread now.

use std::cell::RefCell;

use super::Deadline;

thread_local! {
    static CURRENT: RefCell<Option<Deadline>> = const { RefCell::new(None) };
}

pub(super) fn current() -> Option<Deadline> {
    // At the end of a thread there is no deadline any more.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Puts back what was there before, also when the thread unwinds.
pub(super) struct Entered {
    before: Option<Deadline>,
}

/// Makes `deadline` the current one, unless there is a nearer one.
pub(super) fn enter(deadline: &Deadline) -> Entered {
    let before = set(Some(deadline.clone()));
    if let Some(before) = &before
        && before.is_nearer_than(deadline)
    {
        set(Some(before.clone()));
    }
    Entered { before }
}

impl Drop for Entered {
    fn drop(&mut self) {
        set(self.before.take());
    }
}

/// Sets it, and returns what was there.
fn set(deadline: Option<Deadline>) -> Option<Deadline> {
    CURRENT.try_with(|current| current.replace(deadline)).ok().flatten()
}

#[cfg(feature = "tokio")]
pub use future::Scoped;

#[cfg(feature = "tokio")]
mod future {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use pin_project_lite::pin_project;

    use super::{Deadline, enter};

    pin_project! {
        /// A future with a deadline; see [`Deadline::scope`].
        #[derive(Debug)]
        #[must_use = "futures do nothing unless polled"]
        pub struct Scoped<F> {
            deadline: Deadline,
            #[pin]
            inner: F,
        }
    }

    impl<F> Scoped<F> {
        pub(in crate::policy::deadline) fn new(deadline: Deadline, inner: F) -> Scoped<F> {
            Scoped { deadline, inner }
        }
    }

    impl<F: Future> Future for Scoped<F> {
        type Output = F::Output;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            let this = self.project();
            let _entered = enter(this.deadline);
            this.inner.poll(cx)
        }
    }
}
