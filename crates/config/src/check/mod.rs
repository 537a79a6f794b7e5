//! From sources to a checked configuration, with everything that is wrong in one pass.

mod circuits;
mod dependencies;
mod environments;
mod fallbacks;
mod gateway;
mod layers;
mod names;
mod patterns;
mod policies;
mod probes;
mod routes;
mod sections;
mod tls;
mod tokens;
mod upstreams;

pub(crate) use circuits::LaidOut;

use crate::conceal::{conceal, conceal_text};
use crate::context::{At, Context};
use crate::describe::{Keys, TableReader, modernise};
use crate::diagnostic::problem::Problem;
use crate::diagnostic::{Diagnostics, codes};
use crate::lint;
use crate::model::{Checks, Config, Parts, SecretReader, Secrets, Switches};
use crate::overlay::{apply_options, apply_requests, apply_variables, lay_over};
use crate::sections::{ROOT, RootKeys, SwitchKeys};
use crate::source::{MAX_BYTES, Source, Span};
use crate::syntax::{Table, parse};

/// What a configuration is made from. Nothing is read from the process or the disk: the
/// environment is whatever is passed in.
#[derive(Default)]
pub struct Input<'a> {
    source: Option<Source>,
    environment: Vec<(String, String)>,
    options: Vec<(String, String)>,
    requests: Vec<(String, String)>,
    env: Option<String>,
    secrets: Option<&'a dyn SecretReader>,
}

/// What came of checking.
#[derive(Debug)]
pub struct Checked {
    /// The configuration; `None` if there are errors.
    pub config: Option<Config>,
    /// Its secrets, if there was something to read them from.
    pub secrets: Secrets,
    /// Everything there is to say about it.
    pub diagnostics: Diagnostics,
}

// ===== impl Input =====

impl<'a> Input<'a> {
    /// Nothing: the built-in defaults.
    pub fn new() -> Input<'a> {
        Input::default()
    }

    /// The file.
    #[must_use]
    pub fn file(mut self, source: Source) -> Input<'a> {
        self.source = Some(source);
        self
    }

    /// The environment, of which `PANELBOARD__…` is looked at.
    #[must_use]
    pub fn environment(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Input<'a> {
        self.environment.extend(variables);
        self
    }

    /// A setting from the command line, such as `circuits.llm.timeout` and `45s`. It wins over file
    /// and environment.
    #[must_use]
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Input<'a> {
        self.options.push((key.into(), value.into()));
        self
    }

    /// Settings that the circuit of this name was given at run time, as a JSON object. They win over
    /// everything else.
    #[must_use]
    pub fn request(mut self, circuit: impl Into<String>, json: impl Into<String>) -> Input<'a> {
        self.requests.push((circuit.into(), json.into()));
        self
    }

    /// The environment whose part of the file counts, instead of the one that `PANELBOARD_ENV`
    /// names.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>) -> Input<'a> {
        self.env = Some(name.into());
        self
    }

    /// Reads the secrets, too; those that cannot be read are errors.
    #[must_use]
    pub fn secrets(mut self, reader: &'a dyn SecretReader) -> Input<'a> {
        self.secrets = Some(reader);
        self
    }
}

impl Checked {
    /// The configuration with its secrets and warnings, or what is wrong with it.
    ///
    /// # Errors
    /// When there are errors.
    pub fn into_result(self) -> Result<(Config, Secrets, Diagnostics), Diagnostics> {
        match self.config {
            Some(config) => Ok((config, self.secrets, self.diagnostics)),
            None => Err(self.diagnostics),
        }
    }
}

// ===== check =====

/// Checks a configuration: file, environment and command line together.
pub fn check(input: Input<'_>) -> Checked {
    let (checked, cx, _) = run(input);
    Checked { diagnostics: cx.into_diagnostics(), ..checked }
}

/// [`check`], with the findings still to come from the context, and the tree that was checked.
pub(crate) fn run(input: Input<'_>) -> (Checked, Context, Table) {
    let mut cx = Context::default();
    let mut tree = match input.source {
        Some(source) => read_source(source, &mut cx),
        None => Table::default(),
    };
    let environments = environments::take(&mut tree, &mut cx);
    let chosen =
        environments::choose(&environments, input.env.as_deref(), &input.environment, &mut cx);
    let mut part = None;
    for (i, environment) in environments.into_iter().enumerate() {
        if Some(i) == chosen {
            part = Some(environment.part);
        } else {
            // A mistake in there is found today, not on the day that it is needed.
            let mut tree = tree.clone();
            lay_over(&mut tree, environment.part, Some(ROOT));
            judge(&tree, &mut cx);
        }
    }
    if let Some(part) = part {
        lay_over(&mut tree, part, Some(ROOT));
    }
    apply_variables(&mut tree, input.environment, &mut cx);
    apply_options(&mut tree, input.options, &mut cx);
    apply_requests(&mut tree, input.requests, &mut cx);

    let (keys, parts) = judge(&tree, &mut cx);
    let secrets = match input.secrets {
        Some(reader) => {
            let mut secrets = upstreams::resolve_secrets(&keys, reader, &mut cx);
            tokens::resolve(&keys, reader, &mut secrets, &mut cx);
            secrets
        }
        None => Secrets::default(),
    };
    if let Some(parts) = &parts {
        cx.allow(&parts.checks.allow);
    }
    let config = parts.filter(|_| !cx.has_errors()).map(Config::new);
    (Checked { config, secrets, diagnostics: Diagnostics::default() }, cx, tree)
}

/// Reads and builds what a tree says. What is wrong is told first; only of what could run is there
/// any use in telling how it would.
fn judge(tree: &Table, cx: &mut Context) -> (RootKeys, Option<Parts>) {
    let keys: RootKeys = TableReader::read(tree, Span::NOWHERE, cx);
    debug_assert!(keys.env.is_none(), "taken out before");
    // What part of a file lacks says nothing about the whole.
    if cx.is_partial() {
        return (keys, None);
    }
    let (parts, laid) = build(&keys, cx);
    if !cx.has_errors() {
        lint::run(&keys, &parts, &laid, cx);
    }
    (keys, Some(parts))
}

/// The tree of a file: today's names only, nothing of other programs, secrets hidden.
pub(crate) fn read_source(mut source: Source, cx: &mut Context) -> Table {
    if source.text().len() > MAX_BYTES {
        let size = source.text().len();
        let message = format!("`{}` has {size} bytes; at most {MAX_BYTES} are read", source.name());
        cx.report(Problem::new(codes::TOO_LARGE, message));
        cx.set_partial();
        return Table::default();
    }
    conceal_text(&mut source);
    let id = cx.next_source();
    let parsed = parse(&source, id);
    let name = source.name().to_owned();
    cx.add_source(source);
    for problem in parsed.problems {
        cx.report(problem);
    }
    let mut tree = parsed.root;
    conceal(&tree, Some(ROOT), cx);
    if parsed.whole {
        sections::sort_out(&mut tree, &name, Span::new(id, 0..0), cx);
    } else {
        cx.set_partial();
        tree.retain(|entry| ROOT.field(&entry.key).is_some());
    }
    modernise(&mut tree, ROOT, cx);
    tree
}

/// Everything that takes more than one value to tell. Always gives a whole; it is good if nothing
/// was reported.
fn build(keys: &RootKeys, cx: &mut Context) -> (Parts, Vec<LaidOut>) {
    names::look_alikes(keys, cx);
    let switches: SwitchKeys =
        keys.circuit_breaker.as_ref().map_or_else(unwritten, |at| at.value.clone());
    let fallbacks = fallbacks::build(keys, cx);
    let upstreams = upstreams::build(keys, cx);
    let mut circuits = circuits::build(keys, &switches, &fallbacks, cx);
    let routes = routes::build(keys, &upstreams, &mut circuits, &fallbacks, cx);
    probes::gate(&mut circuits.built, &routes, &upstreams);
    let depends_on = dependencies::build(&switches, &circuits.built, cx);
    let gateway = gateway::build(keys, cx);
    let parts = Parts {
        switches: Switches {
            enabled: switches.enabled.value,
            expose_health_endpoint: switches.expose_health_endpoint.value,
            log_circuit_changes: switches.log_circuit_changes.value,
            metrics_enabled: switches.metrics_enabled.value,
        },
        defaults: circuits.defaults.settings,
        default_origins: circuits.defaults.origins,
        circuits: circuits.built,
        depends_on,
        gateway,
        upstreams,
        routes,
        fallbacks,
        checks: checks(keys),
    };
    (parts, circuits.laid)
}

/// What `panelboard check` is told to look for.
fn checks(keys: &RootKeys) -> Checks {
    fn values<T: Clone>(list: Option<&At<Vec<At<T>>>>) -> Vec<T> {
        list.map_or_else(Vec::new, |list| list.value.iter().map(|at| at.value.clone()).collect())
    }
    let Some(keys) = keys.check.as_ref().map(|at| &at.value) else { return Checks::default() };
    let least = keys.min_timeouts.as_ref().map_or(&[][..], |at| &at.value);
    Checks {
        allow: values(keys.allow.as_ref()),
        deprecated_hosts: values(keys.deprecated_hosts.as_ref()),
        required_env: values(keys.required_env.as_ref()),
        min_timeouts: least.iter().map(|pair| (pair.name.clone(), pair.value.value)).collect(),
        files: values(keys.files.as_ref()),
    }
}

/// A section that was not written, read all the same for its defaults.
fn unwritten<T: Keys>() -> T {
    TableReader::read(&Table::default(), Span::NOWHERE, &mut Context::default())
}
