//! What finding the breaker of a key costs beside other maps, and what a million keys cost in memory:
//! `cargo bench -p panelboard --bench keys`.
//!
//! Times are CPU time for one lookup, the lowest of many short rounds in which the subjects take
//! turns. `-- --rounds 12` repeats the million keys.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Barrier, Mutex, RwLock};
use std::time::Duration;

use panelboard::event::Bus;
use panelboard::registry::FamilyOptions;
use panelboard::{Catalog, CircuitBreaker, Clock, Family, ManualClock, Registry};
use rustix::time::{ClockId, clock_gettime};

const KEYS: usize = 1_000;
const LOOKUPS: usize = 20_000;
const ROUNDS: usize = 40;

fn main() {
    // `cargo test --benches` runs this too; there is nothing to test in it.
    if std::env::args().any(|argument| argument == "--bench") {
        lookups();
        million_keys();
    }
}

// ===== lookups =====

type Lookup = Box<dyn Fn(&[&str; 2]) + Sync>;

fn subjects() -> Vec<(&'static str, Lookup)> {
    let family = Registry::new().keyed("llm");
    let names: Vec<(String, String)> =
        (0..KEYS).map(|n| (format!("upstream{}", n % 10), format!("model-{n}"))).collect();
    let mut map = HashMap::new();
    for (upstream, model) in &names {
        let breaker = family.breaker(&[upstream, model]);
        map.insert(format!("{upstream}/{model}"), breaker);
    }
    let held = family.breaker(&["upstream0", "model-0"]);
    let (joined, locked, rw) = (map.clone(), Mutex::new(map.clone()), RwLock::new(map.clone()));
    vec![
        ("a held handle, cloned", Box::new(move |_| drop(black_box(held.clone())))),
        (
            "HashMap<String, _>, key joined, borrowed (one thread's own)",
            Box::new(move |key| {
                black_box(joined.get(&key.join("/")));
            }),
        ),
        (
            "Mutex<HashMap<String, _>>, key joined, cloned",
            Box::new(move |key| {
                let found = locked.lock().unwrap().get(&key.join("/")).cloned();
                drop(black_box(found));
            }),
        ),
        (
            "RwLock<HashMap<String, _>>, key joined, cloned",
            Box::new(move |key| {
                let found = rw.read().unwrap().get(&key.join("/")).cloned();
                drop(black_box(found));
            }),
        ),
        ("Family::breaker", Box::new(move |key| drop(black_box(family.breaker(key))))),
    ]
}

fn lookups() {
    let subjects = subjects();
    let keys: Vec<(String, String)> =
        (0..KEYS).map(|n| (format!("upstream{}", n % 10), format!("model-{n}"))).collect();
    let one = |from: usize, lookup: &Lookup| {
        let start = cpu();
        for n in from..from + LOOKUPS {
            let (upstream, model) = &keys[n % KEYS];
            lookup(&[upstream, model]);
        }
        since(start)
    };
    let mut best = vec![[Duration::MAX; 2]; subjects.len()];
    for _ in 0..ROUNDS {
        for ((_, lookup), best) in subjects.iter().zip(&mut best) {
            best[0] = best[0].min(one(0, lookup));
            let start = Barrier::new(2);
            let both = std::thread::scope(|scope| {
                let run = |from| {
                    start.wait();
                    one(from, lookup)
                };
                let other = scope.spawn(move || run(KEYS / 2));
                let mine = run(0);
                mine.max(other.join().unwrap())
            });
            best[1] = best[1].min(both);
        }
    }
    println!("| lookup of one of {KEYS} keys, ns | 1 thread | 2 threads |\n| --- | ---: | ---: |");
    for ((name, _), best) in subjects.iter().zip(best) {
        let [one, two] = best.map(|time| time.as_nanos() as f64 / LOOKUPS as f64);
        println!("| {name} | {one:.1} | {two:.1} |");
    }
}

fn since(start: Duration) -> Duration {
    cpu().saturating_sub(start)
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(time.tv_sec).expect("CPU time is not negative");
    Duration::new(secs, u32::try_from(time.tv_nsec).expect("less than a second"))
}

// ===== memory =====

fn million_keys() {
    const MILLION: usize = 1_000_000;
    let clock = ManualClock::new();
    let registry =
        Registry::with(&Catalog::default(), Clock::from(clock.clone()), Bus::with_capacity(8));
    let family = registry.keyed_with("tenants", FamilyOptions::new().max_keys(MILLION));
    let empty = resident();
    println!(
        "\n| 1,000,000 keys, each called once | create and call | resident | a key | evict | left |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |"
    );
    let rounds = std::env::args().skip_while(|argument| argument != "--rounds").nth(1);
    let rounds = rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(3);
    for round in 1..=rounds {
        let start = cpu();
        call_each(&family, round * MILLION..(round + 1) * MILLION);
        let (created, full) = (since(start), resident() - empty);
        clock.advance(Duration::from_secs(700));
        let start = cpu();
        assert_eq!(family.evict_idle(), MILLION);
        println!(
            "| round {round} | {:.2} s | {} MiB | {} bytes | {:.2} s | {} MiB |",
            created.as_secs_f64(),
            full >> 20,
            full / MILLION as u64,
            since(start).as_secs_f64(),
            resident().saturating_sub(empty) >> 20,
        );
    }
}

fn call_each(family: &Family, keys: std::ops::Range<usize>) {
    for n in keys {
        let breaker: CircuitBreaker = family.breaker(&[&format!("tenant{n:07}")]);
        breaker.call(|| Ok::<_, ()>(())).expect("closed");
    }
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4_096
}
