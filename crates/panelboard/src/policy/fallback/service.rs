//! Another service to ask.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Answer, Standby};
use crate::Error;

/// See [`Fallback::service`](super::Fallback::service).
#[derive(Clone, Debug)]
pub struct Asking<S> {
    service: S,
}

/// A service that stands by with a copy of the request.
#[derive(Clone, Debug)]
pub struct Asked<S, Request> {
    service: S,
    request: Request,
}

pin_project! {
    /// The answer of another service.
    #[must_use = "futures do nothing unless polled"]
    pub struct AskedFuture<S, Request>
    where
        S: Service<Request>,
    {
        #[pin]
        stage: Stage<S, Request, S::Future>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, Request, F> {
        Readying { held: Option<(S, Request)> },
        Called { #[pin] call: F },
    }
}

impl<S> Asking<S> {
    pub(super) fn new(service: S) -> Asking<S> {
        Asking { service }
    }
}

impl<S: Clone, Request: Clone> Answer<Request> for Asking<S> {
    type Standby = Asked<S, Request>;

    fn stand_by(&self, request: &Request) -> Self::Standby {
        Asked { service: self.service.clone(), request: request.clone() }
    }
}

impl<S, Request, E> Standby<S::Response, E> for Asked<S, Request>
where
    S: Service<Request, Error = Error<E>>,
{
    type Future = AskedFuture<S, Request>;

    fn handles(&self, _: &Error<E>) -> bool {
        true
    }

    fn answer(self, _: Error<E>) -> Self::Future {
        AskedFuture::new(self.service, self.request)
    }
}

impl<S: Service<Request>, Request> AskedFuture<S, Request> {
    /// Asks the service as soon as it is ready.
    pub(crate) fn new(service: S, request: Request) -> Self {
        AskedFuture { stage: Stage::Readying { held: Some((service, request)) } }
    }
}

impl<S: Service<Request>, Request> Future for AskedFuture<S, Request> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                StageProj::Called { call } => return call.poll(cx),
                StageProj::Readying { held } => {
                    if let Some((service, _)) = held {
                        ready!(service.poll_ready(cx))?;
                    }
                    let Some((mut service, request)) = held.take() else {
                        panic!("a service was asked again after it had failed");
                    };
                    let call = service.call(request);
                    stage.set(Stage::Called { call });
                }
            }
        }
    }
}

impl<S: Service<Request>, Request> fmt::Debug for AskedFuture<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskedFuture").finish_non_exhaustive()
    }
}
