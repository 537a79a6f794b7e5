//! Which requests may be made more than once.

/// Makes the copy of a request for a further attempt, if there may be one.
///
/// An attempt that failed, or that is still under way, may have done its work. So a request that
/// does something each time it is made (that is not *idempotent*) must not be repeated.
///
/// Any `Fn(&Request) -> Option<Request>` will do. It is asked before each attempt that may be
/// followed by another.
///
/// # Examples
/// A body that is a stream can be sent once, but not every request has one:
/// ```
/// use std::io::Read;
/// use panelboard::policy::Repeat;
///
/// struct Request {
///     path: &'static str,
///     body: Option<Box<dyn Read>>,
/// }
///
/// let without_body = |request: &Request| match request.body {
///     None => Some(Request { path: request.path, body: None }),
///     Some(_) => None,
/// };
/// assert!(without_body.repeat(&Request { path: "/users", body: None }).is_some());
/// let upload = Request { path: "/photo", body: Some(Box::new(std::io::empty())) };
/// assert!(without_body.repeat(&upload).is_none());
/// ```
pub trait Repeat<Request> {
    /// The copy; `None` if the request must not be made again, or cannot.
    fn repeat(&self, request: &Request) -> Option<Request>;
}

/// Every request may be repeated, and is copied by [`Clone`]. The default.
#[derive(Copy, Clone, Debug, Default)]
pub struct Cloned;

/// Requests that the predicate holds for are copied by [`Clone`]; others are made once.
///
/// ```
/// use panelboard::policy::{Idempotent, Repeat};
///
/// let reads = Idempotent(|request: &String| request.starts_with("GET "));
/// assert!(reads.repeat(&"GET /users".to_owned()).is_some());
/// assert!(reads.repeat(&"POST /users".to_owned()).is_none());
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Idempotent<P>(pub P);

impl<Request, F: Fn(&Request) -> Option<Request>> Repeat<Request> for F {
    fn repeat(&self, request: &Request) -> Option<Request> {
        self(request)
    }
}

impl<Request: Clone> Repeat<Request> for Cloned {
    fn repeat(&self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }
}

impl<Request: Clone, P: Fn(&Request) -> bool> Repeat<Request> for Idempotent<P> {
    fn repeat(&self, request: &Request) -> Option<Request> {
        (self.0)(request).then(|| request.clone())
    }
}
