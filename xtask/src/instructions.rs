//! Instructions that a guarded call takes, counted under callgrind.
//!
//! Time is noisy, and differs from machine to machine; instructions are not, and what a change adds
//! to the way of a call shows at once. Callgrind hides the kernel's clock, so reading it counts as a
//! handful of instructions and a system call here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::run::{cargo, output, program};
use crate::{install, root};

/// What is kept, beside the program that is counted.
const KEPT: &str = "crates/panelboard/benches/instructions.txt";

/// How much more than what was kept is a regression, with the same compiler: a tenth, and a few.
const TENTHS: f64 = 0.1;
const FEW: f64 = 3.0;
/// With another compiler: it may inline otherwise, and no more than that.
const OTHER_COMPILER: f64 = 0.4;

/// A path of a guarded call, and the instructions that each call takes.
type Counts = Vec<(String, f64)>;

pub(crate) fn check() -> Result<(), String> {
    compare(false)
}

pub(crate) fn save() -> Result<(), String> {
    compare(true)
}

fn compare(save: bool) -> Result<(), String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        println!("instructions are counted on x86-64 Linux only");
        return Ok(());
    }
    install::debian(&[("valgrind", "valgrind")])?;
    let counts = count(&build()?)?;
    let compiler = output(&mut program("rustc", &["--version"]))?.trim().to_owned();
    let file = root().join(KEPT);
    if save {
        return std::fs::write(&file, table(&compiler, &counts))
            .map_err(|error| format!("cannot write {KEPT}: {error}"));
    }
    let text = std::fs::read_to_string(&file).map_err(|e| format!("cannot read {KEPT}: {e}"))?;
    let (kept_compiler, kept) = parse(&text)?;
    let same = compiler == kept_compiler;
    if !same {
        println!("counted with {compiler}, kept with {kept_compiler}");
    }
    let worse = regressions(&kept, &counts, if same { TENTHS } else { OTHER_COMPILER });
    print!("{}", table(&compiler, &counts));
    match worse.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "these paths of a guarded call take more instructions than {KEPT} says; make them \
             shorter, or keep the counts with `cargo xtask instructions --save` and say why:\n{}",
            worse.join("\n")
        )),
    }
}

/// Paths that take more than they may, and paths that one side lacks.
fn regressions(kept: &Counts, counts: &Counts, share: f64) -> Vec<String> {
    let of = |counts: &Counts, path: &str| counts.iter().find(|(p, _)| p == path).map(|(_, n)| *n);
    let mut worse: Vec<String> = counts
        .iter()
        .filter_map(|(path, now)| match of(kept, path) {
            None => Some(format!("  {path}: {now:.0}, and nothing kept")),
            Some(then) if *now > then * (1.0 + share) + FEW => {
                Some(format!("  {path}: {now:.0}, kept {then:.0}"))
            }
            Some(_) => None,
        })
        .collect();
    let gone = kept.iter().filter(|(path, _)| of(counts, path).is_none());
    worse.extend(gone.map(|(path, _)| format!("  {path}: kept, but not counted any more")));
    worse
}

/// The program that is counted, built as the benchmark is.
fn build() -> Result<PathBuf, String> {
    let messages = output(&mut cargo(&[
        "bench",
        "-p",
        "panelboard",
        "--bench",
        "instructions",
        "--no-run",
        "--quiet",
        "--message-format=json",
    ]))?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    messages
        .filter(|message: &serde_json::Value| message["target"]["name"] == "instructions")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo named no executable".to_owned())
}

fn count(binary: &Path) -> Result<Counts, String> {
    let name = binary.to_string_lossy();
    let paths = output(&mut program::<&str>(&name, &[]))?;
    paths
        .lines()
        .map(|path| {
            // The difference leaves out what starting and stopping take.
            let (few, many) = (1_000, 11_000);
            let more =
                run_counted(&name, path, many)?.saturating_sub(run_counted(&name, path, few)?);
            Ok((path.to_owned(), more as f64 / f64::from(many - few)))
        })
        .collect()
}

fn run_counted(binary: &str, path: &str, calls: u32) -> Result<u64, String> {
    let calls = calls.to_string();
    let mut command = program(
        "valgrind",
        &["--tool=callgrind", "--callgrind-out-file=/dev/null", binary, path, &calls],
    );
    let result = command.output().map_err(|error| format!("cannot run valgrind: {error}"))?;
    let report = String::from_utf8_lossy(&result.stderr);
    if !result.status.success() {
        return Err(format!("valgrind failed:\n{report}"));
    }
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    collected
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind counted nothing:\n{report}"))
}

fn table(compiler: &str, counts: &Counts) -> String {
    let mut text =
        format!("# Instructions per call: cargo xtask instructions --save\n{compiler}\n");
    for (path, count) in counts {
        let _ = writeln!(text, "{count:>6.0}  {path}");
    }
    text
}

fn parse(text: &str) -> Result<(String, Counts), String> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let compiler = lines.next().unwrap_or_default().to_owned();
    let counts = lines
        .map(|line| {
            let (count, path) = line.trim().split_once("  ")?;
            Some((path.to_owned(), count.parse().ok()?))
        })
        .collect::<Option<Counts>>()
        .ok_or_else(|| format!("{KEPT} is no table"))?;
    Ok((compiler, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, f64)]) -> Counts {
        counts.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect()
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let written = counts(&[("success", 94.0), ("failure, last 100 calls", 573.0)]);
        let (compiler, read) = parse(&table("rustc 1.95.0", &written)).unwrap();
        assert_eq!((compiler.as_str(), read), ("rustc 1.95.0", written));
    }

    #[test]
    fn more_than_a_tenth_and_a_few_is_a_regression() {
        let kept = counts(&[("success", 100.0), ("failure", 200.0)]);
        assert_eq!(
            regressions(&kept, &counts(&[("success", 113.0), ("failure", 9.0)]), 0.1).len(),
            0
        );
        let worse = regressions(&kept, &counts(&[("success", 114.0), ("rejected", 1.0)]), 0.1);
        assert_eq!(worse.len(), 3, "one grew, one is new, one is gone: {worse:?}");
    }
}
