//! Requests: what is carried over, what is left behind, what is refused.

use serde_json::{Value, json};

use super::*;

const MANNER: Manner<'static> = Manner { model: "there", max_tokens: 4_096 };

fn request(from: Dialect, to: Dialect, body: &Value) -> Result<Value, String> {
    let chat = from.read(body.to_string().as_bytes()).map_err(|refusal| refusal.to_string())?;
    to.write(&chat, from, &MANNER).map_err(|refusal| refusal.to_string())
}

fn refusal(from: Dialect, to: Dialect, body: &Value) -> String {
    request(from, to, body).unwrap_err()
}

fn with(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The same conversation in the words of each.
fn conversation(dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenAi => json!({
            "model": "here",
            "messages": [
                { "role": "developer", "content": "Be brief." },
                { "role": "user", "content": "Grüße 🦀" },
                { "role": "assistant", "content": "Hi.", "refusal": null, "annotations": [] },
                { "role": "user", "content": [
                    { "type": "text", "text": "One." }, { "type": "text", "text": "Two." }
                ] },
            ],
            "max_completion_tokens": 100,
            "temperature": 0.7,
            "top_p": 0.9,
            "stop": "END",
            "stream": true,
            "stream_options": { "include_usage": true },
            "n": 1, "logprobs": false, "tools": [], "tool_choice": "auto", "user": "u-1",
            "metadata": { "a": "b" }, "seed": null, "response_format": { "type": "text" },
            "logit_bias": {}, "store": false, "service_tier": "auto",
        }),
        Dialect::Anthropic => json!({
            "model": "here",
            "max_tokens": 100,
            "system": "Be brief.",
            "messages": [
                { "role": "user", "content": "Grüße 🦀" },
                { "role": "assistant", "content": [{ "type": "text", "text": "Hi." }] },
                { "role": "user", "content": [
                    { "type": "text", "text": "One.", "cache_control": { "type": "ephemeral" } },
                    { "type": "text", "text": "Two." },
                ] },
            ],
            "temperature": 0.7,
            "top_p": 0.9,
            "stop_sequences": ["END"],
            "stream": true,
            "metadata": { "user_id": "u-1" },
            "thinking": { "type": "disabled" },
        }),
        Dialect::Ollama => json!({
            "model": "here",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "Grüße 🦀" },
                { "role": "assistant", "content": "Hi." },
                { "role": "user", "content": "One." },
                { "role": "user", "content": "Two." },
            ],
            "options": {
                "num_predict": 100, "temperature": 0.7, "top_p": 0.9, "stop": ["END"],
                "num_ctx": 8192,
            },
            "keep_alive": "5m",
            "think": false,
        }),
    }
}

#[test]
fn a_conversation_is_the_same_in_other_words() {
    use Dialect::{Anthropic, Ollama, OpenAi};
    let ask = |from, to| request(from, to, &conversation(from)).unwrap();
    let two = json!([{ "type": "text", "text": "One." }, { "type": "text", "text": "Two." }]);

    let openai = ask(Anthropic, OpenAi);
    assert_eq!(
        openai,
        json!({
            "model": "there",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "Grüße 🦀" },
                { "role": "assistant", "content": "Hi." },
                { "role": "user", "content": two },
            ],
            "max_completion_tokens": 100,
            "temperature": 0.7,
            "top_p": 0.9,
            "stop": ["END"],
            "stream": true,
            "stream_options": { "include_usage": true },
        })
    );
    let anthropic = ask(OpenAi, Anthropic);
    assert_eq!(
        anthropic,
        json!({
            "model": "there",
            "max_tokens": 100,
            "system": "Be brief.",
            "messages": [
                { "role": "user", "content": "Grüße 🦀" },
                { "role": "assistant", "content": "Hi." },
                { "role": "user", "content": two },
            ],
            "temperature": 0.7,
            "top_p": 0.9,
            "stop_sequences": ["END"],
            "stream": true,
        })
    );
    let ollama = json!({
        "model": "there",
        "messages": conversation(Ollama)["messages"],
        "options": { "num_predict": 100, "temperature": 0.7, "top_p": 0.9, "stop": ["END"] },
        "stream": true,
    });
    assert_eq!(ask(OpenAi, Ollama), ollama);
    assert_eq!(ask(Anthropic, Ollama), ollama);
    // A text of several parts is several messages from there on.
    let apart = |text: &str| json!({ "role": "user", "content": text });
    for to in [OpenAi, Anthropic] {
        let messages = ask(Ollama, to)["messages"].clone();
        let messages = messages.as_array().unwrap();
        assert_eq!(messages[messages.len() - 2..], [apart("One."), apart("Two.")]);
    }
}

#[test]
fn the_least_that_can_be_asked_is_enough() {
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    let least = json!({ "model": "m", "messages": messages });
    let (openai, ollama) = (Dialect::OpenAi, Dialect::Ollama);
    let expected = json!({
        "model": "there", "messages": messages, "max_tokens": 4_096, "stream": false
    });
    assert_eq!(request(openai, Dialect::Anthropic, &least).unwrap(), expected);
    let expected = json!({ "model": "there", "messages": messages, "stream": false });
    assert_eq!(request(openai, ollama, &least).unwrap(), expected);
    assert_eq!(request(ollama, openai, &least).unwrap()["stream"], true, "Ollama's default");
    let several = json!({
        "model": "m",
        "system": [
            { "type": "text", "text": "A." },
            { "type": "text", "text": "B.", "cache_control": { "type": "ephemeral" } },
        ],
        "messages": messages,
        "max_tokens": 1,
    });
    let system = |body: Value| body["messages"][0].clone();
    let both = json!([{ "type": "text", "text": "A." }, { "type": "text", "text": "B." }]);
    let openai = request(Dialect::Anthropic, openai, &several).unwrap();
    assert_eq!(system(openai), json!({ "role": "system", "content": both }));
}

#[test]
fn settings_that_only_some_have_go_where_they_are_known() {
    use Dialect::{Anthropic, Ollama, OpenAi};
    let base = |dialect| with(conversation(dialect), &json!({ "stream": false }));
    let penalties = json!({ "seed": 7, "frequency_penalty": 0.5, "presence_penalty": -1 });
    let asked = with(base(OpenAi), &penalties);
    let options = request(OpenAi, Ollama, &asked).unwrap()["options"].clone();
    for name in ["seed", "frequency_penalty", "presence_penalty"] {
        assert_eq!(options[name], penalties[name]);
    }
    assert_eq!(
        refusal(OpenAi, Anthropic, &asked),
        "`frequency_penalty` is unknown to Anthropic's API; leave it out"
    );
    let zero = with(base(OpenAi), &json!({ "seed": 7, "frequency_penalty": 0.0 }));
    assert_eq!(request(OpenAi, Anthropic, &zero).unwrap()["seed"], Value::Null);
    let top_k = with(base(Anthropic), &json!({ "top_k": 40 }));
    assert_eq!(request(Anthropic, Ollama, &top_k).unwrap()["options"]["top_k"], 40);
    assert_eq!(
        refusal(Anthropic, OpenAi, &top_k),
        "`top_k` is unknown to OpenAI's API; leave it out"
    );
    let mut options = base(Ollama);
    options["options"]["top_k"] = 40.into();
    assert_eq!(
        refusal(Ollama, OpenAi, &options),
        "`options.top_k` is unknown to OpenAI's API; leave it out"
    );
    let hot = with(base(OpenAi), &json!({ "temperature": 1.5 }));
    assert_eq!(
        refusal(OpenAi, Anthropic, &hot),
        "`temperature` is 1.5, but Anthropic's API takes 0 to 1"
    );
    let stops = with(base(Anthropic), &json!({ "stop_sequences": ["a", "b", "c", "d", "e"] }));
    assert_eq!(
        refusal(Anthropic, OpenAi, &stops),
        "`stop_sequences` has 5, but OpenAI's API takes up to 4"
    );
}

#[test]
fn what_would_mean_something_else_is_refused_by_its_name() {
    use Dialect::{Anthropic, Ollama, OpenAi};
    let user = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
    let image = json!([
        { "type": "text", "text": "What is it?" },
        { "type": "image_url", "image_url": { "url": "https://example.com" } },
    ]);
    let tool = json!({ "messages": [{ "role": "tool", "tool_call_id": "x", "content": "1" }] });
    let calls = json!({ "messages": [{
        "role": "assistant", "content": null, "tool_calls": [{ "id": "x" }]
    }] });
    let thinking = json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    let named = json!({ "messages": [{ "role": "user", "content": "a", "name": "Ada" }] });
    for (from, more, field, hint) in [
        (OpenAi, json!({ "tools": [{ "type": "function" }] }), "tools", "without it"),
        (OpenAi, json!({ "functions": [{}] }), "functions", "without it"),
        (OpenAi, json!({ "tool_choice": "required" }), "tool_choice", "not \"required\""),
        (OpenAi, json!({ "n": 2 }), "n", "must be 1, not 2"),
        (OpenAi, json!({ "logprobs": true }), "logprobs", "must be false, not true"),
        (OpenAi, json!({ "logit_bias": { "5": -100 } }), "logit_bias", "without it"),
        (
            OpenAi,
            json!({ "response_format": { "type": "json_schema" } }),
            "response_format",
            "text",
        ),
        (OpenAi, json!({ "reasoning_effort": "high" }), "reasoning_effort", "without it"),
        (OpenAi, json!({ "brand_new": { "x": 1 } }), "brand_new", "without it"),
        (OpenAi, json!({ "stream_options": { "x": 1 } }), "stream_options.x", "without it"),
        (OpenAi, json!({ "max_tokens": 7 }), "max_tokens", "is 7"),
        (OpenAi, json!({ "stream": "yes" }), "stream", "true or false, not \"yes\""),
        (OpenAi, json!({ "stop": 7 }), "stop", "an array of strings, not 7"),
        (OpenAi, json!({ "temperature": "hot" }), "temperature", "a number"),
        (OpenAi, json!({ "model": null }), "model", "is missing"),
        (OpenAi, json!({ "messages": [] }), "messages", "one at least"),
        (OpenAi, json!({ "messages": "hi" }), "messages", "an array"),
        (OpenAi, json!({ "messages": ["hi"] }), "messages[0]", "an object"),
        (OpenAi, user(image), "messages[0].content[1].type", "\"text\", not \"image_url\""),
        (OpenAi, user(Value::Null), "messages[0].content", "missing"),
        (OpenAi, tool, "messages[0].role", "\"user\" or \"assistant\", not \"tool\""),
        (OpenAi, calls, "messages[0].tool_calls", "without it"),
        (OpenAi, named, "messages[0].name", "without it"),
        (Anthropic, thinking, "thinking", "\"disabled\""),
        (Anthropic, json!({ "tools": [{ "name": "x" }] }), "tools", "without it"),
        (Anthropic, json!({ "max_tokens": null }), "max_tokens", "is missing"),
        (Anthropic, json!({ "max_tokens": 0 }), "max_tokens", "above 0, not 0"),
        (Anthropic, json!({ "stop_sequences": "x" }), "stop_sequences", "an array"),
        (Anthropic, user(json!([{ "type": "image" }])), "messages[0].content[0].type", "image"),
        (Ollama, json!({ "format": "json" }), "format", "not \"json\""),
        (Ollama, json!({ "think": true }), "think", "must be false"),
        (Ollama, json!({ "tools": [{}] }), "tools", "without it"),
        (Ollama, json!({ "options": { "mirostat": 1 } }), "options.mirostat", "without it"),
        (Ollama, json!({ "options": { "num_predict": -2 } }), "options.num_predict", "-1 or"),
        (
            Ollama,
            json!({ "messages": [{ "role": "user", "content": "a", "images": ["aGk="] }] }),
            "messages[0].images",
            "without it",
        ),
    ] {
        let body = with(conversation(from), &more);
        let to = ALL.into_iter().find(|to| *to != from).unwrap();
        let refusal = refusal(from, to, &body);
        assert!(refusal.starts_with(&format!("`{field}` ")), "{more}: {refusal}");
        assert!(refusal.contains(hint), "{more}: {refusal}");
    }
    let assistant = json!({ "role": "assistant", "content": "Once upon" });
    let begun = json!({ "messages": [{ "role": "user", "content": "Go on" }, assistant] });
    let reason = refusal(Anthropic, OpenAi, &with(conversation(Anthropic), &begun));
    assert!(reason.starts_with("`messages` ends with one of the assistant"), "{reason}");
}

#[test]
fn anthropic_takes_the_system_first_and_no_empty_text() {
    let chat = |messages: Value| json!({ "model": "m", "messages": messages });
    let say = |role: &str, content: &str| json!({ "role": role, "content": content });
    for (messages, hint) in [
        (
            json!([say("user", "a"), say("system", "b"), say("user", "c")]),
            "one of the system after",
        ),
        (json!([say("system", "a")]), "must have one of the user"),
        (json!([say("user", " \n")]), "without text"),
    ] {
        let refusal = refusal(Dialect::OpenAi, Dialect::Anthropic, &chat(messages.clone()));
        assert!(refusal.starts_with("`messages` ") && refusal.contains(hint), "{refusal}");
        assert!(request(Dialect::OpenAi, Dialect::Ollama, &chat(messages)).is_ok());
    }
    let system = json!([say("system", "a"), say("developer", "b"), say("user", "c")]);
    let body = request(Dialect::OpenAi, Dialect::Anthropic, &chat(system)).unwrap();
    assert_eq!(body["system"][1], json!({ "type": "text", "text": "b" }));
}

#[test]
fn a_body_that_is_no_chat_says_so_and_values_that_may_be_private_stay_out() {
    for body in ["", "[]", "\"x\"", "{", "\u{feff}{}"] {
        let refusal = Dialect::OpenAi.read(body.as_bytes()).unwrap_err().to_string();
        assert!(refusal.starts_with("the body ") || refusal.starts_with("`` "), "{refusal}");
    }
    let body = with(conversation(Dialect::OpenAi), &json!({ "stream": "My secret is 42" }));
    let refusal = refusal(Dialect::OpenAi, Dialect::Ollama, &body);
    assert_eq!(refusal, "`stream` must be true or false, not another string, to be translated");
    let deep = format!("{{\"model\":\"m\",\"messages\":{}", "[".repeat(10_000));
    assert!(Dialect::Anthropic.read(deep.as_bytes()).is_err());
}

#[test]
fn a_path_tells_the_api() {
    for (path, dialect) in [
        ("/v1/chat/completions", Some(Dialect::OpenAi)),
        ("/tenant/chat/completions", Some(Dialect::OpenAi)),
        ("/anthropic/v1/messages", Some(Dialect::Anthropic)),
        ("/api/chat", Some(Dialect::Ollama)),
        ("/v1/threads/t/messages", None),
        ("/v1/messages/count_tokens", None),
        ("/api/generate", None),
        ("/v1/embeddings", None),
    ] {
        assert_eq!(Dialect::of_path(path), dialect, "{path}");
    }
    assert_eq!(Dialect::OpenAi.path(""), "/v1/chat/completions");
    assert_eq!(Dialect::OpenAi.path("/openai/v1"), "/chat/completions");
    assert_eq!(Dialect::Anthropic.path("/v1"), "/messages");
    assert_eq!(Dialect::Ollama.path("/x"), "/api/chat");
}
