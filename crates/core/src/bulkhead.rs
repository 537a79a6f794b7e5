//! Bulkheads: so many calls at once, so many more in a queue, the rest refused.
//!
//! The word for it is Nygard's ("Release It!"): a flooded compartment must not sink the ship.

use core::time::Duration;

use crate::settings::{SettingsError, within};
use crate::{limits, settings};

/// How many at once, how many in the queue, and for how long there. Checked.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Room {
    concurrent: u32,
    queue: u32,
    wait: Duration,
}

/// Who is in: calls under way and calls that wait. Fits one word.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
pub struct Occupancy {
    /// Calls under way.
    pub running: u32,
    /// Calls that wait for one of them to end.
    pub queued: u32,
}

/// What becomes of a call that comes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Arrival {
    /// It goes in.
    Enter(Occupancy),
    /// It waits, behind those that wait already.
    Queue(Occupancy),
    /// There is no room.
    Full,
}

/// What becomes of the place of a call that ends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Departure {
    /// Nobody waits for it.
    Free(Occupancy),
    /// The first in the queue has it now.
    HandOver(Occupancy),
}

// ===== impl Room =====

impl Room {
    /// So many at once, so many more that wait, for so long at most.
    ///
    /// # Errors
    /// When `max_concurrent` is 0, either is over a million, or there is a queue and `max_wait` is
    /// under 1 ms or over a year.
    pub fn new(
        max_concurrent: u32,
        max_queue: u32,
        max_wait: Duration,
    ) -> Result<Room, SettingsError> {
        let concurrent = within("bulkhead.max_concurrent", max_concurrent, limits::CONCURRENT)?;
        let queue = within("bulkhead.max_queue", max_queue, limits::QUEUE)?;
        let wait = match queue {
            0 => Duration::ZERO,
            _ => settings::duration("bulkhead.max_wait", max_wait)?,
        };
        Ok(Room { concurrent, queue, wait })
    }

    /// Calls under way at most.
    pub const fn max_concurrent(&self) -> u32 {
        self.concurrent
    }

    /// Calls in the queue at most.
    pub const fn max_queue(&self) -> u32 {
        self.queue
    }

    /// How long a call waits at most; zero without a queue.
    pub const fn max_wait(&self) -> Duration {
        self.wait
    }
}

// ===== impl Occupancy =====

impl Occupancy {
    /// A call comes. It never overtakes one that waits.
    pub const fn arrive(self, room: &Room) -> Arrival {
        if self.queued == 0 && self.running < room.concurrent {
            return Arrival::Enter(Occupancy { running: self.running + 1, ..self });
        }
        if self.queued < room.queue {
            return Arrival::Queue(Occupancy { queued: self.queued + 1, ..self });
        }
        Arrival::Full
    }

    /// A call that was in ends.
    pub const fn leave(self) -> Departure {
        match self.queued {
            0 => Departure::Free(Occupancy { running: self.running.saturating_sub(1), queued: 0 }),
            queued => Departure::HandOver(Occupancy { queued: queued - 1, ..self }),
        }
    }

    /// A call that waits gives up.
    #[must_use]
    pub const fn give_up(self) -> Occupancy {
        Occupancy { queued: self.queued.saturating_sub(1), ..self }
    }

    /// As one word.
    pub const fn pack(self) -> u64 {
        (self.queued as u64) << 32 | self.running as u64
    }

    /// From one word.
    pub const fn unpack(word: u64) -> Occupancy {
        Occupancy { running: word as u32, queued: (word >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn room(max_concurrent: u32, max_queue: u32) -> Room {
        Room::new(max_concurrent, max_queue, Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn nobody_overtakes_the_queue() {
        let room = room(2, 2);
        // A place came free while one waits: whoever comes now still queues.
        let occupancy = Occupancy { running: 1, queued: 1 };
        assert_eq!(occupancy.arrive(&room), Arrival::Queue(Occupancy { running: 1, queued: 2 }));
        let full = Occupancy { running: 2, queued: 2 };
        assert_eq!(full.arrive(&room), Arrival::Full);
        assert_eq!(full.leave(), Departure::HandOver(Occupancy { running: 2, queued: 1 }));
        assert_eq!(full.give_up(), Occupancy { running: 2, queued: 1 });
        assert_eq!((room.max_concurrent(), room.max_queue()), (2, 2));
        assert_eq!(room.max_wait(), Duration::from_secs(1));
    }

    #[test]
    fn without_a_queue_it_only_counts() {
        let room = Room::new(1, 0, Duration::ZERO).unwrap();
        let Arrival::Enter(one) = Occupancy::default().arrive(&room) else { panic!() };
        assert_eq!(one.arrive(&room), Arrival::Full);
        assert_eq!(one.leave(), Departure::Free(Occupancy::default()));
        assert_eq!(room.max_wait(), Duration::ZERO);
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let text = |room: Result<Room, SettingsError>| room.unwrap_err().to_string();
        assert_eq!(
            text(Room::new(0, 0, Duration::ZERO)),
            "bulkhead.max_concurrent is 0, but must be 1 to 1000000"
        );
        assert_eq!(
            text(Room::new(1, 1, Duration::ZERO)),
            "bulkhead.max_wait is 0ns, but must be 1ms to 365d"
        );
        assert!(Room::new(1, 1_000_001, Duration::from_secs(1)).is_err());
    }

    proptest! {
        #[test]
        fn a_packed_occupancy_is_the_same(running: u32, queued: u32) {
            let occupancy = Occupancy { running, queued };
            prop_assert_eq!(Occupancy::unpack(occupancy.pack()), occupancy);
        }

        /// Whatever comes and goes: never more than the room holds, and while there is a queue
        /// every place is taken.
        #[test]
        fn the_room_is_never_overfull(
            max_concurrent in 1_u32..5,
            max_queue in 0_u32..5,
            steps in prop::collection::vec(0_u8..3, 0..200),
        ) {
            let room = room(max_concurrent, max_queue);
            let mut now = Occupancy::default();
            for step in steps {
                now = match step {
                    0 => match now.arrive(&room) {
                        Arrival::Enter(next) | Arrival::Queue(next) => next,
                        Arrival::Full => {
                            let Occupancy { running, queued } = now;
                            prop_assert_eq!((running, queued), (max_concurrent, max_queue));
                            now
                        }
                    },
                    1 if now.running > 0 => match now.leave() {
                        Departure::Free(next) | Departure::HandOver(next) => next,
                    },
                    2 if now.queued > 0 => now.give_up(),
                    _ => now,
                };
                prop_assert!(now.running <= max_concurrent && now.queued <= max_queue);
                prop_assert!(now.queued == 0 || now.running == max_concurrent);
            }
        }
    }
}
