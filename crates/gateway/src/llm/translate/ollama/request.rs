//! Requests.

use serde_json::{Map, Value, json};

use super::super::chat::{Chat, Manner, Message, Refusal, Role};
use super::super::fields::Fields;

const ROLES: [(&str, Role); 3] =
    [("system", Role::System), ("user", Role::User), ("assistant", Role::Assistant)];

/// How the model is run on its machine, not what it says.
const MACHINE: [&str; 12] = [
    "f16_kv",
    "low_vram",
    "main_gpu",
    "num_batch",
    "num_ctx",
    "num_gpu",
    "num_thread",
    "numa",
    "use_mlock",
    "use_mmap",
    "vocab_only",
    "num_gqa",
];

pub(in super::super) fn read(fields: &mut Fields) -> Result<Chat, Refusal> {
    // How long the model stays loaded.
    fields.pass(&["keep_alive"]);
    fields.none("tools")?;
    fields.only("format", "\"\"", |format| format == "")?;
    fields.only("think", "false", |think| *think == false)?;
    fields.only("logprobs", "false", |wanted| *wanted == false)?;
    fields.only("top_logprobs", "0", |count| *count == 0)?;
    let options = fields.take("options").unwrap_or_else(|| json!({}));
    let mut options = Fields::of(fields.path("options"), options)?;
    options.pass(&MACHINE);
    let chat = Chat {
        model: fields.model()?,
        messages: fields.messages(message)?,
        max_tokens: max_tokens(&mut options)?,
        temperature: options.number("temperature")?,
        top_p: options.number("top_p")?,
        top_k: options.number("top_k")?,
        frequency_penalty: options.number("frequency_penalty")?,
        presence_penalty: options.number("presence_penalty")?,
        seed: options.number("seed")?,
        stop: options.stops("stop", true)?,
        stream: fields.flag("stream")?.unwrap_or(true),
        tells_usage: true,
    };
    options.end()?;
    Ok(chat)
}

/// `-1` is no limit; `-2`, as much as fits, is something that others cannot be asked for.
fn max_tokens(options: &mut Fields) -> Result<Option<u64>, Refusal> {
    match options.take("num_predict") {
        None => Ok(None),
        Some(value) if value == -1 => Ok(None),
        Some(value) => match value.as_u64().filter(|most| *most > 0) {
            Some(most) => Ok(Some(most)),
            None => Err(options.wrong("num_predict", "-1 or a whole number above 0", &value)),
        },
    }
}

fn message(fields: &mut Fields) -> Result<Message, Refusal> {
    let role = fields.role(&ROLES)?;
    for name in ["tool_calls", "images"] {
        fields.none(name)?;
    }
    match fields.text("content")? {
        Some(text) => Ok(Message { role, parts: vec![text] }),
        None => Err(fields.wrong("content", "a string", &Value::Null)),
    }
}

pub(in super::super) fn write(chat: &Chat, manner: &Manner<'_>) -> Value {
    // A message has one text here, so each part is a message, as where Ollama reads OpenAI's API.
    let messages: Vec<Value> = chat
        .messages
        .iter()
        .flat_map(|message| message.parts.iter().map(|text| (message.role.name(), text)))
        .map(|(role, text)| json!({ "role": role, "content": text }))
        .collect();
    let mut options = Map::new();
    if let Some(most) = chat.max_tokens {
        options.insert("num_predict".into(), most.into());
    }
    if !chat.stop.is_empty() {
        options.insert("stop".into(), chat.stop.clone().into());
    }
    for (name, number) in [
        ("temperature", &chat.temperature),
        ("top_p", &chat.top_p),
        ("top_k", &chat.top_k),
        ("frequency_penalty", &chat.frequency_penalty),
        ("presence_penalty", &chat.presence_penalty),
        ("seed", &chat.seed),
    ] {
        if let Some(number) = number {
            options.insert(name.into(), number.clone().into());
        }
    }
    let mut body = json!({ "model": manner.model, "messages": messages, "stream": chat.stream });
    if !options.is_empty() {
        body["options"] = options.into();
    }
    body
}
