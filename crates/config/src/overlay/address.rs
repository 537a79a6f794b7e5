//! Which key an override is for.

use super::Segment;
use crate::context::key_text;
use crate::describe::suggest::nearest;
use crate::describe::{Keys, Shape, Table};
use crate::diagnostic::problem::Problem;
use crate::diagnostic::{Code, codes};
use crate::sections::{ROOT, SwitchKeys};
use crate::source::{Medium, Span};
use crate::syntax;

/// The path of a key, in the spelling of the file.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) path: Vec<String>,
}

/// Why an override is for no key.
#[derive(Debug)]
pub(super) struct Fault {
    code: Code,
    message: String,
    /// The words of the name that are wrong, in bytes of the name; all of it, if none.
    at: Option<(usize, usize)>,
    label: String,
    help: Option<String>,
    /// Whether a file that could be read as a whole might have told otherwise.
    of_file: bool,
}

impl Fault {
    pub(super) fn is_of_file(&self) -> bool {
        self.of_file
    }

    /// `what` is a variable or a setting of this name.
    pub(super) fn into_problem(self, what: &str, name: &str, span: Span) -> Problem {
        let at = self.at.map_or(span, |(start, end)| span.part(start, end));
        Problem::new(self.code, format!("the {what} `{name}` {}", self.message))
            .at(at, self.label)
            .maybe_help(self.help)
    }
}

/// The key these words name, given what the file configures.
pub(super) fn find(
    segments: &[Segment],
    tree: &syntax::Table,
    medium: Medium,
) -> Result<Address, Box<Fault>> {
    let mut walk = Walk { path: Vec::new(), tree, medium };
    let top = segments.first().map(|s| fold(&s.text)).unwrap_or_default();
    let own = ROOT.field(&top).is_some();
    if !own && field_like(SwitchKeys::TABLE, &top).is_some() {
        // `circuit_breaker` goes without saying.
        walk.path.push(String::from("circuit_breaker"));
        let inner = below(Some(tree), "circuit_breaker");
        walk.table(segments, SwitchKeys::TABLE, inner)?;
    } else {
        walk.table(segments, ROOT, Some(tree))?;
    }
    Ok(Address { path: walk.path })
}

struct Walk<'t> {
    path: Vec<String>,
    tree: &'t syntax::Table,
    medium: Medium,
}

impl Walk<'_> {
    fn table(
        &mut self,
        segments: &[Segment],
        table: &'static Table,
        here: Option<&syntax::Table>,
    ) -> Result<(), Box<Fault>> {
        let Some((word, rest)) = segments.split_first() else { return Ok(()) };
        let Some((name, shape)) = field_like(table, &fold(&word.text)) else {
            return Err(self.unknown_key(word, table));
        };
        if table.id == ROOT.id && name == "env" {
            return Err(not_settable(word, "is for parts of the file; PANELBOARD_ENV chooses one"));
        }
        self.path.push(name.to_owned());
        let inner = below(here, name);
        match shape {
            Shape::Leaf | Shape::OneOrMany(_) => nothing_below(rest, name),
            Shape::Table(table) => self.table(rest, table, inner),
            Shape::Map(table) => self.map(rest, word, Some(table), inner),
            Shape::Values => self.map(rest, word, None, inner),
            Shape::List(_) => Err(not_settable(word, "is a list of tables")),
        }
    }

    /// Finds the name that the words begin with, among those that there are.
    fn map(
        &mut self,
        segments: &[Segment],
        map: &Segment,
        table: Option<&'static Table>,
        here: Option<&syntax::Table>,
    ) -> Result<(), Box<Fault>> {
        let Some(first) = segments.first() else {
            return Err(not_settable(map, "holds tables by name"));
        };
        let names = self.names(table, here);
        let mut found: Vec<(&String, usize)> = Vec::new();
        let mut joined = String::new();
        for (i, segment) in segments.iter().enumerate() {
            if i > 0 {
                joined.push_str("__");
            }
            joined.push_str(&segment.text);
            let wanted = fold(&joined);
            found.extend(names.iter().filter(|n| fold(n) == wanted).map(|n| (n, i + 1)));
        }
        match found.as_slice() {
            [] => Err(self.unknown_name(first, table, &names)),
            [(name, words)] => {
                let inner = here.and_then(|here| here.get(name)).map(|entry| &entry.node);
                self.path.push((*name).clone());
                let rest = &segments[*words..];
                match table {
                    None => nothing_below(rest, name),
                    Some(_) if rest.is_empty() => Err(not_settable(first, "is a whole table")),
                    Some(table) => self.table(rest, table, inner.and_then(|n| n.as_table())),
                }
            }
            several => {
                let names: Vec<String> =
                    several.iter().map(|(name, _)| format!("`{}`", key_text(name))).collect();
                Err(Box::new(Fault {
                    code: codes::AMBIGUOUS_VARIABLE,
                    message: format!("may mean {}", names.join(" or ")),
                    at: Some((first.start, first.end)),
                    label: String::from("which one?"),
                    help: Some(String::from("rename one of them, or set it in the file")),
                    of_file: false,
                }))
            }
        }
    }

    /// What can be named in a map: what it holds, and for circuits also the upstreams, each of
    /// which has one of its name unless a route says otherwise.
    fn names(&self, table: Option<&'static Table>, here: Option<&syntax::Table>) -> Vec<String> {
        let keys = |table: &syntax::Table| {
            table.iter().filter(|e| !crate::describe::is_note(e)).map(|e| e.key.clone()).collect()
        };
        let mut names: Vec<String> = here.map(keys).unwrap_or_default();
        if table.is_some_and(|table| table.id == "circuit") {
            let upstreams: Vec<String> =
                below(Some(self.tree), "upstreams").map(keys).unwrap_or_default();
            let circuits: Vec<String> = names.iter().map(|name| fold(name)).collect();
            names.extend(upstreams.into_iter().filter(|name| !circuits.contains(&fold(name))));
        }
        names
    }

    // ----- faults -----

    fn unknown_key(&self, word: &Segment, table: &'static Table) -> Box<Fault> {
        let fields = table.all_fields().map(|field| field.name);
        let shortcuts = SwitchKeys::TABLE.fields.iter().map(|field| field.name);
        let names: Vec<&str> =
            if table.id == ROOT.id { fields.chain(shortcuts).collect() } else { fields.collect() };
        let help = match nearest(&word.text, names.iter().copied()) {
            Some(meant) => format!("did you mean `{}`?", self.spell(meant)),
            None => format!("known here: {}", self.spell(&names.join(", "))),
        };
        Box::new(Fault {
            code: codes::UNKNOWN_VARIABLE,
            message: String::from("names no key"),
            at: Some((word.start, word.end)),
            label: String::from("unknown"),
            help: Some(help),
            of_file: false,
        })
    }

    fn unknown_name(
        &self,
        word: &Segment,
        table: Option<&'static Table>,
        names: &[String],
    ) -> Box<Fault> {
        let what = table.map_or("entry", |table| table.id);
        let help = match nearest(&word.text, names.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{}`?", self.spell(&fold(meant))),
            None if names.is_empty() => format!("the file configures no {what}"),
            None => format!("configured are {}", names.join(", ")),
        };
        Box::new(Fault {
            code: codes::UNKNOWN_VARIABLE,
            message: format!("names no {what} of the configuration"),
            at: Some((word.start, word.end)),
            label: format!("no such {what}"),
            help: Some(help),
            of_file: true,
        })
    }

    /// A name as it is written here: variables are in capitals.
    fn spell(&self, name: &str) -> String {
        if self.medium == Medium::Variable { name.to_uppercase() } else { name.to_owned() }
    }
}

fn below<'t>(table: Option<&'t syntax::Table>, key: &str) -> Option<&'t syntax::Table> {
    table?.get(key)?.node.as_table()
}

/// The key or old name that is meant, and what is below it.
fn field_like(table: &'static Table, folded: &str) -> Option<(&'static str, Shape)> {
    let field = table.all_fields().find(|field| field.name == folded);
    let old = || table.all_old().find(|old| old.name == folded);
    match field {
        Some(field) => Some((field.name, field.kind.shape())),
        None => old().map(|old| (old.name, Shape::Leaf)),
    }
}

/// A name as a variable would have it, in small letters.
pub(crate) fn fold(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_alphanumeric() { c } else { '_' }.to_lowercase()).collect()
}

// ===== faults =====

fn not_settable(word: &Segment, why: &str) -> Box<Fault> {
    Box::new(Fault {
        code: codes::NOT_SETTABLE,
        message: format!("cannot be set: `{}` {why}", word.text.to_lowercase()),
        at: Some((word.start, word.end)),
        label: String::from("only in the file"),
        help: Some(String::from("name one of its keys, or change the file")),
        of_file: false,
    })
}

fn nothing_below(rest: &[Segment], name: &str) -> Result<(), Box<Fault>> {
    match (rest.first(), rest.last()) {
        (Some(first), Some(last)) => Err(Box::new(Fault {
            code: codes::UNKNOWN_VARIABLE,
            message: format!("goes on after `{name}`, which has nothing below it"),
            at: Some((first.start, last.end)),
            label: String::from("too much"),
            help: Some(String::from("double underscores separate keys; single ones do not")),
            of_file: false,
        })),
        _ => Ok(()),
    }
}
