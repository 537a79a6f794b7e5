//! Pages and files that are made from the code, so that they cannot say anything else.

use std::fs;

use crate::root;

#[path = "../../crates/cli/tests/e2e/matrix/table.rs"]
#[expect(dead_code, reason = "how rows are played is the test's affair")]
mod fault_matrix;

/// What is generated: where it stands, and what it says.
fn files() -> Vec<(&'static str, String)> {
    let schema = format!("{:#}\n", panelboard_config::json_schema());
    vec![
        ("panelboard.schema.json", schema),
        ("docs/config.md", panelboard_config::config_reference_markdown()),
        ("docs/config-errors.md", panelboard_config::error_reference_markdown()),
        ("docs/classification.md", panelboard_gateway::classification_markdown()),
        ("docs/fault-matrix.md", fault_matrix::markdown()),
        ("docs/openapi.json", panelboard_gateway::openapi_json()),
    ]
}

/// Writes them.
pub(crate) fn write() -> Result<(), String> {
    for (name, content) in files() {
        let path = root().join(name);
        fs::write(&path, content).map_err(|error| format!("cannot write {name}: {error}"))?;
    }
    Ok(())
}

/// Names those that are not what the code says.
pub(crate) fn outdated() -> Vec<String> {
    files()
        .into_iter()
        .filter(|(name, content)| {
            fs::read_to_string(root().join(name)).ok().as_ref() != Some(content)
        })
        .map(|(name, _)| format!("{name} is not current: run `cargo xtask generate`"))
        .collect()
}
