//! Every target on its seeds, on what a fuzzer found before, and on random changes of both.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

fn regressions(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target);
    files(&folder).iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs a target on `seeds`, and on each of them with a piece of it replaced, `cases` times.
fn run(target: fn(&[u8]), name: &str, mut seeds: Vec<Vec<u8>>, cases: u32) {
    seeds.extend(regressions(name));
    for seed in &seeds {
        target(seed);
    }
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let bytes = proptest::collection::vec(any::<u8>(), 0..24);
    let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_usize..24, bytes);
    TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    )
    .run(&change, |(which, at, cut, bytes)| {
        let mut data = which.get(&seeds).clone();
        let at = at.index(data.len() + 1);
        let end = (at + cut).min(data.len());
        data.splice(at..end, bytes);
        target(&data);
        Ok(())
    })
    .unwrap();
}

#[test]
fn configurations() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/config/tests");
    let all = [files(&config.join("corpus")), files(&config.join("good"))].concat();
    let seeds: Vec<Vec<u8>> = all
        .iter()
        .filter(|path| path.is_file())
        .map(|path| {
            let json = path.extension().is_some_and(|extension| extension == "json");
            [&[u8::from(json)][..], &fs::read(path).unwrap()].concat()
        })
        .collect();
    assert!(seeds.len() > 100, "the corpus of malformed files has moved");
    run(panelboard_fuzz::config, "config", seeds, 2_000);
}

#[test]
fn overlays() {
    let seeds = [
        "$CIRCUITS__LLM__TIMEOUT=45s\n$ENABLED=false",
        "circuits.auth.failure_rate=50%\ncircuits.llm.window=100",
        "$DEFAULTS__BACKOFF__MAX=1m\ncircuits.new.preset=redis",
        "gateway.listen=127.0.0.1:8080",
    ];
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    run(panelboard_fuzz::overlay, "overlay", seeds, 2_000);
}

#[test]
fn single_values() {
    let seeds = ["1h30m", "250ms", "0.5", "1.5s\nx", "*/gpt-4o*\nopenai/gpt-4o-mini", "a?c\nabc"];
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    run(panelboard_fuzz::text, "text", seeds, 20_000);
}

#[test]
fn answers_of_servers() {
    let seeds: [(u16, &str); 8] = [
        (429, "120"),
        (503, "Sun, 06 Nov 1994 08:49:57 GMT"),
        (503, "Sunday, 06-Nov-94 08:49:37 GMT"),
        (503, "Sun Nov  6 08:49:37 1994"),
        (529, "1.5\n250"),
        (408, "\n1e300"),
        (500, "soon"),
        (200, ""),
    ];
    let seeds = seeds.map(|(status, text)| [&status.to_be_bytes(), text.as_bytes()].concat());
    run(panelboard_fuzz::answers, "answers", seeds.to_vec(), 20_000);
}

fn noise(salt: u32) -> impl Iterator<Item = u8> {
    (0..400_u32).map(move |i| (i.wrapping_mul(2_654_435_761 + salt) >> 13) as u8)
}

#[test]
fn histories_of_policies() {
    let seeds = (0..48).map(|salt| std::iter::once(salt as u8).chain(noise(salt * 77)).collect());
    run(panelboard_fuzz::policies, "policies", seeds.collect(), 10_000);
}

#[test]
fn histories_of_a_breaker() {
    let seeds = (0..16).map(|salt| noise(salt * 77).collect()).collect();
    run(panelboard_fuzz::breaker, "breaker", seeds, 3_000);
}
