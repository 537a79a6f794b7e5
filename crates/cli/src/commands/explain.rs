//! `panelboard explain NAME`

use crate::admin::{Admin, segment};
use crate::args::NameArgs;
use crate::exit::Failure;
use crate::output;

pub(crate) fn run(args: &NameArgs) -> Result<(), Failure> {
    let admin = Admin::new(&args.admin.admin);
    let answer = admin.get(&format!("/api/v1/circuits/{}/explain", segment(&args.name)))?;
    if args.admin.json {
        output::data(answer)
    } else {
        output::data(answer["explain"].as_str().unwrap_or_default())
    }
}
