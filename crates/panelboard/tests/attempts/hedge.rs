use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use panelboard::policy::Idempotent;
use panelboard::policy::deadline::{Deadline, DeadlineLayer};
use panelboard::policy::hedge::{Hedge, HedgeBuilder, HedgeLayer, HedgeService, HedgeSettings};
use panelboard::policy::retry_budget::{BudgetSettings, RetryBudget};
use panelboard::{CircuitBreaker, Clock, Error, Kind, Outcome, Ratio, Tick};
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock::pair;

use crate::support::{dropped_at_each_poll, guarded, keeps_towers_contract, millis, secs};

type Answer = Result<u32, Error<&'static str>>;

const NO: Answer = Err(Error::Inner("no"));

fn hedge() -> HedgeBuilder {
    Hedge::builder(HedgeSettings::after(millis(100)).unwrap())
}

fn budget(reserve: u32) -> RetryBudget {
    RetryBudget::on(BudgetSettings::new(Ratio::ZERO, 0, reserve).unwrap(), Clock::tokio())
}

/// A service whose requests take so long each and end so, behind a breaker.
fn script(
    breaker: &CircuitBreaker,
    answers: impl IntoIterator<Item = (u64, Answer)>,
) -> impl Service<&'static str, Response = u32, Error = Error<&'static str>, Future: Send> + Clone {
    let answers: VecDeque<_> = answers.into_iter().collect();
    let (answers, breaker) = (Arc::new(Mutex::new(answers)), breaker.clone());
    service_fn(move |_| {
        let (wait, answer) = answers.lock().unwrap().pop_front().expect("asked too often");
        let breaker = breaker.clone();
        async move {
            let call = async {
                sleep(millis(wait)).await;
                answer
            };
            breaker.call_async(call).await.map_err(Error::flatten)
        }
    })
}

/// What came of a call, and after how long.
async fn timed<S: Service<&'static str>>(service: S) -> (Result<S::Response, S::Error>, Duration) {
    let clock = Clock::tokio();
    let result = service.oneshot("GET").await;
    (result, clock.now().since(Tick::ZERO))
}

#[tokio::test(start_paused = true)]
async fn a_fast_call_is_made_once() {
    let (breaker, hedge) = (guarded(), hedge().build());
    let service = HedgeService::new(hedge.clone(), script(&breaker, [(99, Ok(7))]));
    assert_eq!(timed(service).await, (Ok(7), millis(99)));
    let stats = hedge.stats();
    assert_eq!((stats.calls(), stats.hedges(), stats.attempts()), (1, 0, 1));
}

/// The one that is dropped was cancelled: neutral for the breaker.
#[tokio::test(start_paused = true)]
async fn b7_the_first_answer_wins_and_the_other_call_is_neutral() {
    for (first, second, answer, wins) in [(1_000, 30, 2, 1), (120, 500, 1, 0)] {
        let (breaker, hedge) = (guarded(), hedge().build());
        let script = script(&breaker, [(first, Ok(1)), (second, Ok(2))]);
        let service = HedgeService::new(hedge.clone(), script);
        let (result, took) = timed(service).await;
        assert_eq!(result, Ok(answer));
        assert!(took >= millis(120) && took <= millis(132), "{took:?}");
        assert_eq!((hedge.stats().hedges(), hedge.stats().wins()), (1, wins));
        let counters = breaker.snapshot().counters;
        assert_eq!((counters.success, counters.neutral, counters.in_flight()), (1, 1, 0));
    }
}

/// The loser is cancelled with the answer, not when the caller drops the future.
#[tokio::test(start_paused = true)]
async fn b7_the_other_call_has_ended_when_the_answer_is_there() {
    let (breaker, hedge) = (guarded(), hedge().build());
    for (first, second) in [(1_000, 30), (120, 500)] {
        let script = script(&breaker, [(first, Ok(1)), (second, Ok(2))]);
        let mut service = HedgeService::new(hedge.clone(), script);
        let mut call = std::pin::pin!(service.call("GET"));
        assert!((&mut call).await.is_ok());
        assert_eq!(breaker.snapshot().counters.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_before_the_hedge_are_returned_at_once() {
    let (breaker, hedge) = (guarded(), hedge().build());
    let service = HedgeService::new(hedge.clone(), script(&breaker, [(20, NO)]));
    let (result, took) = timed(service).await;
    assert_eq!(result, NO);
    assert!(took <= millis(21));
    assert_eq!(hedge.stats().hedges(), 0);
}

#[tokio::test(start_paused = true)]
async fn while_both_are_under_way_an_error_waits_for_the_other() {
    let late = || Err(Error::Inner("late"));
    for (answers, expected) in [
        // The first fails, then the second.
        ([(150, NO), (100, Ok(2))], Ok(2)),
        ([(150, NO), (100, late())], NO),
        // The second fails, then the first.
        ([(300, Ok(1)), (20, late())], Ok(1)),
        ([(300, NO), (20, late())], NO),
        // The second is refused.
        ([(300, Ok(1)), (0, Err(Error::BulkheadFull))], Ok(1)),
    ] {
        let (breaker, hedge) = (guarded(), hedge().build());
        let service = HedgeService::new(hedge.clone(), script(&breaker, answers));
        assert_eq!(service.oneshot("GET").await, expected);
        assert_eq!(hedge.stats().hedges(), 1);
        assert_eq!(breaker.snapshot().counters.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_says_what_is_usable() {
    let breaker = guarded();
    let usable = |result: &Result<u32, &str>| match result {
        Ok(503) => Outcome::failure(Kind::ServerError),
        _ => Outcome::Success,
    };
    let service = HedgeService::new(
        hedge().classify(usable).build(),
        script(&breaker, [(150, Ok(503)), (100, Ok(200))]),
    );
    assert_eq!(service.oneshot("GET").await, Ok(200));
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_repeated_is() {
    let (breaker, reads) = (guarded(), Idempotent(|request: &&str| *request == "GET"));
    let hedge = hedge().repeat(reads).build();
    let service = HedgeService::new(hedge.clone(), script(&breaker, [(500, Ok(1))]));
    assert_eq!(service.oneshot("POST").await, Ok(1));
    assert_eq!(hedge.stats().hedges(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_used_up_budget_ends_the_hedges() {
    let breaker = guarded();
    let hedge = hedge().budget(budget(2)).build();
    for wins in [1, 2, 2, 2] {
        let script = script(&breaker, [(500, Ok(1)), (10, Ok(2))]);
        HedgeService::new(hedge.clone(), script).oneshot("GET").await.unwrap();
        assert_eq!(hedge.stats().wins(), wins);
    }
    assert_eq!((hedge.stats().hedges(), hedge.stats().budget_exhausted()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_would_come_after_the_deadline_is_not_made() {
    for (deadline, hedges) in [(millis(100), 0), (millis(110), 1)] {
        let (breaker, hedge) = (guarded(), hedge().build());
        let hedged =
            HedgeService::new(hedge.clone(), script(&breaker, [(500, Ok(1)), (500, Ok(2))]));
        let call = Deadline::after(deadline).scope(hedged.oneshot("GET"));
        let _ = timeout(deadline, call).await;
        assert_eq!(hedge.stats().hedges(), hedges, "{deadline:?}");
        assert_eq!(breaker.snapshot().counters.in_flight(), 0);
    }
    // As it is put together: the deadline outside.
    let (breaker, hedge) = (guarded(), hedge().build());
    let hedged = HedgeLayer::new(hedge.clone()).layer(script(&breaker, [(500, Ok(1))]));
    let service = DeadlineLayer::new(millis(50)).layer(hedged);
    let result = service.oneshot("GET").await.map_err(Error::flatten);
    assert_eq!(result, Err(Error::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_learned_from_answers() {
    let settings = HedgeSettings::at_percentile(Ratio::percent(95).unwrap()).unwrap();
    let (breaker, hedge) = (guarded(), Hedge::new(settings));
    let call = |answers: Vec<(u64, Answer)>| {
        let service = HedgeService::new(hedge.clone(), script(&breaker, answers));
        async move { service.oneshot("GET").await }
    };
    for n in 1..=100 {
        assert_eq!(hedge.delay(), None, "{n} calls are too few");
        // Errors are fast, and teach nothing.
        assert_eq!(call(vec![(0, NO)]).await, NO);
        assert_eq!(call(vec![(n, Ok(1))]).await, Ok(1));
    }
    // 95 ms, and the timer's step and the buckets' width above.
    let delay = hedge.delay().unwrap();
    assert!(delay >= millis(95) && delay <= millis(103), "{delay:?}");
    assert_eq!(call(vec![(90, Ok(1))]).await, Ok(1));
    assert_eq!(hedge.stats().hedges(), 0);
    assert_eq!(call(vec![(5_000, Ok(1)), (10, Ok(2))]).await, Ok(2));
    assert_eq!(hedge.stats().wins(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_towers_contract() {
    keeps_towers_contract(|mock| HedgeLayer::new(hedge().build()).layer(mock)).await;
}

/// The second request waits until the service is ready for it; the first is not kept from
/// answering meanwhile.
#[tokio::test(start_paused = true)]
async fn a_hedge_waits_until_the_service_is_ready() {
    let (mock, mut handle) = pair::<u32, u32>();
    let hedge = hedge().build();
    let mut service = HedgeLayer::new(hedge.clone()).layer(mock);
    handle.allow(1);
    let call = service.ready().await.unwrap().call(7);
    let play = async {
        let (_, _hangs) = handle.next_request().await.unwrap();
        sleep(secs(10)).await;
        assert_eq!(hedge.stats().hedges(), 0, "not ready, so not called");
        handle.allow(1);
        let (request, respond) = handle.next_request().await.unwrap();
        assert_eq!(request, 7);
        respond.send_response(14);
    };
    let (result, ()) = tokio::join!(call, play);
    assert_eq!(result.unwrap(), 14);
    handle.allow(1);
    let call = service.ready().await.unwrap().call(8);
    let play = async {
        let (_, respond) = handle.next_request().await.unwrap();
        sleep(secs(10)).await;
        respond.send_response(16);
    };
    let (result, ()) = tokio::join!(call, play);
    assert_eq!(result.unwrap(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_down_takes_nothing_from_the_first() {
    let (mock, mut handle) = pair::<u32, u32>();
    let hedge = hedge().build();
    let mut service = HedgeLayer::new(hedge.clone()).layer(mock);
    let call = service.ready().await.unwrap().call(7);
    let play = async {
        let (_, respond) = handle.next_request().await.unwrap();
        handle.send_error("broken");
        sleep(secs(10)).await;
        respond.send_response(14);
    };
    let (result, ()) = tokio::join!(call, play);
    assert_eq!(result.unwrap(), 14);
    assert_eq!(hedge.stats().hedges(), 0);
}

#[tokio::test(start_paused = true)]
async fn b7_whenever_it_is_dropped_nothing_is_left_behind() {
    let breaker = guarded();
    let pot = budget(1_000);
    let hedge = hedge().budget(pot.clone()).build();
    let call = || {
        let script = script(&breaker, [(300, NO), (150, NO)]);
        // Failures in a row would open it.
        breaker.call(|| Ok::<_, ()>(())).unwrap();
        HedgeService::new(hedge.clone(), script).oneshot("GET")
    };
    let polls = dropped_at_each_poll(millis(20), call, |polls| {
        assert_eq!(breaker.snapshot().counters.in_flight(), 0, "after {polls} polls");
        assert_eq!(1_000 - pot.available(), hedge.stats().hedges(), "what was made was paid for");
    });
    assert!(polls.await >= 15, "three tenths of a second in steps of two hundredths");
    assert!(hedge.stats().hedges() >= 9, "and most of them after the delay");
}
