//! What a guarded call costs, beside other breakers and the floors no breaker can go under, all
//! in one run: `cargo bench -p panelboard`.
//!
//! Every figure is CPU time per call over the bare call, of many short rounds in which the subjects
//! take turns: on one thread the lowest tenth, on more the median. Machines differ and are noisy; the
//! ratios are what matters.
//!
//! - `-- --save` writes the table into `docs/performance.md`.
//! - `-- --scaling` measures up to 16 threads at one breaker instead.
//! - `-- --policies` measures policies put together instead.
//! - `-- --quick` takes fewer rounds.

#[path = "peers/harness.rs"]
mod harness;
#[path = "peers/policies.rs"]
mod policies;
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
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    let (scenarios, threads, subjects, mark) = if asked("--scaling") {
        (&Scenario::SCALING[..], &[1, 2, 4, 16][..], subjects::scaling(), report::SCALING)
    } else if asked("--policies") {
        (&Scenario::POLICIES[..], &[1, 2][..], policies::all(), report::POLICIES)
    } else {
        (&Scenario::ALL[..], &[1, 2][..], subjects::all(), report::PEERS)
    };
    let rounds = if asked("--quick") { 5 } else { 31 };
    let mut results = vec![Vec::new(); subjects.len() * scenarios.len() * threads.len()];
    for round in 0..rounds {
        eprint!("\rround {} of {rounds}", round + 1);
        let mut place = results.iter_mut();
        for subject in &subjects {
            for scenario in scenarios {
                for threads in threads {
                    let samples = place.next().expect("one place for each measurement");
                    samples.extend(subject.measure(*scenario, *threads));
                }
            }
        }
    }
    eprintln!();
    let table = report::table(&subjects, scenarios, threads, &results);
    println!("{table}");
    if asked("--save") {
        report::save(&table, mark);
    }
}
