//! Coming to an end without losing what is under way.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection that may be between two requests waits for the next, to say with its
/// answer that there are to be no more. Who closes an idle connection may cross a request on it.
pub(crate) const LULL: Duration = Duration::from_secs(1);

/// How long what is cut off may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The end of listeners, connections and tunnels, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// Nothing new is taken; what is idle goes.
    closing: CancellationToken,
    /// The time is over.
    cut: CancellationToken,
    /// Everything that is waited for.
    tasks: TaskTracker,
}

impl Drain {
    /// One that ends with this one, or before.
    pub(crate) fn part(&self) -> Drain {
        Drain { closing: self.closing.child_token(), ..self.clone() }
    }

    /// Runs something that is waited for.
    pub(crate) fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// From now on nothing new is taken.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Whether nothing new is taken.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Ready when nothing new is to be taken.
    pub(crate) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Ready when the time is over.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Takes nothing new, and waits for what is under way. `false` if that took longer than
    /// `grace`; then it was cut off.
    pub(crate) async fn run(&self, grace: Duration) -> bool {
        self.close();
        self.tasks.close();
        let finished = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        if !finished {
            self.cut.cancel();
            // Whatever is left now ends with the process.
            let _ = tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await;
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_waited_for_and_then_cut() {
        let drain = Drain::default();
        let quick = drain.clone();
        drain.spawn(async move {
            quick.closing().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        });
        assert!(drain.run(Duration::from_secs(3)).await);

        let drain = Drain::default();
        let slow = drain.clone();
        drain.spawn(async move { slow.cut().await });
        drain.spawn(std::future::pending());
        let bounded =
            tokio::time::timeout(Duration::from_secs(5), drain.run(Duration::from_secs(3)));
        assert_eq!(bounded.await, Ok(false));
    }

    #[tokio::test]
    async fn a_part_ends_before_the_whole_or_with_it() {
        let whole = Drain::default();
        let (first, second) = (whole.part(), whole.part());
        first.close();
        assert!(first.is_closing() && !second.is_closing() && !whole.is_closing());
        whole.close();
        second.closing().await;
    }
}
