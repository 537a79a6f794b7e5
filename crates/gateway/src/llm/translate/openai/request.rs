//! Requests.

use serde_json::{Map, Value, json};

use super::super::chat::{Chat, Manner, Message, Refusal, Role};
use super::super::fields::Fields;

const ROLES: [(&str, Role); 4] = [
    ("system", Role::System),
    // What newer models call the same.
    ("developer", Role::System),
    ("user", Role::User),
    ("assistant", Role::Assistant),
];

/// For the provider's books, caches and queues, not for the answer. Whether tools may be called at
/// once is nothing where there are none.
const PASSING: [&str; 9] = [
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
];

/// More than these are not taken.
const MOST_STOPS: usize = 4;

pub(in super::super) fn read(fields: &mut Fields) -> Result<Chat, Refusal> {
    fields.pass(&PASSING);
    for name in ["tools", "functions", "logit_bias"] {
        fields.none(name)?;
    }
    let without_tools = |choice: &Value| choice == "none" || choice == "auto";
    fields.only("tool_choice", "\"none\" or \"auto\"", without_tools)?;
    fields.only("function_call", "\"none\" or \"auto\"", without_tools)?;
    fields.only("n", "1", |n| *n == 1)?;
    fields.only("logprobs", "false", |wanted| *wanted == false)?;
    fields.only("top_logprobs", "0", |count| *count == 0)?;
    fields.only("modalities", "[\"text\"]", |modalities| *modalities == json!(["text"]))?;
    let text = |format: &Value| *format == json!({ "type": "text" });
    fields.only("response_format", "{\"type\": \"text\"}", text)?;
    fields.only("verbosity", "\"medium\"", |verbosity| verbosity == "medium")?;
    let (newer, older) = (fields.count("max_completion_tokens")?, fields.count("max_tokens")?);
    if let (Some(newer), Some(older)) = (newer, older)
        && newer != older
    {
        let reason =
            format!("is {older}, but `max_completion_tokens` is {newer}; keep one of them");
        return Err(Refusal::new("max_tokens", reason));
    }
    Ok(Chat {
        model: fields.model()?,
        messages: fields.messages(message)?,
        max_tokens: newer.or(older),
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: None,
        frequency_penalty: fields.number("frequency_penalty")?,
        presence_penalty: fields.number("presence_penalty")?,
        seed: fields.number("seed")?,
        stop: fields.stops("stop", true)?,
        stream: fields.flag("stream")?.unwrap_or(false),
        tells_usage: tells_usage(fields)?,
    })
}

fn tells_usage(fields: &mut Fields) -> Result<bool, Refusal> {
    let Some(options) = fields.take("stream_options") else { return Ok(false) };
    let mut options = Fields::of(fields.path("stream_options"), options)?;
    let wanted = options.flag("include_usage")?.unwrap_or(false);
    // Bytes that hide the length of words from whoever listens on the wire.
    options.pass(&["include_obfuscation"]);
    options.end()?;
    Ok(wanted)
}

fn message(fields: &mut Fields) -> Result<Message, Refusal> {
    let role = fields.role(&ROLES)?;
    if role == Role::Assistant {
        // As they come back from clients that keep whole answers.
        for name in ["tool_calls", "annotations"] {
            fields.none(name)?;
        }
    }
    match fields.content("content", &["prompt_cache_breakpoint"])? {
        Some(parts) => Ok(Message { role, parts }),
        None => Err(fields.wrong("content", "a string or an array", &Value::Null)),
    }
}

pub(in super::super) fn write(chat: &Chat, manner: &Manner<'_>) -> Result<Value, Refusal> {
    if chat.top_k.is_some() {
        return Err(Refusal::new("top_k", "is unknown to OpenAI's API; leave it out"));
    }
    if chat.stop.len() > MOST_STOPS {
        let reason = format!("has {}, but OpenAI's API takes up to {MOST_STOPS}", chat.stop.len());
        return Err(Refusal::new("stop", reason));
    }
    let messages: Vec<Value> = chat
        .messages
        .iter()
        .map(|message| {
            let content = match message.parts.as_slice() {
                [text] => json!(text),
                parts => parts.iter().map(|text| json!({ "type": "text", "text": text })).collect(),
            };
            json!({ "role": message.role.name(), "content": content })
        })
        .collect();
    let mut body = Map::new();
    body.insert("model".into(), manner.model.into());
    body.insert("messages".into(), messages.into());
    body.insert("stream".into(), chat.stream.into());
    if chat.stream {
        // Other APIs tell it always.
        body.insert("stream_options".into(), json!({ "include_usage": true }));
    }
    if let Some(most) = chat.max_tokens {
        body.insert("max_completion_tokens".into(), most.into());
    }
    if !chat.stop.is_empty() {
        body.insert("stop".into(), chat.stop.clone().into());
    }
    for (name, number) in [
        ("temperature", &chat.temperature),
        ("top_p", &chat.top_p),
        ("frequency_penalty", &chat.frequency_penalty),
        ("presence_penalty", &chat.presence_penalty),
        ("seed", &chat.seed),
    ] {
        if let Some(number) = number {
            body.insert(name.into(), number.clone().into());
        }
    }
    Ok(body.into())
}
