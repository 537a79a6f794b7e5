//! Everything that must hold, in the order in which it fails fastest.

use std::time::Instant;

use crate::run::{cargo, exists, output, program, run};
use crate::{examples, install, instructions, msrv, root, tidy};

/// A check, and what it is called.
type Check = (&'static str, fn() -> Result<(), String>);

const CHECKS: [Check; 11] = [
    ("tidy", tidy::run),
    ("format", format),
    ("licences and bans", deny),
    ("lints", lints),
    ("tests", tests),
    ("features of the library", features),
    ("examples", examples::check),
    ("stated Rust version", msrv::check),
    ("loom", loom),
    ("instructions of a guarded call", instructions::check),
    ("documentation", documentation),
];

#[expect(clippy::disallowed_methods, reason = "says how long each check takes")]
pub(crate) fn test() -> Result<(), String> {
    install()?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("\n── {name} ──");
        let started = Instant::now();
        if let Err(problem) = check() {
            eprintln!("{problem}");
            failed.push(name);
        }
        println!("({} s)", started.elapsed().as_secs());
    }
    match failed.is_empty() {
        true => {
            println!("\nall good");
            Ok(())
        }
        false => Err(format!("failed: {}", failed.join(", "))),
    }
}

/// What the checks are made with and a minimal toolchain lacks.
fn install() -> Result<(), String> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if output(&mut cargo(&[tool, "--version"])).is_err() {
            println!("installing the component {component}");
            run(&mut program("rustup", &["component", "add", component]))?;
        }
    }
    install::all()
}

fn format() -> Result<(), String> {
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

fn lints() -> Result<(), String> {
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

/// Unit, property, conformance, end-to-end and doc tests.
fn tests() -> Result<(), String> {
    run(&mut cargo(&["test", "--workspace", "--quiet", "--no-fail-fast"]))
}

/// The library with none of its features, with each alone, and with all of them; and the tests of
/// what no default feature reaches.
fn features() -> Result<(), String> {
    let hack = tool("cargo-hack")?;
    let each = ["hack", "clippy", "-p", "panelboard", "--each-feature", "--quiet"];
    run(&mut program(&hack, &[&each[..], &["--", "-D", "warnings"]].concat()))?;
    let all = ["test", "-p", "panelboard", "--all-features", "--quiet"];
    for tests in [
        &["--test", "classify"][..],
        &["--test", "faces"],
        &["--lib", "--", "classify", "unavailable"],
        &["--doc"],
    ] {
        run(&mut cargo(&[&all[..], tests].concat()))?;
    }
    Ok(())
}

/// Every interleaving of a few threads. The breaker is built anew with loom's atomics, apart from
/// everything else.
fn loom() -> Result<(), String> {
    let mut command =
        cargo(&["test", "-p", "panelboard", "--release", "--lib", "--quiet", "loom::"]);
    command.env("RUSTFLAGS", "--cfg panelboard_loom");
    command.env("CARGO_TARGET_DIR", root().join("target/loom"));
    run(&mut command)
}

fn documentation() -> Result<(), String> {
    for what in [&["--workspace"][..], &["-p", "panelboard", "--all-features"]] {
        let mut command = cargo(&[&["doc", "--no-deps", "--quiet"][..], what].concat());
        command.env("RUSTDOCFLAGS", "-D warnings");
        run(&mut command)?;
    }
    Ok(())
}

/// Licences, bans and sources. Advisories need the network and change by the day, so they are not
/// part of what a commit must satisfy.
fn deny() -> Result<(), String> {
    let deny = tool("cargo-deny")?;
    run(&mut program(&deny, &["--locked", "check", "licenses", "bans", "sources"]))
}

/// A cargo subcommand that is no part of Rust, installed if it is not there.
fn tool(name: &str) -> Result<String, String> {
    let tools = root().join("target/tools");
    let own = tools.join("bin").join(name);
    if !exists(name) && !own.exists() {
        println!("installing {name} into target/tools");
        let tools = tools.to_string_lossy();
        run(&mut cargo(&["install", name, "--locked", "--quiet", "--root", &tools]))?;
    }
    Ok(match own.exists() {
        true => own.to_string_lossy().into_owned(),
        false => name.to_owned(),
    })
}
