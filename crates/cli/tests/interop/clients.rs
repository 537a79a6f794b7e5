//! Clients that people use.

use crate::nginx;
use crate::programs::run_python;
use crate::support::Gateway;

#[test]
fn a_python_client_gets_what_the_upstream_sends() {
    let nginx = nginx::start("location / { return 200 '$request_method $request_uri'; }");
    let gateway = Gateway::start(&format!(
        "[upstreams.web]\nurl = \"{}\"\n[[routes]]\nupstream = \"web\"\n",
        nginx.url()
    ));
    let url = format!("http://{}", gateway.address());
    assert_eq!(run_python("clients.py", &[&url]), "GET /a?b=+\nPOST /c\n");
}
