//! Another process in our place, without a moment in which nobody listens.
//!
//! On SIGUSR2 the binary is started again with the sockets of this process, as systemd would pass
//! them (`LISTEN_FDS`), and with one end of a connection as its standard input, on which it says that
//! it serves. Until then both accept; from then on this one finishes what it has. If the other one
//! ends, or says nothing, everything stays as it is.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use listenfd::ListenFd;
use panelboard_gateway::{Inherited, Sockets};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::SignalKind;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::{caught, notify};
use crate::exit::{Code, Failure};
use crate::output;

/// Set for a process whose standard input is to hear that it serves.
const WAITED_FOR: &str = "PANELBOARD_HANDOVER";

/// How long a successor may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where sockets are passed, by systemd's convention.
const FIRST: i32 = 3;

/// The sockets that this process was started with. To be called before there are other threads: it
/// takes the variables out of the environment.
pub(crate) fn inherited() -> Inherited {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for place in 0..passed.len() {
        match passed.take_tcp_listener(place) {
            Ok(socket) => sockets.extend(socket),
            // There is no log yet.
            Err(problem) => output::message(format_args!(
                "panelboard: an inherited descriptor is of no use: {problem}\n"
            )),
        }
    }
    Inherited::new(sockets)
}

/// Tells the process that started this one in its place that it may go.
pub(super) fn ready() {
    if std::env::var_os(WAITED_FOR).is_none() {
        return;
    }
    let told = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|socket| File::from(socket).write_all(b"\n"));
    if let Err(problem) = told {
        warn!(%problem, "the process before this one cannot be told that this one serves");
    }
}

/// Starts a successor at each SIGUSR2 until one serves, and says so.
pub(super) fn on_signal(sockets: Sockets) -> Result<oneshot::Receiver<()>, Failure> {
    let mut signals = caught(SignalKind::user_defined2())?;
    // By name: what stands there when the signal comes is the new binary.
    let binary = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Runtime, format_args!("no binary: {error}")))?;
    let (handed_over, is_handed_over) = oneshot::channel();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            info!(binary = %binary.display(), "starting a successor");
            match succeed(&binary, &sockets).await {
                Ok(process) => {
                    notify::succeeded_by(process);
                    info!(process, "the successor serves");
                    let _ = handed_over.send(());
                    return;
                }
                Err(problem) => error!("no successor, this process goes on: {problem}"),
            }
        }
    });
    Ok(is_handed_over)
}

/// Starts a successor and waits until it serves.
async fn succeed(binary: &Path, sockets: &Sockets) -> Result<u32, String> {
    let start = || -> std::io::Result<(Starting, tokio::net::UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = command(binary, sockets.all()?, theirs.into()).spawn()?;
        Ok((Starting(Some(child)), tokio::net::UnixStream::from_std(ours)?))
    };
    let (mut starting, mut hears) =
        start().map_err(|error| format!("{} cannot be started: {error}", binary.display()))?;
    match tokio::time::timeout(PATIENCE, hears.read_u8()).await {
        Ok(Ok(_)) => Ok(starting.serves()),
        Ok(Err(_)) => Err(starting.ended().await),
        Err(_) => Err(format!("it did not serve within {} s", PATIENCE.as_secs())),
    }
}

fn command(binary: &Path, sockets: Vec<OwnedFd>, stdin: OwnedFd) -> Command {
    let mut command = Command::new(PathBuf::from(binary));
    command.args(std::env::args_os().skip(1)).stdin(stdin).env(WAITED_FOR, "1");
    command.env("LISTEN_FDS", sockets.len().to_string());
    // Those name the process that systemd has started.
    for variable in ["LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_FDS_FIRST_FD", "WATCHDOG_PID"] {
        command.env_remove(variable);
    }
    let mappings = (FIRST..)
        .zip(sockets)
        .map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd })
        .collect();
    // Each has a number of its own, so none collides.
    let _ = command.fd_mappings(mappings);
    command
}

/// A successor that does not serve yet. It ends with this, unless it does.
struct Starting(Option<Child>);

impl Starting {
    fn serves(&mut self) -> u32 {
        self.0.take().map_or(0, |child| child.id())
    }

    /// How it ended, now that it has.
    async fn ended(&mut self) -> String {
        let Some(mut child) = self.0.take() else { return String::from("it is gone") };
        let waited = tokio::task::spawn_blocking(move || child.wait()).await;
        match waited {
            Ok(Ok(status)) => format!("it ended before it served ({status}); see what it logged"),
            _ => String::from("it ended before it served"),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
