//! Reports outcomes by hand: `cargo run -p panelboard --example permits`.
//!
//! For protocols where "it returned" is not "it worked": here a job queue that accepts work first,
//! may push back, and says much later how the work went.

use std::time::Duration;

use panelboard::{CircuitBreaker, ErrorDetail, Kind, Outcome, OwnedPermit, Settings};

/// A job under way, with the permit that it will settle.
struct Job {
    name: &'static str,
    permit: OwnedPermit,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::builder().failure_threshold(2).build()?;
    let renderer = CircuitBreaker::new("renderer", settings);

    // A permit that outlives this function's borrows; it may be held for ten minutes as a probe.
    let mut jobs = Vec::new();
    for name in ["cover", "poster", "banner", "badge", "flyer"] {
        let permit = renderer.try_acquire_owned(Some(Duration::from_secs(600)))?;
        jobs.push(Job { name, permit });
    }

    for Job { name, permit } in jobs {
        match name {
            "cover" => permit.success(),
            // It asks to slow down: no failure, but new calls wait.
            "poster" => permit.pushback(Some(Duration::from_secs(2))),
            // What is known of an error shows in `explain`, in the page and in the log.
            "banner" => {
                let detail = ErrorDetail::new().status(503).message("no GPU left");
                permit.record_with(Outcome::failure(Kind::ResourceExhausted), &detail);
            }
            "badge" => permit.failure(Kind::InvalidResponse),
            // Dropped: nobody knows how it ended, so it is evidence of nothing.
            _ => drop(permit),
        }
    }

    let refused = renderer.try_acquire().err();
    println!("{}", refused.map_or("let through".into(), |no| no.to_string()));
    let counters = renderer.snapshot().counters;
    println!("{counters:?}\n\n{}", renderer.explain());
    Ok(())
}
