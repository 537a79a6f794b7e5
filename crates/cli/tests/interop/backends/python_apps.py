"""Two servers' idea of an application: each notes the requests that came whole."""

import json
import os

SEEN = os.environ["SEEN"]


def note(method, target, body):
    line = json.dumps({"method": method, "target": target, "body": body.decode("latin-1")})
    with open(SEEN, "a", encoding="utf-8") as seen:
        seen.write(line + "\n")


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        body += event.get("body", b"")
        more = event.get("more_body", False)
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    note(scope["method"], target.decode("latin-1"), body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    length = environ.get("CONTENT_LENGTH")
    # Its reader takes the end of the connection for the end of the body.
    if not length or len(body) == int(length):
        note(environ["REQUEST_METHOD"], environ["RAW_URI"], body)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
