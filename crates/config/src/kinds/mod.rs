//! The types of values: what each accepts, as words, as schema, and as code.

mod base_rate;
mod choice;
mod duration;
mod jitter;
mod list;
mod listen;
mod net;
mod off;
mod path;
mod ratio;
mod route;
mod scalar;
mod secret;
mod size;
mod table;
mod text;
mod url;
mod window;

pub(crate) use base_rate::BaseRateKind;
pub(crate) use choice::Choice;
pub(crate) use duration::Time;
pub(crate) use jitter::{JitterKind, JitterValue};
pub(crate) use list::{List, OneOrMany, Rules};
pub(crate) use listen::{ListenKind, ListenValue};
pub(crate) use net::{AddressKind, HostKind, HostNameKind, NetworkKind};
pub(crate) use off::OrOff;
pub(crate) use path::PathKind;
pub(crate) use ratio::Share;
pub(crate) use route::{HeaderMap, HeaderNameKind, MethodKind};
pub(crate) use scalar::{Count, Factor, Flag, Large, Status};
pub(crate) use secret::{SecretKind, VariableName};
pub(crate) use size::Size;
pub(crate) use table::{Each, Many, Nested};
pub(crate) use text::{Name, Pairs, Text, Word};
pub(crate) use url::UrlKind;
pub(crate) use window::WindowKind;
