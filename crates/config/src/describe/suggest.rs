//! What somebody probably meant to write.

use strsim::damerau_levenshtein;

use super::Table;

/// Longer words are no slips of the pen, and comparing them costs.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, if one is near enough to be meant.
///
/// ```
/// use panelboard_config::nearest;
///
/// assert_eq!(nearest("paymnets", ["auth", "payments"]), Some("payments"));
/// assert_eq!(nearest("x", ["auth", "payments"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.chars().count() > LONGEST {
        return None;
    }
    let wanted = fold(word);
    let mut best: Option<(usize, &str)> = None;
    let mut prefixed: Vec<&str> = Vec::new();
    for candidate in candidates {
        let folded = fold(candidate);
        let distance = damerau_levenshtein(&wanted, &folded);
        let shorter = wanted.chars().count().min(folded.chars().count());
        // A third of the letters may be wrong: `tiemout`, but not `url` for `key`.
        let near = distance <= (shorter / 3).max(usize::from(shorter > 2));
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
        if wanted.len() >= 4 && (folded.starts_with(&wanted) || folded.ends_with(&wanted)) {
            prefixed.push(candidate);
        }
    }
    match (best, prefixed.as_slice()) {
        (Some((_, candidate)), _) => Some(candidate),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

/// The table below `root` that knows the key, other than `table`.
pub(crate) fn elsewhere(key: &str, table: &Table, root: &'static Table) -> Vec<&'static Table> {
    root.family()
        .into_iter()
        .filter(|other| other.id != table.id && other.field(key).is_some())
        .collect()
}

/// Every spelling of a name alike: `failureThreshold`, `failure-threshold`, `FAILURE_THRESHOLD`.
fn fold(word: &str) -> String {
    let mut folded = String::with_capacity(word.len() + 4);
    let mut after_small = false;
    for c in word.chars() {
        if c.is_uppercase() && after_small {
            folded.push('_');
        }
        after_small = c.is_lowercase() || c.is_ascii_digit();
        if matches!(c, '-' | ' ' | '.') {
            folded.push('_');
        } else {
            folded.extend(c.to_lowercase());
        }
    }
    folded
}

/// `a, b and c`.
pub(crate) fn enumerate<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::from("nothing"),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 7] = [
        "failure_threshold",
        "failure_rate",
        "timeout",
        "recovery_timeout",
        "window",
        "url",
        "key",
    ];

    #[test]
    fn slips_are_understood() {
        for (slip, meant) in [
            ("failure_treshold", "failure_threshold"),
            ("failureThreshold", "failure_threshold"),
            ("failure-rate", "failure_rate"),
            ("tiemout", "timeout"),
            ("recovery", "recovery_timeout"),
            ("TIMEOUT", "timeout"),
            ("uri", "url"),
        ] {
            assert_eq!(nearest(slip, KEYS), Some(meant), "{slip}");
        }
    }

    #[test]
    fn other_words_are_left_alone() {
        for word in ["", "banana", "url_of_the_thing", "ke", "failure", &"x".repeat(10_000)] {
            assert_eq!(nearest(word, KEYS), None, "{word}");
        }
    }

    #[test]
    fn lists_read_like_lists() {
        assert_eq!(enumerate(["a"]), "`a`");
        assert_eq!(enumerate(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
