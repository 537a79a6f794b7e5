//! One markdown table of all measurements.

use std::fmt::Write as _;
use std::path::Path;

use super::harness::{Scenario, typical};
use super::subjects::{Role, Subject};

/// The command that made a table, which marks its place in the page.
pub(crate) const PEERS: &str = "cargo bench -p panelboard -- --save";
pub(crate) const SCALING: &str = "cargo bench -p panelboard -- --scaling --save";
pub(crate) const POLICIES: &str = "cargo bench -p panelboard -- --policies --save";
const END: &str = "<!-- end -->";

/// Nanoseconds over the bare call; for peers also how many times as much as ours.
pub(crate) fn table(
    subjects: &[Subject],
    scenarios: &[Scenario],
    threads: &[usize],
    results: &[Vec<f64>],
) -> String {
    let columns = scenarios.len() * threads.len();
    let figures: Vec<Vec<Option<f64>>> = results
        .chunks(columns)
        .map(|row| {
            let threads = threads.iter().cycle();
            row.iter().zip(threads).map(|(samples, threads)| typical(*threads, samples)).collect()
        })
        .collect();
    let bare = &figures[0];
    let ours = subjects.iter().position(|s| s.role == Role::Ours).expect("we are measured");
    let over = |row: usize, column: usize| {
        figures[row][column].zip(bare[column]).map(|(all, bare)| (all - bare).max(0.0))
    };

    let mut out = String::from("| ns per call over the bare call |");
    for scenario in scenarios {
        for threads in threads {
            let _ = match threads {
                1 => write!(out, " {} |", scenario.title()),
                threads => write!(out, " {threads} threads |"),
            };
        }
    }
    out.push_str("\n| --- |");
    out.push_str(&" ---: |".repeat(columns));
    out.push('\n');
    for (row, subject) in subjects.iter().enumerate() {
        let _ = write!(out, "| {} |", subject.name);
        for column in 0..columns {
            let cell = match (subject.role, over(row, column), over(ours, column)) {
                (Role::Bare, ..) => {
                    bare[column].map_or(String::new(), |bare| format!("({bare:.1})"))
                }
                (_, None, _) => "–".into(),
                (Role::Peer, Some(theirs), Some(ours)) => {
                    // Below a tenth of a nanosecond there is nothing to divide by.
                    let times = theirs / ours.max(0.1);
                    let digits = usize::from(times < 1.95);
                    format!("{theirs:.1} ({times:.digits$}×)")
                }
                (_, Some(nanos), _) => format!("{nanos:.1}"),
            };
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    }
    out
}

/// Puts the table between its marks in the performance page.
pub(crate) fn save(table: &str, mark: &str) {
    let begin = format!("<!-- begin: {mark} -->");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/performance.md");
    let page = std::fs::read_to_string(&path).expect("docs/performance.md is there");
    let (before, rest) = page.split_once(&begin).expect("the page has a begin mark");
    let (_, after) = rest.split_once(END).expect("the page has an end mark");
    std::fs::write(&path, format!("{before}{begin}\n{table}{END}{after}"))
        .expect("docs/performance.md can be written");
}
