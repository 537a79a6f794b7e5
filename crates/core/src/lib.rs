//! The pure decision core of Panelboard.
//!
//! Everything a circuit breaker decides is decided here, as functions of `(settings, state, now,
//! input)`. Nothing in this crate reads a clock, draws a random number, blocks, allocates on a hot
//! path, or knows of threads: time is a [`Tick`] argument, randomness is a seed given at creation.
//! Shells (the lock-free breaker, the simulator, the golden scenarios) supply those and act on the
//! answers.
//!
//! | module | decides |
//! | --- | --- |
//! | [`state`] | phase and mode: who is let through, what a result does, what time alone does |
//! | [`round`] | half-open: how many probes, when the round is won, lost or stuck |
//! | [`evidence`], [`window`], [`rules`], [`cusum`] | closed: what counts, and when it is enough to trip |
//! | [`adaptive`] | the thresholds that are in force |
//! | [`dependency`] | what is not this breaker's fault |
//! | [`backoff`], [`pace`] | for how long |
//! | [`ramp`], [`throttle`] | which calls of many, while not all of them may |
//! | [`rollup`] | families: when the parent of many breakers opens |
//! | [`retry`], [`retry_budget`] | whether to try again |
//! | [`hedge`], [`latency`] | whether to try a second time meanwhile |
//! | [`gcra`], [`bulkhead`], [`concurrency`] | the policies around a breaker: how often, how many at once |
//! | [`stack`] | what does not go together among them |
//! | [`settings`], [`presets`] | the checked numbers all of the above read |
//! | [`machine`] | the reference breaker: all of it in plain values |
//!
//! No floats take part in a decision: ratios are basis points, times are integer nanoseconds, and
//! arithmetic saturates.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod adaptive;
pub mod backoff;
pub mod bulkhead;
pub mod catalog;
pub mod change;
pub mod concurrency;
pub mod cusum;
pub mod dependency;
pub mod evidence;
pub mod gcra;
pub mod hedge;
mod kind;
pub mod latency;
pub mod limits;
pub mod machine;
mod outcome;
pub mod pace;
pub mod presets;
pub mod ramp;
mod ratio;
pub mod retry;
pub mod retry_budget;
pub mod rollup;
pub mod round;
pub mod rules;
pub mod settings;
pub mod stack;
pub mod state;
pub mod throttle;
mod time;
pub mod window;

pub use catalog::Catalog;
pub use change::{Cause, Change, ModeChange, Transition};
pub use cusum::Score;
pub use dependency::{DependencyCycle, DependsOn, OpenDependency};
pub use kind::{Kind, KindSet, OtherKind};
pub use outcome::{End, Outcome, Speed};
pub use ratio::{InvalidRatio, Ratio};
pub use rules::{Fired, Rule, Tally};
pub use settings::{
    Backoff, BaseRate, Jitter, Sequential, SequentialSpec, Settings, SettingsBuilder,
    SettingsError, Throttle, WindowSpec,
};
pub use state::{Command, Decision, HealthReport, Mode, PhaseName, Reason, State, Ticket, Verdict};
pub use time::Tick;
