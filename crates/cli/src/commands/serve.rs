//! `panelboard serve`

use panelboard_config::{Diagnostics, Format, load};
use panelboard_gateway::Gateway;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::check;
use crate::args::ServeArgs;
use crate::exit::{Code, Failure};
use crate::{logging, output};

pub(crate) async fn run(args: &ServeArgs) -> Result<(), Failure> {
    logging::init();
    let options = check::options(&args.source, true);
    let loaded = load(&options).map_err(|errors| invalid(&errors))?;
    output::message(loaded.diagnostics.render(Format::Text(check::style())));
    if loaded.config.routes().is_empty() {
        warn!("no route is configured: every request will be answered with 404");
    }
    let watch = loaded.watch();
    let gateway = bind(loaded).await?;
    // Signals are caught before anybody is told to go ahead: one that came earlier would kill.
    let (stop, hangups) = (stop()?, hangups()?);
    announce(&gateway);
    let reloads = gateway.reloader().watch(options, watch, hangups);
    tokio::select! {
        () = gateway.run(stop) => {}
        () = reloads => {}
    }
    info!("stopped");
    Ok(())
}

pub(super) async fn bind(loaded: panelboard_config::Loaded) -> Result<Gateway, Failure> {
    Gateway::bind(loaded).await.map_err(|error| Failure::new(Code::Runtime, error))
}

fn invalid(errors: &Diagnostics) -> Failure {
    output::message(errors.render(Format::Text(check::style())));
    Failure::silent(Code::Config)
}

/// Says where the gateway listens: on stdout, for whoever started it with port 0. It serves even
/// if nobody can be told.
pub(super) fn announce(gateway: &Gateway) {
    for url in gateway.urls() {
        let _ = output::data(format_args!("listening on {url}"));
        info!(%url, "serving");
    }
    if let Some(address) = gateway.admin_address() {
        let _ = output::data(format_args!("admin on http://{address}"));
        info!(%address, "admin API");
    }
}

/// Ready at the first SIGTERM or interrupt; the second ends the process at once.
pub(super) fn stop() -> Result<impl Future<Output = ()>, Failure> {
    let no_signal = |error| Failure::new(Code::Runtime, format_args!("no signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signal)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            warn!("told to stop a second time: ending at once");
            std::process::exit(i32::from(Code::Runtime as u8));
        });
    })
}

/// SIGHUP, one message each.
fn hangups() -> Result<tokio::sync::mpsc::Receiver<()>, Failure> {
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| Failure::new(Code::Runtime, format_args!("no signals: {error}")))?;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // One that is waiting stands for all that come meanwhile.
            let _ = send.try_send(());
        }
    });
    Ok(receive)
}
