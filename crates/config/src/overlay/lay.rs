//! One tree laid over another.

use crate::describe::{Shape, Table};
use crate::syntax;

/// Lays `over` over `base`: tables are joined, everything else is replaced. Both are known to be
/// trees of `table`, as far as that is known; a key also takes the place of those it excludes.
pub(crate) fn lay_over(
    base: &mut syntax::Table,
    over: syntax::Table,
    table: Option<&'static Table>,
) {
    for entry in over.into_entries() {
        let rivals = table
            .into_iter()
            .flat_map(Table::all_exclusive)
            .filter(|group| group.contains(&entry.key.as_str()))
            .flatten()
            .filter(|name| **name != entry.key);
        for rival in rivals {
            base.remove(rival);
        }
        let shape = table
            .and_then(|table| table.field(&entry.key))
            .map_or(Shape::Leaf, |field| field.kind.shape());
        let below = base.get_mut(&entry.key).and_then(|below| below.node.as_table_mut());
        match (below, shape, entry.node.value) {
            (Some(below), Shape::Table(inner), syntax::Value::Table(over)) => {
                lay_over(below, over, Some(inner));
            }
            (Some(below), Shape::Map(inner), syntax::Value::Table(over)) => {
                let places = below.places();
                for named in over.into_entries() {
                    let Some(known) = places.get(&named.key).and_then(|at| below.at_mut(*at))
                    else {
                        below.push(named);
                        continue;
                    };
                    match (known.node.as_table_mut(), named.node.value) {
                        (Some(known), syntax::Value::Table(over)) => {
                            lay_over(known, over, Some(inner));
                        }
                        (_, value) => {
                            let node = syntax::Node::new(named.node.span, value);
                            *known = syntax::Entry { node, ..named };
                        }
                    }
                }
            }
            (Some(below), Shape::Values, syntax::Value::Table(over)) => {
                lay_over(below, over, None);
            }
            (_, _, value) => {
                let node = syntax::Node::new(entry.node.span, value);
                replace(base, syntax::Entry { node, ..entry });
            }
        }
    }
}

fn replace(table: &mut syntax::Table, entry: syntax::Entry) {
    match table.get_mut(&entry.key) {
        Some(known) => *known = entry,
        None => table.push(entry),
    }
}
