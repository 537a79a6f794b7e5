//! What there is to do in this repository.
//!
//! ```text
//! cargo xtask test        install what is missing and run every check and test
//! cargo xtask install     install what the tests need, and nothing else
//! cargo xtask tidy        only the rules of the repository
//! cargo xtask generate    write the generated pages and the JSON Schema
//! cargo xtask bench       what the gateway costs, beside nginx, HAProxy and Envoy
//!     --save              puts the table into docs/performance.md
//! cargo xtask instructions  count what a guarded call takes (valgrind is installed if missing)
//!     --save              keeps the counts that `test` compares with
//! ```

mod bench;
mod examples;
mod generate;
mod install;
mod instructions;
mod msrv;
mod run;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
What there is to do in this repository:

  cargo xtask test        install what is missing and run every check and test
  cargo xtask install     install what the tests need, and nothing else
  cargo xtask tidy        only the rules of the repository
  cargo xtask generate    write the generated pages and the JSON Schema
  cargo xtask bench       what the gateway costs, beside nginx, HAProxy and Envoy
      --save              puts the table into docs/performance.md
  cargo xtask instructions  count what a guarded call takes (valgrind is installed if missing)
      --save              keeps the counts that `test` compares with
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next();
    let result = match task.as_deref() {
        Some("test") => test::test(),
        Some("install") => install::all(),
        Some("tidy") => tidy::run(),
        Some("generate") => generate::write(),
        // The load of `bench`, which runs it as a process on a core of its own.
        Some("rate") => bench::rate::main(&arguments.collect::<Vec<_>>()),
        Some("bench") => bench::bench(arguments.any(|argument| argument == "--save")),
        Some("instructions") => match arguments.any(|argument| argument == "--save") {
            true => instructions::save(),
            false => instructions::check(),
        },
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => Err(format!("there is no task `{other}`\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}
