//! What cannot be guarded.

use std::future::Future;
use std::pin::Pin;

use panelboard::{Error, guarded};

type Answer = Result<(), Error<()>>;

#[guarded("a")]
fn returns_nothing() {}

#[guarded("a")]
fn returns_unit() -> () {}

#[guarded("a")]
fn returns_an_option() -> Option<u32> {
    None
}

#[guarded("a")]
fn returns_a_reference(text: &str) -> &str {
    text
}

#[guarded("a")]
fn returns_a_future() -> impl Future<Output = Answer> {
    async { Ok(()) }
}

#[guarded("a")]
fn returns_a_boxed_future() -> Pin<Box<dyn Future<Output = Answer>>> {
    Box::pin(async { Ok(()) })
}

#[guarded("a")]
const fn is_const() -> Answer {
    Ok(())
}

#[guarded("a")]
extern "C" fn is_foreign() -> Answer {
    Ok(())
}

#[guarded("a")]
struct Client;

#[guarded("a")]
impl Client {
    fn method(&self) -> Answer {
        Ok(())
    }
}

trait Lookup {
    #[guarded("a")]
    async fn find(&self) -> Answer;
}

fn main() {}
