//! Classifiers on errors as they come from real files, sockets and clients.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use panelboard::classify::Io;
use panelboard::{Classify, Kind, Outcome};

/// A server on loopback that does this with each connection, until the process ends.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            serve(stream);
        }
    });
    address
}

/// An address at which nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn errors_of_sockets_are_failures() {
    let refused = TcpStream::connect(nobody()).unwrap_err();
    assert_eq!(Io::error(&refused), Outcome::failure(Kind::Connect));

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(silent.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let late = stream.read(&mut [0]).unwrap_err();
    assert_eq!(Io::error(&late), Outcome::failure(Kind::Timeout));

    let mut stream = TcpStream::connect(server(drop)).unwrap();
    let cut = stream.read_exact(&mut [0; 8]).unwrap_err();
    assert!(matches!(
        Io::error(&cut),
        Outcome::Failure { kind: Kind::InvalidResponse | Kind::Connect, .. }
    ));
}

#[test]
fn errors_of_files_are_answers_unless_the_disk_is_at_fault() {
    let missing = File::open("there/is/no/such/file").unwrap_err();
    assert_eq!(Io::error(&missing), Outcome::Success);
    let directory = std::fs::read_to_string(env!("CARGO_MANIFEST_DIR")).unwrap_err();
    assert_eq!(Io::error(&directory), Outcome::Success);
    assert_eq!(Io.classify(&Ok(())), Outcome::Success);
    let interrupted = io::Error::from(io::ErrorKind::Interrupted);
    assert_eq!(Io.classify(&Err::<(), _>(interrupted)), Outcome::Neutral);
    let unnamed = io::Error::other("who knows");
    assert_eq!(Io.classify(&Err::<(), _>(unnamed)), Outcome::failure(Kind::OTHER));
}

#[cfg(target_os = "linux")]
#[test]
fn errors_of_linux_are_told_apart() {
    for (code, outcome) in [
        (/* EMFILE */ 24, Outcome::failure(Kind::ResourceExhausted)),
        (/* ENOSPC */ 28, Outcome::failure(Kind::ResourceExhausted)),
        (/* EDQUOT */ 122, Outcome::failure(Kind::QuotaExhausted)),
        (/* EROFS */ 30, Outcome::failure(Kind::ServerError)),
        (/* EHOSTUNREACH */ 113, Outcome::failure(Kind::Connect)),
        (/* EIO */ 5, Outcome::failure(Kind::OTHER)),
        (/* EACCES */ 13, Outcome::Success),
        (/* EEXIST */ 17, Outcome::Success),
    ] {
        assert_eq!(Io::error(&io::Error::from_raw_os_error(code)), outcome, "{code}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap().write_all(b"x");
    assert_eq!(Io.classify(&full), Outcome::failure(Kind::ResourceExhausted));
}

#[cfg(feature = "reqwest")]
mod reqwest {
    use ::reqwest::{Client, Response};
    use panelboard::classify::{Reqwest, ReqwestBody};

    use super::*;

    /// A server that reads the head of a request and answers so, then closes.
    fn answers(answer: &'static str) -> String {
        let address = server(move |mut stream| {
            let mut head = [0; 1_024];
            let mut read = 0;
            while !head[..read].ends_with(b"\r\n\r\n") {
                match stream.read(&mut head[read..]) {
                    Ok(n) if n > 0 => read += n,
                    _ => return,
                }
            }
            // The client may have gone by then, which is its right.
            let _ = stream.write_all(answer.as_bytes());
        });
        format!("http://{address}/")
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    async fn get(url: &str) -> ::reqwest::Result<Response> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        client.get(url).send().await
    }

    fn judge(url: &str) -> Outcome {
        Reqwest.classify(&run(get(url)))
    }

    #[test]
    fn answers_are_judged_by_status_and_hint() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (answer, outcome) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Outcome::Success),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Outcome::Success),
            ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Outcome::failure(Kind::ServerError)),
            (
                "HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
                Outcome::pushback(seconds(7)),
            ),
            (
                "HTTP/1.1 503 Later\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 content-length: 0\r\n\r\n",
                Outcome::pushback(seconds(0)),
            ),
        ] {
            assert_eq!(judge(&answers(answer)), outcome, "{answer}");
        }
    }

    #[test]
    fn errors_are_told_apart() {
        assert_eq!(judge(&format!("http://{}/", nobody())), Outcome::failure(Kind::Connect));
        assert_eq!(judge(&answers("")), Outcome::failure(Kind::Connect), "closed without a word");
        assert_eq!(judge("no url at all"), Outcome::Neutral);
        let circle = answers("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(judge(&circle), Outcome::failure(Kind::InvalidResponse));
    }

    #[test]
    fn a_timeout_is_one_wherever_it_strikes() {
        // It accepts, since its backlog does, but never answers.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let late = run(async {
            let client = Client::builder().no_proxy().timeout(Duration::from_millis(5)).build()?;
            client.get(url).send().await
        });
        assert_eq!(Reqwest.classify(&late), Outcome::failure(Kind::Timeout));
    }

    #[test]
    fn statuses_made_errors_and_bodies_cut_short_are_seen() {
        let status = run(async {
            let url = answers("HTTP/1.1 502 Oh\r\ncontent-length: 0\r\n\r\n");
            get(&url).await?.error_for_status()
        });
        assert_eq!(Reqwest.classify(&status), Outcome::failure(Kind::ServerError));
        let read =
            |answer| run(async { get(&answers(answer)).await?.error_for_status()?.text().await });
        let judged = |answer| ReqwestBody.classify(&read(answer));
        assert_eq!(judged("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"), Outcome::Success);
        let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(judged(missing), Outcome::Success, "an answer, if no body");
        let overloaded = "HTTP/1.1 503 Oh\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(judged(overloaded), Outcome::failure(Kind::ServerError), "its hint is lost");
        let short = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
        assert_eq!(judged(short), Outcome::failure(Kind::InvalidResponse));
        let cut = run(async {
            let url = answers("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
            get(&url).await?.bytes().await
        });
        let cut = Reqwest::error(&cut.unwrap_err());
        assert_eq!(cut, Outcome::failure(Kind::InvalidResponse));
    }
}
