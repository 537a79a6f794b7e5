use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::uri::PathAndQuery;
use panelboard::classify::Grpc;
use panelboard::policy::stack::Stack;
use panelboard::{CircuitBreaker, Error, Kind, PhaseName, Reason, Settings};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Context, Poll, Service, http};
use tonic::server::NamedService;
use tonic::transport::{Endpoint, Server, server::TcpIncoming};
use tonic::{Code, Request, Response, Status};
use tower::{Layer, ServiceBuilder, service_fn};

// ===== a service without a message =====

/// Messages that are empty: what matters is said in headers.
#[derive(Copy, Clone, Default)]
struct Empty;

impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Empty;
    type Decoder = Empty;

    fn encoder(&mut self) -> Empty {
        Empty
    }

    fn decoder(&mut self) -> Empty {
        Empty
    }
}

impl Encoder for Empty {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Empty {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(Some(()))
    }
}

/// Answers with the status code that the header `code` asks for.
#[derive(Copy, Clone)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "test.Greeter";
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let greet = service_fn(async |request: Request<()>| {
            let code = request.metadata().get("code").map_or(&b"0"[..], |code| code.as_bytes());
            match Code::from_bytes(code) {
                Code::Ok => Ok(Response::new(())),
                code => {
                    let mut status = Status::new(code, "as it was asked for");
                    status
                        .metadata_mut()
                        .insert("grpc-retry-pushback-ms", "60000".parse().unwrap());
                    Err(status)
                }
            }
        });
        Box::pin(async move { Ok(tonic::server::Grpc::new(Empty).unary(greet, request).await) })
    }
}

async fn greet<S>(service: S, code: Code) -> Result<(), Status>
where
    S: GrpcService<Body>,
    S::ResponseBody: Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError>,
{
    let mut client = tonic::client::Grpc::new(service);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let mut request = Request::new(());
    request.metadata_mut().insert("code", (code as i32).to_string().parse().unwrap());
    let path = PathAndQuery::from_static("/test.Greeter/Greet");
    client.unary(request, path, Empty).await.map(Response::into_inner)
}

/// What the documentation of `Unavailable::grpc_code` recommends.
fn status<E: std::error::Error + Send + Sync + 'static>(error: Error<E>) -> Status {
    match error.try_into_inner() {
        Ok(error) => Status::from_error(Box::new(error)),
        Err(ours) => Status::new(Code::from_i32(ours.grpc_code()), ours.to_string()),
    }
}

async fn serve<L, S>(layer: L) -> SocketAddr
where
    L: Layer<tonic::service::Routes, Service = S> + Clone + Send + Sync + 'static,
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Status>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Greeter);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

// ===== the tests =====

fn breaker() -> CircuitBreaker {
    let settings = Settings::builder().failure_threshold(2).build().unwrap();
    CircuitBreaker::new("greeter", settings)
}

#[tokio::test]
async fn a_client_behind_a_stack_is_refused_with_a_status() {
    let server = serve(
        ServiceBuilder::new()
            .map_err(status::<Infallible>)
            .layer(Stack::builder("open to all").build().unwrap().layer()),
    )
    .await;
    let breaker = breaker();
    let stack = Stack::builder("greeter")
        .circuit_breaker(breaker.clone())
        .timeout(Duration::from_secs(5))
        .classify(Grpc)
        .build()
        .unwrap();
    let channel = Endpoint::from_shared(format!("http://{server}")).unwrap().connect_lazy();
    let service = ServiceBuilder::new().map_err(status).layer(stack.layer()).service(channel);
    let greet = async |code| match greet(service.clone(), code).await {
        Ok(()) => Code::Ok,
        Err(status) => status.code(),
    };

    for code in [Code::Ok, Code::NotFound, Code::Internal, Code::Internal] {
        assert_eq!(greet(code).await, code);
    }
    assert_eq!(breaker.snapshot().counters.failures[Kind::ServerError.index()], 2);
    assert_eq!(breaker.phase(), PhaseName::Open);
    assert_eq!(greet(Code::Ok).await, Code::Unavailable);
    assert_eq!(breaker.snapshot().counters.admitted, 4, "it was not sent");
}

#[tokio::test]
async fn a_server_behind_a_breaker_answers_with_a_status() {
    let breaker = breaker();
    let server = serve(
        ServiceBuilder::new().map_err(status::<Infallible>).layer(breaker.layer().classify(Grpc)),
    )
    .await;
    let channel = Endpoint::from_shared(format!("http://{server}")).unwrap().connect_lazy();

    assert_eq!(greet(channel.clone(), Code::Ok).await.map_err(|status| status.code()), Ok(()));
    let exhausted = greet(channel.clone(), Code::ResourceExhausted).await.unwrap_err();
    assert_eq!(exhausted.message(), "as it was asked for");
    let paced = greet(channel, Code::Ok).await.unwrap_err();
    assert_eq!(paced.code(), Code::Unavailable);
    assert!(paced.message().contains("circuit `greeter` refused the call"), "{paced}");
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.success, counters.pushback), (1, 1));
    let refused = breaker.try_acquire().err().unwrap();
    assert_eq!(refused.reason(), Reason::Paced, "the hint of a minute was read");
    assert!(refused.retry_after() > Duration::from_secs(50));
}
