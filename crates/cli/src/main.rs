//! `panelboard`: the one binary.
//!
//! Data goes to stdout, messages to stderr. Every command that reads from a running gateway has
//! `--json`. Exit codes are in [`exit::Code`].

mod admin;
mod args;
mod commands;
mod exit;
mod logging;
mod output;
mod upstream;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command, ConfigCommand};
use exit::{Code, Failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => {
            // Before there are threads, since it changes the environment.
            let inherited = commands::serve::inherited();
            let runtime = runtime()?;
            let served = runtime.block_on(commands::serve::run(&args, inherited));
            // What still blocks, such as a reload from a slow disk, must not keep the process.
            runtime.shutdown_background();
            served
        }
        Command::Demo(args) => runtime()?.block_on(commands::demo::run(&args)),
        Command::Upstream(args) => runtime()?
            .block_on(upstream::run(args))
            .map_err(|error| Failure::new(Code::Runtime, error)),
        Command::Check(args) => commands::check::run(&args),
        Command::Config(command) => match command {
            ConfigCommand::Show(args) => commands::config::show(&args),
            ConfigCommand::Diff(args) => commands::config::difference(&args),
            ConfigCommand::Convert(args) => commands::config::converted(&args),
            ConfigCommand::Schema => commands::config::schema(),
            ConfigCommand::Init(args) => commands::config::init(&args),
            ConfigCommand::Reload(args) => commands::reload::run(&args),
        },
        Command::Status(args) => commands::status::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Open(args) => commands::order::run("force-open", &args),
        Command::Close(args) => commands::order::run("force-closed", &args),
        Command::Observe(args) => commands::order::run("observe", &args),
        Command::Auto(args) => commands::order::run("auto", &args),
        Command::Reset(args) => commands::order::at_once("reset", &args),
        Command::Probe(args) => commands::order::at_once("probe", &args),
        Command::Events(args) => commands::events::run(&args),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Runtime, format_args!("cannot start: {error}")))
}
