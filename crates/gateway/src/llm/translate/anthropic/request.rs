//! Requests.

use serde_json::{Map, Value, json};

use super::super::chat::{Chat, Manner, Message, Refusal, Role};
use super::super::fields::Fields;

/// For the provider's books and queues, not for the answer.
const PASSING: [&str; 3] = ["cache_control", "metadata", "service_tier"];

/// Of a block of text: what it costs to read it again.
const PASSING_IN_TEXT: [&str; 1] = ["cache_control"];

pub(in super::super) fn read(fields: &mut Fields) -> Result<Chat, Refusal> {
    fields.pass(&PASSING);
    for name in ["tools", "mcp_servers"] {
        fields.none(name)?;
    }
    let without_tools = |choice: &Value| choice["type"] == "none" || choice["type"] == "auto";
    fields.only("tool_choice", "of the type \"none\" or \"auto\"", without_tools)?;
    let off = |thinking: &Value| thinking["type"] == "disabled";
    fields.only("thinking", "of the type \"disabled\"", off)?;
    let system = fields.content("system", &PASSING_IN_TEXT)?;
    let mut messages = Vec::new();
    messages.extend(system.map(|parts| Message { role: Role::System, parts }));
    messages.extend(fields.messages(message)?);
    let most = fields.count("max_tokens")?;
    Ok(Chat {
        model: fields.model()?,
        messages,
        max_tokens: Some(most.ok_or_else(|| Refusal::new("max_tokens", "is missing"))?),
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.number("top_k")?,
        frequency_penalty: None,
        presence_penalty: None,
        seed: None,
        stop: fields.stops("stop_sequences", false)?,
        stream: fields.flag("stream")?.unwrap_or(false),
        tells_usage: true,
    })
}

fn message(fields: &mut Fields) -> Result<Message, Refusal> {
    let role = fields.role(&[("user", Role::User), ("assistant", Role::Assistant)])?;
    match fields.content("content", &PASSING_IN_TEXT)? {
        Some(parts) => Ok(Message { role, parts }),
        None => Err(fields.wrong("content", "a string or an array", &Value::Null)),
    }
}

pub(in super::super) fn write(chat: &Chat, manner: &Manner<'_>) -> Result<Value, Refusal> {
    check(chat)?;
    // What the system says has a place of its own here, before all else.
    let opening = chat.messages.iter().take_while(|message| message.role == Role::System).count();
    let (system, rest) = chat.messages.split_at(opening);
    if rest.is_empty() {
        return Err(Refusal::new("messages", "must have one of the user for Anthropic's API"));
    }
    if rest.iter().any(|message| message.role == Role::System) {
        let reason = "has one of the system after the first of others, which Anthropic's API \
                      cannot say";
        return Err(Refusal::new("messages", reason));
    }
    let system: Vec<String> =
        system.iter().flat_map(|message| message.parts.iter().cloned()).collect();
    let messages: Vec<Value> = rest
        .iter()
        .map(|message| json!({ "role": message.role.name(), "content": content(&message.parts) }))
        .collect();
    let mut body = Map::new();
    body.insert("model".into(), manner.model.into());
    body.insert("max_tokens".into(), chat.max_tokens.unwrap_or(manner.max_tokens).into());
    body.insert("messages".into(), messages.into());
    body.insert("stream".into(), chat.stream.into());
    if !system.is_empty() {
        body.insert("system".into(), content(&system));
    }
    if !chat.stop.is_empty() {
        body.insert("stop_sequences".into(), chat.stop.clone().into());
    }
    for (name, number) in
        [("temperature", &chat.temperature), ("top_p", &chat.top_p), ("top_k", &chat.top_k)]
    {
        if let Some(number) = number {
            body.insert(name.into(), number.clone().into());
        }
    }
    Ok(body.into())
}

/// What this API does not take.
fn check(chat: &Chat) -> Result<(), Refusal> {
    let hot = chat.temperature.as_ref().and_then(serde_json::Number::as_f64);
    if let Some(temperature) = hot.filter(|temperature| *temperature > 1.0) {
        let reason = format!("is {temperature}, but Anthropic's API takes 0 to 1");
        return Err(Refusal::new("temperature", reason));
    }
    for (name, penalty) in [
        ("frequency_penalty", &chat.frequency_penalty),
        ("presence_penalty", &chat.presence_penalty),
    ] {
        if penalty.as_ref().is_some_and(|penalty| penalty.as_f64() != Some(0.0)) {
            return Err(Refusal::new(name, "is unknown to Anthropic's API; leave it out"));
        }
    }
    let blank = |text: &String| text.trim().is_empty();
    if chat
        .messages
        .iter()
        .any(|message| message.parts.is_empty() || message.parts.iter().any(blank))
    {
        let reason = "has one without text, which Anthropic's API does not take";
        return Err(Refusal::new("messages", reason));
    }
    if chat.stop.iter().any(blank) {
        let reason = "has one of blanks only, which Anthropic's API does not take";
        return Err(Refusal::new("stop", reason));
    }
    Ok(())
}

fn content(parts: &[String]) -> Value {
    match parts {
        [text] => json!(text),
        parts => parts.iter().map(|text| json!({ "type": "text", "text": text })).collect(),
    }
}
