//! What is special about upstreams that are language models: where their names stand, when a quota
//! is used up, what an answer costs, and how what one API says is put in another's words.

mod meter;
mod path;
mod quota;
pub(crate) mod translate;

pub(crate) use meter::{Meter, Room, TokenLimit, estimate};
pub(crate) use path::{in_path, renamed};
pub(crate) use quota::{LONGEST_ERROR, may_tell, used_up};
