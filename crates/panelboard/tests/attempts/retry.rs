use std::collections::VecDeque;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use panelboard::policy::Idempotent;
use panelboard::policy::deadline::Deadline;
use panelboard::policy::deadline::DeadlineFuture;
use panelboard::policy::retry::{
    GiveUp, Retry, RetryBuilder, RetryLayer, RetryService, RetrySettings, RetrySettingsBuilder,
};
use panelboard::policy::retry_budget::{BudgetSettings, RetryBudget};
use panelboard::{Clock, Error, Kind, Outcome, PhaseName, Ratio, Reason, Tick};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock::pair;

use crate::support::{dropped_at_each_poll, guarded, keeps_towers_contract, millis, secs};

type Answer = Result<u32, Error<&'static str>>;

/// Answers one after the other, and when they were asked for.
#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Tick>>>,
    clock: Clock,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Script {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Script { answers, asked: Arc::default(), clock: Clock::tokio() }
    }

    fn answer(&self) -> Answer {
        self.asked.lock().unwrap().push(self.clock.now());
        self.answers.lock().unwrap().pop_front().expect("asked too often")
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The times between the attempts.
    fn waits(&self) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        asked.windows(2).map(|pair| pair[1].since(pair[0])).collect()
    }
}

const NO: Answer = Err(Error::Inner("no"));

fn settings() -> RetrySettingsBuilder {
    RetrySettings::builder().max_attempts(4).max_retry_after(secs(60))
}

fn retry(settings: RetrySettingsBuilder) -> RetryBuilder {
    Retry::builder(settings.build().unwrap()).seed(1)
}

fn budget(reserve: u32) -> RetryBudget {
    RetryBudget::on(BudgetSettings::new(Ratio::ZERO, 0, reserve).unwrap(), Clock::tokio())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_again_until_it_succeeds() {
    let (retry, script) = (retry(settings()).build(), Script::new([NO, NO, Ok(7)]));
    assert_eq!(retry.call_async(|| ready(script.answer())).await, Ok(7));
    // tokio's timer has steps of a millisecond.
    let waits = script.waits();
    assert!(waits[0] <= millis(101) && waits[1] <= millis(201), "{waits:?}");
    let stats = retry.stats();
    assert_eq!((stats.calls(), stats.retries(), stats.attempts()), (1, 2, 3));
    assert_eq!(stats.recovered(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_returned_as_it_is() {
    let (retry, script) =
        (retry(settings()).build(), Script::new([NO, NO, NO, Err(Error::TimedOut)]));
    assert_eq!(retry.call_async(|| ready(script.answer())).await, Err(Error::TimedOut));
    let stats = retry.stats();
    assert_eq!((stats.attempts(), stats.recovered(), stats.given_up(GiveUp::Attempts)), (4, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_used_up_budget_ends_the_retries_of_all_that_share_it() {
    let budget = budget(5);
    let one = retry(settings()).budget(budget.clone()).build();
    let two = retry(settings()).budget(budget.clone()).build();
    for retry in [&one, &two] {
        assert_eq!(retry.call_async(|| ready(NO)).await, NO);
    }
    assert_eq!((one.stats().retries(), two.stats().retries()), (3, 2));
    assert_eq!((one.stats().budget_exhausted(), two.stats().budget_exhausted()), (0, 1));
    assert_eq!(budget.available(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_every_call_may_be_retried() {
    let retry = retry(settings()).budget(None).build();
    for _ in 0..200 {
        assert_eq!(retry.call_async(|| ready(NO)).await, NO);
    }
    assert_eq!(retry.stats().retries(), 600);
}

/// What a server says is waited for, or is why a call is given up; it is never cut short.
#[tokio::test(start_paused = true)]
async fn hints_are_waited_for_in_full_or_not_at_all() {
    let hinted = |hint| {
        retry(settings()).classify(move |result: &Result<u32, &str>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::pushback(Some(hint)),
        })
    };
    let script = Script::new([NO, Ok(7)]);
    let patient = hinted(secs(60)).build();
    assert_eq!(patient.call_async(|| ready(script.answer())).await, Ok(7));
    let waits = script.waits();
    assert!(waits[0] >= secs(60) && waits[0] <= secs(60) + millis(101), "{waits:?}");
    let script = Script::new([NO]);
    let retry = hinted(secs(61)).build();
    assert_eq!(retry.call_async(|| ready(script.answer())).await, NO);
    assert_eq!(retry.stats().given_up(GiveUp::Hint), 1);
}

/// The caller gets the error at once, not a passed deadline later.
#[tokio::test(start_paused = true)]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let clock = Clock::tokio();
    let classify = |_: &Result<u32, &str>| Outcome::pushback(Some(secs(5)));
    let retry = retry(settings()).classify(classify).build();
    let call = DeadlineFuture::new(Deadline::after(secs(12)), retry.call_async(|| ready(NO)));
    assert_eq!(call.await, NO);
    let gone = clock.now().since(Tick::ZERO);
    assert!(gone >= secs(10) && gone < secs(11), "two waits fit: {gone:?}");
    assert_eq!((retry.stats().attempts(), retry.stats().given_up(GiveUp::Deadline)), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_waited_for_only_if_that_fits_the_deadline() {
    let breaker = guarded();
    let failing = || breaker.call_async(ready(Err::<u32, _>("no")));
    let retry = retry(settings()).build();
    // The second failure opens it, and that is the end of it.
    let result = retry.call_async(failing).await;
    assert_eq!(result.unwrap_err().rejected().unwrap().reason(), Reason::Open);
    assert_eq!((retry.stats().attempts(), retry.stats().given_up(GiveUp::Refused)), (3, 1));
    let wait = breaker.snapshot().opens_for.unwrap();
    let healed = || retry.call_async(|| breaker.call_async(ready(Ok::<u32, &str>(7))));
    let short = DeadlineFuture::new(Deadline::after(wait), healed());
    assert!(short.await.unwrap_err().rejected().is_some());
    assert_eq!(breaker.snapshot().phase, PhaseName::Open);
    let long = DeadlineFuture::new(Deadline::after(wait + secs(1)), healed());
    assert_eq!(long.await, Ok(7));
    assert_eq!(breaker.snapshot().phase, PhaseName::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn other_refusals_are_waited_out_if_they_say_for_how_long() {
    let limited = || Err(Error::RateLimited { retry_after: secs(2) });
    let within = |script: &Script, deadline| {
        let (retry, script) = (retry(settings()).build(), script.clone());
        async move {
            let call = retry.call_async(|| ready(script.answer()));
            DeadlineFuture::new(Deadline::after(deadline), call).await
        }
    };
    let script = Script::new([limited(), Ok(7)]);
    assert_eq!(within(&script, secs(9)).await, Ok(7));
    assert!(script.waits()[0] >= secs(2));
    for (refusal, deadline) in [
        (limited(), secs(1)),
        (Err(Error::BulkheadFull), secs(60)),
        (Err(Error::LimitReached), secs(60)),
        (Err(Error::DeadlineExceeded), secs(60)),
    ] {
        let script = Script::new([refusal.clone()]);
        assert_eq!(within(&script, deadline).await, refusal);
        assert_eq!(script.asked(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_repeated_is() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = calls.clone();
    let service = service_fn(move |request: &'static str| {
        seen.lock().unwrap().push(request);
        ready(Err::<u32, _>("no"))
    });
    let reads = Idempotent(|request: &&str| request.starts_with("GET"));
    let retry = retry(settings()).repeat(reads).build();
    let service = RetryLayer::new(retry.clone()).layer(service);
    assert_eq!(service.clone().oneshot("POST").await, NO);
    assert_eq!(*calls.lock().unwrap(), ["POST"]);
    assert_eq!(retry.stats().given_up(GiveUp::NotRepeatable), 1);
    assert_eq!(service.oneshot("GET").await, NO);
    assert_eq!(*calls.lock().unwrap(), ["POST", "GET", "GET", "GET", "GET"]);
}

/// A classifier that takes an answer for a failure has it tried again, and it is what is returned.
#[tokio::test(start_paused = true)]
async fn an_answer_may_be_a_failure_and_an_error_none() {
    let classify = |result: &Result<u32, &str>| match result {
        Ok(503) => Outcome::failure(Kind::ServerError),
        _ => Outcome::Success,
    };
    let retry = retry(settings()).classify(classify).build();
    let script = Script::new([Ok(503), Ok(503), Ok(503), Ok(503)]);
    assert_eq!(retry.call_async(|| ready(script.answer())).await, Ok(503));
    assert_eq!(script.asked(), 4);
    let script = Script::new([NO]);
    assert_eq!(retry.call_async(|| ready(script.answer())).await, NO);
    assert_eq!(script.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_towers_contract() {
    keeps_towers_contract(|mock| RetryLayer::new(retry(settings()).build()).layer(mock)).await;
}

/// Readiness is asked for again before each attempt, and waited for.
#[tokio::test(start_paused = true)]
async fn a_retry_waits_until_the_service_is_ready() {
    let (mock, mut handle) = pair::<u32, u32>();
    let retry = retry(settings()).build();
    let mut service = RetryLayer::new(retry.clone()).layer(mock);
    handle.allow(1);
    let call = service.ready().await.unwrap().call(7);
    let play = async {
        let (_, respond) = handle.next_request().await.unwrap();
        respond.send_error("no");
        sleep(secs(10)).await;
        assert_eq!(retry.stats().attempts(), 1, "not ready, so not called");
        handle.allow(1);
        let (request, respond) = handle.next_request().await.unwrap();
        assert_eq!(request, 7);
        respond.send_response(14);
    };
    let (result, ()) = tokio::join!(call, play);
    assert_eq!(result.unwrap(), 14);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_down_between_attempts_ends_the_call() {
    let (mock, mut handle) = pair::<u32, u32>();
    let mut service = RetryLayer::new(retry(settings()).build()).layer(mock);
    let call = service.ready().await.unwrap().call(7);
    let play = async {
        let (_, respond) = handle.next_request().await.unwrap();
        respond.send_error("no");
        handle.send_error("broken");
    };
    let (result, ()) = tokio::join!(call, play);
    assert_eq!(result.unwrap_err().to_string(), "broken");
}

/// Whenever a caller gives up: no permit stays out, and of the budget only what retries that were
/// allowed have cost.
#[tokio::test(start_paused = true)]
async fn b7_whenever_it_is_dropped_nothing_is_left_behind() {
    let breaker = guarded();
    let pot = budget(1_000);
    let retry = retry(settings()).budget(pot.clone()).build();
    let guard = breaker.clone();
    let attempt = service_fn(move |(): ()| {
        let guard = guard.clone();
        async move {
            let call = async {
                sleep(millis(40)).await;
                Err::<u32, _>("no")
            };
            // Successes in between keep it closed.
            guard.call_async_classified(call, |_: &_| Outcome::Success).await
        }
    });
    let before = std::cell::Cell::new(0);
    let call = || {
        before.set(retry.stats().retries());
        RetryService::new(retry.clone(), attempt.clone()).oneshot(())
    };
    let polls = dropped_at_each_poll(millis(10), call, |polls| {
        assert_eq!(breaker.snapshot().counters.in_flight(), 0, "after {polls} polls");
        // Paid for, and perhaps not made: one for each call that was dropped while it waited.
        let unmade = 1_000 - pot.available() - retry.stats().retries();
        assert!(unmade <= polls as u64, "{unmade} after {polls} polls");
        assert!(retry.stats().retries() - before.get() <= 3);
    });
    assert!(polls.await > 16, "four attempts of four steps, and the waits");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_not_a_failed_one() {
    let retry = retry(settings()).build();
    let call = retry.call_async(pending::<Answer>);
    assert!(tokio::time::timeout(secs(3600), call).await.is_err());
    assert_eq!(retry.stats().attempts(), 1);
}
