//! What `unwrap`, `dbg!` and a log of `{:?}` show: no secret, though it stand in the text.

use std::fmt::Debug;

use panelboard_config::{FileWatch, Input, LoadOptions, Source, check, load};

const TEXT: &str = "[upstreams.a]\nurl = \"https://a.example\"\napi_key = \"sk-live-1\"\n";

fn keeps_it(shown: &impl Debug) {
    let text = format!("{shown:?} {shown:#?}");
    let bytes = format!("{:?}", "sk-live-1".as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    assert!(!text.contains("sk-live") && !text.contains(bytes), "{text}");
}

#[test]
fn a_source_is_shown_without_its_text() {
    let source = Source::new("panelboard.toml", TEXT);
    keeps_it(&source);
    assert!(format!("{source:?}").contains("panelboard.toml"));
}

#[test]
fn what_is_wrong_is_shown_without_the_text_it_is_in() {
    let checked = check(Input::new().file(Source::new("panelboard.toml", TEXT)));
    assert!(checked.diagnostics.has_errors());
    keeps_it(&checked);
    let error: Box<dyn std::error::Error> = checked.into_result().unwrap_err().into();
    keeps_it(&error);
    assert!(error.to_string().starts_with("panelboard.toml:3:11: error[PB0210]"), "{error}");
}

#[test]
fn what_is_loaded_and_watched_is_shown_without_environment_and_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("panelboard.toml");
    std::fs::write(&path, "# sk-live-1\n").unwrap();
    let options = LoadOptions {
        file: Some(path.clone()),
        environment: vec![("API_KEY".into(), "sk-live-1".into())],
        options: vec![("circuits.a.timeout".into(), "3s".into())],
        ..LoadOptions::default()
    };
    keeps_it(&options);
    assert!(
        format!("{options:?}").contains("1 of them")
            && format!("{options:?}").contains("circuits.a.timeout")
    );

    let loaded = load(&LoadOptions { options: Vec::new(), ..options }).unwrap();
    keeps_it(&loaded);
    let mut watch: FileWatch = loaded.watch().unwrap();
    keeps_it(&watch);
    std::fs::write(&path, "# sk-live-12\n").unwrap();
    assert_eq!(watch.poll(), None);
    keeps_it(&watch);
    keeps_it(&watch.poll().expect("a change"));
}
