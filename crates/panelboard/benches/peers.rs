//! What a guarded call costs, beside other breakers and the floors no breaker can go under, all
//! in one run: `cargo bench -p panelboard`.
//!
//! Every figure is CPU time per call over the bare call, of many short rounds in which the subjects
//! take turns: on one thread the lowest tenth, on two the median. Machines differ and are noisy; the ratios are what matters.
//! `-- --save` writes the table into `docs/performance.md`.

#[path = "peers/harness.rs"]
mod harness;
#[path = "peers/report.rs"]
mod report;
#[path = "peers/subjects.rs"]
mod subjects;

use harness::Scenario;

fn main() {
    // `cargo test --benches` runs this too; there is nothing to test in it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { 5 } else { 31 };
    let subjects = subjects::all();
    let mut results = vec![Vec::new(); subjects.len() * Scenario::ALL.len() * 2];
    for round in 0..rounds {
        eprint!("\rround {} of {rounds}", round + 1);
        let mut place = results.iter_mut();
        for subject in &subjects {
            for scenario in Scenario::ALL {
                for threads in [1, 2] {
                    let samples = place.next().expect("one place for each measurement");
                    samples.extend(subject.measure(scenario, threads));
                }
            }
        }
    }
    eprintln!();
    let table = report::table(&subjects, &results);
    println!("{table}");
    if std::env::args().any(|argument| argument == "--save") {
        report::save(&table);
    }
}
