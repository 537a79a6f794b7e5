//! For each code, what brings it about: shown on the page of codes beside what is said of it.

use super::{Code, Diagnostic};
use crate::check::{Input, check};
use crate::source::Source;

/// What brings a code about.
pub(super) enum Example {
    /// A file of TOML.
    Toml(&'static str),
    /// A file of JSON.
    Json(&'static str),
    /// A variable, set over this file.
    Variable(&'static str, &'static str, &'static str),
    /// Something that is not in one file; what is said of it.
    Said(&'static str),
}

use Example::{Json, Said, Toml, Variable};

const FILE: &str = "[circuit_breaker.circuits.llm]\n";

const EXAMPLES: &[(&str, Example)] = &[
    ("PB0001", Said("cannot read `panelboard.toml`: No such file or directory (os error 2)")),
    ("PB0002", Said("`panelboard.toml` is not UTF-8 text: byte 0 is 0xff")),
    ("PB0003", Toml("[circuit_breaker.circuits.llm]\ntimeout = 5s\n")),
    ("PB0004", Json("{ \"gateway\": { \"listen\" \"127.0.0.1:80\" } }\n")),
    ("PB0005", Json("{ \"gateway\": { \"max_headers\": 50, } }\n")),
    ("PB0006", Toml("[gateway]\nmax_headers = 50\nmax_headers = 60\n")),
    ("PB0007", Said("tables or lists are nested too deeply")),
    ("PB0008", Said("`panelboard.toml` has 5242880 bytes; at most 4194304 are read")),
    ("PB0009", Json("[{ \"gateway\": {} }]\n")),
    ("PB0010", Said("only the first 200 problems are listed")),
    ("PB0101", Toml("[circuit_breaker.circuits.llm]\nfailure_treshold = 3\n")),
    ("PB0102", Toml("[gatway]\nmax_headers = 50\n")),
    ("PB0103", Toml("[upstreams.openai]\nkind = \"openai\"\n")),
    (
        "PB0104",
        Toml("[circuit_breaker.circuits.llm]\nrecord = [\"timeout\"]\nignore = [\"auth\"]\n"),
    ),
    ("PB0105", Toml("[circuit_breaker.circuits.llm]\ntimeout = 45\ntimeout_seconds = 30\n")),
    ("PB0106", Toml("[circuit_breaker.circuits.\" llm\"]\ntimeout = 45\n")),
    ("PB0107", Variable(FILE, "PANELBOARD__CIRCUITS__LLM__TIMEOTU", "45s")),
    (
        "PB0108",
        Variable(
            "[circuit_breaker.circuits.my-llm]\n[circuit_breaker.circuits.my_llm]\n",
            "PANELBOARD__CIRCUITS__MY_LLM__TIMEOUT",
            "45s",
        ),
    ),
    ("PB0109", Variable(FILE, "PANELBOARD__CIRCUITS__LLM", "x")),
    ("PB0201", Toml("[circuit_breaker]\nenabled = \"true\"\n")),
    ("PB0202", Toml("[circuit_breaker.circuits.llm]\nfailure_threshold = 0\n")),
    ("PB0203", Toml("[circuit_breaker.circuits.llm]\ntimeout = \"5 seconds\"\n")),
    ("PB0204", Toml("[circuit_breaker.circuits.llm]\nfailure_rate = 50\n")),
    ("PB0205", Toml("[circuit_breaker.circuits.llm]\nmode = \"open\"\n")),
    ("PB0206", Toml("[gateway]\nmax_header_bytes = \"64KB\"\n")),
    ("PB0207", Toml("[circuit_breaker.circuits.llm]\nsuccess_threshold = 5\nprobe_calls = 3\n")),
    ("PB0208", Toml("[circuit_breaker.circuits.llm]\nkey = []\n")),
    ("PB0209", Toml("[fallbacks.busy]\nmessage = \"\"\n")),
    (
        "PB0210",
        Toml("[upstreams.a]\nurl = \"https://a.example.com\"\napi_key = \"not for print\"\n"),
    ),
    (
        "PB0211",
        Toml(
            "[circuit_breaker.circuits.llm]\nkey = [\"upstream\", \"model\"]\nkeys.gpt.timeout = 9\n",
        ),
    ),
    ("PB0301", Toml("[circuit_breaker.circuits.llm]\npreset = \"lm\"\n")),
    ("PB0302", Toml("[circuit_breaker.circuits.llm]\nextends = \"base\"\n")),
    ("PB0303", Toml("[[routes]]\nupstream = \"openai\"\n")),
    ("PB0304", Toml("[circuit_breaker.circuits.llm]\nfallback = \"bussy\"\n")),
    (
        "PB0305",
        Toml(
            "[circuit_breaker.circuits.a]\nextends = \"b\"\n[circuit_breaker.circuits.b]\nextends = \"a\"\n",
        ),
    ),
    ("PB0306", Toml("[circuit_breaker.circuits.llm.keys.\"*/gpt-4o*\"]\ntimeout = \"2m\"\n")),
    (
        "PB0307",
        Toml(
            "[circuit_breaker.circuits.llm]\nkey = [\"model\"]\nkeys.\"gpt*\".timeout = 9\nkeys.\"gpt-4o\".timeout = 60\n",
        ),
    ),
    (
        "PB0308",
        Toml(
            "[circuit_breaker.circuits.a]\ndepends_on = [\"b\"]\n[circuit_breaker.circuits.b]\ndepends_on = [\"a\"]\n",
        ),
    ),
    ("PB0309", Toml("[check]\nallow = [\"PB0202\"]\n")),
    ("PB0310", Variable("[env.staging.gateway]\nmax_headers = 50\n", "PANELBOARD_ENV", "stagin")),
    ("PB0401", Toml("[gateway]\nlisten = \"localhost:8080\"\n")),
    ("PB0403", Toml("[upstreams.a]\nurl = \"a.example.com\"\n")),
    (
        "PB0404",
        Toml(
            "[upstreams.a]\nurl = \"https://a.example.com\"\nauth = { header = \"x key\", value = { env = \"A\" } }\n",
        ),
    ),
    ("PB0405", Toml("[[routes]]\nmethods = [\"get\"]\nupstream = \"a\"\n")),
    ("PB0406", Toml("[[routes]]\nhost = \"https://a.example.com\"\nupstream = \"a\"\n")),
    ("PB0407", Toml("[[routes]]\npath = \"v1\"\nupstream = \"a\"\n")),
    ("PB0408", Toml("[[routes]]\npath = \"/v1\"\n")),
    (
        "PB0409",
        Toml(
            "[upstreams.a]\nurl = \"https://a.example.com\"\n[[routes]]\nupstream = \"a\"\n[[routes]]\npath = \"/v1\"\nupstream = \"a\"\n",
        ),
    ),
    (
        "PB0410",
        Toml("[[routes]]\nname = \"a\"\npath = \"/a\"\n[[routes]]\nname = \"a\"\npath = \"/b\"\n"),
    ),
    ("PB0411", Toml("[[routes]]\npath = \"/v1\"\nstrip_prefix = \"/v2\"\n")),
    ("PB0412", Toml("[gateway]\nlisten = \"127.0.0.1:9090\"\n")),
    ("PB0413", Said("`upstreams.openai.api_key`: the variable OPENAI_API_KEY is not set")),
    (
        "PB0501",
        Said("`DATABASE_URL` names db.old.example.com, which is deprecated (*.old.example.com)"),
    ),
    ("PB0502", Said("the environment variable OPENAI_API_KEY is required, but not set, or empty")),
    (
        "PB0503",
        Said("`verify_ssl` switches the verification of certificates off: anybody can answer"),
    ),
    ("PB1001", Toml("[circuit_breaker.circuits.llm]\ntimeout_seconds = 30\n")),
    ("PB1002", Toml("[circuit_breaker.circuits.llm]\nhealth_check_interval = 30\n")),
    ("PB1003", Toml("[telemetry]\nendpoint = \"https://t.example.com\"\n")),
    ("PB1004", Json("{ \"model_selection\": {}, \"circuit_breaker\": {} }\n")),
    ("PB1005", Said("no configuration file; running on the built-in defaults")),
    ("PB1006", Toml("# nothing\n")),
    ("PB1007", Toml("[circuit_breaker.circuits.my-llm]\n[circuit_breaker.circuits.my_llm]\n")),
    ("PB1008", Said("`panelboard.json` is ignored: `panelboard.toml` was found first")),
    ("PB1009", Variable(FILE, "PANELBOARD_CIRCUITS__LLM__TIMEOUT", "45s")),
    (
        "PB1010",
        Toml(
            "[upstreams.a]\nurl = \"https://a.example.com\"\ntotal_timeout = \"60s\"\n[[routes]]\nupstream = \"a\"\ndeadline = \"10s\"\n",
        ),
    ),
    (
        "PB1011",
        Toml(
            "[upstreams.a]\nurl = \"https://a.example.com\"\n[upstreams.b]\nurl = \"https://b.example.com\"\n[[routes]]\nupstreams = [\"a\", \"b\"]\ndeadline = \"30s\"\n",
        ),
    ),
    (
        "PB1012",
        Toml("[circuit_breaker.circuits.db]\ntimeout = \"5s\"\nslow_call_duration = \"5s\"\n"),
    ),
    ("PB1013", Toml("[circuit_breaker.circuits.db]\ntimeout = \"5s\"\nwindow = \"5s\"\n")),
    (
        "PB1014",
        Toml("[circuit_breaker.circuits.db]\ntimeout = \"20s\"\nrecovery_timeout = \"5s\"\n"),
    ),
    (
        "PB1015",
        Toml(
            "[upstreams.a]\nurl = \"https://a.example.com\"\nfirst_byte_timeout = \"30s\"\ntotal_timeout = \"20s\"\n",
        ),
    ),
    (
        "PB1016",
        Toml(
            "[upstreams.a]\nurl = \"https://a.example.com\"\n[[routes]]\nupstream = \"a\"\ndeadline = \"2m\"\n",
        ),
    ),
    (
        "PB1017",
        Toml(
            "[circuit_breaker.circuits.db]\nfailure_threshold = \"off\"\nwindow = 20\nmin_calls = 50\n",
        ),
    ),
    (
        "PB1018",
        Toml("[upstreams.a]\nurl = \"https://a.example.com\"\ntunnel_idle_timeout = \"10s\"\n"),
    ),
    (
        "PB1020",
        Toml(
            "[upstreams.a]\nurl = \"https://a.example.com\"\ntls = { insecure_skip_verify = true }\n",
        ),
    ),
    (
        "PB1021",
        Toml(
            "[circuit_breaker.circuits.db]\nfailure_threshold = \"off\"\nwindow = 10000\nexpected_rate = 0.5\n",
        ),
    ),
    (
        "PB1022",
        Toml(
            "[circuit_breaker.circuits.db]\nfailure_rate = \"off\"\nexpected_rate = 5\nexpected_error_rate = \"10%\"\n",
        ),
    ),
    ("PB1023", Toml("[circuit_breaker.circuits.db]\nmode = \"forced_open\"\n")),
    (
        "PB1024",
        Toml(
            "[circuit_breaker.circuits.llm]\n[upstreams.a]\nurl = \"https://a.example.com\"\n[upstreams.b]\nurl = \"https://b.example.com\"\n[[routes]]\nupstreams = [\"a\", \"b\"]\ncircuit = \"llm\"\n",
        ),
    ),
    (
        "PB1025",
        Toml("[upstreams.a]\nurl = \"http://127.0.0.1:8080\"\n[[routes]]\nupstream = \"a\"\n"),
    ),
    (
        "PB1026",
        Toml(
            "[circuit_breaker.circuits.gpt]\nrecord = [\"timeout\", \"rate_limited\"]\n[upstreams.gpt]\nurl = \"https://api.openai.com\"\nkind = \"openai\"\n[[routes]]\nupstream = \"gpt\"\n",
        ),
    ),
    ("PB1030", Toml("[upstreams.a]\nurl = \"http://a.example.com\"\n")),
    (
        "PB1040",
        Said("`DATABASE_TIMEOUT_MS` is 30s, but timeouts for `database` must be 10m or longer"),
    ),
    ("PB1041", Said("`check.files`: `infra/*.tf` matches no file")),
    ("PB1042", Said("`logo.png` was not looked through: it is binary")),
];

/// The example for a code, as Markdown; nothing, if there is none.
pub(super) fn markdown(code: Code) -> Option<String> {
    let (_, example) = EXAMPLES.iter().find(|(id, _)| *id == code.id())?;
    let fence = |language: &str, text: &str| format!("```{language}\n{}\n```\n\n", text.trim_end());
    let said = said(code, example)?;
    Some(match example {
        Toml(text) => fence("toml", text) + &said,
        Json(text) => fence("json", text) + &said,
        Variable(text, name, value) => {
            fence("toml", text) + &fence("sh", &format!("{name}={value}")) + &said
        }
        Said(_) => said,
    })
}

/// What is said of the example: by the checks themselves, where they can.
fn said(code: Code, example: &Example) -> Option<String> {
    let input = match example {
        Toml(text) => Input::new().file(Source::new("panelboard.toml", *text)),
        Json(text) => Input::new().file(Source::new("app.json", *text)),
        Variable(text, name, value) => Input::new()
            .file(Source::new("panelboard.toml", *text))
            .environment([((*name).to_owned(), (*value).to_owned())]),
        Said(text) => return Some(format!("> {text}\n")),
    };
    let found = check(input).diagnostics;
    let diagnostic = found.iter().find(|found| found.code() == code)?;
    Some(sentence(diagnostic))
}

fn sentence(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.location().map_or_else(String::new, |at| format!("`{at}`: "));
    let help = diagnostic.help().map_or_else(String::new, |help| format!(" — {help}"));
    format!("> {place}{}{help}\n", diagnostic.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_brings_its_code_about() {
        let known = |id: &str| Code::all().iter().find(|code| code.id() == id).copied();
        let idle = |id: &&str| known(id).and_then(markdown).is_none();
        let idle: Vec<&str> = EXAMPLES.iter().map(|(id, _)| *id).filter(idle).collect();
        assert!(idle.is_empty(), "examples of something else: {idle:?}");
        let without: Vec<&str> =
            Code::all().iter().filter(|c| markdown(**c).is_none()).map(|code| code.id()).collect();
        assert!(without.len() <= 12, "codes without an example: {without:?}");
    }
}
