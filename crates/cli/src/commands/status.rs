//! `panelboard status`

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::{Value, json};

use crate::admin::{Admin, segment};
use crate::args::StatusArgs;
use crate::exit::{Code, Failure};
use crate::output;

/// A line under the heads of the columns, and nothing else: easy on eyes and on `awk`.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));

pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let circuits = &circuits(&Admin::new(&args.admin)?, args.state.as_deref())?;
    if args.admin.json {
        output::json(json!({ "circuits": circuits }))?;
    } else if circuits.is_empty() {
        let which = if args.state.is_some() { " in this state" } else { "" };
        output::message(format_args!("no circuits{which}\n"));
    } else {
        output::data(table(circuits))?;
    }
    let open = |circuit: &Value| {
        circuit["mode"] == "forced_open"
            || circuit["state"] != "closed" && circuit["mode"] != "forced_closed"
    };
    match args.exit_code && circuits.iter().any(open) {
        true => Err(Failure::silent(Code::Open)),
        false => Ok(()),
    }
}

/// All circuits, or those in a state. A family may be listed in parts.
fn circuits(admin: &Admin, state: Option<&str>) -> Result<Vec<Value>, Failure> {
    let mut circuits = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let state = state.map(|state| format!("state={}", segment(state)));
        let after_ = after.as_deref().map(|after| format!("after={}", segment(after)));
        let query: Vec<String> = state.into_iter().chain(after_).collect();
        let path = match query.as_slice() {
            [] => "/api/v1/circuits".to_owned(),
            query => format!("/api/v1/circuits?{}", query.join("&")),
        };
        let mut answer = admin.get(&path)?;
        // Whoever watches the exit code must not take another server for one where all is well.
        let Some(list) = answer["circuits"].as_array_mut() else { return Err(admin.other(200)) };
        circuits.append(list);
        match answer["next"].as_str() {
            Some(next) if after.as_deref() != Some(next) => after = Some(next.to_owned()),
            _ => return Ok(circuits),
        }
    }
}

/// The circuits, those in trouble first.
fn table(circuits: &[Value]) -> String {
    let mut rows: Vec<&Value> = circuits.iter().collect();
    rows.sort_by_key(|circuit| match circuit["health"].as_str() {
        Some("unhealthy") => 0,
        Some("degraded") => 1,
        _ => 2,
    });
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["circuit", "state", "for", "failures", "calls", "rejected", "next"]);
    for column in [3, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for circuit in rows {
        table.add_row([
            text(&circuit["name"]),
            state(circuit),
            time(&circuit["in_state_seconds"]),
            failures(circuit),
            text(&circuit["calls"]["admitted"]),
            text(&circuit["calls"]["rejected"]),
            next(circuit),
        ]);
    }
    table.to_string()
}

fn state(circuit: &Value) -> String {
    let state = text(&circuit["state"]).replace('_', "-");
    match circuit["mode"].as_str() {
        Some("forced_open") => "FORCED OPEN".into(),
        Some("forced_closed") => "forced closed".into(),
        Some("observe") => format!("{state} (observed)"),
        _ if state == "open" => "OPEN".into(),
        _ => state,
    }
}

/// What happens next, in a few words.
fn next(circuit: &Value) -> String {
    if let Some(over) = circuit.get("override") {
        return format!("override ends in {}", time(&over["for_seconds"]));
    }
    if let Some(keys) = circuit.get("keys") {
        return format!("{} of {} keys open", keys["open"], keys["count"]);
    }
    if let Some(probes) = circuit.get("probes") {
        let (won, needed) = (&probes["successes"], &probes["needed"]);
        return format!("{won} of {needed} probes ok, {} in flight", probes["in_flight"]);
    }
    if let (Some(ramp), None) = (circuit.get("ramp"), circuit.get("paced_for_seconds")) {
        let percent = ramp["share"].as_f64().unwrap_or_default() * 100.0;
        return format!("back at {percent:.0} %, all in {}", time(&ramp["ends_in_seconds"]));
    }
    match (circuit.get("paced_for_seconds"), circuit.get("retry_after_seconds")) {
        (_, Some(wait)) if circuit["state"] == "open" => format!("probe in {}", time(wait)),
        (Some(wait), _) => format!("paced for {}", time(wait)),
        _ => String::new(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The share of calls that fail. A phase other than closed has no window to have it from.
fn failures(circuit: &Value) -> String {
    match circuit["state"].as_str() {
        Some("closed") => {
            format!("{:.1} %", circuit["failure_ratio"].as_f64().unwrap_or_default() * 100.0)
        }
        _ => "–".into(),
    }
}

fn time(value: &Value) -> String {
    let secs = value.as_f64().unwrap_or_default();
    match secs {
        ..60.0 => format!("{secs:.0} s"),
        ..3_600.0 => format!("{:.0} min", secs / 60.0),
        ..86_400.0 => format!("{:.1} h", secs / 3_600.0),
        _ => format!("{:.1} d", secs / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_comes_first_and_says_what_is_next() {
        let circuit = |name, state, health, more: Value| {
            let mut circuit = json!({
                "name": name, "state": state, "mode": "auto", "health": health,
                "in_state_seconds": 43.2, "failure_ratio": 0.125,
                "calls": { "admitted": 8, "rejected": 1204 },
            });
            for (key, value) in more.as_object().unwrap() {
                circuit[key] = value.clone();
            }
            circuit
        };
        let probes = json!({ "successes": 1, "needed": 3, "in_flight": 1 });
        let text = table(&[
            circuit("fine", "closed", "healthy", json!({})),
            circuit("many", "closed", "healthy", json!({ "keys": { "count": 5, "open": 2 } })),
            circuit("probing", "half_open", "degraded", json!({ "probes": probes })),
            circuit("down", "open", "degraded", json!({ "retry_after_seconds": 17 })),
            circuit("stuck", "open", "unhealthy", json!({ "retry_after_seconds": 61 })),
        ]);
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("1204")).collect();
        assert!(lines[0].contains("stuck") && lines[0].contains("probe in 1 min"), "{text}");
        assert!(lines[1].contains("1 of 3 probes ok, 1 in flight"), "{text}");
        assert!(lines[2].contains("OPEN") && lines[2].contains("probe in 17 s"), "{text}");
        assert!(lines[3].contains("fine") && lines[3].contains("12.5 %"), "{text}");
        assert!(lines[4].contains("many") && lines[4].contains("2 of 5 keys open"), "{text}");
        assert_eq!(text.matches("12.5 %").count(), 2, "only closed circuits have a window: {text}");
    }
}
