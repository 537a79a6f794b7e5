//! What a guarded function becomes: the same function, with its body handed to the breaker.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Expr, Path};

use crate::arguments::{Arguments, Named, Which};
use crate::function::{Function, Returned};

/// The guarded function.
pub(crate) fn expand(arguments: &Arguments, function: &Function) -> syn::Result<TokenStream> {
    let returned = function.check()?;
    // Names of ours cannot meet names of the function's.
    let here = Span::mixed_site();
    let breaker = breaker(arguments, function)?;
    let result = result(arguments, function, &returned);
    let answer = answer(arguments, function, &returned)?;
    let root = &arguments.root;
    let Function { attributes, visibility, signature, inner, .. } = function;
    Ok(quote_spanned! {here=>
        #(#attributes)*
        #visibility #signature {
            #(#inner)*
            let breaker: &#root::CircuitBreaker = #breaker;
            let result = #result;
            #answer
        }
    })
}

/// The breaker, borrowed.
fn breaker(arguments: &Arguments, function: &Function) -> syn::Result<TokenStream> {
    let here = Span::mixed_site();
    let root = &arguments.root;
    let Named { name, registry, settings, key } = match &arguments.which {
        // What the body takes along cannot be borrowed meanwhile.
        Which::Breaker(breaker) => {
            let clones = function.uses_argument(breaker.to_token_stream(), true);
            let at = here.located_at(breaker.span());
            return Ok(match clones {
                true => quote_spanned!(at=> &#root::CircuitBreaker::clone(&#breaker)),
                false => quote_spanned!(at=> &#breaker),
            });
        }
        Which::Named(named) => &**named,
    };
    for once in [registry, settings].into_iter().flatten() {
        if function.uses_argument(once.to_token_stream(), false) {
            let message = "this is evaluated once for all calls, so it cannot depend on arguments; \
                           `breaker = …` can";
            return Err(syn::Error::new_spanned(once, message));
        }
    }
    let registry = match registry {
        Some(registry) => quote!(&#registry),
        None => quote!(#root::Registry::global()),
    };
    let found = match settings {
        Some(settings) => quote_spanned!(here=> registry.breaker_with(#name, #settings)),
        None => quote_spanned!(here=> registry.breaker(#name)),
    };
    let Some(key) = key else {
        return Ok(quote_spanned! {here=> {
            static PANELBOARD_BREAKER: ::std::sync::OnceLock<#root::CircuitBreaker> =
                ::std::sync::OnceLock::new();
            PANELBOARD_BREAKER.get_or_init(|| {
                let registry: &#root::Registry = #registry;
                #found
            })
        }});
    };
    let key = parts(root, key);
    Ok(quote_spanned! {here=> &{
        static PANELBOARD_FAMILY: ::std::sync::OnceLock<#root::Family> =
            ::std::sync::OnceLock::new();
        let family = PANELBOARD_FAMILY.get_or_init(|| {
            let registry: &#root::Registry = #registry;
            let _ = #found;
            registry.keyed(#name)
        });
        family.breaker(&#key)
    }})
}

/// The parts of a key: those of an array, or the one there is.
fn parts(root: &Path, key: &Expr) -> TokenStream {
    let part = |part: &Expr| {
        let at = Span::mixed_site().located_at(part.span());
        quote_spanned!(at=> #root::__private::part(&#part))
    };
    match key {
        Expr::Array(array) => {
            let parts = array.elems.iter().map(part);
            quote!([#(#parts),*])
        }
        key => {
            let part = part(key);
            quote!([#part])
        }
    }
}

/// The guarded call: its result, or why there is none.
fn result(arguments: &Arguments, function: &Function, returned: &Returned) -> TokenStream {
    let root = &arguments.root;
    let (body, returns) = (&function.body, &returned.body);
    let classify = match &arguments.classify {
        // A closure is told what it is given, or it would have to say so itself.
        Some(closure @ Expr::Closure(_)) => {
            quote!(#root::__private::classifier::<#returns, _>(#closure))
        }
        Some(classify) => quote!(#classify),
        None => quote!(#root::OkOrErr),
    };
    let here = Span::mixed_site();
    // Points at the type, if that is no `Result`.
    let at = here.located_at(returns.span());
    if function.signature.asyncness.is_none() {
        let call = quote_spanned!(at=> #root::__private::call::<#returns, _>);
        return quote_spanned!(here=> #call(breaker, move || -> #returns { #body }, #classify));
    }
    let call = quote_spanned!(at=> #root::__private::call_async::<#returns, _, _>);
    // An async block cannot say what it returns; its first `return` does.
    quote_spanned! {here=>
        #call(
            breaker,
            async move {
                if false {
                    return #root::__private::never::<#returns>();
                }
                #body
            },
            #classify,
        ).await
    }
}

/// What the function returns.
fn answer(
    arguments: &Arguments,
    function: &Function,
    returned: &Returned,
) -> syn::Result<TokenStream> {
    let root = &arguments.root;
    let here = Span::mixed_site();
    let Some(fallback) = &arguments.fallback else {
        let at = here.located_at(returned.error);
        return Ok(match returned.wrapped {
            true => quote_spanned!(here=> result),
            false => quote_spanned!(at=> #root::__private::settle(result)),
        });
    };
    if let (Some(awaited), None) = (fallback.awaited, &function.signature.asyncness) {
        let message = "the fallback of a sync function cannot be async";
        return Err(syn::Error::new(awaited, message));
    }
    let wait = fallback.awaited.map(|_| quote!(.await));
    let otherwise = &fallback.function;
    Ok(quote_spanned! {here=>
        match result {
            ::core::result::Result::Ok(value) => ::core::result::Result::Ok(value),
            ::core::result::Result::Err(error) => {
                #root::__private::fall_back(error, #otherwise) #wait
            }
        }
    })
}
