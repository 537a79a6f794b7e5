//! Health checks: running them, and telling the breaker what they found.

use crate::{CircuitBreaker, Command, HealthReport};

impl CircuitBreaker {
    /// Runs a health check on this thread, and takes note of what it found.
    ///
    /// For whoever has a thread or a timer of their own to check from. With
    /// [`health_check`](crate::SettingsBuilder::health_check) in the settings an open breaker
    /// lets no real call probe before a check has passed, so run one that often.
    ///
    /// # Panics
    /// When `check` does; then it has found the dependency unhealthy.
    ///
    /// # Examples
    /// ```
    /// use panelboard::{CircuitBreaker, HealthReport, Settings};
    ///
    /// let breaker = CircuitBreaker::new("db", Settings::default());
    /// let found = breaker.check_health(|| match std::net::TcpListener::bind("127.0.0.1:0") {
    ///     Ok(_) => HealthReport::Healthy,
    ///     Err(_) => HealthReport::Unhealthy,
    /// });
    /// assert_eq!(found, HealthReport::Healthy);
    /// ```
    pub fn check_health(&self, check: impl FnOnce() -> HealthReport) -> HealthReport {
        let mut finding = Finding { breaker: self, report: HealthReport::Unhealthy };
        finding.report = check();
        finding.report
    }
}

/// Is told also if the check panics.
struct Finding<'a> {
    breaker: &'a CircuitBreaker,
    report: HealthReport,
}

impl Drop for Finding<'_> {
    fn drop(&mut self) {
        self.breaker.command(Command::Health(self.report));
    }
}

#[cfg(feature = "tokio")]
mod repeated {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::time::{MissedTickBehavior, interval, timeout};

    use crate::sync::counted::Counted;
    use crate::{CircuitBreaker, Command, HealthReport};

    /// How often health is checked when the settings have no `health_check`.
    const UNLESS_SET: Duration = Duration::from_secs(30);

    impl CircuitBreaker {
        /// Checks the dependency's health over and over, at the interval that the settings say
        /// with [`health_check`](crate::SettingsBuilder::health_check) (30 s if they do not), for
        /// as long as the future that is returned is polled: spawn it. It ends when all handles
        /// of the breaker are gone, and does not keep it alive.
        ///
        /// A check that takes longer than `longest`, or panics, has found the dependency
        /// unhealthy.
        ///
        /// # Panics
        /// When polled outside a Tokio runtime with its timer.
        ///
        /// # Cancel safety
        /// Dropping the future ends the checks; one under way reports nothing.
        ///
        /// # Examples
        /// ```
        /// # use std::time::Duration;
        /// # use panelboard::{CircuitBreaker, HealthReport, Settings};
        /// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
        /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
        /// let settings = Settings::builder().health_check(Duration::from_secs(5)).build()?;
        /// let breaker = CircuitBreaker::new("search", settings);
        /// let checks = breaker.health_checks(Duration::from_secs(1), || async {
        ///     match ping().await {
        ///         Ok(()) => HealthReport::Healthy,
        ///         Err(_) => HealthReport::Unhealthy,
        ///     }
        /// });
        /// let checks = tokio::spawn(checks);
        /// # checks.abort();
        /// # Ok::<(), panelboard::SettingsError>(())
        /// # }).unwrap();
        /// # Ok::<(), std::io::Error>(())
        /// ```
        pub fn health_checks<C, F>(
            &self,
            longest: Duration,
            mut check: C,
        ) -> impl Future<Output = ()> + use<C, F>
        where
            C: FnMut() -> F,
            F: Future<Output = HealthReport>,
        {
            let breaker = Counted::downgrade(&self.inner);
            async move {
                let mut every = None;
                loop {
                    let Some(inner) = breaker.upgrade() else { return };
                    let period = inner.health_interval().unwrap_or(UNLESS_SET);
                    drop(inner);
                    // The first tick is now; after a change of settings, one interval later.
                    let mut ticks = match every.take() {
                        Some((known, ticks)) if known == period => ticks,
                        known => {
                            let mut ticks = interval(period);
                            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                            if known.is_some() {
                                ticks.reset();
                            }
                            ticks
                        }
                    };
                    ticks.tick().await;
                    every = Some((period, ticks));
                    let run = caught(&mut check);
                    let found = timeout(longest, run).await.unwrap_or(HealthReport::Unhealthy);
                    let Some(inner) = breaker.upgrade() else { return };
                    inner.command(Command::Health(found), None);
                }
            }
        }
    }

    /// What the check finds. That is nothing good if it panics, now or while it is polled.
    async fn caught<F>(check: impl FnOnce() -> F) -> HealthReport
    where
        F: Future<Output = HealthReport>,
    {
        let Ok(run) = catch_unwind(AssertUnwindSafe(check)) else {
            return HealthReport::Unhealthy;
        };
        let mut run = pin!(run);
        std::future::poll_fn(move |cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx)));
            polled.unwrap_or(Poll::Ready(HealthReport::Unhealthy))
        })
        .await
    }
}
