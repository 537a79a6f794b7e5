//! `panelboard events`

use std::io::BufRead as _;

use serde_json::Value;

use crate::admin::{Admin, segment};
use crate::args::EventsArgs;
use crate::exit::{Code, Failure};
use crate::output;

pub(crate) fn run(args: &EventsArgs) -> Result<(), Failure> {
    let admin = Admin::new(&args.admin)?;
    let mut path = format!("/api/v1/events?limit={}", args.last.max(1));
    if let Some(circuit) = &args.circuit {
        path.push_str("&circuit=");
        path.push_str(&segment(circuit));
    }
    let answer = admin.get(&path)?;
    let (Some(events), Some(last)) = (answer["events"].as_array(), answer["last"].as_u64()) else {
        return Err(admin.other(200));
    };
    let from = events.len().saturating_sub(args.last as usize);
    for event in &events[from..] {
        print(args, event)?;
    }
    if args.follow { follow(args, &admin, last) } else { Ok(()) }
}

/// Prints what happens after this event, until the stream ends.
fn follow(args: &EventsArgs, admin: &Admin, last: u64) -> Result<(), Failure> {
    let mut name = String::new();
    for line in admin.stream(&format!("/api/v1/stream?after={last}"))?.lines() {
        let Ok(line) = line else { break };
        if let Some(next) = line.strip_prefix("event: ") {
            next.clone_into(&mut name);
            continue;
        }
        let Some(text) = line.strip_prefix("data: ") else { continue };
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        match name.as_str() {
            "event" if args.circuit.as_deref().is_none_or(|name| value["circuit"] == name) => {
                print(args, &value)?;
            }
            "lagged" => output::message(format_args!("{} events were missed\n", value["missed"])),
            _ => {}
        }
    }
    Err(Failure::new(Code::Unreachable, "the gateway has ended the stream"))
}

fn print(args: &EventsArgs, event: &Value) -> Result<(), Failure> {
    if args.admin.json {
        return output::json(event.clone());
    }
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    output::data(format_args!("{}  {}", text("at"), text("explain")))
}
