//! What holds for every text and every way to cut it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::streams::sample;
use super::*;

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(&ALL[..])
}

fn text() -> impl Strategy<Value = String> {
    // Not only blanks, for Anthropic's API.
    "[a-z]\\PC{0,20}[\\n\\r\\t\"\\\\]{0,3}\\PC{0,5}"
}

fn asked() -> impl Strategy<Value = Value> {
    let turn = (text(), text());
    let settings = (
        proptest::option::of(text()),
        proptest::option::of(1..10_000_u64),
        proptest::option::of(0..=100_u32),
        proptest::collection::vec(text(), 0..4),
        any::<bool>(),
    );
    (proptest::collection::vec(turn, 0..3), text(), settings).prop_map(|(turns, last, settings)| {
        let (system, most, temperature, stop, stream) = settings;
        let mut messages = Vec::new();
        messages.extend(system.map(|text| json!({ "role": "system", "content": text })));
        for (user, assistant) in turns {
            messages.push(json!({ "role": "user", "content": user }));
            messages.push(json!({ "role": "assistant", "content": assistant }));
        }
        messages.push(json!({ "role": "user", "content": last }));
        let mut body = json!({ "model": "m", "messages": messages, "stream": stream });
        if stream {
            body["stream_options"] = json!({ "include_usage": true });
        }
        if let Some(most) = most {
            body["max_completion_tokens"] = most.into();
        }
        if let Some(percent) = temperature {
            body["temperature"] = (f64::from(percent) / 100.0).into();
        }
        if !stop.is_empty() {
            body["stop"] = json!(stop);
        }
        body
    })
}

proptest! {
    /// A stream is cut anywhere, also within a character or a line end.
    #[test]
    fn how_a_stream_is_cut_makes_no_difference(
        from in dialect(),
        to in dialect(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        lost in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let whole = sample(from).as_bytes();
        let whole = lost.map_or(whole, |lost| &whole[..lost.index(whole.len())]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &whole[cut[0]..cut[1]]);
        let mut translator = Translator::stream(from, to, STAMP, true);
        let pieces = translated(&mut translator, pieces);
        let mut translator = Translator::stream(from, to, STAMP, true);
        prop_assert_eq!(pieces, translated(&mut translator, [whole]));
    }

    /// Whatever an upstream sends, the translator says something of it and holds little.
    #[test]
    fn no_bytes_are_too_strange(
        from in dialect(),
        to in dialect(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
    ) {
        let mut whole = sample(from).as_bytes().to_vec();
        let at = at.index(whole.len());
        whole.splice(at..at, bytes);
        for mut translator in [
            Translator::stream(from, to, STAMP, true),
            Translator::whole(from, to, STAMP),
            Translator::error(from, to, STAMP, 500),
        ] {
            let (text, _) = translated(&mut translator, [&whole[..]]);
            prop_assert!(text.len() <= 16 * whole.len() + 1_000);
        }
    }

    #[test]
    fn a_request_comes_back_as_it_went(body in asked(), through in dialect()) {
        let manner = Manner { model: "m", max_tokens: 5 };
        let chat = Dialect::OpenAi.read(body.to_string().as_bytes()).unwrap();
        let there = through.write(&chat, Dialect::OpenAi, &manner).unwrap();
        let mut again = through.read(there.to_string().as_bytes()).unwrap();
        // Anthropic's must be told.
        again.max_tokens = again.max_tokens.filter(|_| chat.max_tokens.is_some());
        // Some tell it without being asked.
        again.tells_usage = chat.tells_usage;
        prop_assert_eq!(again, chat);
    }

    #[test]
    fn an_answer_comes_back_as_it_went(
        text in "\\PC{0,40}",
        stop in prop::sample::select(&["stop", "length", "content_filter"][..]),
        usage in proptest::option::of((0..1_000_u64, 0..1_000_u64)),
        through in dialect(),
    ) {
        let mut answer = json!({
            "id": "x", "object": "chat.completion", "created": STAMP.unix.as_secs(), "model": "m",
            "choices": [{
                "index": 0, "logprobs": null, "finish_reason": stop,
                "message": { "role": "assistant", "content": text, "refusal": null },
            }],
        });
        if let Some((input, output)) = usage {
            answer["usage"] = json!({
                "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            });
        }
        // Ollama's API has no word for it that it would read again.
        prop_assume!(through != Dialect::Ollama || stop != "content_filter");
        let there = whole(Dialect::OpenAi, through, &answer).unwrap();
        let mut again = whole(through, Dialect::OpenAi, &there).unwrap();
        if through == Dialect::Ollama {
            again["id"] = "x".into();
        }
        if through == Dialect::Anthropic && usage.is_none() {
            again.as_object_mut().unwrap().remove("usage");
        }
        prop_assert_eq!(again, answer);
    }
}
