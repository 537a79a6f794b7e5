//! What can be wrong with the arguments.

use panelboard::{CircuitBreaker, Error, Registry, guarded};

type Answer = Result<(), Error<()>>;

struct Client {
    breaker: CircuitBreaker,
    registry: Registry,
}

#[guarded("")]
fn with_an_empty_name() -> Answer {
    Ok(())
}

#[guarded("a", "b")]
fn with_two_names() -> Answer {
    Ok(())
}

#[guarded("a", falback = cached)]
fn with_a_slip_of_the_pen() -> Answer {
    Ok(())
}

#[guarded("a", timeout = 5)]
fn with_an_argument_that_does_not_exist() -> Answer {
    Ok(())
}

#[guarded("a", key = 1, key = 2)]
fn with_two_keys() -> Answer {
    Ok(())
}

#[guarded("a", fallback)]
fn without_a_value() -> Answer {
    Ok(())
}

#[guarded("a", 5)]
fn with_a_number() -> Answer {
    Ok(())
}

#[guarded("a", fallback = cached.await)]
fn with_an_async_fallback() -> Answer {
    Ok(())
}

impl Client {
    #[guarded("a", breaker = self.breaker)]
    fn with_name_and_breaker(&self) -> Answer {
        Ok(())
    }

    #[guarded(breaker = self.breaker, key = 1)]
    fn with_a_key_to_a_breaker(&self) -> Answer {
        Ok(())
    }

    #[guarded("a", registry = self.registry)]
    fn with_a_registry_that_may_change(&self) -> Answer {
        Ok(())
    }
}

fn main() {}
