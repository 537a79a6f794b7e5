//! Guards calls of code without an async runtime: `cargo run -p panelboard --example sync`.
//!
//! A key-value store on loopback goes away and comes back. Watch the breaker open, refuse at once
//! with the time to come back, probe, and close.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use panelboard::{CircuitBreaker, Error, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::start()?;
    let breaker = CircuitBreaker::new(
        "store",
        Settings::builder()
            .failure_threshold(3)
            .recovery_timeout(Duration::from_millis(400))
            .success_threshold(2)
            .build()?,
    );

    for round in 0..20 {
        match round {
            4 => store.refuse(true),
            10 => store.refuse(false),
            _ => {}
        }
        match breaker.call(|| get(store.address, "greeting")) {
            Ok(value) => println!("{round:>2}: {value}"),
            Err(Error::Rejected(no)) => {
                println!("{round:>2}: refused; come back in {:?}", no.retry_after());
            }
            Err(error) => println!("{round:>2}: {error}"),
        }
        pause();
    }
    println!("\n{}", breaker.explain());
    Ok(())
}

/// The guarded call: any function that returns a `Result`.
fn get(address: SocketAddr, key: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    // Nobody can stop a thread from outside, so a sync callee keeps its own timeouts.
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(format!("get {key}\n").as_bytes())?;
    let mut value = String::new();
    stream.read_to_string(&mut value)?;
    match value.is_empty() {
        true => Err(std::io::ErrorKind::UnexpectedEof.into()),
        false => Ok(value),
    }
}

#[expect(clippy::disallowed_methods, reason = "so that a person can follow")]
fn pause() {
    thread::sleep(Duration::from_millis(100));
}

// ===== the store =====

struct Store {
    address: SocketAddr,
    refuses: Arc<AtomicBool>,
}

impl Store {
    fn start() -> std::io::Result<Store> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let store = Store { address: listener.local_addr()?, refuses: Arc::default() };
        let refuses = Arc::clone(&store.refuses);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                if !refuses.load(Ordering::Acquire) {
                    // Whoever has gone meanwhile does not matter.
                    let _ = stream.read(&mut [0; 64]).and_then(|_| stream.write_all(b"hello"));
                }
            }
        });
        Ok(store)
    }

    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Release);
    }
}
