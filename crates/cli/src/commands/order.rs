//! `panelboard open|close|observe|auto|reset|probe NAME`

use serde_json::{Value, json};

use crate::admin::{Admin, segment};
use crate::args::{AdminArgs, OrderArgs, ResetArgs};
use crate::exit::Failure;
use crate::output;

pub(crate) fn run(order: &str, args: &OrderArgs) -> Result<(), Failure> {
    let mut body = json!({});
    if let Some(reason) = &args.reason {
        body["reason"] = reason.as_str().into();
    }
    if let Some(duration) = &args.duration {
        body["for"] = duration.as_str().into();
    }
    send(&args.admin, &args.name, order, &body)
}

/// An order that takes no time.
pub(crate) fn at_once(order: &str, args: &ResetArgs) -> Result<(), Failure> {
    let body = match &args.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    };
    send(&args.admin, &args.name, order, &body)
}

fn send(args: &AdminArgs, name: &str, order: &str, body: &Value) -> Result<(), Failure> {
    let path = format!("/api/v1/circuits/{}/{order}", segment(name));
    let admin = Admin::new(args)?;
    let answer = admin.post(&path, body)?;
    let sentence = answer["explain"].as_str().ok_or_else(|| admin.other(200))?;
    match args.json {
        true => output::json(answer),
        false => output::data(sentence),
    }
}
