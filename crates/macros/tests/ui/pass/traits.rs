//! Methods of traits, with and without a body of their own.

use panelboard::{CircuitBreaker, Error, Settings, guarded};

trait Lookup {
    fn breaker(&self) -> &CircuitBreaker;

    #[guarded(breaker = self.breaker())]
    fn with_a_body(&self) -> Result<u32, Error<String>> {
        Ok(1)
    }

    fn sync(&self) -> Result<u32, Error<String>>;

    fn with_a_promise(&self) -> impl Future<Output = Result<String, Error<String>>> + Send;
}

struct Client(CircuitBreaker);

impl Lookup for Client {
    fn breaker(&self) -> &CircuitBreaker {
        &self.0
    }

    #[guarded("lookup")]
    fn sync(&self) -> Result<u32, Error<String>> {
        Ok(2)
    }

    #[guarded(breaker = self.0, fallback = async |error| Err(error))]
    async fn with_a_promise(&self) -> Result<String, Error<String>> {
        Err(String::from("mine"))
    }
}

fn main() {
    let client = Client(CircuitBreaker::new("client", Settings::default()));
    assert_eq!(client.with_a_body(), Ok(1));
    assert_eq!(client.sync(), Ok(2));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(client.with_a_promise());
    assert_eq!(answer, Err(Error::Inner(String::from("mine"))));
}
