//! Routes.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::TokenLimitKeys;
use super::policies::{
    BALANCE, BudgetKeys, BulkheadKeys, CacheKeys, HedgeKeys, LimitKeys, ON_OPEN, OnOpen, RetryKeys,
};
use super::settings::ThrottleKeys;
use crate::context::At;
use crate::describe::keys;
use crate::kinds::{
    Count, Flag, HeaderMap, HostKind, List, MethodKind, Name, Nested, OrOff, PathKind, Rules, Size,
    Text, Time,
};
use crate::model::{Balance, HostPattern, PathPattern};

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
        /// What happens to a request when every circuit of the route refuses: it gets the fallback
        /// (`fail_closed`), goes through all the same, unless an operator or the upstream itself said
        /// no (`fail_open`), or waits until one lets it through, up to the `deadline` (`wait`).
        when_open: OnOpen = ON_OPEN, default "fail_closed";
        /// How many requests may wait, with `when_open = "wait"`.
        max_waiting: u32 = Count(1..=100_000), optional "100";
        /// Which upstream is asked first: the first of the list, with the others as its fallbacks
        /// (`first-available`), each in turn (`round-robin`), or the one with the fewest requests
        /// under way (`least-pending`). The latter two are for equals: all of them get the client's
        /// credentials.
        balance: Balance = BALANCE, default "first-available";
        /// Sends a request again when all upstreams that may be asked have failed. A bare number is
        /// `max_attempts`.
        retry: Option<RetryKeys> = OrOff(Nested::<RetryKeys>::HERE), optional "off";
        /// Sends a request a second time, to the next upstream, when it has no answer after a while;
        /// the first good answer is taken. A bare duration is `delay`.
        hedge: Option<HedgeKeys> = OrOff(Nested::<HedgeKeys>::HERE), optional "off";
        /// What pays for requests that are sent more than once. A bare number is the `ratio`.
        retry_budget: BudgetKeys = Nested::<BudgetKeys>::HERE, optional "its defaults";
        /// So many requests a period; others are answered with 429. A bare number is `rate`.
        rate_limit: Option<LimitKeys> = OrOff(Nested::<LimitKeys>::HERE), optional "off";
        /// So many requests at once; others are answered with 503. A bare number is
        /// `max_concurrent`.
        bulkhead: Option<BulkheadKeys> = OrOff(Nested::<BulkheadKeys>::HERE), optional "off";
        /// Refuses some requests while many fail, in proportion. A bare number is `k`.
        throttle: ThrottleKeys = Nested::<ThrottleKeys>::HERE, optional "off";
        /// Keeps good answers, for when nothing else is left. A bare duration is `stale_if_error`.
        cache: Option<CacheKeys> = OrOff(Nested::<CacheKeys>::HERE), optional "off";
        /// How many tokens requests on it may cost; more are refused with 429.
        token_limit: TokenLimitKeys = Nested::<TokenLimitKeys>::HERE, optional "none";
    }
    exclusive [upstreams, upstream];
}
