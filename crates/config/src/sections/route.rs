//! Routes.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::context::At;
use crate::describe::keys;
use crate::kinds::{
    Flag, HeaderMap, HostKind, List, MethodKind, Name, OrOff, PathKind, Rules, Size, Text, Time,
};
use crate::model::{HostPattern, PathPattern};

const UPSTREAM: Name = Name("the name of an upstream");

keys! {
    /// Which requests go where. The first route that matches takes the request.
    pub(crate) struct RouteKeys = "route" in "routes" {
        /// Its name, for logs and metrics.
        name: String = Text { what: "a name", longest: 128, lines: false },
            optional "host and path";
        /// Which hosts: a name, `*.` and a name for all below it, or an address.
        host: HostPattern = HostKind, optional "all";
        /// Which paths: this one and all below it; with `*` (within a segment) or `**` (across
        /// segments), exactly what the pattern matches.
        path: PathPattern = PathKind { globs: true }, default "/";
        /// Which methods.
        methods: Vec<At<Method>> = List { item: MethodKind, rules: Rules::SOME_DISTINCT },
            optional "all";
        /// Which headers a request must have, with these values.
        headers: Vec<(HeaderName, HeaderValue)> = HeaderMap, optional "any";
        /// Where to, the first that works.
        upstreams: Vec<At<String>> = List { item: UPSTREAM, rules: Rules::SOME_DISTINCT },
            optional "`upstream`";
        /// Where to, if there is one place only.
        upstream: String = UPSTREAM, optional "`upstreams`";
        /// The circuit that guards it.
        circuit: String = Name("the name of a circuit"),
            optional "each upstream's own, of its name";
        /// How long a request may take in all, over every upstream that is tried.
        deadline: Option<Duration> = OrOff(Time::ANY), default "off";
        /// What to answer when nothing is left: a fallback, or `error` for an error in the API's
        /// own shape.
        fallback: String = Name("the name of a fallback, or \"error\""), optional "the circuit's";
        /// Whether a request that is not idempotent and may have reached an upstream is sent to
        /// the next one all the same.
        failover_non_idempotent: bool = Flag, optional "true if every upstream is an LLM API";
        /// What is taken off the front of the path before the request goes on.
        strip_prefix: PathPattern = PathKind { globs: false }, optional "nothing";
        /// How large a request's body may be.
        max_body_bytes: u64 = Size(1..=1 << 40), optional "no limit";
    }
    exclusive [upstreams, upstream];
    later [balance, bulkhead, cache, hedge, rate_limit, retry, throttle, when_open];
}
