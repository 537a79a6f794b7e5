//! What the attribute stands on, and whether that can be guarded.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, FnArg, GenericArgument, Ident, PathArguments, ReturnType, Signature, Token, Type,
    Visibility,
};

/// A function or method. Its body is kept as it is: what is wrong with it, the compiler says.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    /// Attributes that the body begins with.
    pub(crate) inner: Vec<Attribute>,
    pub(crate) body: TokenStream,
}

/// What it returns.
pub(crate) struct Returned {
    /// What the body returns: `_` for what is said as `impl Trait`.
    pub(crate) body: Type,
    /// Whether the declared error is `Error<E>`, so that the body returns an `E`.
    pub(crate) wrapped: bool,
    /// What to point at when the error does not fit.
    pub(crate) error: Span,
}

/// Types of std that are no `Result`, whatever else they may be.
const NO_RESULTS: [&str; 10] =
    ["Option", "Vec", "String", "bool", "char", "u32", "u64", "usize", "i32", "i64"];

// ===== impl Function =====

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Function> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !Function::is_next(input) {
            let message = match input.peek(Token![impl]) || input.peek(Token![trait]) {
                true => "functions are guarded: put this on each method that is to be",
                false => "functions and methods are guarded, nothing else",
            };
            return Err(input.error(message));
        }
        let signature: Signature = input.parse()?;
        if input.peek(Token![;]) {
            let message = "there is nothing to guard without a body: guard it where it is \
                           implemented";
            return Err(syn::Error::new(signature.ident.span(), message));
        }
        let content;
        syn::braced!(content in input);
        let inner = content.call(Attribute::parse_inner)?;
        let body = content.parse()?;
        Ok(Function { attributes, visibility, signature, inner, body })
    }
}

impl Function {
    fn is_next(input: ParseStream<'_>) -> bool {
        let ahead = input.fork();
        ahead.parse::<Signature>().is_ok() || {
            // Words that a function may begin with; what is wrong after them is the parser's to say.
            let next = |word| input.fork().parse::<Ident>().is_ok_and(|ident| ident == word);
            input.peek(Token![fn]) || input.peek(Token![async]) || next("fn")
        }
    }

    /// What it returns, if it can be guarded at all.
    pub(crate) fn check(&self) -> syn::Result<Returned> {
        let signature = &self.signature;
        if let Some(word) = &signature.constness {
            let message = "a const function runs where there are no circuits";
            return Err(syn::Error::new_spanned(word, message));
        }
        if let Some(abi) = &signature.abi {
            let message =
                "a `Result` means nothing to foreign code: guard what this function calls";
            return Err(syn::Error::new_spanned(abi, message));
        }
        if let Some(word) = &signature.asyncness
            && !cfg!(feature = "tokio")
        {
            let message = "async functions are guarded with the feature `tokio` of panelboard";
            return Err(syn::Error::new_spanned(word, message));
        }
        let ReturnType::Type(_, declared) = &signature.output else {
            let message = "a guarded function returns a `Result`: `Err` is how its circuit learns \
                           of failures";
            return Err(syn::Error::new(signature.ident.span(), message));
        };
        if let Some(message) = no_result(declared) {
            return Err(syn::Error::new_spanned(declared, message));
        }
        Ok(Returned::new(declared))
    }

    /// Whether the expression uses an argument, `self` included. With `shared` allowed, one that is
    /// a shared reference does not count: the body gets a copy of it.
    pub(crate) fn uses_argument(&self, expression: TokenStream, shared: bool) -> bool {
        let mut taken = Vec::new();
        for argument in &self.signature.inputs {
            match argument {
                FnArg::Receiver(receiver) => {
                    let is_shared = match receiver.kind {
                        syn::ReceiverKind::Reference(_, _, unique) => unique.is_none(),
                        syn::ReceiverKind::Typed(_, ref ty) => is_shared(ty),
                        _ => false,
                    };
                    if !(shared && is_shared) {
                        taken.push(Ident::from(receiver.self_token));
                    }
                }
                FnArg::Typed(typed) if !(shared && is_shared(&typed.ty)) => {
                    let pattern = &typed.pat;
                    identifiers(quote::quote!(#pattern), &mut taken);
                }
                FnArg::Typed(_) => {}
            }
        }
        let mut used = Vec::new();
        identifiers(expression, &mut used);
        used.iter().any(|word| taken.contains(word))
    }
}

fn is_shared(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if reference.mutability.is_none())
}

fn identifiers(tokens: TokenStream, into: &mut Vec<Ident>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => into.push(ident),
            TokenTree::Group(group) => identifiers(group.stream(), into),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Why this type is no `Result`, if that can be seen.
fn no_result(ty: &Type) -> Option<&'static str> {
    const PLAIN: &str = "a guarded function returns a `Result`: `Err` is how its circuit learns of \
                         failures";
    const FUTURE: &str = "a guarded function returns a `Result`, not a future: write it as an `async \
                          fn` (under `#[async_trait]`, guard a method that the trait's method calls)";
    match ty {
        Type::ImplTrait(_) => Some(FUTURE),
        Type::Path(path) => {
            let last = &path.path.segments.last()?.ident;
            match last == "Pin" || last == "Box" {
                true => Some(FUTURE),
                false => NO_RESULTS.iter().any(|name| last == name).then_some(PLAIN),
            }
        }
        Type::Paren(_) | Type::Group(_) | Type::Macro(_) | Type::Verbatim(_) => None,
        _ => Some(PLAIN),
    }
}

// ===== impl Returned =====

impl Returned {
    fn new(declared: &Type) -> Returned {
        let mut body = declared.clone();
        let error = error_of(&mut body);
        let span = error.as_ref().map_or(declared.span(), syn::spanned::Spanned::span);
        let inner = error.as_ref().and_then(|error| inner_of(error));
        let wrapped = inner.is_some();
        if let (Some(error), Some(inner)) = (error, inner) {
            *error = inner;
        }
        Inferred.visit_type_mut(&mut body);
        Returned { body, wrapped, error: span }
    }
}

/// The `E` of a `Result<T, E>`.
fn error_of(ty: &mut Type) -> Option<&mut Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &mut path.path.segments.last_mut()?.arguments
    else {
        return None;
    };
    let mut types = arguments.args.iter_mut().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.next()?;
    types.next()
}

/// The `E` of an `Error<E>`.
fn inner_of(ty: &Type) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inner) if last.ident == "Error" && arguments.args.len() == 1 => {
            Some(inner.clone())
        }
        _ => None,
    }
}

/// Neither a closure nor a variable can be said to be of a type that is `impl Trait`.
struct Inferred;

impl VisitMut for Inferred {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        match ty {
            Type::ImplTrait(_) => *ty = syn::parse_quote!(_),
            ty => visit_mut::visit_type_mut(self, ty),
        }
    }
}
