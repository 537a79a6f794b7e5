use super::*;

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
        ((2, 8_191), (2, 8_192)),
        ((2, u16::MAX), (2, 0)),
    ] {
        let shards = Shards::new(false);
        let took = Duration::from_secs(2);
        shards.write(|shard| shard.end(frame(over), now, None));
        for _ in 0..3 {
            shards.write(|shard| shard.end(frame(present), now, Some(Kind::Timeout)));
            shards.write(|shard| shard.speed(frame(present), now, true));
            shards.write(|shard| shard.took(frame(present), now, took));
        }
        shards.write(|shard| shard.end(frame(over), now, Some(Kind::Connect)));
        shards.write(|shard| shard.speed(frame(over), now, true));
        shards.write(|shard| shard.took(frame(over), now, took));
        let took = Duration::from_secs(6);
        let expected = Tally { calls: 3, failures: 3, timed: 3, slow: 3, took };
        assert_eq!(shards.tally(frame(present), now), expected, "{over:?}, {present:?}");
        assert_eq!(shards.ends(frame(present)), 3);
        assert_eq!(shards.kinds(frame(present), now)[Kind::Connect.index()], 0);
    }
}
