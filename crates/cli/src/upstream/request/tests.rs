use proptest::prelude::*;

use super::head::parse;
use super::*;

/// The head of these bytes, which must be all of them.
fn head(text: &str) -> Head {
    let (length, head) = parse(text.as_bytes()).unwrap().unwrap();
    assert_eq!(length, text.len());
    head
}

fn status(bytes: &[u8]) -> Option<u16> {
    match parse(bytes) {
        Err(Unreadable::Refused(status, _)) => Some(status),
        Err(Unreadable::Gone) | Ok(_) => None,
    }
}

#[test]
fn a_head_keeps_its_headers_in_order() {
    let head = head("POST /a?b=1 HTTP/1.1\r\nHost: h\r\nX-B: 2\r\nX-A: \x31\r\nX-B: 3\r\n\r\n");
    assert_eq!((head.method.as_str(), head.target.as_str(), head.path()), ("POST", "/a?b=1", "/a"));
    let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "x-b", "x-a", "x-b"]);
    assert_eq!(head.values("x-b").collect::<Vec<_>>(), [b"2", b"3"]);
}

#[test]
fn the_path_is_found_in_every_form_of_target() {
    for (target, path) in [
        ("/a/b?c", "/a/b"),
        ("http://host:80/a?b", "/a"),
        ("http://host", "/"),
        ("/a?u=http://x/y", "/a"),
        ("/http://x/y", "/http://x/y"),
        ("*", "*"),
    ] {
        let head = head(&format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!(head.path(), path, "{target}");
    }
}

#[test]
fn connections_stay_open_only_where_both_sides_know() {
    for (version, headers, keeps) in [
        ("1.1", "", true),
        ("1.1", "connection: close\r\n", false),
        ("1.1", "connection: x, Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "connection: keep-alive\r\n", false),
    ] {
        let head = head(&format!("GET / HTTP/{version}\r\nhost: h\r\n{headers}\r\n"));
        assert_eq!(head.keeps_alive(), keeps, "{version} {headers}");
    }
}

#[test]
fn framing_that_could_be_read_in_two_ways_is_refused() {
    let framing = |headers: &str| {
        let head = head(&format!("POST / HTTP/1.1\r\nhost: h\r\n{headers}\r\n"));
        match head.framing() {
            Ok(framing) => Ok(framing),
            Err(Unreadable::Refused(status, _)) => Err(status),
            Err(Unreadable::Gone) => Err(0),
        }
    };
    assert_eq!(framing(""), Ok(Framing::None));
    assert_eq!(framing("content-length: 5\r\n"), Ok(Framing::ContentLength(5)));
    assert_eq!(framing("transfer-encoding: Chunked\r\n"), Ok(Framing::Chunked));
    let digits = "content-length: 99999999999999999999999\r\n";
    assert_eq!(framing(digits), Ok(Framing::ContentLength(usize::MAX)));
    for (headers, status) in [
        ("content-length: 5\r\ncontent-length: 6\r\n", 400),
        ("content-length: 5\r\ncontent-length: 5\r\n", 400),
        ("content-length: 5, 5\r\n", 400),
        ("content-length: +5\r\n", 400),
        ("content-length: -5\r\n", 400),
        ("content-length: 0x5\r\n", 400),
        ("content-length:\r\n", 400),
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n", 400),
        ("transfer-encoding: gzip, chunked\r\n", 501),
        ("transfer-encoding: identity\r\n", 501),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 501),
    ] {
        assert_eq!(framing(headers), Err(status), "{headers}");
    }
    let old = head("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n");
    assert!(matches!(old.framing(), Err(Unreadable::Refused(400, _))));
}

#[test]
fn what_is_no_head_is_refused() {
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET / HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\nhost: h\n\n",
        b"GET / HTTP/1.1\r\nhost: h\n\r\n",
        b"GET / HTTP/2.0\r\nhost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET  / HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"no request at all\r\n\r\n",
    ] {
        assert_eq!(status(bytes), Some(400), "{:?}", String::from_utf8_lossy(bytes));
    }
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    assert_eq!(status(many.as_bytes()), Some(431));
    let large = format!("GET / HTTP/1.1\r\nhost: h\r\na: {}\r\n\r\n", "b".repeat(1 << 17));
    assert_eq!(status(large.as_bytes()), Some(431));
}

#[test]
fn a_head_that_has_not_ended_is_waited_for() {
    for bytes in [b"".as_slice(), b"\r\n", b"GET", b"GET / HTTP/1.1\r\nhost: h\r\n"] {
        assert!(matches!(parse(bytes), Ok(None)), "{:?}", String::from_utf8_lossy(bytes));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"GET / HTTP/1.1\r\nhost: h\r\n", bytes.as_slice(), b"\r\n\r\n"].concat());
    }
}
