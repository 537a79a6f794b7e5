//! Where each key of a TOML text was first defined: what `toml` knows when it meets a duplicate,
//! but does not tell.

use std::collections::HashMap;
use std::ops::Range;

use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

/// As deep as `toml` itself goes; the parser recurses.
const DEEPEST: u32 = 80;

/// The full path of a key; a list of tables adds the number of the table.
type Path = Vec<String>;

/// Every definition of every key.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    first: HashMap<Path, Definition>,
    all: HashMap<(usize, usize), Path>,
}

/// The first places where a key was named: for its own sake, and on the way to another.
#[derive(Debug, Default)]
struct Definition {
    meant: Option<Range<usize>>,
    passed: Option<Range<usize>>,
}

impl Definitions {
    pub(super) fn of(text: &str) -> Definitions {
        let source = Source::new(text);
        let tokens = source.lex().into_vec();
        let mut events: Vec<Event> = Vec::new();
        parse_document(&tokens, &mut RecursionGuard::new(&mut events, DEEPEST), &mut ());
        let mut walk = Walk::new(source);
        for event in &events {
            walk.step(event);
        }
        walk.found
    }

    /// The first definition of the key whose second one is `again`.
    pub(super) fn first_of(&self, again: &Range<usize>) -> Option<Range<usize>> {
        let path = self.all.get(&(again.start, again.end))?;
        let first = self.first.get(path)?;
        let other = |at: &&Range<usize>| *at != again;
        first.meant.as_ref().filter(other).or(first.passed.as_ref().filter(other)).cloned()
    }

    fn add(&mut self, path: &[String], at: Range<usize>, meant: bool) {
        self.all.insert((at.start, at.end), path.to_vec());
        let first = self.first.entry(path.to_vec()).or_default();
        let place = if meant { &mut first.meant } else { &mut first.passed };
        place.get_or_insert(at);
    }
}

/// Follows the events of a document, knowing at each which table it is in.
struct Walk<'t> {
    source: Source<'t>,
    found: Definitions,
    /// How many tables each list of tables has so far.
    lists: HashMap<Path, usize>,
    header: Path,
    in_list_header: bool,
    open: Vec<Open>,
    key: Vec<(String, Range<usize>)>,
}

/// What has begun and not ended yet.
enum Open {
    /// The value of the key of this path.
    Value(Path),
    Inline(Path),
    List(Path, usize),
}

impl<'t> Walk<'t> {
    fn new(source: Source<'t>) -> Walk<'t> {
        Walk {
            source,
            found: Definitions::default(),
            lists: HashMap::new(),
            header: Path::new(),
            in_list_header: false,
            open: Vec::new(),
            key: Vec::new(),
        }
    }

    fn step(&mut self, event: &Event) {
        match event.kind() {
            kind @ (EventKind::StdTableOpen | EventKind::ArrayTableOpen) => {
                self.key.clear();
                self.open.clear();
                self.in_list_header = kind == EventKind::ArrayTableOpen;
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => self.close_header(),
            EventKind::SimpleKey => self.key_part(event),
            EventKind::KeyValSep => {
                let table = match self.open.last() {
                    Some(Open::Value(path) | Open::Inline(path) | Open::List(path, _)) => path,
                    None => &self.header,
                };
                let path = self.define(table.clone());
                self.open.push(Open::Value(path));
            }
            EventKind::InlineTableOpen => {
                let path = self.value_path();
                self.open.push(Open::Inline(path));
            }
            EventKind::ArrayOpen => {
                let path = self.value_path();
                self.open.push(Open::List(path, 0));
            }
            EventKind::InlineTableClose | EventKind::ArrayClose => {
                self.value_ended();
                self.open.pop();
                self.value_ended();
            }
            EventKind::Scalar | EventKind::ValueSep => self.value_ended(),
            _ => {}
        }
    }

    /// The path of the value that begins here.
    fn value_path(&mut self) -> Path {
        match self.open.last_mut() {
            Some(Open::Value(path) | Open::Inline(path)) => path.clone(),
            Some(Open::List(path, count)) => {
                *count += 1;
                let mut path = path.clone();
                path.push(format!("#{count}"));
                path
            }
            None => self.header.clone(),
        }
    }

    fn value_ended(&mut self) {
        if let Some(Open::Value(_)) = self.open.last() {
            self.open.pop();
        }
        self.key.clear();
    }

    fn key_part(&mut self, event: &Event) {
        let span = event.span();
        let mut text = String::new();
        if let Some(raw) = self.source.get(event) {
            raw.decode_key(&mut text, &mut ());
        }
        self.key.push((text, span.start()..span.end()));
    }

    fn close_header(&mut self) {
        let mut path = self.define(Path::new());
        if self.in_list_header {
            let count = self.lists.entry(path.clone()).or_insert(0);
            *count += 1;
            path.push(format!("#{count}"));
        }
        self.header = path;
    }

    /// Notes the key read so far, below `path`, and gives its own path.
    fn define(&mut self, mut path: Path) -> Path {
        let key = std::mem::take(&mut self.key);
        let last = key.len().saturating_sub(1);
        for (i, (part, at)) in key.into_iter().enumerate() {
            path.push(part);
            self.found.add(&path, at, i == last);
            if i < last
                && let Some(count) = self.lists.get(&path)
            {
                path.push(format!("#{count}"));
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of the first definition of the key that starts the last line.
    fn first_line(text: &str) -> Option<usize> {
        let line = text.trim_end().rfind('\n').map_or(0, |i| i + 1);
        let key = text[line..].trim_start_matches('[');
        let start = text.len() - key.len();
        let end = start + key.find([' ', ']', '.']).unwrap();
        let definitions = Definitions::of(text);
        let first = definitions.first_of(&(start..end))?;
        Some(text[..first.start].matches('\n').count() + 1)
    }

    #[test]
    fn finds_the_first_of_two() {
        assert_eq!(first_line("x = 1\nx = 2\n"), Some(1));
        assert_eq!(first_line("[a]\nx = 1\n[b]\nx = 1\nx = 2\n"), Some(4));
        assert_eq!(first_line("[a]\nx = 1\n[b]\nx = { x = 1 }\n[a]\n"), Some(1));
        assert_eq!(first_line("a.x = 1\nb.x = 2\na = 3\n"), Some(1));
        assert_eq!(first_line("[a.b]\n[a]\n[c]\n[a]\n"), Some(2));
        assert_eq!(first_line("x = [{ y = 1 }, { y = 2 }]\ny = 1\nx = 2\n"), Some(1));
    }

    #[test]
    fn tables_of_a_list_are_apart() {
        assert_eq!(first_line("[[r]]\nx = 1\n[[r]]\nx = 1\nx = 2\n"), Some(4));
        assert_eq!(first_line("[[r]]\nx = 1\n[[r]]\nx = 1\n"), None);
    }

    #[test]
    fn inline_tables_are_looked_into() {
        let text = "t = { a = 1, b = 2, a = 3 }";
        let again = text.rfind('a').unwrap();
        assert_eq!(Definitions::of(text).first_of(&(again..again + 1)), Some(6..7));
    }
}
