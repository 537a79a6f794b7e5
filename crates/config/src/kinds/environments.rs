//! Parts of a file that hold for one environment only.

use serde_json::{Value as Json, json};

use crate::context::Context;
use crate::describe::{Kind, Read, Shape};
use crate::schema::Definitions;
use crate::sections::ROOT;
use crate::syntax::Node;

/// Tables by the name of an environment, each of them a part of the whole file. They are taken out
/// and laid over it before anything is read.
pub(crate) struct Environments;

impl Kind for Environments {
    fn accepts(&self) -> String {
        String::from("a table of tables, each under the name of an environment")
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        let part = definitions.part_of(ROOT, "env");
        json!({ "type": "object", "additionalProperties": part })
    }

    fn shape(&self) -> Shape {
        Shape::Map(ROOT)
    }
}

impl Read for Environments {
    type Out = ();

    fn read(&self, node: &Node, cx: &mut Context) -> Option<()> {
        let problem = cx
            .wrong_type(node, &self.accepts())
            .help("to choose an environment, use --env or PANELBOARD_ENV");
        cx.report(problem);
        None
    }
}
