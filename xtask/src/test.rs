//! Everything that must hold, in the order in which it fails fastest.

use crate::run::{cargo, exists, output, program, run};
use crate::{root, tidy};

/// A check, and what it is called.
type Check = (&'static str, fn() -> Result<(), String>);

const CHECKS: [Check; 8] = [
    ("tidy", tidy::run),
    ("format", format),
    ("licences and bans", deny),
    ("lints", lints),
    ("tests", tests),
    ("features of the library", features),
    ("loom", loom),
    ("documentation", documentation),
];

pub(crate) fn test() -> Result<(), String> {
    install()?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("\n── {name} ──");
        if let Err(problem) = check() {
            eprintln!("{problem}");
            failed.push(name);
        }
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
    Ok(())
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

/// The library without its default features, and the core without std.
fn features() -> Result<(), String> {
    let quiet = ["--quiet", "--", "-D", "warnings"];
    let library = ["clippy", "-p", "panelboard", "--no-default-features"];
    run(&mut cargo(&[&library[..], &quiet[..]].concat()))
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
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(&mut command)
}

/// Licences, bans and sources. Advisories need the network and change by the day, so they are not
/// part of what a commit must satisfy.
fn deny() -> Result<(), String> {
    let tools = root().join("target/tools");
    let own = tools.join("bin/cargo-deny");
    if !exists("cargo-deny") && !own.exists() {
        println!("installing cargo-deny into target/tools");
        let tools = tools.to_string_lossy();
        run(&mut cargo(&["install", "cargo-deny", "--locked", "--quiet", "--root", &tools]))?;
    }
    let name = match own.exists() {
        true => own.to_string_lossy().into_owned(),
        false => "cargo-deny".to_owned(),
    };
    run(&mut program(&name, &["--locked", "check", "licenses", "bans", "sources"]))
}
