//! The declaration of a table.

/// Declares the keys of a table: a struct of what can be said, and with it the
/// [`Table`](crate::describe::Table) that describes it.
///
/// ```text
/// keys! {
///     /// What the table is for.
///     pub(crate) struct NameKeys = "id" in "header.of.the.table" {
///         with part: OtherKeys;              // OtherKeys' keys stand in this table, too
///
///         /// What the key means.
///         url: BaseUrl = UrlKind, required;  // Option<At<BaseUrl>>, an error when absent
///         /// …
///         size: u64 = SIZE, default "64KiB"; // At<u64>
///         /// …
///         deadline: Duration = TIME, optional "none";  // Option<At<Duration>>
///         /// …
///         timeout: Duration = TIME, layered "off";     // the same, where layers are laid
///     }
///     shorthand size;                        // a bare value in place of the table
///     exclusive [a, b] [c, d];               // at most one of each
///     old OLD;                               // former names
///     later [e, f];                          // keys of other versions
/// }
/// ```
macro_rules! keys {
    (
        $(#[doc = $table_doc:literal])+
        $vis:vis struct $name:ident = $id:literal in $header:literal {
            $(with $part:ident: $part_keys:ty;)*
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $out:ty = $kind:expr, $presence:ident $($text:literal)?;
            )*
        }
        $(shorthand $shorthand:ident;)?
        $(exclusive $([$($exclusive:ident),+])+;)?
        $(old $old:expr;)?
        $(later [$($later:ident),+];)?
    ) => {
        $(#[doc = $table_doc])+
        #[derive(Clone, Debug)]
        $vis struct $name {
            $($vis $part: $part_keys,)*
            $($(#[doc = $doc])+ $vis $field: $crate::describe::keys!(@type $presence $out),)*
            reading: $crate::describe::Reading,
        }

        impl $crate::describe::Keys for $name {
            const TABLE: &'static $crate::describe::Table = &$crate::describe::Table {
                id: $id,
                header: $header,
                doc: concat!($($table_doc),+),
                fields: &[$(
                    $crate::describe::Field {
                        name: stringify!($field),
                        doc: concat!($($doc),+),
                        kind: &$kind,
                        presence: $crate::describe::keys!(@presence $presence $($text)?),
                    },
                )*],
                parts: &[$(<$part_keys as $crate::describe::Keys>::TABLE),*],
                shorthand: $crate::describe::keys!(@shorthand $($shorthand)?),
                exclusive: &[$($(&[$(stringify!($exclusive)),+]),+)?],
                old: $crate::describe::keys!(@old $($old)?),
                later: &[$($(stringify!($later)),+)?],
            };

            fn reading(&self) -> &$crate::describe::Reading {
                &self.reading
            }

            fn read(reader: &mut $crate::describe::TableReader<'_, '_>) -> Self {
                Self {
                    $($part: <$part_keys as $crate::describe::Keys>::read(reader),)*
                    $($field: $crate::describe::keys!(
                        @read $presence reader, stringify!($field), &$kind $(, $text)?
                    ),)*
                    reading: reader.reading(),
                }
            }
        }
    };
    (@type required $out:ty) => { Option<$crate::context::At<$out>> };
    (@type optional $out:ty) => { Option<$crate::context::At<$out>> };
    (@type layered $out:ty) => { Option<$crate::context::At<$out>> };
    (@type default $out:ty) => { $crate::context::At<$out> };
    (@presence required) => { $crate::describe::Presence::Required };
    (@presence optional $text:literal) => { $crate::describe::Presence::Optional($text) };
    (@presence layered $text:literal) => { $crate::describe::Presence::Layered($text) };
    (@presence default $text:literal) => { $crate::describe::Presence::Default($text) };
    (@read required $reader:ident, $name:expr, $kind:expr) => { $reader.required($name, $kind) };
    (@read optional $reader:ident, $name:expr, $kind:expr, $text:literal) => {
        $reader.optional($name, $kind)
    };
    (@read layered $reader:ident, $name:expr, $kind:expr, $text:literal) => {
        $reader.optional($name, $kind)
    };
    (@read default $reader:ident, $name:expr, $kind:expr, $text:literal) => {
        $reader.or_default($name, $kind, $text)
    };
    (@shorthand) => { None };
    (@shorthand $key:ident) => { Some(stringify!($key)) };
    (@old) => { &[] };
    (@old $old:expr) => { $old };
}

pub(crate) use keys;
