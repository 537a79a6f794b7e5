//! The addresses that requests come in at: opened, kept, handed over and given up.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::admission::Admission;
use crate::drain::Drain;
use crate::front::Front;
use crate::listen::{self, Limits, ListenError, Terms};
use crate::proxy;
use crate::shared::Shared;

/// Sockets that listen already, from whoever started this process.
#[derive(Debug, Default)]
pub struct Inherited(Vec<std::net::TcpListener>);

/// The listeners there are.
#[derive(Debug)]
pub(crate) struct Listeners {
    state: Mutex<State>,
    admission: Arc<Admission>,
    pub(crate) drain: Drain,
}

#[derive(Debug)]
struct State {
    open: Vec<Open>,
    serving: bool,
}

#[derive(Debug)]
struct Open {
    /// As configured; with port 0, the system has chosen another.
    address: SocketAddr,
    listener: Arc<TcpListener>,
    drain: Drain,
}

/// Listeners for another configuration, which is not at work yet.
pub(crate) struct Prepared {
    addresses: Vec<SocketAddr>,
    new: Vec<Open>,
}

// ===== impl Inherited =====

impl Inherited {
    /// Sockets to use before any are opened.
    pub fn new(sockets: Vec<std::net::TcpListener>) -> Inherited {
        Inherited(sockets)
    }

    /// The one that listens there, or a new one.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Result<TcpListener, ListenError> {
        // The port that was 0 is what the one before has got.
        let fits = |socket: &std::net::TcpListener| {
            socket
                .local_addr()
                .is_ok_and(|at| at == address || address.port() == 0 && at.ip() == address.ip())
        };
        if let Some(place) = self.0.iter().position(fits) {
            let socket = self.0.remove(place);
            return adopt(socket).map_err(|error| ListenError::new(address, error));
        }
        listen::bind(address)
    }

    /// Says which were of no use. They are closed.
    pub(crate) fn leave(self) {
        for address in self.0.iter().filter_map(|socket| socket.local_addr().ok()) {
            warn!(
                %address,
                "an inherited socket is closed: its address is not in `gateway.listen`, nor the \
                 admin API's"
            );
        }
    }
}

fn adopt(socket: std::net::TcpListener) -> std::io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

// ===== impl Listeners =====

impl Listeners {
    /// Opens listeners, of which none serves yet.
    pub(crate) fn open(
        addresses: &[SocketAddr],
        inherited: &mut Inherited,
    ) -> Result<Listeners, ListenError> {
        let drain = Drain::default();
        let mut open = Vec::new();
        // Any port but those that others are named for.
        let (any, named): (Vec<SocketAddr>, Vec<SocketAddr>) =
            addresses.iter().partition(|address| address.port() == 0);
        for address in named.into_iter().chain(any) {
            let listener = Arc::new(inherited.take(address)?);
            open.push(Open { address, listener, drain: drain.part() });
        }
        sort(&mut open, addresses);
        let state = Mutex::new(State { open, serving: false });
        Ok(Listeners { state, admission: Arc::default(), drain })
    }

    /// Opens those that another configuration has and the running one has not.
    ///
    /// # Errors
    /// When an address cannot be listened on; then nothing has changed.
    pub(crate) fn prepare(&self, addresses: &[SocketAddr]) -> Result<Prepared, ListenError> {
        if self.drain.is_closing() {
            // Whoever stops opens nothing again.
            return Ok(Prepared { addresses: Vec::new(), new: Vec::new() });
        }
        let state = self.state();
        let is_open = |address: &SocketAddr| state.open.iter().any(|open| open.address == *address);
        let mut new = Vec::new();
        for address in addresses.iter().filter(|address| !is_open(address)) {
            let listener = Arc::new(listen::bind(*address)?);
            new.push(Open { address: *address, listener, drain: self.drain.part() });
        }
        Ok(Prepared { addresses: addresses.to_vec(), new })
    }

    /// Serves what was prepared, and gives up what is no longer wanted: connections there finish
    /// what they are at.
    pub(crate) fn change(&self, shared: &Arc<Shared>, prepared: Prepared) {
        let Prepared { addresses, new } = prepared;
        let mut state = self.state();
        let serving = state.serving;
        state.open.retain(|open| {
            let kept = addresses.contains(&open.address);
            if !kept {
                info!(address = %open.address, "no longer serving here");
                open.drain.close();
            }
            kept
        });
        for open in new {
            if serving {
                info!(address = %open.address, "serving");
                open.serve(&self.admission, shared);
            }
            state.open.push(open);
        }
        sort(&mut state.open, &addresses);
        drop(state);
        self.admission.reconsider();
    }

    /// Begins to serve.
    pub(crate) fn serve(&self, shared: &Arc<Shared>) {
        let mut state = self.state();
        state.serving = true;
        for open in &state.open {
            open.serve(&self.admission, shared);
        }
    }

    /// Nothing is accepted any more, and nobody else is kept from listening there.
    pub(crate) fn close(&self) {
        self.drain.close();
        self.state().open.clear();
    }

    /// Where requests come in, in the order of the configuration.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.state().open.iter().filter_map(|open| open.listener.local_addr().ok()).collect()
    }

    /// The same as URLs.
    pub(crate) fn urls(&self, shared: &Shared) -> Vec<String> {
        let runtime = shared.runtime();
        let url = |open: &Open| {
            let scheme = runtime.front(open.address).map_or("http", |front| front.scheme().name());
            Some(format!("{scheme}://{}", open.listener.local_addr().ok()?))
        };
        self.state().open.iter().filter_map(url).collect()
    }

    /// The sockets, for another process to listen on, too.
    pub(crate) fn sockets(&self) -> std::io::Result<Vec<OwnedFd>> {
        self.state().open.iter().map(|open| open.listener.as_fd().try_clone_to_owned()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn serve(&self, admission: &Arc<Admission>, shared: &Arc<Shared>) {
        let (here, there, anywhere) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
        let address = self.address;
        let first = shared.runtime().front(address).cloned();
        let first = first.unwrap_or_else(|| Arc::new(Front::plain(address)));
        let terms = Terms {
            // As configured when the connection comes.
            limits: move |client| limits(&here, client),
            // One that a reload leaves out is met as before.
            front: move || anywhere.runtime().front(address).unwrap_or(&first).clone(),
            admission: Arc::clone(admission),
            drain: self.drain.clone(),
        };
        let answer = move |caller, request| {
            let shared = Arc::clone(&there);
            // What a request needs goes when it ends: hyper keeps room for it as long as the
            // connection is there, and most lie idle.
            Box::pin(async move { proxy::serve(&shared, &caller, request).await })
        };
        self.drain.spawn(listen::serve(Arc::clone(&self.listener), terms, answer));
    }
}

/// In the order of the configuration.
fn sort(open: &mut [Open], addresses: &[SocketAddr]) {
    open.sort_by_key(|open| addresses.iter().position(|address| *address == open.address));
}

fn limits(shared: &Shared, client: IpAddr) -> Limits {
    let runtime = shared.runtime();
    let gateway = runtime.config.gateway();
    Limits {
        header_read_timeout: gateway.header_read_timeout,
        idle_timeout: gateway.idle_timeout,
        max_header_bytes: gateway.max_header_bytes,
        max_headers: gateway.max_headers,
        max_connections: gateway.max_connections,
        // A proxy stands for many clients.
        max_per_client: gateway.max_connections_per_ip.filter(|_| !gateway.trusts(client)),
        http2: gateway.http2,
    }
}
