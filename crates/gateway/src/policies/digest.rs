//! Secrets as numbers: to tell them apart without keeping them.

use std::hash::{BuildHasher, Hash as _, Hasher as _, RandomState};

/// A hash under keys of this process: two of 64 bits, so that nobody finds two inputs of one digest,
/// be it by trying.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digester(RandomState, RandomState);

/// What stands for an input.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Digest(u64, u64);

impl Digester {
    pub(crate) fn of(&self, input: &[u8]) -> Digest {
        Digest(self.0.hash_one(input), self.1.hash_one(input))
    }

    /// Of several, in this order.
    pub(crate) fn of_all(&self, inputs: &[&[u8]]) -> Digest {
        let under = |keys: &RandomState| {
            let mut hasher = keys.build_hasher();
            // Each with its length, so that what belongs to one is not taken for the next one's.
            for input in inputs {
                input.hash(&mut hasher);
            }
            hasher.finish()
        };
        Digest(under(&self.0), under(&self.1))
    }
}
