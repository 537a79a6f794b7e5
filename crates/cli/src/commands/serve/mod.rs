//! `panelboard serve`

mod handover;
mod notify;

use panelboard_config::{Diagnostics, Format, load};
use panelboard_gateway::{Gateway, Inherited, Leave, Reloader};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

pub(crate) use handover::inherited;

use super::check;
use crate::args::ServeArgs;
use crate::exit::{Code, Failure};
use crate::{logging, output};

pub(crate) async fn run(args: &ServeArgs, inherited: Inherited) -> Result<(), Failure> {
    logging::init();
    let options = check::options(&args.source, true);
    let loaded = load(&options).map_err(|errors| invalid(&errors))?;
    output::message(loaded.diagnostics.render(Format::Text(check::style())));
    if loaded.config.routes().is_empty() {
        warn!("no route is configured: every request will be answered with 404");
    }
    let watch = loaded.watch();
    let gateway = open(loaded, inherited)?;
    // Signals are caught before anybody is told to go ahead: one that came earlier would kill.
    let (stop, hangups) = (stop()?, caught(SignalKind::hangup())?);
    let successor = handover::on_signal(gateway.sockets())?;
    announce(&gateway);
    let reloads = reload(gateway.reloader(), options, watch, hangups);
    let runtime = tokio::runtime::Handle::current();
    // On a thread of its own, since files are read: a disk that hangs holds nothing else up.
    tokio::task::spawn_blocking(move || runtime.block_on(reloads));
    tokio::spawn(notify::watchdog());
    handover::ready();
    notify::ready();
    gateway.run(leave(stop, successor)).await;
    info!("stopped");
    Ok(())
}

pub(super) fn open(
    loaded: panelboard_config::Loaded,
    inherited: Inherited,
) -> Result<Gateway, Failure> {
    Gateway::open(loaded, inherited).map_err(|error| Failure::new(Code::Runtime, error))
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

/// Ready when the gateway is to end, and says why.
async fn leave(
    stop: impl Future<Output = ()> + Send + 'static,
    successor: oneshot::Receiver<()>,
) -> Leave {
    let mut stop = Box::pin(stop);
    tokio::select! {
        () = stop.as_mut() => {
            notify::stopping();
            Leave::Stopping
        }
        Ok(()) = successor => {
            tokio::spawn(async move {
                stop.await;
                end_at_once("told to stop while the last requests finish");
            });
            Leave::HandedOver
        }
    }
}

/// Ready at the first SIGTERM or interrupt; the second ends the process at once.
pub(super) fn stop() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut terminate = caught(SignalKind::terminate())?;
    let mut interrupt = caught(SignalKind::interrupt())?;
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
            end_at_once("told to stop a second time");
        });
    })
}

fn end_at_once(why: &str) {
    warn!("{why}: ending at once");
    std::process::exit(i32::from(Code::Runtime as u8));
}

/// Reloads on SIGHUP and when the file changes. Never ready.
async fn reload(
    reloader: Reloader,
    options: panelboard_config::LoadOptions,
    watch: Option<panelboard_config::FileWatch>,
    mut hangups: Signal,
) {
    let (ask, asked) = mpsc::channel(1);
    tokio::spawn(async move {
        // Those that come during a reload are one.
        while hangups.recv().await.is_some() {
            let (done, is_done) = oneshot::channel();
            notify::reloading();
            if ask.send(done).await.is_ok() {
                // Nothing is ever sent.
                let _ = is_done.await;
            }
            notify::ready();
        }
    });
    reloader.watch(options, watch, asked).await;
}

fn caught(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Code::Runtime, format_args!("no signals: {error}")))
}
