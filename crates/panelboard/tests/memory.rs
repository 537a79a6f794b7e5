//! What breakers of a family cost in memory, and that it comes back.

use std::time::Duration;

use allocation_counter::measure;
use panelboard::event::Bus;
use panelboard::registry::FamilyOptions;
use panelboard::{Catalog, Clock, Family, Kind, ManualClock, Registry, Settings, presets};

/// What a clean idle breaker may cost, its name of 20 bytes included, and what the family's index and
/// list may add (by how much they are ahead of the keys depends on the hashes).
const BREAKER: i64 = 256;
const ENTRY: i64 = 120;

fn family(settings: Settings, max_keys: usize) -> (Family, ManualClock) {
    let clock = ManualClock::new();
    let catalog = Catalog { defaults: settings, ..Catalog::default() };
    let registry = Registry::with(&catalog, Clock::from(clock.clone()), Bus::with_capacity(8));
    (registry.keyed_with("tenants", FamilyOptions::new().max_keys(max_keys)), clock)
}

/// Twelve bytes, so that the whole name is 20 long.
fn key(n: usize) -> String {
    format!("tenant{n:06}")
}

/// Bytes allocated and not freed by this.
fn bytes(work: impl FnOnce()) -> i64 {
    measure(work).bytes_current
}

#[test]
fn a_clean_idle_breaker_is_small() {
    const KEYS: usize = 30_000;
    let slow = Settings::builder().slow_call_duration(Duration::from_secs(1));
    for (what, settings, calls, most) in [
        ("never called", Settings::builder(), 0, BREAKER),
        ("called now and then", Settings::builder(), 3, BREAKER),
        ("timed", slow, 3, BREAKER),
        ("no window", Settings::builder().failure_rate(None), 3, BREAKER),
        // The order of the last calls has to be kept somewhere.
        ("window over 6 calls", presets::llm(), 3, BREAKER + 640),
    ] {
        let (family, clock) = family(settings.build().unwrap(), KEYS);
        let used = bytes(|| {
            for n in 0..KEYS {
                let breaker = family.breaker(&[&key(n)]);
                for _ in 0..calls {
                    breaker.call(|| Ok::<_, ()>(())).unwrap();
                }
            }
        });
        let each = used / i64::try_from(KEYS).unwrap();
        assert!(
            each <= most + ENTRY,
            "{what}: {each} bytes each, but no more than {most} and {ENTRY} for its entry"
        );
        println!("{what}: {each} bytes each");
        clock.advance(Duration::from_secs(700));
        assert_eq!(family.evict_idle(), KEYS, "{what}");
    }
}

/// A million keys come, are called, and go: in ten crowds of a hundred thousand, of which every
/// tenth key also fails once.
#[test]
fn a_million_keys_leave_nothing_behind() {
    const ROUNDS: usize = 10;
    const KEYS: usize = 100_000;
    let settings = Settings::builder().failure_threshold(9).build().unwrap();
    let (family, clock) = family(settings, KEYS);
    let mut grown = Vec::new();
    let mut resident = Vec::new();
    for round in 0..ROUNDS {
        let left = bytes(|| {
            for n in round * KEYS..(round + 1) * KEYS {
                let breaker = family.breaker(&[&key(n)]);
                if n % 10 == 0 {
                    breaker.try_acquire().unwrap().failure(Kind::Timeout);
                }
                breaker.call(|| Ok::<_, ()>(())).unwrap();
            }
            assert_eq!(family.len(), KEYS);
            clock.advance(Duration::from_secs(700));
            assert_eq!(family.evict_idle(), KEYS);
        });
        grown.push(left);
        resident.push(resident_kib());
    }
    assert_eq!(family.evicted().1.admitted, (ROUNDS * (KEYS + KEYS / 10)) as u64);
    // The index keeps the room that the first crowd needed, for the next.
    let later: i64 = grown[1..].iter().sum();
    assert!(later <= 64 << 10, "bytes that each round left behind: {grown:?}");
    let (second, last) = (resident[1], resident[ROUNDS - 1]);
    assert!(last <= second + second / 10 + 2_048, "KiB resident after each round: {resident:?}");
    println!("bytes left behind: {grown:?}; KiB resident: {resident:?}");
}

/// A new key at the bound finds a place among those that have gone quiet, with no help.
#[test]
fn keys_that_come_one_after_the_other_need_no_housekeeping() {
    const KEYS: usize = 1_000;
    let (family, clock) = family(Settings::default(), KEYS);
    let crowd = |from: usize| {
        for n in from..from + 50_000 {
            family.breaker(&[&key(n)]).call(|| Ok::<_, ()>(())).unwrap();
            clock.advance(Duration::from_secs(1));
        }
    };
    crowd(0);
    let left = bytes(|| crowd(50_000));
    assert_eq!((family.len(), family.breakers().len()), (KEYS, KEYS), "nobody had to share");
    assert!(left.abs() <= 64 << 10, "{left} bytes more");
}

#[cfg(target_os = "linux")]
fn resident_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

#[cfg(not(target_os = "linux"))]
fn resident_kib() -> u64 {
    0
}
