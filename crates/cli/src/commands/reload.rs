//! `panelboard config reload`

use serde_json::json;

use crate::admin::Admin;
use crate::args::ReloadArgs;
use crate::exit::{Code, Failure};
use crate::output;

pub(crate) fn run(args: &ReloadArgs) -> Result<(), Failure> {
    let body = match &args.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    };
    let admin = Admin::new(&args.admin)?;
    let answer = admin.post("/api/v1/config/reload", &body).map_err(|failure| {
        // Of all that may be wrong with this request, only the file can be made no sense of.
        failure.instead_of(Code::Usage, Code::Config)
    })?;
    let changes = answer["changes"].as_array().ok_or_else(|| admin.other(200))?;
    if args.admin.json {
        return output::json(answer);
    }
    if changes.is_empty() {
        output::message("nothing changes\n");
    }
    changes.iter().try_for_each(|change| output::data(change.as_str().unwrap_or_default()))
}
