//! Names for kinds of failure that the core does not know.

use std::sync::{Mutex, PoisonError};

use panelboard_core::{Kind, OtherKind};

use crate::Name;

static NAMES: Mutex<Vec<Name>> = Mutex::new(Vec::new());

/// The kind of this name, known to the core or not.
///
/// There is room for 241 names of your own in a process; further ones are plain `other`. So a name
/// stands for a sort of failure, and never holds data.
pub fn named(name: &str) -> Kind {
    if let Some(kind) = Kind::from_name(name) {
        return kind;
    }
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = names.iter().position(|known| &**known == name);
    let place = known.unwrap_or(names.len());
    match u8::try_from(place + 1).ok().and_then(OtherKind::from_number) {
        Some(number) => {
            if known.is_none() {
                names.push(Name::interned(name));
            }
            Kind::Other(number)
        }
        None => Kind::OTHER,
    }
}

/// The full name of a kind: the one it was [`named`], or the core's.
pub fn label(kind: Kind) -> Name {
    if let Kind::Other(other) = kind
        && other != OtherKind::UNNAMED
    {
        let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(usize::from(other.number()) - 1) {
            return name.clone();
        }
    }
    Name::from(kind.name())
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_bounded() {
        assert_eq!(named("timeout"), Kind::Timeout);
        let mine = named("lock_wait");
        assert_eq!(named("lock_wait"), mine);
        assert_ne!(named("deadlock"), mine);
        assert_eq!(&*label(mine), "lock_wait");
        assert_eq!(&*label(Kind::OTHER), "other");
        for i in 0..300 {
            named(&format!("made-up-{i}"));
        }
        assert_eq!(named("one too many"), Kind::OTHER);
        assert_eq!(named("lock_wait"), mine, "what is known stays known");
    }
}
