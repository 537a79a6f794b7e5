//! Control from within the process.

use std::sync::Arc;

use tokio::sync::watch;

use super::behaviour::Behaviour;
use super::plan::Plan;
use super::scene::Scene;
use super::stats::{Report, Stats};

/// Changes what a server does and tells what it did. A cheap handle that outlives the server.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    scene: watch::Sender<Scene>,
    /// The number of the scene that the listening socket agrees with.
    staged: watch::Sender<u64>,
    stats: Stats,
}

impl Handle {
    pub(super) fn new() -> Handle {
        let (scene, staged) = (watch::Sender::new(Scene::first()), watch::Sender::new(0));
        Handle { shared: Arc::new(Shared { scene, staged, stats: Stats::default() }) }
    }

    /// Puts a behaviour, a script or a plan in force, in place of whatever was. Requests that
    /// arrive from now on are answered by it; those under way go on.
    pub(crate) fn set(&self, plan: impl Into<Plan>) {
        let plan = plan.into();
        self.shared.scene.send_modify(|scene| *scene = scene.followed_by(plan));
    }

    /// Waits until the listening socket, too, agrees with what was set: closed while connects are
    /// to be refused, else open. At once when the server has ended; a server that does not run yet
    /// is waited for.
    pub(crate) async fn settled(&self) {
        let number = self.scene().number();
        // It fails only when the sender is gone, and this handle has it.
        let _ = self.shared.staged.subscribe().wait_for(|staged| *staged >= number).await;
    }

    /// The behaviour in force, exceptions aside.
    pub(crate) fn behaviour(&self) -> Behaviour {
        self.scene().behaviour().clone()
    }

    /// The plan in force.
    pub(crate) fn plan(&self) -> Plan {
        self.scene().plan().clone()
    }

    /// What arrived and what became of it.
    pub(crate) fn report(&self) -> Report {
        self.shared.stats.report()
    }

    /// Starts counting anew. Flaky answers start over with the same ones.
    pub(crate) fn reset_report(&self) {
        self.shared.stats.reset();
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    pub(super) fn scenes(&self) -> watch::Receiver<Scene> {
        self.shared.scene.subscribe()
    }

    /// What is in force.
    pub(super) fn scene(&self) -> Scene {
        self.shared.scene.borrow().clone()
    }

    /// The listening socket agrees with this scene and all before it.
    pub(super) fn stage(&self, number: u64) {
        self.shared.staged.send_if_modified(|staged| {
            let behind = *staged < number;
            *staged = number.max(*staged);
            behind
        });
    }
}
