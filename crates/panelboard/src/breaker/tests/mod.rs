//! Tests of the breaker from inside.

mod equivalence;
mod invariants;
mod sizes;
mod threads;
