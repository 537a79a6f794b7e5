//! What the gateway costs, beside nginx from Debian in the same run.
//!
//! The proxy under measurement has the first core, the load generator (wrk) and the upstream
//! share the second. What counts is the proxy's CPU time per request, from the kernel's books:
//! unlike latency it hardly moves when the machine is busy. The subjects take turns.

mod servers;
mod wrk;

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::run::{cargo, run};
use crate::{install, root};
use servers::{Server, Setup};
use wrk::Load;

const BEGIN: &str = "<!-- begin: cargo xtask bench --save -->";
const END: &str = "<!-- end -->";

/// How often each subject has its turn, and for how long.
const ROUNDS: usize = 7;
const SECONDS: u32 = 3;

/// What it is run with.
const PROGRAMS: [(&str, &str); 3] =
    [("nginx", "nginx-light"), ("wrk", "wrk"), ("taskset", "util-linux")];

/// What is measured.
struct Subject {
    name: &'static str,
    start: fn(&Setup) -> Result<Server, String>,
    /// What its answers must be, so that nobody is quick at failing.
    answers: Answers,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Answers {
    Proxied,
    Refused,
}

/// One turn of one subject.
struct Sample {
    /// Microseconds of CPU time per request.
    cpu: f64,
    load: Load,
}

const SUBJECTS: [Subject; 4] = [
    Subject { name: "nginx", start: servers::nginx, answers: Answers::Proxied },
    Subject { name: "Panelboard, guarded", start: servers::guarded, answers: Answers::Proxied },
    Subject {
        name: "Panelboard, `enabled = false`",
        start: servers::unguarded,
        answers: Answers::Proxied,
    },
    Subject { name: "Panelboard, refusing", start: servers::refusing, answers: Answers::Refused },
];

/// Measures, prints a table, and with `--save` puts it into `docs/performance.md`.
pub(crate) fn bench(save: bool) -> Result<(), String> {
    install::debian(&PROGRAMS)?;
    run(&mut cargo(&["build", "--release", "--quiet", "-p", "panelboard-cli"]))?;
    let setup = Setup::new(binary()?)?;
    let _upstream = servers::upstream(&setup)?;
    let servers: Vec<Server> =
        SUBJECTS.iter().map(|subject| (subject.start)(&setup)).collect::<Result<_, _>>()?;
    let mut samples: Vec<Vec<Sample>> = SUBJECTS.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}", round + 1);
        for ((subject, server), samples) in SUBJECTS.iter().zip(&servers).zip(&mut samples) {
            samples.push(measure(subject, server)?);
        }
    }
    let table = table(&samples);
    print!("{table}");
    if save { keep(&table) } else { Ok(()) }
}

fn measure(subject: &Subject, server: &Server) -> Result<Sample, String> {
    let before = server.cpu_micros()?;
    let load = wrk::run(server.port(), SECONDS)?;
    let cpu = (server.cpu_micros()? - before) as f64 / load.requests as f64;
    let as_expected = match subject.answers {
        Answers::Proxied => load.errors == 0,
        Answers::Refused => load.errors == load.requests,
    };
    if !as_expected {
        let Load { errors, requests, .. } = load;
        return Err(format!("{}: {errors} of {requests} answers are errors", subject.name));
    }
    Ok(Sample { cpu, load })
}

/// Medians, and ratios to the first subject.
fn table(samples: &[Vec<Sample>]) -> String {
    let median = |samples: &[Sample], of: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let floor = median(&samples[0], |sample| sample.cpu);
    let mut out = String::from(
        "| GET, 1 KiB, keep-alive on both sides, one core | CPU µs per request | × nginx | \
         lowest to highest | requests/s | p50 µs | p99 µs |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (subject, samples) in SUBJECTS.iter().zip(samples) {
        let cpu = median(samples, |sample| sample.cpu);
        let all = samples.iter().map(|sample| sample.cpu);
        let (low, high) = all.fold((f64::MAX, 0.0_f64), |(l, h), x| (l.min(x), h.max(x)));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| {} | {cpu:.1} | {:.2} | {low:.1}–{high:.1} | {:.0} | {:.0} | {:.0} |",
            subject.name,
            cpu / floor,
            median(samples, |sample| sample.load.per_second),
            median(samples, |sample| sample.load.p50_micros),
            median(samples, |sample| sample.load.p99_micros),
        );
    }
    out
}

fn keep(table: &str) -> Result<(), String> {
    let path = root().join("docs/performance.md");
    let page = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let marked = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
    });
    let page = marked.ok_or_else(|| format!("docs/performance.md has no `{BEGIN}` and `{END}`"))?;
    std::fs::write(&path, page).map_err(|error| error.to_string())
}

fn binary() -> Result<PathBuf, String> {
    Ok(install::target()?.join("release/panelboard"))
}
