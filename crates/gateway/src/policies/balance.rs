//! Which upstream of a route is asked first.

use std::sync::atomic::{AtomicUsize, Ordering};

use panelboard_config::Balance;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicUsize);

impl Turns {
    /// The places of `count` upstreams in the order in which they are asked; `None` for that of the
    /// list. Whoever `failed` the request before comes after the others.
    ///
    /// An open circuit needs no place of its own: it refuses, and the next is asked. So it is out of
    /// the rotation as long as it is open, and gets its share of probes when it is half-open.
    pub(crate) fn order(
        &self,
        balance: Balance,
        count: usize,
        pending: impl Fn(usize) -> u32,
        failed: impl Fn(usize) -> bool,
    ) -> Option<Vec<usize>> {
        if balance == Balance::FirstAvailable {
            return None;
        }
        // Relaxed: nothing else is published with it.
        let turn = self.0.fetch_add(1, Ordering::Relaxed) % count.max(1);
        let mut order: Vec<usize> = (turn..count).chain(0..turn).collect();
        if balance == Balance::LeastPending {
            // Those with as few take turns.
            order.sort_by_cached_key(|place| pending(*place));
        }
        order.sort_by_key(|place| failed(*place));
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(turns: &Turns, balance: Balance, pending: [u32; 3], failed: &[usize]) -> Vec<usize> {
        let order =
            turns.order(balance, 3, |place| pending[place], |place| failed.contains(&place));
        order.unwrap()
    }

    #[test]
    fn a_list_has_its_own_order() {
        let turns = Turns::default();
        assert_eq!(turns.order(Balance::FirstAvailable, 3, |_| 0, |_| true), None);
    }

    #[test]
    fn each_has_its_turn() {
        let turns = Turns::default();
        let next = |failed: &[usize]| order(&turns, Balance::RoundRobin, [9, 0, 0], failed);
        assert_eq!(next(&[]), [0, 1, 2]);
        assert_eq!(next(&[]), [1, 2, 0]);
        assert_eq!(next(&[2]), [0, 1, 2], "who failed the request comes last");
        assert_eq!(next(&[0, 1]), [2, 0, 1]);
        assert_eq!(next(&[1]), [2, 0, 1]);
    }

    #[test]
    fn the_least_busy_is_asked_first_and_equally_busy_ones_in_turn() {
        let turns = Turns::default();
        let next = |pending| order(&turns, Balance::LeastPending, pending, &[]);
        assert_eq!(next([2, 1, 0]), [2, 1, 0]);
        assert_eq!(next([2, 0, 0]), [1, 2, 0]);
        assert_eq!(next([2, 0, 0]), [2, 1, 0]);
        assert_eq!(next([0, 0, 0]), [0, 1, 2]);
    }
}
