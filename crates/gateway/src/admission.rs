//! How many connections there may be, in all and from one client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Counts the connections there are.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    state: Mutex<State>,
    /// Told when a connection has ended, or when there may be more of them.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    all: usize,
    /// Only those who are counted, so it is bounded by `all`.
    by_client: HashMap<IpAddr, usize>,
}

/// A connection's place. It lasts as long as the connection, whatever becomes of it.
#[derive(Debug)]
pub(crate) struct Slot {
    admission: Arc<Admission>,
    client: Option<IpAddr>,
}

impl Admission {
    /// Waits until there are fewer than `limit` connections, which may change meanwhile.
    pub(crate) async fn enter(self: &Arc<Self>, limit: impl Fn() -> usize) -> Slot {
        loop {
            // Before the look, so that nothing is missed in between.
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.all < limit() {
                    state.all += 1;
                    break;
                }
            }
            freed.await;
        }
        Slot { admission: Arc::clone(self), client: None }
    }

    /// Takes a place, whatever the limit: for whoever was let in already.
    pub(crate) fn enter_late(self: &Arc<Self>) -> Slot {
        self.state().all += 1;
        Slot { admission: Arc::clone(self), client: None }
    }

    /// The limit may be another.
    pub(crate) fn reconsider(&self) {
        self.freed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Counts the connection as this client's. `false` if the client has its share.
    pub(crate) fn claim(&mut self, client: IpAddr, limit: usize) -> bool {
        let client = whole(client);
        let mut state = self.admission.state();
        let count = state.by_client.entry(client).or_default();
        let free = *count < limit;
        *count += usize::from(free);
        if free {
            self.client = Some(client);
        }
        free
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.all -= 1;
        if let Some(client) = self.client
            && let Some(count) = state.by_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                state.by_client.remove(&client);
            }
        }
        drop(state);
        self.admission.freed.notify_waiters();
    }
}

/// Who an address belongs to: whoever has one IPv6 address has the 2⁶⁴ beside it, too.
fn whole(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_too_many_waits_for_a_place_or_a_higher_limit() {
        let admission = Arc::new(Admission::default());
        let soon = Duration::from_secs(1);
        let first = admission.enter(|| 1).await;
        assert!(tokio::time::timeout(soon, admission.enter(|| 1)).await.is_err());
        let leave = async { drop(first) };
        let (second, ()) = tokio::join!(admission.enter(|| 1), leave);
        let limit = std::sync::atomic::AtomicUsize::new(1);
        let raise = async {
            limit.store(2, std::sync::atomic::Ordering::Relaxed);
            admission.reconsider();
        };
        let read = || limit.load(std::sync::atomic::Ordering::Relaxed);
        let (third, ()) = tokio::join!(admission.enter(read), raise);
        let late = admission.enter_late();
        assert_eq!(admission.state().all, 3);
        drop((second, third, late));
        assert_eq!(admission.state().all, 0);
    }

    #[tokio::test]
    async fn a_client_is_one_address_or_one_network_of_64_bits() {
        let admission = Arc::new(Admission::default());
        let mut slots = Vec::new();
        for (client, admitted) in [
            ("192.0.2.1", true),
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::1", true),
            ("2001:db8::2:3:4:5", true),
            ("2001:db8::9", false),
            ("2001:db8:0:1::1", true),
        ] {
            let mut slot = admission.enter(|| 100).await;
            assert_eq!(slot.claim(client.parse().unwrap(), 2), admitted, "{client}");
            if admitted {
                slots.push(slot);
            }
        }
        assert_eq!(admission.state().by_client.len(), 4);
        drop(slots);
        let state = admission.state();
        assert!(state.all == 0 && state.by_client.is_empty(), "{state:?}");
    }
}
