//! What stands in the attribute.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, Ident, LitStr, Path, Token};

/// The arguments by name, in the order in which the documentation has them.
const NAMES: [&str; 7] =
    ["breaker", "registry", "settings", "key", "classify", "fallback", "crate"];

/// What stands in the attribute.
pub(crate) struct Arguments {
    pub(crate) which: Which,
    pub(crate) classify: Option<Expr>,
    pub(crate) fallback: Option<Fallback>,
    /// What this crate is called where the function is.
    pub(crate) root: Path,
}

/// Which breaker guards.
pub(crate) enum Which {
    /// One that is at hand.
    Breaker(Expr),
    /// One of a registry.
    Named(Box<Named>),
}

/// Where a breaker is found by name.
pub(crate) struct Named {
    pub(crate) name: LitStr,
    pub(crate) registry: Option<Expr>,
    pub(crate) settings: Option<Expr>,
    pub(crate) key: Option<Expr>,
}

/// What is called instead.
pub(crate) struct Fallback {
    pub(crate) function: Expr,
    /// Where it says `.await`.
    pub(crate) awaited: Option<Span>,
}

// ===== impl Arguments =====

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Arguments> {
        let name = match input.peek(LitStr) {
            true => Some(input.parse::<LitStr>()?),
            false => None,
        };
        if let Some(name) = &name {
            if name.value().trim().is_empty() {
                return Err(syn::Error::new(name.span(), "a circuit has a name"));
            }
            comma(input)?;
        }
        let mut given = Given::default();
        while !input.is_empty() {
            given.one(input)?;
            comma(input)?;
        }
        given.arguments(name)
    }
}

fn comma(input: ParseStream<'_>) -> syn::Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

/// What was said so far, each with the word that said it.
#[derive(Default)]
struct Given {
    expressions: Vec<(Ident, Expr)>,
    root: Option<(Ident, Path)>,
}

impl Given {
    fn one(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(LitStr) {
            return Err(input.error("the name of the circuit comes first, and there is one"));
        }
        if !input.peek(Ident::peek_any) {
            return Err(input.error(
                "expected the name of the circuit as a string, or an argument such as \
                 `fallback = cached`",
            ));
        }
        let word = input.call(Ident::parse_any)?;
        let text = word.to_string();
        if !NAMES.contains(&text.as_str()) {
            return Err(syn::Error::new(word.span(), unknown(&text)));
        }
        let root = self.root.as_ref().map(|(word, _)| word);
        if self.expressions.iter().map(|(word, _)| word).chain(root).any(|known| *known == word) {
            return Err(syn::Error::new(word.span(), format!("`{text}` is said twice")));
        }
        if !input.peek(Token![=]) {
            let message = format!("`{text}` needs a value: `{text} = …`");
            return Err(syn::Error::new(word.span(), message));
        }
        input.parse::<Token![=]>()?;
        match text.as_str() {
            "crate" => self.root = Some((word, input.call(Path::parse_mod_style)?)),
            _ => self.expressions.push((word, input.parse()?)),
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<(Ident, Expr)> {
        let at = self.expressions.iter().position(|(word, _)| word == name)?;
        Some(self.expressions.swap_remove(at))
    }

    fn arguments(mut self, name: Option<LitStr>) -> syn::Result<Arguments> {
        let breaker = self.take("breaker");
        let of_registry = ["registry", "settings", "key"].map(|name| self.take(name));
        let which = match (breaker, name) {
            (None, None) => {
                let message = "which circuit guards this? Say `#[guarded(\"name\")]`, or \
                               `#[guarded(breaker = self.breaker)]`";
                return Err(syn::Error::new(Span::call_site(), message));
            }
            (Some((word, _)), Some(_)) => {
                let message = "the name or the breaker, not both";
                return Err(syn::Error::new(word.span(), message));
            }
            (Some((_, breaker)), None) => {
                if let Some((word, _)) = of_registry.into_iter().flatten().next() {
                    let message = format!("`{word}` goes with a name, not with `breaker`");
                    return Err(syn::Error::new(word.span(), message));
                }
                Which::Breaker(breaker)
            }
            (None, Some(name)) => {
                let [registry, settings, key] =
                    of_registry.map(|given| given.map(|(_, value)| value));
                Which::Named(Box::new(Named { name, registry, settings, key }))
            }
        };
        let classify = self.take("classify").map(|(_, value)| value);
        let fallback = self.take("fallback").map(|(_, value)| Fallback::new(value));
        let root = match self.root {
            Some((_, path)) => path,
            None => syn::parse_quote!(::panelboard),
        };
        Ok(Arguments { which, classify, fallback, root })
    }
}

impl Fallback {
    fn new(value: Expr) -> Fallback {
        match value {
            Expr::Await(waits) => {
                Fallback { awaited: Some(waits.await_token.span), function: *waits.base }
            }
            Expr::Closure(closure) => Fallback {
                awaited: closure.asyncness.map(|word| word.span),
                function: Expr::Closure(closure),
            },
            function => Fallback { function, awaited: None },
        }
    }
}

/// What to say of a word that is no argument.
fn unknown(word: &str) -> String {
    let nearest = NAMES.into_iter().min_by_key(|known| distance(word, known));
    match nearest.filter(|known| distance(word, known) <= known.len().div_ceil(3)) {
        Some(nearest) => format!("there is no argument `{word}`; is it `{nearest}`?"),
        None => format!("there is no argument `{word}`; there are {}", NAMES.join(", ")),
    }
}

/// How many letters have to be put in, taken out or replaced (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
