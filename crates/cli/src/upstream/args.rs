//! `panelboard upstream`.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use super::behaviour::{ParseError, help};
use super::plan::{Plan, Rule};
use super::script::Script;
use super::server::Server;

const EXAMPLES: &str = "\
Examples:
  panelboard upstream --listen 127.0.0.1:9001
  panelboard upstream --behaviour status:503,retry-after=3
  panelboard upstream --script '20s=ok 10s=refuse'
  panelboard upstream --script demo --behaviour model:gpt-4o=slow:2s --behaviour path:/admin=hang

  curl -X PUT --data 'stream-cut:3' http://127.0.0.1:9001/__upstream/behaviour
  curl -H 'x-upstream-behaviour: reset' http://127.0.0.1:9001/
  curl http://127.0.0.1:9001/__upstream/stats
";

/// Run a scripted upstream with faults: LLM APIs and plain HTTP, healthy or not.
///
/// The first line on standard output is `listening on http://ADDRESS:PORT`.
#[derive(Clone, Debug, clap::Args)]
#[command(help_template = crate::args::HELP, before_help = EXAMPLES.trim_end())]
#[command(after_long_help = help())]
pub(crate) struct UpstreamArgs {
    /// The address to listen on; port 0 picks one. Whoever can reach it can control it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// How requests are answered; after `path:/PREFIX=` or `model:NAME=`, how those are.
    #[arg(long, value_name = "BEHAVIOUR")]
    behaviour: Vec<Rule>,

    /// Behaviours along a timeline, such as '8s=ok 6s=slow:2s', or `demo`. It starts over at its
    /// end, unless the last step has no time.
    #[arg(long)]
    script: Option<Script>,
}

// ===== impl UpstreamArgs =====

impl UpstreamArgs {
    /// What the server is told.
    fn plan(self) -> Result<Plan, ParseError> {
        Plan::of(self.script.map(Rule::Always).into_iter().chain(self.behaviour))
    }
}

/// Runs an upstream until it is interrupted or terminated, and then tells what arrived.
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for arguments that contradict each other;
/// otherwise those of listening.
pub(crate) async fn run(args: UpstreamArgs) -> io::Result<()> {
    let listen = args.listen;
    let plan = args.plan().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let server = Server::bind(listen).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}"))
    })?;
    // Before the line that tells others to go ahead, or one of them could end it too soon.
    let stopped = stopped()?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on http://{}", server.local_addr())?;
    stdout.flush()?;
    drop(stdout);
    let handle = server.handle();
    server.run(plan, stopped).await?;
    let report = handle.report();
    let (requests, peak) = (report.requests, report.peak_in_flight);
    // Nobody needs to be there to read it.
    let _ = writeln!(io::stderr(), "{requests} requests, at most {peak} of them at a time");
    Ok(())
}

/// Completes when the process is to end. The signals are caught from this call on, not from the
/// first poll.
#[cfg(unix)]
fn stopped() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes when the process is to end.
#[cfg(not(unix))]
fn stopped() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a way to be told, it ends when it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// As a subcommand, which is what they are.
    #[derive(Debug, Parser)]
    enum Panelboard {
        Upstream(UpstreamArgs),
    }

    fn plan(args: &[&str]) -> Result<String, String> {
        let args = ["panelboard", "upstream"].iter().chain(args);
        let Panelboard::Upstream(args) =
            Panelboard::try_parse_from(args).map_err(|error| error.to_string())?;
        args.plan().map(|plan| plan.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn behaviours_and_a_script_make_one_plan() {
        assert_eq!(plan(&[]).unwrap(), "ok\n");
        assert_eq!(plan(&["--behaviour", "hang"]).unwrap(), "hang\n");
        let exceptions = ["--behaviour", "path:/a=hang", "--behaviour", "model:m=slow:1s"];
        assert_eq!(plan(&exceptions).unwrap(), "ok\npath:/a=hang\nmodel:m=slow:1s\n");
        let both = ["--behaviour", "path:/a=hang", "--script", "8s=ok 6s=refuse"];
        assert_eq!(plan(&both).unwrap(), "8s=ok 6s=refuse\npath:/a=hang\n");
        assert!(plan(&["--script", "demo"]).unwrap().starts_with("8s=ok 6s=slow:"));
    }

    #[test]
    fn arguments_that_contradict_each_other_are_refused() {
        for args in [
            ["--script", "8s=ok", "--behaviour", "hang"],
            ["--behaviour", "ok", "--behaviour", "hang"],
        ] {
            assert!(plan(&args).unwrap_err().contains("beside a behaviour or script"), "{args:?}");
        }
        let slip = plan(&["--behaviour", "hagn"]).unwrap_err();
        assert!(slip.contains("--behaviour") && slip.contains("one of the behaviours"), "{slip}");
        assert!(plan(&["--script", "8=ok"]).unwrap_err().contains("a duration up to 24h"));
        assert!(plan(&["--listen", "somewhere"]).unwrap_err().contains("--listen"));
    }

    #[test]
    fn the_long_help_lists_the_behaviours() {
        let help = |flag| {
            let error = Panelboard::try_parse_from(["panelboard", "upstream", flag]).unwrap_err();
            error.to_string()
        };
        assert!(help("--help").contains("stream-keepalive:N"), "{}", help("--help"));
        assert!(help("-h").contains("Examples:") && !help("-h").contains("stream-keepalive:N"));
    }
}
