//! The gateway: breakers in front of any HTTP upstream.
//!
//! ```text
//!  client ─► listen ─► wire ─► proxy ─► route ─► circuit ─► upstream
//!                               │ ▲                │
//!                  fallback ◄───┘ └── answer ◄── judge
//!
//!  operator ─► admin (health, metrics, circuits)      housekeeping: log, reload, clock
//! ```
//!
//! | module | does |
//! | --- | --- |
//! | `listen`, `wire` | connections: limits, timers, framing that nobody can read two ways |
//! | `listeners`, `admission`, `drain` | which addresses, how many connections, how they end |
//! | `proxy` | one request: route, attempts along the chain, the answer as it passes |
//! | `judge` | what an upstream's behaviour says of it: the classification table |
//! | `fallback` | what the client gets when nothing is left |
//! | `llm` | what is special about language models: names, quotas, tokens, and how one API is put in another's words |
//! | `policies` | what a route does besides: waits, retries, limits |
//! | `upstream`, `runtime` | connections to upstreams; a configuration ready for requests |
//! | `admin`, `health`, `metrics` | seeing and steering |
//! | `probe` | health probes of upstreams |
//! | `housekeeping` | what happens without a request |

mod admin;
mod admission;
mod drain;
mod fallback;
mod front;
mod gateway;
mod health;
mod housekeeping;
mod http2;
mod judge;
mod listen;
mod listeners;
mod llm;
mod metrics;
mod policies;
mod probe;
mod proxy;
mod reload;
mod runtime;
mod shared;
mod tls;
mod upstream;
mod wire;

pub use admin::openapi_json;
pub use gateway::{Gateway, Leave, Reloader, Sockets, StartError};
pub use judge::classification_markdown;
pub use listeners::Inherited;
