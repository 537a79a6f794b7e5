//! What is said, and what becomes of a function, apart from the compiler. How it works is tested
//! where the library is: `crates/panelboard/tests/guarded.rs` and `ui.rs`.

use quote::quote;

use super::attribute;
use crate::TokenStream;

fn problem(arguments: TokenStream) -> String {
    let item = quote!(
        fn find(id: u32) -> Result<(), E> {}
    );
    attribute(arguments, item).unwrap_err().to_string()
}

#[test]
fn a_circuit_has_to_be_named() {
    for arguments in [quote!(), quote!(fallback = cached)] {
        let text = problem(arguments);
        assert!(text.starts_with("which circuit guards this?"), "{text}");
    }
}

#[test]
fn the_nearest_argument_is_suggested() {
    for (word, nearest) in [
        (quote!(fallbak), "fallback"),
        (quote!(Classify), "classify"),
        (quote!(setting), "settings"),
        (quote!(keys), "key"),
        (quote!(crates), "crate"),
    ] {
        let text = problem(quote!("a", #word = x));
        assert!(text.ends_with(&format!("is it `{nearest}`?")), "{text}");
    }
    let text = problem(quote!("a", preset = x));
    assert!(text.starts_with("there is no argument `preset`; there are breaker, "), "{text}");
}

fn expanded(arguments: TokenStream, item: TokenStream) -> String {
    attribute(arguments, item).unwrap().to_string()
}

#[test]
fn a_breaker_is_cloned_only_if_the_body_takes_along_what_it_is_reached_through() {
    let breaker = quote!(breaker = self.breaker);
    for (receiver, clones) in [
        (quote!(&self), false),
        (quote!(&'a self), false),
        (quote!(self: &Self), false),
        (quote!(&mut self), true),
        (quote!(self), true),
        (quote!(self: Arc<Self>), true),
    ] {
        let method = quote!(
            fn find(#receiver) -> Result<(), E> {}
        );
        let text = expanded(breaker.clone(), method);
        assert_eq!(text.contains("clone"), clones, "{receiver}");
    }
}

#[test]
fn the_error_of_the_library_is_told_by_its_spelling() {
    let settles = |returned: TokenStream| {
        let function = quote!(
            fn find() -> #returned {}
        );
        expanded(quote!("a"), function).contains("settle")
    };
    assert!(settles(quote!(Result<u32, io::Error>)));
    assert!(settles(quote!(Result<Error<u8>, Fault>)));
    assert!(settles(quote!(io::Result<u32>)));
    assert!(!settles(quote!(Result<u32, Error<Fault>>)));
    assert!(!settles(quote!(std::result::Result<u32, panelboard::Error<Fault>>)));
}

#[test]
fn attributes_and_signature_stay_what_they_were() {
    let text = expanded(
        quote!("a"),
        quote! {
            /// Finds.
            #[inline]
            pub(crate) unsafe fn find<'a, T: Copy>(&'a self, mut x: impl Fn()) -> Result<T, E>
            where
                T: Send,
            {
                #![allow(dead_code)]
                body()
            }
        },
    );
    let signature = quote! {
        /// Finds.
        #[inline]
        pub(crate) unsafe fn find<'a, T: Copy>(&'a self, mut x: impl Fn()) -> Result<T, E>
        where
            T: Send,
    };
    assert!(text.starts_with(&signature.to_string()), "{text}");
}
