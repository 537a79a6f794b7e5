//! What checks and benchmarks need and a minimal machine lacks: programs from Debian, packages from
//! `PyPI`.

use std::path::{Path, PathBuf};

use crate::root;
use crate::run::{cargo, output, program, run};

/// Real programs that the interop tests put beside the gateway, and the packages they are in.
const PROGRAMS: [(&str, &str); 6] = [
    ("nginx", "nginx-light"),
    ("haproxy", "haproxy"),
    ("apache2", "apache2-bin"),
    ("node", "nodejs"),
    ("curl", "curl"),
    ("python3", "python3"),
];

/// Where Debian puts programs, on the path of a plain user or not.
const PLACES: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];

/// Says that a service must not be started because its package was installed.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs everything that the tests run.
pub(crate) fn all() -> Result<(), String> {
    debian(&PROGRAMS)?;
    python().map(drop)
}

/// Installs the packages of those programs that are missing.
pub(crate) fn debian(programs: &[(&str, &str)]) -> Result<(), String> {
    let is_there = |name: &str| PLACES.iter().any(|place| Path::new(place).join(name).exists());
    let missing: Vec<&str> =
        programs.iter().filter(|(name, _)| !is_there(name)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { packages(&missing) }
}

fn packages(packages: &[&str]) -> Result<(), String> {
    println!("installing Debian packages: {}", packages.join(", "));
    let install = ["install", "--yes", "--no-install-recommends"];
    let install = [&install[..], packages].concat();
    let _quiet = Quiet::new();
    let apt = |arguments: &[&str]| {
        let mut command = program("apt-get", arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        output(&mut command)
    };
    // A fresh machine has no lists yet, and an old one may have lists of what is gone.
    apt(&install).or_else(|_| apt(&["update"]).and_then(|_| apt(&install))).map(drop)
}

/// While it is there, no package starts a service: tests start their own servers.
struct Quiet(bool);

impl Quiet {
    fn new() -> Quiet {
        use std::os::unix::fs::PermissionsExt as _;
        let ours =
            !Path::new(POLICY).exists() && std::fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok();
        if ours {
            // If it cannot be run, it is not asked.
            let _ = std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755));
        }
        Quiet(ours)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.0 {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

/// An environment of Python's with what `requirements.txt` of the interop tests names, beside what
/// cargo builds. It is made anew when the list changes.
pub(crate) fn python() -> Result<PathBuf, String> {
    let wanted = root().join("crates/cli/tests/interop/requirements.txt");
    let wanted = std::fs::read_to_string(&wanted)
        .map_err(|error| format!("{}: {error}", wanted.display()))?;
    let home = target()?.join("python");
    let (python, stamp) = (home.join("bin/python"), home.join("requirements.txt"));
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    println!("installing from PyPI, into {}", home.display());
    let home = home.to_string_lossy().into_owned();
    let make = ["-m", "venv", "--clear", &home];
    // Debian's Python comes without this part of itself.
    output(&mut program("python3", &make)).or_else(|_| {
        packages(&["python3-venv"])?;
        output(&mut program("python3", &make))
    })?;
    let list = root().join("crates/cli/tests/interop/requirements.txt");
    let list = list.to_string_lossy();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &list];
    run(&mut program(&python.to_string_lossy(), &pip))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// Where cargo builds.
pub(crate) fn target() -> Result<PathBuf, String> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
    let metadata: serde_json::Value = serde_json::from_str(&output(&mut cargo(&arguments))?)
        .map_err(|error| error.to_string())?;
    Ok(metadata["target_directory"].as_str().unwrap_or("target").into())
}
