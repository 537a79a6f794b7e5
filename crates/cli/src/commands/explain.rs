//! `panelboard explain NAME`

use crate::admin::{Admin, segment};
use crate::args::NameArgs;
use crate::exit::Failure;
use crate::output;

pub(crate) fn run(args: &NameArgs) -> Result<(), Failure> {
    let admin = Admin::new(&args.admin)?;
    let answer = admin.get(&format!("/api/v1/circuits/{}/explain", segment(&args.name)))?;
    let sentence = answer["explain"].as_str().ok_or_else(|| admin.other(200))?;
    match args.admin.json {
        true => output::json(answer),
        false => output::data(sentence),
    }
}
