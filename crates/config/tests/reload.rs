//! From the disk: loading, watching, and what a reload changes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use panelboard_config::{
    Change, Config, Diagnostics, Edit, FileChange, FileWatch, Input, LoadOptions, SecretRef,
    Source, check, diff, load, load_bytes,
};

fn lines(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}

fn in_directory(directory: &Path) -> LoadOptions {
    LoadOptions { directory: directory.to_owned(), ..LoadOptions::default() }
}

// ===== load =====

#[test]
fn without_any_file_the_defaults_run_and_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let loaded = load(&in_directory(directory.path())).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.path, None);
    assert!(loaded.watch().is_none());
    let told = lines(&loaded.diagnostics);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("note[PB1005]: no configuration file"), "{told:?}");
}

#[test]
fn a_named_file_must_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let options = |file: PathBuf| LoadOptions { file: Some(file), ..LoadOptions::default() };
    let told = lines(&load(&options(directory.path().join("none.toml"))).unwrap_err());
    assert!(told[0].contains("error[PB0001]: cannot read") && told[0].contains("none.toml"));
    let told = lines(&load(&options(directory.path().to_owned())).unwrap_err());
    assert!(told[0].contains("name the file in it"), "{told:?}");
}

#[test]
fn default_places_are_tried_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("config")).unwrap();
    let mut expected = Vec::new();
    for name in
        ["config/panelboard.json", "config/panelboard.toml", "panelboard.json", "panelboard.toml"]
    {
        let text = if name.ends_with("toml") {
            "[circuit_breaker]\nenabled = false\n"
        } else {
            "{ \"circuit_breaker\": { \"enabled\": false } }"
        };
        fs::write(at(name), text).unwrap();
        let loaded = load(&in_directory(directory.path())).unwrap();
        assert_eq!(loaded.path, Some(at(name)));
        assert!(!loaded.config.switches().enabled);
        let ignored = lines(&loaded.diagnostics);
        assert_eq!(ignored.len(), expected.len(), "{ignored:?}");
        assert!(ignored.iter().all(|line| line.contains("is ignored")), "{ignored:?}");
        expected.push(name);
    }
}

#[test]
fn what_is_wrong_names_the_file_it_is_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("panelboard.toml");
    fs::write(&path, "[circuit_breaker.circuits.a]\ntimeout = 0\n").unwrap();
    let told = lines(&load(&in_directory(directory.path())).unwrap_err());
    assert!(told[0].starts_with(&format!("{}:2:11: error[PB0202]", path.display())), "{told:?}");
}

#[test]
fn secrets_stand_next_to_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.toml");
    fs::write(
        &path,
        "[upstreams.a]\nurl = \"https://a\"\napi_key = { env = \"A_KEY\" }\n\
         [upstreams.b]\nurl = \"https://b\"\napi_key = { file = \"b.key\" }\n",
    )
    .unwrap();
    let mut options = LoadOptions { file: Some(path), secrets: true, ..LoadOptions::default() };
    let told = lines(&load(&options).unwrap_err());
    assert_eq!(told.len(), 2, "{told:?}");

    fs::write(directory.path().join("b.key"), "sk-b\n").unwrap();
    options.environment = vec![(String::from("A_KEY"), String::from("sk-a"))];
    let loaded = load(&options).unwrap();
    let expose = |at: SecretRef| loaded.secrets.get(&at).unwrap().expose().to_owned();
    assert_eq!(expose(SecretRef::Env(String::from("A_KEY"))), "sk-a");
    assert_eq!(expose(SecretRef::File("b.key".into())), "sk-b");
    assert!(!format!("{loaded:?}").contains("sk-b\""), "{loaded:?}");
}

// ===== watch =====

struct Watched {
    directory: tempfile::TempDir,
    watch: FileWatch,
}

impl Watched {
    fn new() -> Watched {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("panelboard.toml");
        fs::write(&path, "one").unwrap();
        Watched { directory, watch: FileWatch::new(path, b"one".to_vec()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, text: &str) {
        fs::write(self.watch.path(), text).unwrap();
    }

    /// What the next two polls tell.
    fn two_polls(&mut self) -> [Option<FileChange>; 2] {
        [self.watch.poll(), self.watch.poll()]
    }
}

fn content(text: &str) -> FileChange {
    FileChange::Content(text.as_bytes().to_vec())
}

#[test]
fn a_file_written_in_place_has_changed_once() {
    let mut file = Watched::new();
    assert_eq!(file.two_polls(), [None, None]);
    file.write("two");
    assert_eq!(file.two_polls(), [None, Some(content("two"))]);
    assert_eq!(file.two_polls(), [None, None]);
}

#[test]
fn a_file_rewritten_as_it_was_has_not_changed() {
    let mut file = Watched::new();
    file.write("one");
    assert_eq!(file.two_polls(), [None, None]);
    fs::write(file.path("other"), "one").unwrap();
    fs::rename(file.path("other"), file.watch.path()).unwrap();
    assert_eq!(file.two_polls(), [None, None]);
}

#[test]
fn a_file_half_written_is_not_told() {
    let mut file = Watched::new();
    file.write("tw");
    assert_eq!(file.watch.poll(), None);
    file.write("two");
    assert_eq!(file.two_polls(), [None, Some(content("two"))]);
    file.write("");
    assert_eq!(file.watch.poll(), None);
    file.write("two");
    assert_eq!(file.two_polls(), [None, None], "back before anybody was told");
}

#[test]
fn a_file_renamed_over_has_changed() {
    let mut file = Watched::new();
    fs::write(file.path("new"), "two").unwrap();
    fs::rename(file.path("new"), file.watch.path()).unwrap();
    assert_eq!(file.two_polls(), [None, Some(content("two"))]);
}

#[cfg(unix)]
#[test]
fn switched_links_are_followed() {
    use std::os::unix::fs::symlink;

    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (version, text) in [("v1", "one"), ("v2", "two")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("panelboard.toml"), text).unwrap();
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/panelboard.toml", at("panelboard.toml")).unwrap();
    let mut watch = FileWatch::new(at("panelboard.toml"), b"one".to_vec());
    assert_eq!([watch.poll(), watch.poll()], [None, None]);
    symlink("v2", at("..next")).unwrap();
    fs::rename(at("..next"), at("..data")).unwrap();
    assert_eq!([watch.poll(), watch.poll()], [None, Some(content("two"))]);
}

#[test]
fn a_lost_file_is_told_once_and_so_is_its_return() {
    let mut file = Watched::new();
    fs::remove_file(file.watch.path()).unwrap();
    assert_eq!(file.two_polls(), [None, Some(FileChange::Lost(ErrorKind::NotFound))]);
    assert_eq!(file.two_polls(), [None, None]);
    file.write("one");
    assert_eq!(file.two_polls(), [None, Some(content("one"))]);
    assert_eq!(file.two_polls(), [None, None]);
}

#[test]
fn a_file_away_for_a_moment_is_not_lost() {
    let mut file = Watched::new();
    fs::remove_file(file.watch.path()).unwrap();
    assert_eq!(file.watch.poll(), None);
    file.write("one");
    assert_eq!(file.two_polls(), [None, None]);
}

#[test]
fn watching_begins_with_what_was_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("panelboard.toml");
    fs::write(&path, "[circuit_breaker]\n").unwrap();
    let options = in_directory(directory.path());
    let loaded = load(&options).unwrap();
    fs::write(&path, "[circuit_breaker]\nenabled = false\n").unwrap();
    let mut watch = loaded.watch().unwrap();
    assert_eq!(watch.poll(), None);
    let Some(FileChange::Content(bytes)) = watch.poll() else { panic!("the change was missed") };
    let next = load_bytes(&options, Some(watch.path()), &bytes).unwrap();
    assert_eq!(diff(&loaded.config, &next.config), [Change::Switch("enabled")]);
}

// ===== diff =====

fn config(text: &str) -> Config {
    check(Input::new().file(Source::new("panelboard.toml", text))).config.unwrap()
}

const OLD: &str = r#"
[circuit_breaker.circuits.kept]
timeout = 5
[circuit_breaker.circuits.changed]
timeout = 5
[circuit_breaker.circuits.removed]
timeout = 5
[gateway]
listen = "127.0.0.1:1"
[upstreams.a]
url = "https://a"
api_key = { env = "SECRET_NAME" }
[[routes]]
upstream = "a"
"#;

const NEW: &str = r#"
# Everything has moved, and this is new.
[gateway]
listen = "127.0.0.1:2"
max_headers = 50
response_headers = false
[circuit_breaker.circuits.added]
timeout = 5
[circuit_breaker.circuits.changed]
timeout = 6
[circuit_breaker.circuits.kept]
timeout = "5s"
[circuit_breaker.defaults]
pace = false
[circuit_breaker]
log_circuit_changes = false
[upstreams.a]
url = "https://a"
api_key = { env = "OTHER_NAME" }
[upstreams.b]
url = "https://b"
[[routes]]
upstreams = ["a", "b"]
[fallbacks.default]
status = 500
"#;

#[test]
fn what_moved_has_not_changed() {
    let moved = OLD.replace("timeout = 5", "# moved\n\ntimeout = \"5s\"");
    assert_eq!(config(OLD), config(&moved));
    assert_eq!(diff(&config(OLD), &config(&moved)), []);
}

#[test]
fn differences_are_named() {
    let changes = diff(&config(OLD), &config(NEW));
    let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "log_circuit_changes changed",
            "defaults changed",
            "circuit a changed",
            "circuit added added",
            "circuit b added",
            "circuit changed changed",
            "circuit kept changed",
            "circuit removed removed",
            "listeners changed",
            "gateway limits changed",
            "upstream a changed",
            "upstream b added",
            "routes changed",
            "fallback default changed",
        ]
    );
    assert!(changes.contains(&Change::Circuit(String::from("removed"), Edit::Removed)));
    // What takes a restart, and nothing else, says so.
    for (gateway, told) in [
        ("max_headers = 50", "gateway limits changed"),
        ("listen = \"127.0.0.1:3\"", "listeners changed"),
        ("admin = \"127.0.0.1:3\"", "address of the admin API changed (this takes a restart)"),
        ("trusted_proxies = [\"10.0.0.0/8\"]", "gateway limits changed"),
        ("shutdown_grace = \"1s\"", "gateway limits changed"),
    ] {
        let changes = diff(&config(""), &config(&format!("[gateway]\n{gateway}")));
        assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
    }
    let back = diff(&config(NEW), &config(OLD));
    assert!(back.contains(&Change::Circuit(String::from("added"), Edit::Removed)));
    assert!(!format!("{changes:?}").contains("NAME"), "names of secrets stay out of logs");
}
