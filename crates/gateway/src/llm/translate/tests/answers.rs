//! Answers in one piece, and errors.

use serde_json::{Value, json};

use super::*;

use Dialect::{Anthropic, Ollama, OpenAi};

/// The same answer as each of them documents it.
fn answer(dialect: Dialect) -> Value {
    match dialect {
        OpenAi => json!({
            "id": "chatcmpl-123",
            "object": "chat.completion",
            "created": 1_741_569_952,
            "model": "gpt-4o-2024-08-06",
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant", "content": "Grüße \"dir\" 🦀\n", "refusal": null,
                    "annotations": [],
                },
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
                "prompt_tokens_details": { "cached_tokens": 4 },
            },
            "service_tier": "default",
        }),
        Anthropic => json!({
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [
                { "type": "thinking", "thinking": "Hm.", "signature": "x" },
                { "type": "text", "text": "Grüße \"dir\" " },
                { "type": "text", "text": "🦀\n" },
            ],
            "stop_reason": "end_turn",
            "stop_sequence": null,
            "usage": {
                "input_tokens": 12, "cache_creation_input_tokens": 3,
                "cache_read_input_tokens": 4, "output_tokens": 10,
            },
        }),
        Ollama => json!({
            "model": "llama3.2",
            "created_at": "2023-12-12T14:13:43.416799Z",
            "message": { "role": "assistant", "content": "Grüße \"dir\" 🦀\n", "thinking": "Hm." },
            "done": true,
            "done_reason": "stop",
            "total_duration": 5_191_566_416_u64,
            "prompt_eval_count": 19,
            "eval_count": 10,
        }),
    }
}

#[test]
fn an_answer_is_the_same_in_other_words() {
    for (from, id, model) in [
        (OpenAi, "chatcmpl-123", "gpt-4o-2024-08-06"),
        (Anthropic, "msg_01", "claude-sonnet-4-5"),
        (Ollama, "", "llama3.2"),
    ] {
        let made = |prefix: &str| match id {
            "" => format!("{prefix}panelboard-{:x}", STAMP.unix.as_nanos()),
            id => id.to_owned(),
        };
        let openai = whole(from, OpenAi, &answer(from)).unwrap();
        assert_eq!(
            openai,
            json!({
                "id": made("chatcmpl-"),
                "object": "chat.completion",
                "created": 1_767_225_600,
                "model": model,
                "choices": [{
                    "index": 0,
                    "message": {
                        "role": "assistant", "content": "Grüße \"dir\" 🦀\n", "refusal": null
                    },
                    "logprobs": null,
                    "finish_reason": "stop",
                }],
                "usage": {
                    "prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29
                },
            })
        );
        let anthropic = whole(from, Anthropic, &answer(from)).unwrap();
        assert_eq!(
            anthropic,
            json!({
                "id": made("msg_"),
                "type": "message",
                "role": "assistant",
                "model": model,
                "content": [{ "type": "text", "text": "Grüße \"dir\" 🦀\n" }],
                "stop_reason": "end_turn",
                "stop_sequence": null,
                "usage": { "input_tokens": 19, "output_tokens": 10 },
            })
        );
        let ollama = whole(from, Ollama, &answer(from)).unwrap();
        assert_eq!(
            ollama,
            json!({
                "model": model,
                "created_at": "2026-01-01T00:00:00.000000Z",
                "message": { "role": "assistant", "content": "Grüße \"dir\" 🦀\n" },
                "done": true,
                "done_reason": "stop",
                "prompt_eval_count": 19,
                "eval_count": 10,
            })
        );
    }
}

#[test]
fn the_reason_to_stop_is_carried_over() {
    let stopped = |dialect: Dialect, reason: &str| {
        let mut answer = answer(dialect);
        match dialect {
            OpenAi => answer["choices"][0]["finish_reason"] = reason.into(),
            Anthropic => answer["stop_reason"] = reason.into(),
            Ollama => answer["done_reason"] = reason.into(),
        }
        answer
    };
    for (from, reason, openai, anthropic, ollama) in [
        (OpenAi, "length", "length", "max_tokens", "length"),
        (OpenAi, "content_filter", "content_filter", "refusal", "content_filter"),
        (Anthropic, "max_tokens", "length", "max_tokens", "length"),
        (Anthropic, "model_context_window_exceeded", "length", "max_tokens", "length"),
        (Anthropic, "stop_sequence", "stop", "stop_sequence", "stop"),
        (Anthropic, "refusal", "content_filter", "refusal", "content_filter"),
        (Ollama, "length", "length", "max_tokens", "length"),
    ] {
        let to = |to| whole(from, to, &stopped(from, reason)).unwrap();
        assert_eq!(to(OpenAi)["choices"][0]["finish_reason"], openai, "{reason}");
        assert_eq!(to(Anthropic)["stop_reason"], anthropic, "{reason}");
        assert_eq!(to(Ollama)["done_reason"], ollama, "{reason}");
    }
    for (from, reason) in [
        (OpenAi, "tool_calls"),
        (Anthropic, "tool_use"),
        (Anthropic, "pause_turn"),
        (Ollama, "load"),
    ] {
        assert!(whole(from, OpenAi, &stopped(from, reason)).is_err(), "{reason}");
    }
    let refused = json!({
        "choices": [{ "message": { "content": null, "refusal": "No." }, "finish_reason": "stop" }]
    });
    let message = whole(OpenAi, Anthropic, &refused).unwrap();
    assert_eq!(
        (&message["stop_reason"], &message["content"][0]["text"]),
        (&"refusal".into(), &"No.".into())
    );
}

#[test]
fn what_no_text_is_or_not_complete_is_no_answer() {
    let calls = json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": "x" }] });
    let parts = json!([{ "type": "text", "text": "x" }]);
    for (from, pointer, value) in [
        (OpenAi, "/choices", json!([])),
        (OpenAi, "/choices", Value::Null),
        (OpenAi, "/choices/0/finish_reason", Value::Null),
        (OpenAi, "/choices/0/message/content", parts),
        (OpenAi, "/choices/0/message", calls),
        (OpenAi, "/choices/0/message", Value::Null),
        (Anthropic, "/content", Value::Null),
        (Anthropic, "/content/1", json!({ "type": "tool_use", "id": "x", "input": {} })),
        (Anthropic, "/stop_reason", Value::Null),
        (Ollama, "/done", json!(false)),
        (Ollama, "/message", Value::Null),
        (Ollama, "/message", json!({ "content": "", "tool_calls": [{}] })),
    ] {
        let mut answer = answer(from);
        *answer.pointer_mut(pointer).unwrap() = value;
        for to in ALL {
            assert!(whole(from, to, &answer).is_err(), "{answer}");
        }
    }
    for text in ["", "null", "<html>", "{\"a\":", "[1]"] {
        for from in ALL {
            let mut translator = Translator::whole(from, OpenAi, STAMP);
            assert!(translated(&mut translator, [text.as_bytes()]).1.is_err(), "{text}");
        }
    }
}

#[test]
fn an_answer_without_usage_gets_none_where_that_can_be_said() {
    let mut silent = answer(OpenAi);
    silent["usage"] = Value::Null;
    assert_eq!(whole(OpenAi, OpenAi, &silent).unwrap().get("usage"), None);
    assert_eq!(whole(OpenAi, Ollama, &silent).unwrap().get("eval_count"), None);
    let zero = json!({ "input_tokens": 0, "output_tokens": 0 });
    assert_eq!(whole(OpenAi, Anthropic, &silent).unwrap()["usage"], zero);
}

#[test]
fn an_answer_is_held_within_a_bound() {
    let mut translator = Translator::whole(OpenAi, Anthropic, STAMP);
    let mut out = BytesMut::new();
    let piece = vec![b' '; 1 << 20];
    let taken = (0..100).take_while(|_| translator.feed(&piece, &mut out).is_ok()).count();
    assert_eq!((taken, out.len()), (16, 0));
    let mut endless = Translator::error(OpenAi, Anthropic, STAMP, 500);
    for _ in 0..10 {
        endless.feed(&piece, &mut out).unwrap();
    }
    endless.finish(&mut out).unwrap();
    let error: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(error["error"]["message"], "the upstream failed");
}

#[test]
fn errors_are_in_the_clients_words() {
    let limited = r#"{"error":{"message":"Slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
    let expected = json!({
        "type": "error", "error": { "type": "rate_limit_error", "message": "Slow down" }
    });
    assert_eq!(error(OpenAi, Anthropic, 429, limited), expected);
    assert_eq!(error(OpenAi, Ollama, 429, limited), json!({ "error": "Slow down" }));
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    let expected = json!({ "error": {
        "message": "Overloaded", "type": "server_error", "param": null, "code": null
    } });
    assert_eq!(error(Anthropic, OpenAi, 529, overloaded), expected);
    assert_eq!(error(Anthropic, Ollama, 529, overloaded), json!({ "error": "Overloaded" }));
    let missing = r#"{"error":"model 'x' not found"}"#;
    assert_eq!(error(Ollama, Anthropic, 404, missing)["error"]["type"], "not_found_error");
    assert_eq!(error(Ollama, OpenAi, 404, missing)["error"]["message"], "model 'x' not found");

    let quota =
        r#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    assert_eq!(error(OpenAi, OpenAi, 429, quota)["error"]["code"], "insufficient_quota");
    assert_eq!(error(OpenAi, Anthropic, 429, quota)["error"]["type"], "rate_limit_error");
    let long = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#;
    assert_eq!(error(Anthropic, OpenAi, 400, long)["error"]["code"], "context_length_exceeded");
    let html = "<html>503</html>";
    for from in ALL {
        let error = error(from, Anthropic, 503, html);
        assert_eq!(error["error"]["type"], "overloaded_error");
        assert_eq!(error["error"]["message"], "the upstream is overloaded");
    }
}

#[test]
fn every_status_has_a_kind_that_every_api_can_say() {
    for status in 400..600 {
        for (from, to) in [(OpenAi, Anthropic), (Anthropic, OpenAi), (Ollama, OpenAi)] {
            let error = error(from, to, status, "");
            assert!(error["error"]["type"].is_string(), "{status}");
            assert!(!error["error"]["message"].as_str().unwrap().is_empty(), "{status}");
        }
    }
}
