//! The listening socket and the connections that come from it.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::Connection;
use super::converse::converse;
use super::handle::Handle;
use super::plan::Plan;
use super::scene::Scene;

/// More connections wait in the backlog until others close.
const MOST_CONNECTIONS: usize = 10_000;

const BACKLOG: u32 = 1_024;

/// How long to wait when the system has no connection to give, mostly for want of descriptors.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(50);

/// An upstream that listens.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    listener: TcpListener,
    stage: Stage,
}

/// Dropped with the server, whether that ran or not.
#[derive(Debug)]
struct Stage(Handle);

// ===== impl Server =====

impl Server {
    /// Listens on this address; port 0 picks one. Connections wait until the server runs.
    ///
    /// # Errors
    /// Those of binding and listening.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    pub(crate) fn bind(addr: SocketAddr) -> io::Result<Server> {
        let listener = bound(addr)?.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        Ok(Server { addr, listener, stage: Stage(Handle::new()) })
    }

    /// Where it listens, and will again after a refusal.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Controls it from this process, also while its socket is closed.
    pub(crate) fn handle(&self) -> Handle {
        self.stage.0.clone()
    }

    /// Serves by this plan until `shutdown` completes, then drops every connection. The plan is in
    /// force from the call on, not from the first poll: what is set after the call comes after it.
    ///
    /// # Errors
    /// The port could not be kept through a refusal.
    ///
    /// # Cancel safety
    /// Dropping the future ends the server as `shutdown` does.
    pub(crate) fn run(
        self,
        plan: impl Into<Plan>,
        shutdown: impl Future<Output = ()>,
    ) -> impl Future<Output = io::Result<()>> {
        let Server { addr, listener, stage } = self;
        stage.0.set(plan);
        async move {
            tokio::select! {
                () = shutdown => Ok(()),
                result = serve(addr, listener, &stage.0) => result.map(|never| match never {}),
            }
        }
    }
}

async fn serve(
    addr: SocketAddr,
    mut listener: TcpListener,
    handle: &Handle,
) -> io::Result<Infallible> {
    let mut scenes = handle.scenes();
    // Counts refusals. Every connection watches it, and is reset when it moves.
    let refusals = watch::Sender::new(0_u64);
    // Dropped with this future, and every conversation with it.
    let mut conversations = JoinSet::new();
    loop {
        while let Some(changes) = wanted(false, &mut scenes, handle) {
            tokio::select! {
                accepted = listener.accept(), if conversations.len() < MOST_CONNECTIONS => {
                    match accepted {
                        Ok((socket, _)) => {
                            let connection = Connection::new(socket);
                            let refused = refusals.subscribe();
                            conversations.spawn(converse(connection, handle.clone(), refused));
                        }
                        Err(_) => sleep(OUT_OF_SOCKETS).await,
                    }
                }
                // The handle keeps the sender, so this is a change.
                _ = scenes.changed() => {}
                () = changes => {}
                Some(_) = conversations.join_next() => {}
            }
        }
        drop(listener);
        // Bound but not listening, a socket refuses connects and keeps the port. A free one could
        // become the source port of a client that tries over and over, and TCP lets such a client
        // connect to itself.
        let reserved = bound(addr)?;
        refusals.send_modify(|count| *count += 1);
        while let Some(changes) = wanted(true, &mut scenes, handle) {
            tokio::select! {
                _ = scenes.changed() => {}
                () = changes => {}
                Some(_) = conversations.join_next() => {}
            }
        }
        listener = reserved.listen(BACKLOG)?;
    }
}

/// If refusing, or not, is what the scene wants: a wait until it may want something else. Whoever
/// waited for the socket to agree with the scene is told.
fn wanted(
    refusing: bool,
    scenes: &mut watch::Receiver<Scene>,
    handle: &Handle,
) -> Option<impl Future<Output = ()> + use<>> {
    let scene = scenes.borrow_and_update().clone();
    if scene.behaviour().refuses() != refusing {
        return None;
    }
    handle.stage(scene.number());
    let changes_in = scene.changes_in();
    Some(async move {
        match changes_in {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
    })
}

/// A socket that has the address and does nothing with it.
fn bound(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Connections of before a refusal still have the port, and are no obstacle. On Windows the
    // option would let two servers share it.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

// ===== impl Stage =====

impl Drop for Stage {
    fn drop(&mut self) {
        // Nobody needs to wait for what will not happen any more.
        self.0.stage(u64::MAX);
    }
}
