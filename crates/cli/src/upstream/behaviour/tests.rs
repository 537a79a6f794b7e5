use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> String {
    text.parse::<Behaviour>().expect_err(text).to_string()
}

#[test]
fn behaviours_are_written_as_they_are_read() {
    for text in [
        "ok",
        "ok,events=50,gap=0s",
        "slow:2s",
        "slow:1m30s,header=\"x-ratelimit-reset-requests: 1s\"",
        "status:503",
        "status:429,retry-after=3,retry-after-ms=2500,body=api",
        "status:429,retry-after=\"Wed, 21 Oct 2026 07:28:00 GMT\"",
        "status:503,retry-after=soon,body=empty",
        "status:429,code=insufficient_quota",
        "status:200,header=a:,header=\"b: 1, 2\"",
        "flaky:30",
        "flaky:30,seed=7,gap=1ms",
        "hang",
        "reset,gap=20ms",
        "stream-cut:3",
        "h2-reset:refused-stream",
        "h2-reset-body:cancel,gap=1s",
        "h2-goaway",
        "stream-keepalive:0,gap=1s",
        "refuse",
        "refuse:3s",
    ] {
        let behaviour: Behaviour = text.parse().unwrap();
        let written = behaviour.to_string();
        assert_eq!(written.parse(), Ok(behaviour), "{text}");
        // A header is written with a blank after its colon, however it was given.
        assert_eq!(written.replace("\"a: \"", "a:"), text);
    }
}

#[test]
fn what_the_defaults_are_need_not_be_written() {
    assert_eq!("ok,events=8,gap=10ms".parse::<Behaviour>().unwrap().to_string(), "ok");
    assert_eq!("status:500,body=text".parse::<Behaviour>().unwrap().to_string(), "status:500");
    assert_eq!("flaky:1,seed=0".parse::<Behaviour>().unwrap().to_string(), "flaky:1");
    let both = "status:429,body=api,code=x".parse::<Behaviour>().unwrap();
    assert_eq!(both, "status:429,code=x,body=api".parse().unwrap());
    assert_eq!(both, "status:429,code=x".parse().unwrap());
}

#[test]
fn what_is_no_behaviour_is_told_what_would_be() {
    for (text, accepted) in [
        ("", "one of the behaviours ok, slow, status, flaky, hang, reset,"),
        ("slwo:2s", "one of the behaviours ok, slow,"),
        ("slow", "an argument: slow:TIME"),
        ("slow:2", "a duration up to 24h, such as 250ms, 2s or 1m30s"),
        ("status:99", "a status from 200 to 999"),
        ("status:101", "a status from 200 to 999"),
        ("status:twohundred", "a status from 200 to 999"),
        ("hang:3", "no argument after `hang`"),
        ("h2-reset:nothing", "a reason of HTTP/2, such as refused-stream"),
        ("h2-reset:14", "or its number from 0 to 13"),
        ("flaky:101", "a whole number from 0 to 100"),
        ("flaky:0.5", "a whole number from 0 to 100"),
        ("stream-cut", "an argument: stream-cut:N"),
        ("stream-cut:10001", "a whole number from 0 to 10000"),
        ("refuse:", "a duration up to 24h"),
        ("refuse,gap=1s", "no option after `refuse`"),
        ("hang,seed=1", "an option of `hang`: events=…, gap=…, header=…"),
        ("ok,gap", "gap=VALUE"),
        ("ok,gap=1", "a duration up to 24h"),
        ("ok,events=0", "a whole number from 1 to 10000"),
        ("ok,gap=1s,gap=2s", "`gap` only once"),
        ("ok,", "an option of `ok`: events=…"),
        ("ok,header=none", "a header, such as header=\"x-name: value\""),
        ("ok,header=\"bad name: x\"", "a header, such as"),
        ("ok,header=\"Content-Length: 3\"", "no framing header"),
        ("ok,header=\"a: b\r\nc: d\"", "printable ASCII"),
        ("status:429,retry-after=Wed, 21 Oct", "an option of `status`"),
        ("status:429,retry-after=\"Wed", "printable ASCII, in double quotes"),
        ("status:429,retry-after-ms=1.5", "a whole number of milliseconds"),
        ("status:429,body=json", "body=text, body=empty or body=api"),
        ("status:429,body=empty,code=x", "a code with body=api only"),
        ("status:429,code=x,body=empty", "body=api, for there is a code"),
    ] {
        let error = refused(text);
        assert!(error.contains(accepted), "{text}: {error}");
    }
}

#[test]
fn an_error_keeps_hostile_text_short_and_escaped() {
    let error = refused(&format!("\u{1b}[2J{}", "x".repeat(10_000)));
    assert!(!error.contains('\u{1b}') && error.len() < 1_000, "{error}");
}

#[test]
fn behaviours_made_in_code_can_be_written() {
    assert_eq!(Behaviour::ok().to_string(), "ok");
    assert_eq!(Behaviour::slow(Duration::from_secs(2)).to_string(), "slow:2s");
    assert_eq!(Behaviour::status(503).to_string(), "status:503,body=api");
    let limited = Behaviour::rate_limited(Duration::from_secs(3));
    assert_eq!(limited.to_string(), "status:429,retry-after=3,body=api");
}

#[test]
fn flakiness_is_near_its_share_and_the_same_each_time() {
    for percent in [0, 1, 30, 99, 100] {
        let failures = |seed| {
            let flaky = Flaky { percent, seed };
            (0..10_000).filter(|number| flaky.fails(*number)).collect::<Vec<_>>()
        };
        let expected = usize::from(percent) * 100;
        assert!(failures(0).len().abs_diff(expected) <= 150, "{percent}: {}", failures(0).len());
        assert_eq!(failures(1), failures(1));
        assert!(expected % 10_000 == 0 || failures(1) != failures(2));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(ok|slow|status|flaky|refuse|hang)?[:,=a-z0-9\" -]{0,24}") {
        if let Ok(behaviour) = text.parse::<Behaviour>() {
            prop_assert_eq!(behaviour.to_string().parse(), Ok(behaviour));
        }
    }
}
