//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::upstream::UpstreamArgs;

/// What it is, how it is used, and only then everything there is to say.
pub(crate) const HELP: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// Circuit breakers for everything a service calls.
#[derive(Parser, Debug)]
#[command(name = "panelboard", version, max_term_width = 100)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard demo                          watch a breaker trip, probe and recover
  panelboard check panelboard.toml         find everything that is wrong with a configuration
  panelboard serve --config panelboard.toml
  panelboard status                        what the circuits of a running gateway are doing
  panelboard explain payments              why a circuit is open, and what happens next
  panelboard open payments --reason 'database upgrade' --for 10m")]
#[command(after_help = "\
Exit codes: 0 ok, 1 runtime error, 2 usage, 3 configuration invalid, 4 admin API unreachable,
5 not allowed, 6 not found, 7 conflict, 10 something is open (status --exit-code)")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the gateway
    Serve(ServeArgs),
    /// Run a gateway before a flaky upstream, and watch a breaker at work
    Demo(DemoArgs),
    /// Check configuration files
    Check(CheckArgs),
    /// Help with configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show what the circuits of a running gateway are doing
    Status(StatusArgs),
    /// Explain what a circuit is doing, why, and what happens next
    Explain(NameArgs),
    /// Force a circuit open: every call is refused
    Open(OrderArgs),
    /// Force a circuit closed: every call is let through
    Close(OrderArgs),
    /// Let a circuit decide, but refuse nothing
    Observe(OrderArgs),
    /// Let a circuit decide for itself again
    Auto(OrderArgs),
    /// Put a circuit back to closed, with nothing remembered
    Reset(ResetArgs),
    /// End the wait of an open circuit: the next calls probe whether the dependency is back
    Probe(ResetArgs),
    /// Show what has happened to circuits
    Events(EventsArgs),
    /// Run a scripted upstream with faults, to rehearse outages
    Upstream(UpstreamArgs),
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard serve --config panelboard.toml
  panelboard serve --set gateway.listen=127.0.0.1:8000 --set circuits.llm.timeout=45s
  PANELBOARD__CIRCUITS__LLM__TIMEOUT=45s panelboard serve")]
#[command(after_help = "\
Signals: SIGHUP reloads the configuration, as a change of the file does; SIGTERM or an interrupt
lets requests in flight finish within gateway.shutdown_grace, and a second one ends at once.
Logs go to stderr: for people on a terminal, as JSON otherwise. PANELBOARD_LOG=debug says more.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// Which configuration, and what is laid over it.
#[derive(Args, Clone, Debug)]
pub(crate) struct SourceArgs {
    /// The configuration file; without it, panelboard.toml, panelboard.json and the same in
    /// config/ are tried
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Lay [env.NAME] of the file over it; without it, `PANELBOARD_ENV` names one
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Set one value, over file and environment: circuits.llm.timeout=45s
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard demo
  panelboard demo --for 1m")]
pub(crate) struct DemoArgs {
    /// Stop after this long, such as 1m; without it, run until interrupted
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard check
  panelboard check staging.toml production.toml --deny-warnings
  panelboard check --format sarif panelboard.toml > findings.sarif")]
pub(crate) struct CheckArgs {
    /// The files; without any, the one that `serve` would use
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Lay [env.NAME] of each file over it; without it, `PANELBOARD_ENV` names one. The others are
    /// checked, too
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// How to report
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: CheckFormat,
    /// Fail on warnings, too
    #[arg(long)]
    pub(crate) deny_warnings: bool,
}

#[derive(clap::ValueEnum, Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum CheckFormat {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// Annotations for GitHub Actions
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Show what is configured, and where each value comes from
    Show(ShowArgs),
    /// Show what a reload from one file to another would change
    Diff(DiffArgs),
    /// Rewrite a file as TOML or JSON, with today's names
    Convert(ConvertArgs),
    /// Print the JSON Schema of configuration files
    Schema,
    /// Write a file to begin with
    Init(InitArgs),
    /// Have a running gateway read its configuration again, and say what that changes
    Reload(ReloadArgs),
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard config show
  panelboard config show --origin panelboard.toml
  panelboard config show --effective --json --env staging")]
pub(crate) struct ShowArgs {
    /// The file; without it, as with `serve`
    #[arg(value_name = "FILE", conflicts_with = "config")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// All values in force, with defaults and presets, not only those that were written
    #[arg(long)]
    pub(crate) effective: bool,
    /// All values in force, each with where it comes from: file and line, preset, variable
    #[arg(long)]
    pub(crate) origin: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard config diff old.toml new.toml
  panelboard config diff --exit-code running.toml panelboard.toml || echo 'something changes'")]
pub(crate) struct DiffArgs {
    /// The file as it is
    pub(crate) old: PathBuf,
    /// The file as it will be
    pub(crate) new: PathBuf,
    /// Lay [env.NAME] of the files over them; without it, `PANELBOARD_ENV` names one
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Exit with 1 when something is different
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard config convert app_config.json --to toml
  panelboard config convert app_config.json --output panelboard.toml")]
pub(crate) struct ConvertArgs {
    /// The file
    pub(crate) file: PathBuf,
    /// The format; without it, what the output is called, or else the other one
    #[arg(long, value_parser = ["toml", "json"])]
    pub(crate) to: Option<String>,
    /// Write to this file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite it
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard config init
  panelboard config init config/panelboard.json")]
pub(crate) struct InitArgs {
    /// The file to write; panelboard.toml, if none is named
    pub(crate) file: Option<PathBuf>,
    /// Overwrite it
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AdminArgs {
    /// The admin API of the gateway
    #[arg(long, value_name = "URL", env = "PANELBOARD_ADMIN", global = true)]
    #[arg(default_value = "http://127.0.0.1:9090")]
    pub(crate) admin: String,
    #[arg(long, value_name = "FILE", env = "PANELBOARD_ADMIN_TOKEN_FILE")]
    #[arg(
        help = "The file with a token, for gateways that ask for one; PANELBOARD_ADMIN_TOKEN may \
                  hold the token itself"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard status
  panelboard status --state open --json
  panelboard status --exit-code || echo 'something is open'")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Only circuits in this state
    #[arg(long, value_parser = ["closed", "open", "half_open"])]
    pub(crate) state: Option<String>,
    /// Exit with 10 when a circuit is not closed, or is forced open
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard explain payments
  panelboard explain llm/openai/gpt-4o --json")]
pub(crate) struct NameArgs {
    /// The circuit
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard open payments --reason 'database upgrade' --for 10m
  panelboard close payments --reason 'false alarm'
  panelboard observe payments --for 1d
  panelboard auto payments")]
pub(crate) struct OrderArgs {
    /// The circuit
    pub(crate) name: String,
    /// Why; whoever is paged next will read it
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// For how long, such as 10m; an hour unless given, a week at most
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) duration: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard events
  panelboard events -f --circuit payments
  panelboard events --json | jq .explain")]
pub(crate) struct EventsArgs {
    /// Go on with what happens from now on
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only those of this circuit
    #[arg(long, value_name = "NAME")]
    pub(crate) circuit: Option<String>,
    /// How many past events to begin with
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) last: u32,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard config reload --reason 'new limits'")]
pub(crate) struct ReloadArgs {
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
#[command(help_template = HELP, before_help = "\
Examples:
  panelboard reset payments --reason 'fixed'
  panelboard probe payments --reason 'the database is back'")]
pub(crate) struct ResetArgs {
    /// The circuit
    pub(crate) name: String,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    panelboard_config::duration_from_json(&text.into())
        .map_err(|accepted| format!("use {accepted}"))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("use KEY=VALUE, such as circuits.llm.timeout=45s".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_written_alike_everywhere() {
        for text in ["60", "60s", "1m"] {
            assert_eq!(duration(text), Ok(Duration::from_secs(60)), "{text}");
        }
        assert!(duration("soon").unwrap_err().contains("such as 30 (seconds)"));
    }

    #[test]
    fn settings_are_split_at_the_first_equals_sign() {
        assert_eq!(key_value("a.b = c=d"), Ok(("a.b".into(), "c=d".into())));
        assert!(key_value("nothing").is_err());
        assert!(key_value("=x").is_err());
    }
}
