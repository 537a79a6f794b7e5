use panelboard_core::Kind;

use super::*;
use crate::face::{EPOCHS, Face};

/// The overflow shard has many writers: one that was held up between looking at the face and
/// its turn comes with the frame of a phase or window that is over.
#[test]
fn b12_a_straggler_leaves_the_cells_of_the_present_window_alone() {
    slot::pretend(OVERFLOW);
    let now = Tick::from_nanos(5_000);
    let frame = |(generation, epoch)| {
        let stamp = Face::stamp_of(generation, epoch);
        Frame { stamp, width: 1_000 }
    };
    for (over, present) in [
        ((1, 0), (2, 0)),
        ((1, 7), (2, 7)),
        ((2, 0), (2, 1)),
        ((2, EPOCHS - 1), (2, EPOCHS)),
        ((2, u16::MAX), (2, 0)),
    ] {
        let shards = Shards::new(false);
        let took = Duration::from_secs(2);
        assert!(shards.write(|shard| shard.end(Some(frame(over)), now, None)));
        for _ in 0..3 {
            let failure = Some(Kind::Timeout);
            assert!(shards.write(|shard| shard.end(Some(frame(present)), now, failure)));
            assert!(shards.write(|shard| shard.speed(frame(present), now, true)));
            shards.write(|shard| shard.took(frame(present), now, took));
        }
        let failure = Some(Kind::Connect);
        assert!(!shards.write(|shard| shard.end(Some(frame(over)), now, failure)));
        assert!(!shards.write(|shard| shard.speed(frame(over), now, true)));
        shards.write(|shard| shard.took(frame(over), now, took));
        let took = Duration::from_secs(6);
        let expected = Tally { calls: 3, failures: 3, timed: 3, slow: 3, took };
        assert_eq!(shards.tally(frame(present), now), expected, "{over:?}, {present:?}");
        assert_eq!(shards.ends(frame(present)), 3);
        assert_eq!(shards.kinds(frame(present), now)[Kind::Connect.index()], 0);
        let totals = shards.totals();
        assert_eq!((totals.success, totals.failure()), (1, 4), "they count all the same");
        let ended = shards.ended();
        assert_eq!((ended.calls, ended.failures, shards.successes()), (5, 4, 1));
    }
}
