//! The attribute `#[panelboard::guarded]`. Its documentation is where it is re-exported: in the
//! crate `panelboard`.
//!
//! | module | what it does |
//! | --- | --- |
//! | `arguments` | what stands in the attribute |
//! | `function` | what it stands on, and whether that can be guarded |
//! | `expand` | what it becomes |

mod arguments;
mod expand;
mod function;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;

use crate::arguments::Arguments;
use crate::function::Function;

/// Defined in `panelboard-macros`, documented and to be used as `panelboard::guarded`.
#[proc_macro_attribute]
pub fn guarded(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let item = TokenStream::from(item);
    match attribute(arguments.into(), item.clone()) {
        Ok(guarded) => guarded.into(),
        Err(error) => {
            // The function as it was, so that whoever calls it is not told that it is missing.
            let error = error.into_compile_error();
            quote!(#error #item).into()
        }
    }
}

fn attribute(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let function = syn::parse2::<Function>(item)?;
    let arguments = syn::parse2::<Arguments>(arguments)?;
    expand::expand(&arguments, &function)
}
