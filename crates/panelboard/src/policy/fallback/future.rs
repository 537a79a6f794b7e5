use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::Standby;
use crate::Error;

/// A future of a call that policies guard: what it gives, and how the callee fails.
pub trait TryCall: Future<Output = Result<Self::Response, Error<Self::Failure>>> {
    /// What the call gives.
    type Response;
    /// The callee's own error.
    type Failure;
}

impl<F, T, E> TryCall for F
where
    F: Future<Output = Result<T, Error<E>>>,
{
    type Response = T;
    type Failure = E;
}

pin_project! {
    /// The future of [`FallbackService`](super::FallbackService), and of a chain of answers.
    ///
    /// # Cancel safety
    /// Dropping it drops the call, or the answer that is being made. Nothing else is held.
    #[must_use = "futures do nothing unless polled"]
    pub struct FallbackFuture<F, B>
    where
        F: TryCall,
        B: Standby<F::Response, F::Failure>,
    {
        #[pin]
        stage: Stage<F, B, B::Future>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, B, A> {
        Calling { #[pin] call: F, standby: Option<B> },
        Answering { #[pin] answer: A },
        Done,
    }
}

impl<F, B> FallbackFuture<F, B>
where
    F: TryCall,
    B: Standby<F::Response, F::Failure>,
{
    pub(super) fn new(call: F, standby: B) -> FallbackFuture<F, B> {
        FallbackFuture { stage: Stage::Calling { call, standby: Some(standby) } }
    }

    pub(super) fn answering(answer: B::Future) -> FallbackFuture<F, B> {
        FallbackFuture { stage: Stage::Answering { answer } }
    }
}

impl<F, B> Future for FallbackFuture<F, B>
where
    F: TryCall,
    B: Standby<F::Response, F::Failure>,
{
    type Output = Result<F::Response, Error<F::Failure>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                StageProj::Answering { answer } => return answer.poll(cx),
                StageProj::Calling { call, standby } => {
                    let result = ready!(call.poll(cx));
                    let standby = standby.take();
                    // The call goes before user code runs: it may hold what that needs.
                    stage.set(Stage::Done);
                    match (result, standby) {
                        (Err(error), Some(standby)) if standby.handles(&error) => {
                            let answer = standby.answer(error);
                            stage.set(Stage::Answering { answer });
                        }
                        (result, _) => return Poll::Ready(result),
                    }
                }
                StageProj::Done => panic!("a call with a fallback was polled after it was ready"),
            }
        }
    }
}

impl<F, B> fmt::Debug for FallbackFuture<F, B>
where
    F: TryCall,
    B: Standby<F::Response, F::Failure>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture").finish_non_exhaustive()
    }
}
