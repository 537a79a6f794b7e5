//! WebSocket between programs that know nothing of the gateway.

use std::process::Command;

use crate::programs::{Server, beside, free_address, python, run_python};
use crate::support::{Gateway, eventually};

#[test]
fn python_speaks_websocket_through_the_gateway() {
    let address = free_address();
    let mut command = Command::new(python());
    command.arg(beside("socket_server.py"));
    command.args([address.ip().to_string(), address.port().to_string()]);
    let server = Server::start(&mut command, address, tempfile::tempdir().unwrap());
    let gateway = Gateway::start(&format!(
        "[upstreams.chat]\nurl = \"{}\"\n[[routes]]\nupstream = \"chat\"\n",
        server.url()
    ));
    let url = format!("ws://{}/room", gateway.address());
    let said = run_python("socket_client.py", &[&url]);
    assert_eq!(
        said,
        "chat.v2 permessage-deflate\none two three\n4001 as told\nTrue\nNone\n",
        "{}",
        server.output()
    );
    assert_eq!(gateway.count("chat", "success"), 52);
    // The last was cut, which is an observation of its own.
    eventually("the cut", || gateway.count("chat", "failure") == 1);
    let open = "panelboard_gateway_tunnels{route=\"/\",circuit=\"chat\"}";
    eventually("the end of all", || gateway.metric(open) == Some(0.0));
}
