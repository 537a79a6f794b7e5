//! Puts all the policies around plain functions: `cargo run -p panelboard --example policies`.
//!
//! A retry for what fails now and then, a hedge for what is slow now and then, a bulkhead for what
//! comes all at once, and a fallback for when nothing helps; in the one order that makes sense,
//! whatever the order in which they are named.

use std::cell::Cell;
use std::time::Duration;

use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::fallback::Fallback;
use panelboard::policy::hedge::{Hedge, HedgeSettings};
use panelboard::policy::retry::{Retry, RetrySettings};
use panelboard::policy::stack::Stack;
use panelboard::{CircuitBreaker, Error, Settings};
use tokio::time::{Instant, sleep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    retry().await?;
    hedge().await?;
    bulkhead().await?;
    blocking()?;
    mistake();
    Ok(())
}

/// Every third attempt fails, and no caller notices.
async fn retry() -> Result<(), Box<dyn std::error::Error>> {
    let settings = RetrySettings::builder().base_delay(Duration::from_millis(5)).build()?;
    let retry = Retry::new(settings);
    let users = Stack::builder("users")
        .deadline(Duration::from_secs(1))
        .retry(retry.clone())
        .circuit_breaker(CircuitBreaker::new("users", Settings::default()))
        .timeout(Duration::from_millis(200))
        .build()?;
    let (attempts, mut answered) = (Cell::new(0), 0);
    for _ in 0..20 {
        let call = || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() % 3 == 0 { Err("connection reset") } else { Ok("Ada") }
        };
        answered += u32::from(users.call_async(call).await.is_ok());
    }
    let retries = retry.stats().retries();
    println!("retry: {answered} of 20 calls answered, with {retries} retries");
    Ok(())
}

/// One call in ten takes half a second; asking again after 30 ms is quicker.
async fn hedge() -> Result<(), Box<dyn std::error::Error>> {
    let hedge = Hedge::new(HedgeSettings::after(Duration::from_millis(30))?);
    let search = Stack::builder("search").hedge(hedge.clone()).build()?;
    let (asked, mut slowest) = (Cell::new(0), Duration::ZERO);
    for _ in 0..20 {
        let call = || async {
            asked.set(asked.get() + 1);
            sleep(Duration::from_millis(if asked.get() % 10 == 0 { 500 } else { 5 })).await;
            Ok::<_, std::io::Error>("three hits")
        };
        #[expect(clippy::disallowed_methods, reason = "to show what a person would measure")]
        let began = Instant::now();
        search.call_async(call).await?;
        slowest = slowest.max(began.elapsed());
    }
    let wins = hedge.stats().wins();
    println!("hedge: the slowest of 20 calls took {slowest:.0?}, since {wins} hedges came first");
    Ok(())
}

/// Ten come at once, two are served at a time, three wait, and the rest are told at once.
async fn bulkhead() -> Result<(), Box<dyn std::error::Error>> {
    let reports = Stack::builder("reports")
        .bulkhead(Bulkhead::with_queue(2, 3, Duration::from_secs(1))?)
        .fallback(Fallback::value("yesterday's".to_owned()).when_refused())
        .build()?;
    let calls = (0..10).map(|_| {
        let reports = reports.clone();
        tokio::spawn(async move {
            let render = || async {
                sleep(Duration::from_millis(20)).await;
                Ok::<_, std::io::Error>("today's".to_owned())
            };
            reports.call_async(render).await
        })
    });
    let (mut fresh, mut stale) = (0, 0);
    for call in calls.collect::<Vec<_>>() {
        match &*call.await?? {
            "today's" => fresh += 1,
            _ => stale += 1,
        }
    }
    println!("bulkhead: {fresh} got today's report, {stale} yesterday's");
    Ok(())
}

/// The same without a runtime.
fn blocking() -> Result<(), Box<dyn std::error::Error>> {
    let breaker = CircuitBreaker::new("mail", Settings::builder().failure_threshold(2).build()?);
    let mail = Stack::builder("mail")
        .circuit_breaker(breaker)
        .fallback(Fallback::function(|error: Error<&str>| match error {
            Error::Rejected(_) => Ok("kept for later"),
            error => Err(error),
        }))
        .build()?;
    for _ in 0..3 {
        match mail.call(|| Err("no route to host")) {
            Ok(answer) => println!("blocking: {answer}"),
            Err(error) => println!("blocking: {error}"),
        }
    }
    Ok(())
}

/// Policies that make no sense together are found when they are put together.
fn mistake() {
    let stack = Stack::builder("users")
        .deadline(Duration::from_secs(1))
        .timeout(Duration::from_secs(5))
        .build();
    if let Err(error) = stack {
        println!("mistake: {error}");
    }
}
