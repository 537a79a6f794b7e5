//! Streams as they are documented, and as they come.

use serde_json::{Value, json};

use super::*;

use Dialect::{Anthropic, Ollama, OpenAi};

const OPENAI: &str = concat!(
    r#"data: {"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[]}"#,
    "\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    "\n\n: keepalive\n\n",
    r#"data: {"id":"c1","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Gr\u00fc\u00dfe"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c1","model":"gpt-4o","choices":[{"index":0,"delta":{"content":" \ud83e\udd80\n"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c1","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n",
    r#"data: {"id":"c1","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#,
    "\n\ndata: [DONE]\n\n",
);

const ANTHROPIC: &str = concat!(
    "event: message_start\r\n",
    r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":1}}}"#,
    "\r\n\r\nevent: content_block_start\r\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    "\r\n\r\nevent: ping\r\ndata: {\"type\": \"ping\"}\r\n\r\n",
    "event: content_block_delta\r\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüße"}}"#,
    "\r\n\r\nevent: content_block_delta\r\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}"#,
    "\r\n\r\nevent: content_block_delta\r\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" 🦀\n"}}"#,
    "\r\n\r\nevent: content_block_stop\r\ndata: {\"type\":\"content_block_stop\",\"index\":0}\r\n\r\n",
    "event: message_delta\r\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}"#,
    "\r\n\r\nevent: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
);

const OLLAMA: &str = concat!(
    r#"{"model":"llama3.2","created_at":"2023-08-04T08:52:19.385406455-07:00","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}"#,
    "\n",
    r#"{"model":"llama3.2","created_at":"2023-08-04T08:52:19.4Z","message":{"role":"assistant","content":"Grüße","images":null},"done":false}"#,
    "\n",
    r#"{"model":"llama3.2","created_at":"2023-08-04T08:52:19.5Z","message":{"role":"assistant","content":" 🦀\n"},"done":false}"#,
    "\n",
    r#"{"model":"llama3.2","created_at":"2023-08-04T19:22:45.5Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":4883583458,"prompt_eval_count":7,"eval_count":3}"#,
    "\n",
);

pub(super) fn sample(dialect: Dialect) -> &'static str {
    match dialect {
        OpenAi => OPENAI,
        Anthropic => ANTHROPIC,
        Ollama => OLLAMA,
    }
}

/// The data of each event.
pub(super) fn data(dialect: Dialect, stream: &str) -> Vec<Value> {
    let lines = stream.lines().filter(|line| !line.is_empty() && !line.starts_with("event: "));
    let data = lines.map(|line| match dialect {
        Ollama => line,
        OpenAi | Anthropic => line.strip_prefix("data: ").expect(line),
    });
    let data = data.map(|data| match data {
        "[DONE]" => json!("[DONE]"),
        data => serde_json::from_str(data).unwrap(),
    });
    data.collect()
}

#[test]
fn a_stream_is_the_same_in_other_words() {
    for (from, id, model) in
        [(OpenAi, "c1", "gpt-4o"), (Anthropic, "msg_1", "claude"), (Ollama, "", "llama3.2")]
    {
        let made = |prefix: &str| match id {
            "" => format!("{prefix}panelboard-{:x}", STAMP.unix.as_nanos()),
            id => id.to_owned(),
        };
        let to = |to| {
            let (text, result) = stream(from, to, sample(from));
            assert_eq!(result, Ok(()), "{text}");
            assert!(text.ends_with('\n'));
            data(to, &text)
        };
        let chunk = |choices: Value, usage: Value| {
            json!({
                "id": made("chatcmpl-"), "object": "chat.completion.chunk",
                "created": 1_767_225_600, "model": model, "choices": choices, "usage": usage,
            })
        };
        let delta = |delta: Value, reason: Value| {
            let choice = json!({
                "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason
            });
            chunk(json!([choice]), Value::Null)
        };
        let usage = json!({ "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 });
        assert_eq!(
            to(OpenAi),
            [
                delta(json!({ "role": "assistant", "content": "" }), Value::Null),
                delta(json!({ "content": "Grüße" }), Value::Null),
                delta(json!({ "content": " 🦀\n" }), Value::Null),
                delta(json!({}), json!("stop")),
                chunk(json!([]), usage),
                json!("[DONE]"),
            ]
        );
        let text = |text: &str| {
            let delta = json!({ "type": "text_delta", "text": text });
            json!({ "type": "content_block_delta", "index": 0, "delta": delta })
        };
        let block = json!({ "type": "text", "text": "" });
        assert_eq!(
            to(Anthropic),
            [
                json!({ "type": "message_start", "message": {
                    "id": made("msg_"), "type": "message", "role": "assistant", "model": model,
                    "content": [], "stop_reason": null, "stop_sequence": null,
                    "usage": { "input_tokens": 0, "output_tokens": 0 },
                } }),
                json!({ "type": "content_block_start", "index": 0, "content_block": block }),
                text("Grüße"),
                text(" 🦀\n"),
                json!({ "type": "content_block_stop", "index": 0 }),
                json!({
                    "type": "message_delta",
                    "delta": { "stop_reason": "end_turn", "stop_sequence": null },
                    "usage": { "input_tokens": 7, "output_tokens": 3 },
                }),
                json!({ "type": "message_stop" }),
            ]
        );
        let line = |text: &str| {
            json!({
                "model": model, "created_at": "2026-01-01T00:00:00.000000Z",
                "message": { "role": "assistant", "content": text }, "done": false,
            })
        };
        let mut last = line("");
        last["done"] = true.into();
        last["done_reason"] = "stop".into();
        last["prompt_eval_count"] = 7.into();
        last["eval_count"] = 3.into();
        assert_eq!(to(Ollama), [line("Grüße"), line(" 🦀\n"), last]);
    }
}

#[test]
fn events_of_anthropic_bear_the_names_of_their_types() {
    let (text, _) = stream(OpenAi, Anthropic, OPENAI);
    for event in text.split("\n\n").filter(|event| !event.is_empty()) {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
    }
}

#[test]
fn usage_is_told_to_those_who_asked() {
    let mut translator = Translator::stream(Anthropic, OpenAi, STAMP, false);
    let (text, result) = translated(&mut translator, [ANTHROPIC.as_bytes()]);
    assert!(result.is_ok() && !text.contains("usage") && text.ends_with("data: [DONE]\n\n"));
}

#[test]
fn an_end_is_never_invented() {
    for from in ALL {
        let whole = sample(from);
        // Nothing is complete before the last byte of the end marker, but for its line end.
        let least = whole.trim_end().len();
        for to in ALL {
            let marker = match to {
                OpenAi => "[DONE]",
                Anthropic => "message_stop",
                Ollama => "\"done\":true",
            };
            for end in (0..least).filter(|end| whole.is_char_boundary(*end)) {
                let (text, result) = stream(from, to, &whole[..end]);
                assert!(result.is_err(), "{from:?} until {end}");
                assert!(!text.contains(marker), "{text}");
            }
            assert!(stream(from, to, &whole[..least]).1.is_ok());
        }
    }
    // Nor is a reason to have ended.
    let silent = OPENAI.replace("\"finish_reason\":\"stop\"", "\"finish_reason\":null");
    let (text, result) = stream(OpenAi, Anthropic, &silent);
    assert!(result.is_err() && !text.contains("message_stop"), "{text}");
}

#[test]
fn an_error_among_the_events_is_the_last_of_them() {
    let openai = "data: {\"error\":{\"message\":\"broke\",\"type\":\"server_error\"}}\n\n";
    let anthropic = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"broke\"}}\n\n";
    for (from, error) in
        [(OpenAi, openai), (Anthropic, anthropic), (Ollama, "{\"error\":\"broke\"}\n")]
    {
        let at = sample(from).rfind("Gr").unwrap();
        let at = sample(from)[at..].find('\n').unwrap() + at + 1;
        let text = [&sample(from)[..at], "\n", error, &sample(from)[at..]].concat();
        for to in ALL {
            let (text, result) = stream(from, to, &text);
            assert_eq!(result, Ok(()));
            let events = data(to, &text);
            let last = events.last().unwrap();
            let message = match to {
                Ollama => &last["error"],
                OpenAi | Anthropic => &last["error"]["message"],
            };
            assert_eq!(message, "broke", "{text}");
            assert!(text.contains("Gr") && !text.contains("🦀"));
        }
    }
}

#[test]
fn last_words_are_an_event_of_the_client() {
    for to in ALL {
        let words = Translator::stream(OpenAi, to, STAMP, true).last_words("cut");
        let words = String::from_utf8(words.to_vec()).unwrap();
        assert_eq!(data(to, &words).len(), 1);
        assert!(words.contains("\"error\"") && words.contains("cut"));
        assert!(Translator::whole(OpenAi, to, STAMP).last_words("cut").is_empty());
    }
}

#[test]
fn what_is_no_text_ends_a_stream() {
    let tool = r#"{"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0}]}}]}"#;
    let second = r#"{"id":"c1","choices":[{"index":1,"delta":{"content":"x"}}]}"#;
    let block = r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use"}}"#;
    let input = r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta"}}"#;
    let calls = r#"{"model":"m","message":{"content":"","tool_calls":[{}]},"done":false}"#;
    for (from, event) in [
        (OpenAi, format!("data: {tool}\n\n")),
        (OpenAi, format!("data: {second}\n\n")),
        (OpenAi, "data: {\n\n".into()),
        (Anthropic, format!("data: {block}\n\n")),
        (Anthropic, format!("data: {input}\n\n")),
        (Anthropic, "data: {}\n\n".into()),
        (Anthropic, "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n".into()),
        (Ollama, format!("{calls}\n")),
        (Ollama, "<html>\n".into()),
    ] {
        let (text, result) = stream(from, OpenAi, &event);
        assert!(result.is_err(), "{event}: {text}");
    }
    let new = "data: {\"type\":\"brand_new\"}\n\n";
    assert_eq!(stream(Anthropic, OpenAi, &[new, ANTHROPIC].concat()).1, Ok(()));
}
