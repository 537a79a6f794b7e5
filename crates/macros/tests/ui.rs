//! What the compiler says of `#[guarded]`.
//!
//! The messages that are pinned are our own, so that another compiler does not change them.

#[test]
fn mistakes_are_named_where_they_are_made() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
