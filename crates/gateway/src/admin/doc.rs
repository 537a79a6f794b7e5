//! The document that describes this API, and what follows from it.
//!
//! Which role a request needs and which names its query may have is read off the document that is
//! served, so neither can be forgotten for a route, nor differ from what is said of it.

use std::collections::HashMap;

use http::Method;
use panelboard_config::Role;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::circuits::OrderName;
use super::problem::Problem;

/// What the document says besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Panelboard admin API",
        description = "Seeing and steering the circuit breakers of a gateway. Errors are \
                       `application/problem+json` (RFC 9457). Where tokens are configured, each \
                       request needs one; `viewer` may look, `operator` may also change things.",
    ),
    components(schemas(Problem, OrderName)),
    modifiers(&Token),
)]
pub(super) struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", scheme);
        document.info.license = None;
    }
}

/// What each request has to keep to.
#[derive(Default)]
pub(super) struct Rules(HashMap<(Method, String), Rule>);

/// What one has to keep to.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The role it takes; `None` if anybody may.
    pub(super) role: Option<Role>,
    /// The names that its query may have; `None` if it may have any.
    pub(super) query: Option<Vec<String>>,
}

impl Rules {
    /// Those of a document.
    pub(super) fn of(document: &utoipa::openapi::OpenApi) -> Rules {
        let mut rules = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations(item) {
                let rule = Rule::of(path, operation);
                if method == Method::GET {
                    rules.insert((Method::HEAD, path.clone()), rule.clone());
                }
                rules.insert((method, path.clone()), rule);
            }
        }
        Rules(rules)
    }

    /// That of a route. What is none is for those who may look: it is not even there.
    pub(super) fn get(&self, method: &Method, path: Option<&str>) -> Option<&Rule> {
        self.0.get(&(method.clone(), path?.to_owned()))
    }
}

impl Rule {
    fn of(path: &str, operation: &Operation) -> Rule {
        let parameters = operation.parameters.iter().flatten();
        let parameters = parameters.filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        });
        let query = parameters
            .filter(|parameter| parameter.parameter_in == ParameterIn::Query)
            .map(|parameter| parameter.name.clone());
        // A monitor that adds something of its own to the address of a check means no harm, and
        // what it takes for an outage would be.
        let query = path.starts_with("/api/").then(|| query.collect());
        Rule { role: role(operation), query }
    }
}

/// The role that an operation takes: the one its security names.
fn role(operation: &Operation) -> Option<Role> {
    // What says nothing is not for everybody.
    let Some(security) = &operation.security else { return Some(Role::Operator) };
    let text = serde_json::to_string(security).unwrap_or_default();
    [Role::Operator, Role::Viewer].into_iter().find(|role| text.contains(role.name()))
}

fn operations(item: &PathItem) -> Vec<(Method, &Operation)> {
    let all = [(Method::GET, &item.get), (Method::PUT, &item.put), (Method::POST, &item.post)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?))).collect()
}

/// Adds to every operation what all of them may answer.
pub(super) fn complete(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let api = path.starts_with("/api/");
        for operation in [&mut item.get, &mut item.put, &mut item.post].into_iter().flatten() {
            let has_body = operation.request_body.is_some();
            let guarded = role(operation).is_some();
            let answers = [
                (api, "400", "The request makes no sense"),
                (guarded, "401", "There is no token, or one that nobody has"),
                (true, "403", "A page of another site asks, or the token's role is too small"),
                (has_body, "408", "The body did not come in time"),
                (has_body, "413", "The body is too large"),
                (has_body, "415", "The body is not JSON"),
                (true, "421", "This host is not served here"),
                (has_body, "422", "The body is JSON, but not what is asked for"),
                (guarded, "429", "Too many wrong tokens"),
            ];
            for (may_be, status, description) in answers {
                if may_be && !operation.responses.responses.contains_key(status) {
                    let response = problem(description);
                    operation.responses.responses.insert(status.to_owned(), response);
                }
            }
        }
    }
}

/// Says that everything goes without a token, too.
pub(super) fn make_tokens_optional(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.put, &mut item.post].into_iter().flatten() {
            if role(operation).is_some() {
                operation.security.get_or_insert_default().push(SecurityRequirement::default());
            }
        }
    }
}

fn problem(description: &str) -> RefOr<utoipa::openapi::Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build();
    RefOr::T(response)
}
