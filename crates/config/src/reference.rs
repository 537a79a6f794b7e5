//! The reference of all keys, from their description.

use std::fmt::Write;

use crate::describe::{Convert, Field, Presence, Shape, Table};
use crate::sections::ROOT;

/// The page that lists every key with its type, default and meaning, in Markdown.
pub fn config_reference_markdown() -> String {
    let mut page = String::from(
        "# Configuration reference\n\n\
         <!-- Generated from the declarations of the keys; edit those instead. -->\n\n\
         TOML and JSON have the same keys. Durations are numbers of seconds or text (`\"250ms\"`,\n\
         `\"5s\"`, `\"1h30m\"`, `\"1d\"`), shares numbers up to 1 or percentages (`\"50%\"`), sizes numbers\n\
         of bytes or text (`\"64KiB\"`, `\"10MiB\"`). What can be switched off takes `false` or `\"off\"`.\n\
         Keys named `comment`, `$schema` or `x-…` are allowed in every table and ignored.\n\n\
         A circuit's settings are laid over each other, each layer over those before it: built-in\n\
         defaults, the preset of `[circuit_breaker.defaults]`, its keys, the preset or the circuit\n\
         that is extended, the circuit's own keys, environment, command line.\n\n\
         Single values can be set for one run: `PANELBOARD__CIRCUITS__LLM__TIMEOUT=45s` in the\n\
         environment, `--set circuits.llm.timeout=45s` on the command line, where `circuits` is short\n\
         for `circuit_breaker.circuits`.\n",
    );
    for table in ROOT.family() {
        section(&mut page, table);
    }
    page
}

fn section(page: &mut String, table: &'static Table) {
    let heading = match table.header {
        "" => String::from("Top level"),
        _ if table.id == "settings" => String::from("Settings of a breaker"),
        header if table.id == "route" => format!("`[[{header}]]`"),
        header => format!("`[{header}]`"),
    };
    let _ = write!(page, "\n## {heading}\n\n{}\n", table.doc.trim());
    let _ = write!(page, "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for field in table.fields {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            field.name,
            cell(&value(field)),
            cell(&default(field)),
            cell(field.doc.trim()),
        );
    }
    for part in table.parts {
        let _ = write!(page, "\nAnd the keys of [`{}`](#settings-of-a-breaker).\n", part.id);
    }
    for group in table.exclusive {
        let names: Vec<String> = group.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(page, "\nOnly one of {} can be given.\n", names.join(" and "));
    }
    if table.old.is_empty() {
        return;
    }
    let _ = write!(page, "\n| old name | now |\n| --- | --- |\n");
    for old in table.old {
        let now = match old.convert {
            Convert::Same => format!("`{}`", old.new.join(".")),
            Convert::Switch { .. } if old.new == [old.name] => continue,
            Convert::Switch { .. } => format!("`{}`, as a number", old.new.join(".")),
            Convert::Dropped(reason) => format!("no effect: {reason}"),
        };
        let _ = writeln!(page, "| `{}` | {now} |", old.name);
    }
}

fn value(field: &Field) -> String {
    match field.kind.shape() {
        Shape::Table(inner) => match inner.shorthand.and_then(|key| inner.field(key)) {
            Some(short) => format!("{}, or a table", short.kind.accepts()),
            None => field.kind.accepts(),
        },
        _ => field.kind.accepts(),
    }
}

fn default(field: &Field) -> String {
    match field.presence {
        Presence::Required => String::from("required"),
        Presence::Optional(words) => words.to_owned(),
        Presence::Default(text) | Presence::Layered(text) => format!("`{text}`"),
    }
}

/// Text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_row() {
        let page = config_reference_markdown();
        for table in ROOT.family() {
            for field in table.fields {
                assert!(page.contains(&format!("\n| `{}` | ", field.name)), "{}", field.name);
            }
        }
        let rows = |line: &&str| line.starts_with("| `");
        for row in page.lines().filter(rows) {
            let bars = row.replace("\\|", "").matches('|').count();
            assert!(bars == 5 || bars == 3, "{row}");
        }
    }
}
