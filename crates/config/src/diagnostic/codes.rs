//! Every code a diagnostic can carry. A code, once published, keeps its meaning.

use std::fmt;

/// How bad a finding is.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Accepted, but hardly what was meant.
    Warning,
    /// The configuration is refused.
    Error,
}

/// The stable name of a sort of finding, such as `PB0202`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    id: &'static str,
    severity: Severity,
    title: &'static str,
    explanation: &'static str,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Code {
    /// `PB0202`.
    pub const fn id(self) -> &'static str {
        self.id
    }

    /// How bad findings of this sort are.
    pub const fn severity(self) -> Severity {
        self.severity
    }

    /// What they have in common, in a few words.
    pub const fn title(self) -> &'static str {
        self.title
    }

    /// What to know about them.
    pub const fn explanation(self) -> &'static str {
        self.explanation
    }

    /// Where the documentation explains it.
    pub fn docs(self) -> String {
        format!("docs/config-errors.md#{}", self.id.to_lowercase())
    }

    /// Every code, in order.
    pub const fn all() -> &'static [Code] {
        ALL
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

macro_rules! codes {
    ($($(#[doc = $explanation:literal])+ $name:ident = $id:literal $severity:ident $title:literal;)+) => {
        $(
            pub(crate) const $name: Code = Code {
                id: $id,
                severity: Severity::$severity,
                title: $title,
                explanation: concat!($($explanation),+),
            };
        )+
        const ALL: &[Code] = &[$($name),+];
    };
}

// PB00xx files and syntax · PB01xx keys and names · PB02xx values · PB03xx references ·
// PB04xx gateway · PB05xx infrastructure · PB10xx warnings and notes, from PB1010 between values.
codes! {
    /// The file does not exist, is a directory, or may not be read. A file that is named on the
    /// command line must exist; only the default places may be empty.
    UNREADABLE = "PB0001" Error "file cannot be read";
    /// Configuration is UTF-8 text. A byte-order mark is allowed; UTF-16 and Latin-1 are not.
    NOT_UTF8 = "PB0002" Error "not UTF-8 text";
    /// The text is not TOML. All syntax errors of the file are listed; lines around them are not
    /// judged until they parse.
    TOML_SYNTAX = "PB0003" Error "TOML syntax";
    /// The text is not JSON, and cannot be read past this point.
    JSON_SYNTAX = "PB0004" Error "JSON syntax";
    /// Comments, trailing commas, single quotes and the like: other dialects allow them, JSON does
    /// not, and neither would the next program that reads the file. Use TOML, or a `comment` key.
    NOT_STRICT_JSON = "PB0005" Error "not strict JSON";
    /// The same key stands twice in one table. Which one counts would differ from parser to
    /// parser.
    DUPLICATE_KEY = "PB0006" Error "duplicate key";
    /// Tables or lists are nested deeper than any configuration needs.
    TOO_DEEP = "PB0007" Error "nested too deeply";
    /// Files above 4 MiB are refused unread.
    TOO_LARGE = "PB0008" Error "file too large";
    /// The top of the file is a list or a single value instead of a table.
    NOT_A_TABLE = "PB0009" Error "not a table at the top";
    /// Only the first 200 findings are listed, errors before warnings.
    TOO_MANY = "PB0010" Note "too many problems";

    /// The key is none of this table's. Keys named `comment`, `$schema` or `x-…` are allowed in
    /// every table and ignored.
    UNKNOWN_KEY = "PB0101" Error "unknown key";
    /// A top-level section looks like a typo of one of ours, or stands in a file that is ours
    /// alone (`panelboard.*`).
    UNKNOWN_SECTION = "PB0102" Error "unknown section";
    /// The table cannot do without this key.
    MISSING_KEY = "PB0103" Error "missing key";
    /// Two keys that say the same thing in different ways, so that one must go.
    EXCLUSIVE_KEYS = "PB0104" Error "keys that exclude each other";
    /// A setting is given under its old and its new name, or under two old ones.
    OLD_AND_NEW = "PB0105" Error "setting given twice";
    /// Names are not empty, at most 128 bytes long, without control characters and without blanks
    /// at their ends: they become metric labels.
    BAD_NAME = "PB0106" Error "invalid name";
    /// A `PANELBOARD__…` variable or command-line setting names no key there is. Variables with
    /// single underscores only, such as `PANELBOARD_LOG`, are none of the configuration's.
    UNKNOWN_VARIABLE = "PB0107" Error "unknown override";
    /// Variables are matched without regard to case, and `_` stands for any other sign, so two
    /// names of the file may fit one variable, or two variables one key.
    AMBIGUOUS_VARIABLE = "PB0108" Error "ambiguous override";
    /// Lists of tables and whole tables cannot be set from the environment.
    NOT_SETTABLE = "PB0109" Error "cannot be overridden";

    /// The key is one of another version's. Unlike a section, it changes how something configured
    /// here behaves, so it is not passed over.
    UNSUPPORTED_KEY = "PB0110" Error "key of another version";

    /// The value is of another type than the key takes.
    WRONG_TYPE = "PB0201" Error "wrong type";
    /// The value is of the right type, but too small or too large.
    OUT_OF_RANGE = "PB0202" Error "out of range";
    /// Durations are numbers of seconds, or text such as `"250ms"`, `"5s"`, `"1h30m"`, `"1d"`.
    BAD_DURATION = "PB0203" Error "not a duration";
    /// Shares are numbers from 0 to 1 or percentages in quotes. A bare number above 1 could mean
    /// either, so it is refused.
    BAD_RATIO = "PB0204" Error "not a share";
    /// The value is none of a fixed set.
    NOT_A_CHOICE = "PB0205" Error "not one of the choices";
    /// Sizes are numbers of bytes, or text such as `"64KiB"`, `"10MiB"`.
    BAD_SIZE = "PB0206" Error "not a size";
    /// Each setting is fine by itself, but not together with another.
    CONTRADICTION = "PB0207" Error "settings that contradict each other";
    /// The list is empty, too long, or names something twice.
    BAD_LIST = "PB0208" Error "unusable list";
    /// The text is empty, too long, or holds characters that cannot be there.
    BAD_TEXT = "PB0209" Error "unusable text";
    /// Secrets are never written into the file: `{ env = "NAME" }` or `{ file = "path" }` says
    /// where they are. The value is not shown here, and should be considered leaked.
    LITERAL_SECRET = "PB0210" Error "secret in the file";
    /// A glob that cannot be read, or that can never match.
    BAD_PATTERN = "PB0211" Error "unusable pattern";

    /// There is no preset of this name.
    UNKNOWN_PRESET = "PB0301" Error "unknown preset";
    /// There is no circuit of this name under `[circuit_breaker.circuits]`.
    UNKNOWN_CIRCUIT = "PB0302" Error "unknown circuit";
    /// There is no upstream of this name under `[upstreams]`.
    UNKNOWN_UPSTREAM = "PB0303" Error "unknown upstream";
    /// There is no fallback of this name, neither under `[fallbacks]` nor built in.
    UNKNOWN_FALLBACK = "PB0304" Error "unknown fallback";
    /// Circuits extend each other in a circle, so that none of them has settings.
    EXTENDS_CYCLE = "PB0305" Error "circle of `extends`";
    /// `keys` has settings for single members of a family, but without `key` there is no family.
    KEYS_WITHOUT_KEY = "PB0306" Error "`keys` without `key`";
    /// An earlier pattern matches everything this one does; the first that matches decides.
    UNREACHABLE_PATTERN = "PB0307" Error "pattern that never decides";
    /// Circuits depend on each other in a circle, so that one outage would excuse them all.
    DEPENDENCY_CYCLE = "PB0308" Error "circle of `depends_on`";
    /// There is no diagnostic of this code, or it is an error, which cannot be allowed.
    UNKNOWN_CODE = "PB0309" Error "code that cannot be allowed";
    /// There is no `[env.NAME]` of this name in the file, so what would run is not what was asked
    /// for.
    UNKNOWN_ENVIRONMENT = "PB0310" Error "unknown environment";

    /// Listeners are socket addresses: an IP address and a port.
    BAD_ADDRESS = "PB0401" Error "not a socket address";
    /// Whoever reaches the admin API may steer the gateway, unless it asks for a token. So without one
    /// it listens on loopback only.
    PUBLIC_ADMIN = "PB0402" Error "admin address is not loopback";
    /// An upstream is a `http` or `https` URL with a host and at most a path: no query, fragment,
    /// user name or password.
    BAD_URL = "PB0403" Error "unusable URL";
    /// The header name or value cannot be sent, or is not for the configuration to set.
    BAD_HEADER = "PB0404" Error "unusable header";
    /// The HTTP method is none, or not in capitals.
    BAD_METHOD = "PB0405" Error "unusable method";
    /// A host is a name (`api.example.com`), a name with a leading `*.`, or an IP address.
    BAD_HOST = "PB0406" Error "unusable host";
    /// A path begins with `/`; without `*` it stands for itself and everything below it.
    BAD_PATH = "PB0407" Error "unusable path";
    /// The route has nowhere to send its requests.
    NO_UPSTREAM = "PB0408" Error "route without upstream";
    /// An earlier route matches everything this one does; the first that matches takes the
    /// request.
    SHADOWED_ROUTE = "PB0409" Error "route that is never reached";
    /// Two routes have one name.
    DUPLICATE_ROUTE = "PB0410" Error "duplicate route name";
    /// What `strip_prefix` removes is not where the route's paths begin.
    BAD_STRIP_PREFIX = "PB0411" Error "prefix that is not there";
    /// Two listeners want the same address.
    SAME_ADDRESS = "PB0412" Error "address used twice";
    /// The variable or file that holds the secret does not exist, is empty, or holds what no
    /// header can carry.
    MISSING_SECRET = "PB0413" Error "secret cannot be read";
    /// A network is an IP address and how many of its bits count, the others being zero; or one
    /// address by itself.
    BAD_NETWORK = "PB0421" Error "not a network";

    /// The admin API changes how a circuit decides while the gateway runs; what a circuit is, and who
    /// decides, is not among that.
    NOT_AT_RUN_TIME = "PB0430" Error "not to be changed at run time";
    /// A token of the admin API has at least 16 characters, or it could be guessed; and no two have
    /// the same, or nobody could tell who did what.
    WEAK_TOKEN = "PB0431" Error "unusable token";

    /// `check.deprecated_hosts` names hosts that must not be used any more, and this is one of them.
    DEPRECATED_HOST = "PB0501" Error "deprecated host";
    /// `check.required_env` names a variable that is neither in the environment of `panelboard
    /// check` nor in a `.env` file that `check.files` names. Values are never looked at.
    VARIABLE_NOT_SET = "PB0502" Error "required variable not set";
    /// A file that `check.files` names switches the verification of TLS certificates off, so that
    /// anybody between the two can answer.
    TLS_SWITCHED_OFF = "PB0503" Error "certificates not verified";

    /// The setting goes by a new name; the old one is still understood.
    OLD_NAME = "PB1001" Warning "old name";
    /// An old setting that this version has no use for. It is ignored.
    NO_EFFECT = "PB1002" Warning "setting without effect";
    /// A section that other versions know. It is ignored.
    UNSUPPORTED_SECTION = "PB1003" Warning "section of another version";
    /// The file is a larger application's; its other sections are left alone.
    FOREIGN_SECTION = "PB1004" Note "section of somebody else";
    /// No file was named and none found, so every circuit runs on the built-in defaults.
    NO_FILE = "PB1005" Note "no configuration file";
    /// The file holds no section of ours, so every circuit runs on the built-in defaults.
    NOTHING_SAID = "PB1006" Warning "nothing configured";
    /// Two names differ only in case or punctuation, so that no environment variable can tell
    /// them apart, and hardly a reader.
    LOOK_ALIKE = "PB1007" Warning "names that look alike";
    /// Several files stand in the default places; only the first is read.
    OTHER_FILE_IGNORED = "PB1008" Warning "second file ignored";
    /// A variable that would be an override if it began with `PANELBOARD__`.
    NEARLY_A_VARIABLE = "PB1009" Warning "variable that overrides nothing";

    /// The route's deadline is shorter than what one of its attempts may take, so that the deadline
    /// ends the attempt: the breaker does not learn that it timed out, and nothing is left for the
    /// next upstream. Keep attempts shorter than the whole.
    ATTEMPT_OVER_DEADLINE = "PB1010" Warning "attempt longer than its deadline";
    /// When the upstreams before it hang, the deadline is over before this one is asked. An
    /// upstream that says nothing is given up after `connect_timeout` and `first_byte_timeout`
    /// together, or `total_timeout`.
    CHAIN_OVER_DEADLINE = "PB1011" Warning "upstream that is never asked";
    /// Calls end at their timeout before they could be found slow, so `slow_call_rate` sees only
    /// calls that fail anyway.
    SLOW_NEVER_SEEN = "PB1012" Warning "slow bound not below the timeout";
    /// A hanging call is counted when it times out. In a window shorter than two timeouts, a caller
    /// that waits for its calls leaves less than two of them, so the rules of the window need many
    /// callers at once.
    SHORT_WINDOW = "PB1013" Warning "window shorter than two timeouts";
    /// The first probe goes out while calls from before the trip may still hang, and adds to the
    /// load of a dependency that has not got rid of them.
    EARLY_PROBE = "PB1014" Warning "recovery shorter than the timeout";
    /// A timeout that another one, which contains it, always ends first.
    TIMEOUT_WITHIN_TIMEOUT = "PB1015" Warning "timeout that is never reached";
    /// When the gateway is told to stop, requests that take longer than `shutdown_grace` are cut
    /// off.
    SHORT_GRACE = "PB1016" Warning "grace shorter than a request";
    /// The breaker, or one of its rules, waits for something that cannot be: more calls than the
    /// window holds, failures of kinds that are ignored, rules that are off.
    NEVER_OPENS = "PB1017" Warning "breaker that never opens";
    /// WebSockets are kept alive by heartbeats, which most libraries send every 15 to 30 seconds. A
    /// tunnel that is cut sooner breaks connections that nothing is wrong with.
    SHORT_TUNNEL = "PB1018" Warning "idle timeout shorter than heartbeats";
    /// Whoever can get between the gateway and the upstream can pose as the upstream: TLS then
    /// hides nothing from them.
    NOT_VERIFIED = "PB1020" Warning "certificate not verified";
    /// At the `expected_rate`, so many calls take longer than outages last.
    OPENS_LATE = "PB1021" Warning "breaker that opens too late";
    /// At the `expected_rate` and `expected_error_rate`, the rules are met by chance alone more than
    /// once in 30 days. How often is worked out from the binomial and Poisson distributions, as if
    /// calls failed independently; real errors come in clusters, which makes it more.
    OPENS_FALSELY = "PB1022" Warning "breaker that opens by chance";
    /// A mode that overrides the breaker stands in the file, where nobody sees it and nothing ends
    /// it. Commands of the admin API end by themselves.
    MODE_LEFT = "PB1023" Warning "mode left in the file";
    /// One breaker guards several servers, and refuses calls to all of them when one fails.
    SHARED_CIRCUIT = "PB1024" Warning "breaker shared by unlike upstreams";
    /// The requests of a route come back to the gateway, or to the server that has just failed.
    COMES_BACK = "PB1025" Warning "route that comes back";
    /// A provider that says 429 or 529 is there, and says when to come back; as failures these would
    /// quarantine it for longer than it asks.
    PUSHBACK_AS_FAILURE = "PB1026" Warning "pushback counted as failure";
    /// What goes over plain http to another machine can be read and changed on the way.
    PLAIN_HTTP = "PB1030" Warning "plain http";

    /// A timeout for a database, a health check or another subject of `check.min_timeouts` is
    /// shorter than it says. Units are understood: `30000` behind a name that ends in `_ms` is 30
    /// seconds.
    SHORT_TIMEOUT = "PB1040" Warning "timeout too short for its subject";
    /// A path or pattern of `check.files` finds nothing, so nothing was checked.
    NO_SUCH_FILES = "PB1041" Warning "no files to check";
    /// A file that `check.files` names is binary, too large, or cannot be read.
    FILE_SKIPPED = "PB1042" Note "file not looked through";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_in_order_and_explained() {
        assert!(ALL.is_sorted_by(|a, b| a.id < b.id), "sorted and without repetition");
        for code in ALL {
            assert!(code.id.len() == 6 && code.id.starts_with("PB"), "{code}");
            assert!(code.explanation.trim().ends_with('.'), "{code}");
            assert!(!code.title.is_empty() && !code.title.ends_with('.'), "{code}");
            let warning = code.id.starts_with("PB1") || *code == TOO_MANY;
            assert_eq!(warning, code.severity != Severity::Error, "{code}");
        }
    }
}
