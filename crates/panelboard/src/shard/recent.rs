//! The last failures, a word each.

use panelboard_core::Kind;

/// A failure as remembered where nobody said more of it than its kind.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Recent {
    pub(crate) micros: u64,
    pub(crate) kind: Kind,
}

impl Recent {
    /// Microseconds (55 bits, a thousand years), the kind's code, then a 1 so that no packed
    /// failure is the empty word.
    #[inline]
    pub(super) fn pack(self) -> u64 {
        self.micros << 9 | u64::from(self.kind.code()) << 1 | 1
    }

    pub(super) fn unpack(word: u64) -> Option<Recent> {
        let kind = Kind::from_code((word >> 1) as u8);
        (word != 0).then_some(Recent { micros: word >> 9, kind })
    }
}
