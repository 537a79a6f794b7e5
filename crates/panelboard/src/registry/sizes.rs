//! What a breaker of a family costs in memory, apart from its name. What allocations add is measured
//! in `tests/memory.rs`.

use super::index;
use crate::breaker::Inner;
use crate::shard::Shard;

/// Two counts stand before what is counted.
const COUNTED: usize = 2 * size_of::<usize>();

#[test]
fn a_breaker_and_its_entry_keep_their_size() {
    let (breaker, entry) = (size_of::<Inner>() + COUNTED, index::ENTRY);
    assert!(breaker <= 224, "a breaker is {breaker} bytes, and was 224");
    assert!(entry <= 40, "the entries of a family are {entry} bytes a key, and were 40");
    let shard = size_of::<Shard>();
    assert!(shard <= 640, "a shard is {shard} bytes, and was 640");
}
