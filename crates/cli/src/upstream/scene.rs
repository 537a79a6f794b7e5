//! The plan in force, since when, and what was in force before it.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::behaviour::{Behaviour, HEADER, ParseError};
use super::plan::{Plan, for_one_request};
use super::request::Request;
use super::{llm, script};

/// A plan in force. Cheap to clone, so that nobody holds the lock it is kept under for long.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    plan: Arc<Plan>,
    since: Instant,
    /// What a refusal that ends by itself gives way to, so never a refusal.
    before: Behaviour,
    /// How many scenes came before it.
    number: u64,
}

impl Scene {
    /// The first scene: healthy.
    pub(super) fn first() -> Scene {
        let plan = Plan::from(Behaviour::ok());
        Scene { plan: plan.into(), since: now(), before: Behaviour::ok(), number: 0 }
    }

    /// The scene after this one.
    pub(super) fn followed_by(&self, plan: Plan) -> Scene {
        let last = self.current().behaviour;
        let before = if last.refuses() { &self.before } else { last };
        let (before, number) = (before.clone(), self.number + 1);
        Scene { plan: plan.into(), since: now(), before, number }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the script says now.
    fn current(&self) -> script::Current<'_> {
        self.plan.script.at(self.since.elapsed(), &self.before)
    }

    /// The behaviour in force now, without exceptions.
    pub(super) fn behaviour(&self) -> &Behaviour {
        self.current().behaviour
    }

    /// When the script says something else.
    pub(super) fn changes_in(&self) -> Option<Duration> {
        self.current().changes_in
    }

    /// How this request is answered: as its own header asks, as an exception has it, or else as
    /// the script says.
    ///
    /// # Errors
    /// The header is no behaviour that a request can have. A slip in a test should not look like
    /// an answer.
    pub(super) fn behaviour_for(&self, request: &Request) -> Result<Behaviour, ParseError> {
        if let Some(text) = request.head.text(HEADER) {
            return for_one_request(text);
        }
        let model = LazyCell::new(|| llm::model(&request.body));
        let exception = self.plan.exception(request.head.path(), || model.clone());
        Ok(exception.unwrap_or_else(|| self.behaviour()).clone())
    }
}

#[expect(clippy::disallowed_methods, reason = "scripts run on the timer's clock; read here only")]
fn now() -> Instant {
    Instant::now()
}
