//! The room and the line before it.

use std::collections::VecDeque;
use std::task::Waker;

use panelboard_core::bulkhead::{Arrival, Departure, Occupancy, Room};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, lock};

/// A room, and the line of those that wait for it.
///
/// Who is in is one word. While nobody waits, that word is all that is touched; once somebody does,
/// it changes only under the lock of the line, so line and word agree.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) room: Room,
    occupancy: AtomicU64,
    places: Mutex<Places>,
}

#[derive(Debug)]
struct Places {
    /// Whoever waits, in the order in which they came. What is not here any more has been let in.
    waiting: VecDeque<Place>,
    next: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    /// `None` until its owner has been polled.
    waker: Option<Waker>,
}

/// What became of a call that came.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// It is in.
    In,
    /// It waits at the place with this number.
    Waits(u64),
    /// It was turned away.
    Full,
}

impl Line {
    pub(super) fn new(room: Room) -> Line {
        // Room for a line of usual length, so that waiting allocates nothing.
        let waiting = VecDeque::with_capacity(room.max_queue().min(1_024) as usize);
        Line {
            room,
            occupancy: AtomicU64::new(Occupancy::default().pack()),
            places: Mutex::new(Places { waiting, next: 0 }),
        }
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        // Acquire: pairs with the release of whoever left last, for those that look at both.
        Occupancy::unpack(self.occupancy.load(Ordering::Acquire))
    }

    /// The one loop that moves the word; `next` may run more than once.
    fn shift(&self, next: impl Fn(Occupancy) -> Option<Occupancy>) -> Result<Occupancy, Occupancy> {
        // Release, acquire: what one call did before it left is visible to the one that has its
        // place next.
        self.occupancy
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                next(Occupancy::unpack(word)).map(Occupancy::pack)
            })
            .map(Occupancy::unpack)
            .map_err(Occupancy::unpack)
    }

    /// Goes in if there is a place and nobody waits for it.
    pub(super) fn enter(&self) -> bool {
        let entered = self.shift(|now| match now.arrive(&self.room) {
            Arrival::Enter(next) => Some(next),
            Arrival::Queue(_) | Arrival::Full => None,
        });
        entered.is_ok()
    }

    /// Goes in, or joins the line. Who comes with a waker is woken when let in.
    pub(super) fn come(&self, waker: Option<Waker>) -> Came {
        if self.enter() {
            return Came::In;
        }
        if self.room.max_queue() == 0 {
            return Came::Full;
        }
        // Taken out under the lock only if it is kept, so that it is dropped after the lock.
        let mut waker = waker;
        let mut places = lock(&self.places);
        let arrival = |now: Occupancy| match now.arrive(&self.room) {
            Arrival::Enter(next) | Arrival::Queue(next) => Some(next),
            Arrival::Full => None,
        };
        match self.shift(arrival) {
            Err(_) => Came::Full,
            Ok(before) if matches!(before.arrive(&self.room), Arrival::Enter(_)) => Came::In,
            Ok(_) => {
                let number = places.next;
                places.next += 1;
                places.waiting.push_back(Place { number, waker: waker.take() });
                Came::Waits(number)
            }
        }
    }

    /// Whether whoever waits at this place has been let in; if not, `waker` is woken when it is.
    pub(super) fn is_in(&self, number: u64, waker: &Waker) -> bool {
        // Cloned before the lock and dropped after it: a waker may be anybody's code.
        let mut fresh = Some(waker.clone());
        let _old = {
            let mut places = lock(&self.places);
            let Some(at) = places.find(number) else { return true };
            let place = &mut places.waiting[at];
            match &place.waker {
                Some(known) if known.will_wake(waker) => None,
                _ => std::mem::replace(&mut place.waker, fresh.take()),
            }
        };
        false
    }

    /// Gives a place in the line up, or in the room if it has been let in meanwhile.
    pub(super) fn give_up(&self, number: u64) {
        let mut places = lock(&self.places);
        let Some(at) = places.find(number) else {
            drop(places);
            return self.leave();
        };
        let place = places.waiting.remove(at);
        // Cannot fail: it is one of those that are counted.
        let _ = self.shift(|now| Some(now.give_up()));
        drop(places);
        drop(place);
    }

    /// Leaves the room, and lets in whoever has waited longest.
    pub(super) fn leave(&self) {
        let free = |now: Occupancy| match now.leave() {
            Departure::Free(next) => Some(next),
            Departure::HandOver(_) => None,
        };
        if self.shift(free).is_ok() {
            return;
        }
        let mut places = lock(&self.places);
        let handed = self.shift(|now| match now.leave() {
            Departure::Free(next) | Departure::HandOver(next) => Some(next),
        });
        // Those that waited may have given up before the lock was ours.
        let first = match handed {
            Ok(before) if before.queued > 0 => places.waiting.pop_front(),
            _ => None,
        };
        drop(places);
        if let Some(waker) = first.and_then(|place| place.waker) {
            waker.wake();
        }
    }
}

impl Places {
    fn find(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |place| place.number).ok()
    }
}

#[cfg(all(test, panelboard_loom))]
mod loom {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    fn line(max_concurrent: u32, max_queue: u32) -> Arc<Line> {
        Arc::new(Line::new(Room::new(max_concurrent, max_queue, Duration::from_secs(1)).unwrap()))
    }

    /// Whoever comes gets in once, or gives up; never more are in than there is room for, and in
    /// the end nobody is.
    #[test]
    fn places_that_change_hands_are_neither_lost_nor_doubled() {
        let mut builder = ::loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let line = line(1, 2);
            let inside = Arc::new(AtomicU32::new(0));
            let visit = |line: &Line, inside: &AtomicU32, patient: bool| {
                let seat = match line.come(Some(Waker::noop().clone())) {
                    Came::In => true,
                    Came::Full => false,
                    Came::Waits(number) => {
                        let mut entered = line.is_in(number, Waker::noop());
                        while patient && !entered {
                            ::loom::thread::yield_now();
                            entered = line.is_in(number, Waker::noop());
                        }
                        if !entered {
                            line.give_up(number);
                        }
                        entered
                    }
                };
                if seat {
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                    inside.fetch_sub(1, Ordering::Relaxed);
                    line.leave();
                }
            };
            let others: Vec<_> = [false, true]
                .map(|patient| {
                    let (line, inside) = (Arc::clone(&line), Arc::clone(&inside));
                    ::loom::thread::spawn(move || visit(&line, &inside, patient))
                })
                .into();
            visit(&line, &inside, false);
            for other in others {
                other.join().unwrap();
            }
            assert_eq!(line.occupancy(), Occupancy::default());
            assert!(lock(&line.places).waiting.is_empty());
        });
    }
}
