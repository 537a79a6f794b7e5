//! `panelboard explain NAME`

use crate::admin::{Admin, segment};
use crate::args::NameArgs;
use crate::exit::Failure;

pub(crate) fn run(args: &NameArgs) -> Result<(), Failure> {
    let admin = Admin::new(&args.admin.admin);
    let answer = admin.get(&format!("/api/v1/circuits/{}/explain", segment(&args.name)))?;
    if args.admin.json {
        println!("{answer}");
    } else {
        println!("{}", answer["explain"].as_str().unwrap_or_default());
    }
    Ok(())
}
