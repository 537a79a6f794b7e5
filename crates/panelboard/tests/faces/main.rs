//! The layers and the middleware in the frameworks that they are made for, over real sockets.
#![cfg(all(feature = "http", feature = "reqwest-middleware", feature = "tower"))]

mod axum;
mod reqwest_middleware;
mod tonic;

use std::net::SocketAddr;

use ::axum::Router;
use tokio::net::TcpListener;

/// Serves on loopback until the runtime ends.
async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { ::axum::serve(listener, app).await });
    address
}

/// A client that no proxy of the environment gets between.
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
