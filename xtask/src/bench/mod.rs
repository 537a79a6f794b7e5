//! What the gateway costs, beside other proxies in the same run.
//!
//! The proxy under measurement has the first core, the load and the upstream share the second. What
//! counts is the proxy's CPU time per request, from the kernel's books: unlike latency it hardly
//! moves when the machine is busy. The subjects take turns.

mod idle;
mod peers;
pub(crate) mod rate;
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

/// The same for load at a constant rate.
const RATE_ROUNDS: usize = 5;
const RATE_SECONDS: u32 = 4;

/// What it is run with.
const PROGRAMS: [(&str, &str); 4] =
    [("nginx", "nginx-light"), ("haproxy", "haproxy"), ("wrk", "wrk"), ("taskset", "util-linux")];

/// What is measured.
struct Subject {
    name: &'static str,
    start: fn(&Setup) -> Result<Server, String>,
    /// What its answers must be, so that nobody is quick at failing.
    answers: Answers,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Answers {
    /// The upstream's own, with nothing between.
    Direct,
    Proxied,
    Refused,
}

/// What was measured of one subject, a value for each turn.
#[derive(Default)]
struct Samples {
    /// Microseconds of CPU time per request.
    cpu: Vec<f64>,
    per_second: Vec<f64>,
    /// Microseconds more than without it, at half of its own maximum.
    added_p50: Vec<f64>,
    added_p99: Vec<f64>,
    /// Bytes of memory for an idle connection.
    idle: Vec<f64>,
    /// Bytes of memory of its own, after everything.
    memory: Vec<f64>,
}

const SUBJECTS: [Subject; 7] = [
    Subject { name: "nginx", start: peers::nginx, answers: Answers::Proxied },
    Subject { name: "HAProxy", start: peers::haproxy, answers: Answers::Proxied },
    Subject { name: "Envoy", start: peers::envoy, answers: Answers::Proxied },
    Subject { name: "Panelboard, guarded", start: servers::guarded, answers: Answers::Proxied },
    Subject {
        name: "Panelboard, `enabled = false`",
        start: servers::unguarded,
        answers: Answers::Proxied,
    },
    Subject { name: "Panelboard, refusing", start: servers::refusing, answers: Answers::Refused },
    Subject { name: "nothing between", start: servers::direct, answers: Answers::Direct },
];

/// Measures, prints a table, and with `--save` puts it into `docs/performance.md`.
pub(crate) fn bench(save: bool) -> Result<(), String> {
    install::debian(&PROGRAMS)?;
    run(&mut cargo(&["build", "--release", "--quiet", "-p", "panelboard-cli"]))?;
    let setup = Setup::new(binary()?)?;
    let _upstream = servers::upstream(&setup)?;
    let servers: Vec<Server> =
        SUBJECTS.iter().map(|subject| (subject.start)(&setup)).collect::<Result<_, _>>()?;
    let direct = servers.last().ok_or("there is no subject")?;
    let mut samples: Vec<Samples> = SUBJECTS.iter().map(|_| Samples::default()).collect();
    for round in 0..ROUNDS {
        eprintln!("as much as goes: round {} of {ROUNDS}", round + 1);
        for ((subject, server), samples) in SUBJECTS.iter().zip(&servers).zip(&mut samples) {
            as_much_as_goes(subject, server, samples)?;
        }
    }
    for round in 0..RATE_ROUNDS {
        eprintln!("at a constant rate: round {} of {RATE_ROUNDS}", round + 1);
        for ((subject, server), samples) in SUBJECTS.iter().zip(&servers).zip(&mut samples) {
            if subject.answers == Answers::Proxied {
                at_half(server, direct, samples)?;
            }
        }
    }
    eprintln!("idle connections");
    for ((subject, server), samples) in SUBJECTS.iter().zip(&servers).zip(&mut samples) {
        if subject.answers == Answers::Proxied {
            samples.idle.push(idle::bytes_each(server)?);
            samples.memory.push(server.memory()? as f64);
        }
    }
    let table = table(&samples);
    print!("{table}");
    if save { keep(&table) } else { Ok(()) }
}

fn as_much_as_goes(
    subject: &Subject,
    server: &Server,
    samples: &mut Samples,
) -> Result<(), String> {
    let before = server.cpu_micros()?;
    let load = wrk::run(server.port(), SECONDS)?;
    let cpu = (server.cpu_micros()? - before) as f64 / load.requests as f64;
    let Load { errors, requests, per_second } = load;
    let as_expected = match subject.answers {
        Answers::Direct | Answers::Proxied => errors == 0,
        Answers::Refused => errors == requests,
    };
    if !as_expected {
        return Err(format!("{}: {errors} of {requests} answers are errors", subject.name));
    }
    samples.cpu.push(cpu);
    samples.per_second.push(per_second);
    Ok(())
}

/// How much later answers come than without the proxy at the same rate: half of what it can take.
fn at_half(server: &Server, direct: &Server, samples: &mut Samples) -> Result<(), String> {
    let rate = median(&samples.per_second) / 2.0;
    let with = rate::run(server.port(), rate, RATE_SECONDS)?;
    let without = rate::run(direct.port(), rate, RATE_SECONDS)?;
    samples.added_p50.push(with.p50 - without.p50);
    samples.added_p99.push(with.p99 - without.p99);
    Ok(())
}

fn median(samples: &[f64]) -> f64 {
    let mut values = samples.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Medians, and ratios to the first subject.
fn table(samples: &[Samples]) -> String {
    let floor = samples.first().map_or(f64::NAN, |first| median(&first.cpu));
    let mut out = String::from(
        "| GET, 1 KiB, keep-alive on both sides, one core | CPU µs per request | × nginx | \
         lowest to highest | requests/s at most | added p50 µs at half of that | added p99 µs | \
         KiB per idle connection | MiB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let shown = |values: &[f64], unit: f64| match values.is_empty() {
        true => "–".to_owned(),
        false => format!("{:.1}", median(values) / unit),
    };
    for (subject, samples) in SUBJECTS.iter().zip(samples) {
        let cpu = median(&samples.cpu);
        let (low, high) =
            samples.cpu.iter().fold((f64::MAX, 0.0_f64), |(l, h), x| (l.min(*x), h.max(*x)));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| {} | {cpu:.1} | {:.2} | {low:.1}–{high:.1} | {:.0} | {} | {} | {} | {} |",
            subject.name,
            cpu / floor,
            median(&samples.per_second),
            shown(&samples.added_p50, 1.0),
            shown(&samples.added_p99, 1.0),
            shown(&samples.idle, 1024.0),
            shown(&samples.memory, 1024.0 * 1024.0),
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
