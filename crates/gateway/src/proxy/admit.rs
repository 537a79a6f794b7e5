//! How an attempt gets past the circuit of its upstream.

use http::HeaderValue;
use panelboard::policy::bulkhead::BulkheadPermit;
use panelboard::{CircuitBreaker, OwnedPermit, Rejected};

use super::attempt::{Exchange, Turn};
use super::patience::lease;
use super::speech::Translation;
use super::tokens::Bill;
use crate::runtime::Target;

/// Which circuit an attempt was made under.
pub(crate) struct Circuit {
    pub(crate) breaker: CircuitBreaker,
    pub(crate) header: Option<HeaderValue>,
}

/// How a request gets past its circuit.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// By asking.
    Asked,
    /// Although the circuit refuses. It takes no probe's place, and nothing is said of it.
    Bystander,
}

/// A request on its way to one upstream, and in what words.
pub(super) struct Way<'a> {
    pub(super) exchange: &'a Exchange<'a>,
    pub(super) target: &'a Target,
    pub(super) turn: Turn,
    pub(super) translation: Option<Translation>,
}

/// A request that has been let through.
pub(crate) struct Admitted<'a> {
    pub(super) way: Way<'a>,
    pub(super) circuit: Circuit,
    /// `None` for a bystander.
    pub(super) permit: Option<OwnedPermit>,
    /// In the route's bulkhead, where it has one.
    pub(super) place: Option<BulkheadPermit>,
    pub(super) bill: Bill<'a>,
}

/// Why a request cannot be sent to an upstream now.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum NotNow {
    /// Its circuit refuses, or its limit of tokens, or the request cannot be put in its words.
    Refused,
    /// The route's bulkhead is full.
    Full,
}

impl Circuit {
    pub(super) fn of(exchange: &Exchange<'_>, target: &Target) -> Circuit {
        let (breaker, header) = target.breaker(exchange.asked.model.as_deref());
        Circuit { breaker, header }
    }
}

/// Lets a request through if nothing has to be waited for.
pub(crate) fn admitted_now<'a>(
    exchange: &'a Exchange<'a>,
    target: &'a Target,
    turn: Turn,
) -> Result<Admitted<'a>, NotNow> {
    let translation = exchange
        .speech
        .translated(exchange.head, exchange.upload, &target.client)
        .map_err(|_| NotNow::Refused)?;
    let bill = Bill::open(exchange, target).map_err(|_| NotNow::Refused)?;
    let place = match &exchange.plan.policies.bulkhead {
        Some(bulkhead) => Some(bulkhead.try_enter().map_err(|_| NotNow::Full)?),
        None => None,
    };
    let circuit = Circuit::of(exchange, target);
    let permit =
        permit(&circuit, exchange, target, Admission::Asked).map_err(|_| NotNow::Refused)?;
    let way = Way { exchange, target, turn, translation };
    Ok(Admitted { way, circuit, permit, place, bill })
}

/// Asks the circuit, if it is to be asked.
pub(super) fn permit(
    circuit: &Circuit,
    exchange: &Exchange<'_>,
    target: &Target,
    admission: Admission,
) -> Result<Option<OwnedPermit>, Rejected> {
    match admission {
        Admission::Bystander => Ok(None),
        Admission::Asked => {
            circuit.breaker.try_acquire_owned(Some(lease(exchange, target))).map(Some)
        }
    }
}
