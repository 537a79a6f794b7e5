"""SDKs whose own provider is gone, so that another one answers. Tells the scripted upstream how to
behave. Prints a line for each thing that holds."""

import asyncio
import sys

import anthropic
import httpx
import ollama
import openai

GATEWAY, UPSTREAM = sys.argv[1:]
TEXT = "All circuits are closed here."
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Are they closed?"}]
OPTIONS = {"max_retries": 0, "timeout": 20}
DIRECTIONS = [
    ("openai", "anthropic"),
    ("openai", "ollama"),
    ("anthropic", "openai"),
    ("anthropic", "ollama"),
    ("ollama", "openai"),
    ("ollama", "anthropic"),
]


class OpenAI:
    Error, Limited, Refused = openai.APIError, openai.RateLimitError, openai.BadRequestError

    def __init__(self, url):
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-x", **OPTIONS)
        self.later = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-x", **OPTIONS)
        self.asked = {"model": "m", "messages": HELLO}
        self.streamed = {**self.asked, "stream": True, "stream_options": {"include_usage": True}}

    def ask(self, **more):
        answer = self.client.chat.completions.create(**self.asked, **more)
        assert answer.choices[0].finish_reason == "stop", answer
        assert answer.usage.completion_tokens == 6 and answer.usage.prompt_tokens > 0, answer
        return answer.model, answer.choices[0].message.content

    def with_tools(self):
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        return self.ask(tools=[tool])

    def chunk(self, chunk):
        if chunk.usage:
            assert not chunk.choices and chunk.usage.completion_tokens > 0, chunk
            self.ended = True
        return "".join(choice.delta.content or "" for choice in chunk.choices)

    def stream(self):
        self.ended = False
        for chunk in self.client.chat.completions.create(**self.streamed):
            yield self.chunk(chunk)
        assert self.ended

    async def stream_later(self):
        async for chunk in await self.later.chat.completions.create(**self.streamed):
            yield self.chunk(chunk)


class Anthropic:
    Error, Limited = anthropic.APIError, anthropic.RateLimitError
    Refused = anthropic.BadRequestError

    def __init__(self, url):
        self.client = anthropic.Anthropic(base_url=url, api_key="sk-x", **OPTIONS)
        self.later = anthropic.AsyncAnthropic(base_url=url, api_key="sk-x", **OPTIONS)
        self.asked = {"model": "m", "max_tokens": 100, "system": "Be brief.", "messages": HELLO[1:]}

    def ask(self, **more):
        answer = self.client.messages.create(**self.asked, **more)
        assert answer.stop_reason == "end_turn" and answer.role == "assistant", answer
        assert answer.usage.output_tokens == 6 and answer.usage.input_tokens > 0, answer
        return answer.model, answer.content[0].text

    def with_tools(self):
        return self.ask(tools=[{"name": "f", "input_schema": {"type": "object"}}])

    def stream(self):
        with self.client.messages.stream(**self.asked) as stream:
            yield from stream.text_stream
            message = stream.get_final_message()
        assert message.stop_reason == "end_turn" and message.model == "theirs", message
        assert message.usage.output_tokens > 0 and message.usage.input_tokens > 0, message

    async def stream_later(self):
        async with self.later.messages.stream(**self.asked) as stream:
            async for text in stream.text_stream:
                yield text


class Ollama:
    Error = Limited = Refused = ollama.ResponseError

    def __init__(self, url):
        self.client = ollama.Client(host=url, timeout=20)
        self.later = ollama.AsyncClient(host=url, timeout=20)
        self.asked = {"model": "m", "messages": HELLO}

    def ask(self, **more):
        answer = self.client.chat(**self.asked, **more)
        assert answer.done and answer.done_reason == "stop", answer
        assert answer.eval_count == 6 and answer.prompt_eval_count > 0, answer
        return answer.model, answer.message.content

    def with_tools(self):
        return self.ask(tools=[{"type": "function", "function": {"name": "f"}}])

    def stream(self):
        last = None
        for last in self.client.chat(**self.asked, stream=True):
            yield last.message.content
        assert last.done and last.done_reason == "stop" and last.eval_count > 0, last

    async def stream_later(self):
        async for part in await self.later.chat(**self.asked, stream=True):
            yield part.message.content


CLIENTS = {"openai": OpenAI, "anthropic": Anthropic, "ollama": Ollama}


def answers(client):
    assert client.ask() == ("theirs", TEXT)
    assert "".join(client.stream()).startswith(TEXT)


def later(client):
    async def gather():
        return [text async for text in client.stream_later()]

    assert "".join(asyncio.run(gather())).startswith(TEXT)


def cut(client):
    said = []
    try:
        for text in client.stream():
            said.append(text)
    except (client.Error, httpx.HTTPError) as error:
        assert "the upstream ended this stream early" in str(error), repr(error)
        assert "".join(said).startswith("All circuits"), said
    else:
        raise AssertionError(f"a cut stream passed for a whole one: {said}")


def limited(client):
    for ask in (client.ask, lambda: list(client.stream())):
        try:
            ask()
        except client.Limited as error:
            assert error.status_code == 429, repr(error)
            if not isinstance(client, Ollama):
                assert error.response.headers["retry-after"] == "0"
        else:
            raise AssertionError("no error")


def refused(client):
    try:
        client.with_tools()
    except client.Refused as error:
        assert error.status_code == 400 and "`tools` cannot be translated" in str(error), repr(error)
    else:
        raise AssertionError("no error")


for what, behaviour, prefix in [
    (answers, "ok,events=11", ""),
    (later, "ok,events=11", ""),
    (refused, "ok", "/only"),
    (cut, "stream-cut:4", ""),
    (limited, "status:429,retry-after=0,body=api", ""),
]:
    url = f"{UPSTREAM}/__upstream/behaviour"
    httpx.put(url, content=behaviour, trust_env=False).raise_for_status()
    for name, upstream in DIRECTIONS:
        what(CLIENTS[name](f"{GATEWAY}{prefix}/{name}-{upstream}"))
    print(what.__name__)
