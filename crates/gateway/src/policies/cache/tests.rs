use http::{HeaderValue, StatusCode};
use panelboard::{ManualClock, Registry};

use super::*;
use crate::metrics::Metrics;

const SECOND: Duration = Duration::from_secs(1);

/// A cache whose time passes when it is told so.
struct Bench {
    cache: Arc<Cache>,
    clock: ManualClock,
    counts: RouteCounts,
}

fn settings() -> RouteCache {
    RouteCache {
        ttl: 10 * SECOND,
        stale_if_error: 60 * SECOND,
        max_entries: 100,
        max_bytes: 100_000,
        max_body: 10_000,
        methods: vec![Method::GET, Method::POST],
        vary: vec![HeaderName::from_static("x-tenant")],
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn request<'a>(target: &'a str, headers: &'a HeaderMap) -> Request<'a> {
    Request { method: &Method::GET, scheme: "http", host: b"a", target, headers, body: b"" }
}

impl Bench {
    fn new(settings: RouteCache) -> Bench {
        let clock = ManualClock::new();
        let cache = Arc::new(Cache::new(settings, clock.clone().into()));
        let counts = Metrics::new(Registry::new()).route("r");
        Bench { cache, clock, counts }
    }

    /// Whether an answer is being written down.
    fn begin(
        &self,
        request: Request<'_>,
        answer: &[(&'static str, &'static str)],
    ) -> Option<Box<Recording>> {
        let mut response = Response::new(());
        *response.headers_mut() = headers(answer);
        self.cache.record(request, &response, 0, &self.counts)
    }

    fn answer(&self, request: Request<'_>, answer: &[(&'static str, &'static str)], body: &[u8]) {
        let mut recording = self.begin(request, answer).expect("it may be kept");
        assert!(recording.add(body));
        recording.finish();
    }

    fn found(&self, request: Request<'_>) -> Option<Bytes> {
        self.cache.find(request).map(|found| found.response(&Method::GET).into_body())
    }

    /// How many slots, and bytes of them; bytes on their way.
    fn size(&self) -> (usize, u64, u64) {
        let kept = self.cache.kept();
        (
            kept.slots.len(),
            kept.bytes,
            self.cache.recorded.load(std::sync::atomic::Ordering::Relaxed),
        )
    }
}

#[test]
fn an_answer_is_fresh_then_stale_then_gone() {
    let bench = Bench::new(settings());
    let none = HeaderMap::new();
    let ask = request("/", &none);
    bench.answer(ask, &[("age", "5"), ("x-panelboard-state", "open"), ("etag", "1")], b"good");
    for (wait, fresh, age) in [(0, true, "5"), (9, true, "14"), (1, false, "15"), (60, false, "75")]
    {
        bench.clock.advance(wait * SECOND);
        let found = bench.cache.find(ask).unwrap();
        assert_eq!(found.fresh, fresh, "{age}");
        let response = found.response(&Method::GET);
        assert_eq!(response.headers(), &headers(&[("age", age), ("etag", "1")]));
        assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, &b"good"[..]));
    }
    bench.clock.advance(SECOND);
    assert!(bench.cache.find(ask).is_none());
    assert_eq!(bench.size(), (0, 0, 0), "too old to be of any use");
}

#[test]
fn an_upstream_can_ask_for_less_than_the_ttl() {
    let bench = Bench::new(settings());
    let none = HeaderMap::new();
    let ask = request("/", &none);
    bench.answer(ask, &[("age", "5"), ("cache-control", "max-age=8")], b"");
    bench.clock.advance(2 * SECOND);
    assert!(bench.cache.find(ask).unwrap().fresh);
    bench.clock.advance(SECOND);
    assert!(!bench.cache.find(ask).unwrap().fresh);
}

#[test]
fn what_differs_has_an_answer_of_its_own() {
    let bench = Bench::new(settings());
    let known = headers(&[("authorization", "Bearer a"), ("x-tenant", "t"), ("accept", "x")]);
    let ask = request("/a?b", &known);
    bench.answer(ask, &[], b"mine");
    assert_eq!(bench.found(ask).as_deref(), Some(&b"mine"[..]));
    let head = Request { method: &Method::HEAD, ..ask };
    let head = bench.cache.find(head).unwrap().response(&Method::HEAD);
    assert_eq!((&head.headers()["content-length"], head.body().len()), (&"4".parse().unwrap(), 0));
    for other in [
        Request { method: &Method::POST, ..ask },
        Request { scheme: "https", ..ask },
        Request { host: b"b", ..ask },
        Request { target: "/a?c", ..ask },
        Request { target: "/a", ..ask },
        Request { body: b"x", ..ask },
    ] {
        assert_eq!(bench.found(other), None);
    }
    for other in [
        headers(&[("authorization", "Bearer b"), ("x-tenant", "t")]),
        headers(&[("x-tenant", "t")]),
        headers(&[("authorization", "Bearer a")]),
        headers(&[("authorization", "Bearer a"), ("x-tenant", "t"), ("cookie", "a=1")]),
        headers(&[("authorization", "Bearer a"), ("x-tenant", "t"), ("x-api-key", "k")]),
    ] {
        assert_eq!(bench.found(Request { headers: &other, ..ask }), None);
    }
    // In another order, and with what nobody named, it is the same.
    let same = headers(&[("x-tenant", "t"), ("accept", "y"), ("authorization", "Bearer a")]);
    assert!(bench.found(Request { headers: &same, ..ask }).is_some());
}

#[test]
fn headers_that_an_answer_names_tell_it_from_others() {
    let bench = Bench::new(settings());
    let languages = ["de", "en"].map(|language| headers(&[("accept-language", language)]));
    for (language, body) in languages.iter().zip([b"gut", b"fin"]) {
        let ask = request("/", language);
        assert_eq!(bench.found(ask), None);
        bench.answer(ask, &[("vary", "Accept-Language")], body);
    }
    assert_eq!(bench.found(request("/", &languages[0])).as_deref(), Some(&b"gut"[..]));
    assert_eq!(bench.found(request("/", &languages[1])).as_deref(), Some(&b"fin"[..]));
    assert_eq!(bench.found(request("/", &HeaderMap::new())), None);
    assert_eq!(bench.size().0, 3);
    // A key that begins like another's pair is not that.
    let odd = headers(&[("x-tenant", "varyaccept-language")]);
    assert_eq!(bench.found(request("/", &odd)), None);
}

#[test]
fn the_least_used_go_first_by_number_and_by_bytes() {
    let none = HeaderMap::new();
    let bench = Bench::new(RouteCache { max_entries: 3, ..settings() });
    for target in ["/1", "/2", "/3"] {
        bench.answer(request(target, &none), &[], b"x");
    }
    assert!(bench.found(request("/1", &none)).is_some());
    bench.answer(request("/4", &none), &[], b"x");
    let left = ["/1", "/2", "/3", "/4"].map(|target| bench.found(request(target, &none)).is_some());
    assert_eq!(left, [true, false, true, true]);

    let bench = Bench::new(RouteCache { max_bytes: 10_000, ..settings() });
    for n in 0..1_000 {
        let target = format!("/{n}");
        bench.answer(request(&target, &none), &[("x-a", "b")], &[0; 1_000]);
        let (slots, bytes, recorded) = bench.size();
        assert!(slots <= 7 && bytes <= 10_000 && recorded == 0, "{slots} {bytes} {recorded}");
    }
    assert!(bench.found(request("/999", &none)).is_some(), "the latest");
    // Again and again the same takes no more.
    for _ in 0..100 {
        bench.answer(request("/", &none), &[], &[0; 1_000]);
    }
    assert_eq!(bench.size().0, 7);
}

#[test]
fn what_is_too_large_or_has_no_end_is_not_kept() {
    let bench = Bench::new(RouteCache { max_bytes: 15_000, ..settings() });
    let none = HeaderMap::new();
    let ask = request("/", &none);
    let mut large = bench.begin(ask, &[]).unwrap();
    assert!(large.add(&[0; 10_000]));
    assert!(!large.add(&[0]));
    let mut second = bench.begin(ask, &[]).unwrap();
    assert!(!second.add(&[0; 6_000]), "all that is on its way is bounded, too");
    assert_eq!(bench.size().2, 10_000);
    drop((large, second));
    assert_eq!(bench.size(), (0, 0, 0));
    let response = Response::new(());
    assert!(bench.cache.record(ask, &response, 10_001, &bench.counts).is_none());
    let head = Request { method: &Method::HEAD, ..ask };
    assert!(bench.cache.record(head, &response, 0, &bench.counts).is_none());
    assert!(bench.begin(ask, &[("cache-control", "no-store")]).is_none());
}

#[test]
fn only_the_methods_that_are_named_are_kept() {
    let none = HeaderMap::new();
    let gets = Bench::new(RouteCache { methods: vec![Method::GET], ..settings() }).cache;
    let kept = |method: Method| gets.consent(&method, &none).is_some();
    assert_eq!(
        [Method::GET, Method::HEAD, Method::POST, Method::PUT].map(kept),
        [true, true, false, false]
    );
    let posts = Bench::new(RouteCache { methods: vec![Method::POST], ..settings() }).cache;
    assert_eq!(posts.consent(&Method::HEAD, &none), None);
    assert_eq!(posts.consent(&Method::POST, &none), Some(Consent::Any));
}
