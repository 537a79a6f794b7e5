"""Two requests over one connection; prints the answers."""

import sys

import httpx

with httpx.Client(base_url=sys.argv[1]) as client:
    print(client.get("/a", params={"b": " "}).raise_for_status().text)
    print(client.post("/c", content=b"x" * 100_000).raise_for_status().text)
