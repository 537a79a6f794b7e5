"""The SDKs of OpenAI, Anthropic and Ollama, pointed at the gateway as at their own servers.

Starts, kills and restarts the scripted upstream itself. Prints a line for each thing that holds.
"""

import asyncio
import subprocess
import sys
import time

import anthropic
import httpx
import ollama
import openai

GATEWAY, UPSTREAM, BINARY = sys.argv[1:]
TEXT = "All circuits are closed here."
HELLO = [{"role": "user", "content": "hello"}]


class Upstream:
    """The scripted upstream, as a process."""

    def start(self):
        command = [BINARY, "upstream", "--listen", UPSTREAM]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def set(self, plan):
        url = f"http://{UPSTREAM}/__upstream/behaviour"
        httpx.put(url, content=plan, trust_env=False).raise_for_status()

    def requests(self):
        url = f"http://{UPSTREAM}/__upstream/stats"
        return httpx.get(url, trust_env=False).json()["requests"]


upstream = Upstream()


def clients(prefix="", retries=0):
    options = {"max_retries": retries, "timeout": 20}
    return (
        openai.OpenAI(base_url=f"{GATEWAY}{prefix}/openai/v1", api_key="sk-x", **options),
        anthropic.Anthropic(base_url=f"{GATEWAY}{prefix}/anthropic", api_key="sk-x", **options),
        ollama.Client(host=f"{GATEWAY}{prefix}/ollama", timeout=20, trust_env=False),
    )


OPENAI, ANTHROPIC, OLLAMA = clients()


def ask_openai(model="m", client=OPENAI):
    return client.chat.completions.create(model=model, messages=HELLO)


def ask_anthropic(model="m", client=ANTHROPIC):
    return client.messages.create(model=model, max_tokens=100, messages=HELLO)


def ask_ollama(model="m", client=OLLAMA):
    return client.chat(model=model, messages=HELLO)


ASK = (ask_openai, ask_anthropic, ask_ollama)


def text_of(answer):
    match answer:
        case openai.types.chat.ChatCompletion():
            return answer.choices[0].message.content
        case anthropic.types.Message():
            return answer.content[0].text
        case ollama.ChatResponse():
            return answer.message.content
        case _:
            raise TypeError(type(answer))


def is_fallback(answer):
    """Whether it is the gateway's own, which says so in every API."""
    return getattr(answer, "fallback_used", None) is True or "temporarily unavailable" in text_of(answer)


def raised(kind, ask, *arguments):
    try:
        answer = ask(*arguments)
    except kind as error:
        assert type(error) is kind, type(error)
        return error
    raise AssertionError(f"no {kind.__name__}, but {answer}")


def holds(what):
    print(what)


# ===== what works =====


def answers():
    for ask in ASK:
        assert text_of(ask()) == TEXT
    completion = ask_openai()
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    assert ask_anthropic().stop_reason == "end_turn"
    assert ask_ollama().done_reason == "stop"
    holds("answers")


def streams():
    options = {"include_usage": True}
    chunks = list(
        OPENAI.chat.completions.create(
            model="m", messages=HELLO, stream=True, stream_options=options
        )
    )
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(word or "" for word in words) == TEXT, words
    assert chunks[-1].usage.completion_tokens > 0
    with ANTHROPIC.messages.stream(model="m", max_tokens=100, messages=HELLO) as stream:
        assert TEXT.startswith("".join(stream.text_stream))
        assert stream.get_final_message().stop_reason == "end_turn"
    parts = list(OLLAMA.chat(model="m", messages=HELLO, stream=True))
    assert TEXT.startswith("".join(part.message.content for part in parts)[: len(TEXT)])
    assert parts[-1].done
    holds("streams")


async def async_streams():
    async with openai.AsyncOpenAI(base_url=f"{GATEWAY}/openai/v1", api_key="sk-x") as client:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        words = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(words) == TEXT
    async with anthropic.AsyncAnthropic(base_url=f"{GATEWAY}/anthropic", api_key="sk-x") as client:
        async with client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
            assert (await stream.get_final_message()).content[0].text
    client = ollama.AsyncClient(host=f"{GATEWAY}/ollama", trust_env=False)
    parts = [part async for part in await client.chat(model="m", messages=HELLO, stream=True)]
    assert parts[-1].done
    holds("async streams")


def lists():
    assert [model.id for model in OPENAI.models.list()] == ["scripted", "scripted-mini"]
    assert [model.id for model in ANTHROPIC.models.list()] == ["scripted", "scripted-mini"]
    assert [model.model for model in OLLAMA.list().models] == ["scripted:latest", "scripted:mini"]
    assert OLLAMA.show("m").details.family == "scripted"
    assert ANTHROPIC.messages.count_tokens(model="m", messages=HELLO).input_tokens > 0
    holds("lists")


# ===== what fails =====


def errors():
    server = openai.InternalServerError
    for status, kind in [
        ("400", openai.BadRequestError),
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("404", openai.NotFoundError),
        ("413", openai.APIStatusError),
        ("429", openai.RateLimitError),
        ("429,code=tokens", openai.RateLimitError),
        ("500", server),
        ("503", server),
        ("529", server),
    ]:
        model = f"openai-{status.replace(',', '-')}"
        upstream.set(f"status:{status},body=api" if "code" not in status else f"status:{status}")
        error = raised(kind, ask_openai, model)
        assert str(error.status_code) == status[:3] and error.body["message"], error
        if "429" in status:
            kinds = ("tokens" if "code" in status else "requests", "rate_limit_exceeded")
            assert (error.type, error.code) == kinds, error
    for status, kind in [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (413, anthropic.RequestTooLargeError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (503, anthropic.ServiceUnavailableError),
        (529, anthropic.OverloadedError),
    ]:
        upstream.set(f"status:{status},body=api")
        error = raised(kind, ask_anthropic, f"anthropic-{status}")
        assert error.status_code == status and error.body["error"]["type"], error
    for status in (400, 404, 429, 500, 503):
        upstream.set(f"status:{status},body=api")
        error = raised(ollama.ResponseError, ask_ollama, f"ollama-{status}")
        assert error.status_code == status and error.error, error
    upstream.set("ok")
    holds("errors")


def broken_streams():
    for behaviour in ("stream-error:3", "stream-cut:3"):
        upstream.set(behaviour)
        try:
            list(OPENAI.chat.completions.create(model=behaviour, messages=HELLO, stream=True))
            raise AssertionError("no error")
        except openai.APIError as error:
            assert error.message, behaviour
        try:
            with ANTHROPIC.messages.stream(model=behaviour, max_tokens=9, messages=HELLO) as stream:
                stream.get_final_message()
            raise AssertionError("no error")
        except anthropic.APIStatusError as error:
            assert error.body["error"]["type"], behaviour
    upstream.set("stream-error:3")
    raised(ollama.ResponseError, lambda: list(OLLAMA.chat(model="e", messages=HELLO, stream=True)))
    upstream.set("ok")
    holds("broken streams")


def models_apart():
    upstream.set("ok\nmodel:bad=status:500,body=api")
    failures = (openai.InternalServerError, anthropic.InternalServerError, ollama.ResponseError)
    for ask, failure in zip(ASK, failures):
        for _ in range(2):
            raised(failure, ask, "bad")
        before = upstream.requests()
        assert is_fallback(ask("bad")), "its circuit is open"
        assert upstream.requests() == before
        assert text_of(ask("good")) == TEXT, "and no other"
    upstream.set("ok")
    holds("models apart")


def quotas():
    upstream.set("ok\nmodel:q=status:429,code=insufficient_quota")
    error = raised(openai.RateLimitError, ask_openai, "q")
    assert (error.type, error.code) == ("insufficient_quota", "insufficient_quota"), error
    before = upstream.requests()
    raw = OPENAI.chat.completions.with_raw_response.create(model="q", messages=HELLO)
    assert raw.headers["x-panelboard-fallback"] == "default"
    assert 800 < int(raw.headers["retry-after"]) <= 900, "one probe each 15 minutes"
    assert is_fallback(raw.parse()) and upstream.requests() == before
    error = raised(openai.InternalServerError, ask_openai, "q", clients("/strict")[0])
    assert "quota is used up" in error.body["message"], error.body
    assert text_of(ask_openai("other")) == TEXT
    upstream.set("ok\nmodel:q=status:400,code=insufficient_quota")
    raised(anthropic.BadRequestError, ask_anthropic, "q")
    assert is_fallback(ask_anthropic("q"))
    upstream.set("ok")
    holds("quotas")


def retries():
    """The SDKs' own retries come back when the gateway says so, and find it recovered."""
    strict, kinds = clients("/strict"), (openai.InternalServerError, anthropic.InternalServerError)
    for ask, client, patient, kind in zip(ASK, strict, clients("/strict", retries=4), kinds):
        upstream.set("status:500,body=api")
        for _ in range(2):
            raised(kind, ask, "retried", client)
        upstream.set("ok")
        before, began = upstream.requests(), time.monotonic()
        assert text_of(ask("retried", patient)) == TEXT
        assert time.monotonic() - began > 0.5, "it waited as long as it was told"
        assert upstream.requests() == before + 1
    holds("retries")


# ===== an outage =====


def outage():
    upstream.kill()
    for ask in ASK:
        for _ in range(3):
            answer = ask("outage")
            assert is_fallback(answer) and "It is worth trying again in" in text_of(answer)
    stream = OPENAI.chat.completions.create(model="outage", messages=HELLO, stream=True)
    words = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "temporarily unavailable" in "".join(words)
    with ANTHROPIC.messages.stream(model="outage", max_tokens=9, messages=HELLO) as stream:
        final = stream.get_final_message()
        assert is_fallback(final) and final.stop_reason == "end_turn"
    parts = list(OLLAMA.chat(model="outage", messages=HELLO, stream=True))
    assert "temporarily unavailable" in "".join(part.message.content for part in parts)
    assert parts[-1].done_reason == "stop"
    error = raised(openai.InternalServerError, ask_openai, "outage", clients("/strict")[0])
    assert error.body["code"].startswith("circuit_") and error.response.headers["retry-after"]
    unavailable = anthropic.ServiceUnavailableError
    error = raised(unavailable, ask_anthropic, "outage", clients("/strict")[1])
    assert error.body["error"]["type"] == "overloaded_error"
    holds("outage")
    upstream.start()
    for ask in ASK:
        deadline = time.monotonic() + 10
        while is_fallback(answer := ask("outage")):
            assert time.monotonic() < deadline, "never recovered"
            time.sleep(0.05)
        assert text_of(answer) == TEXT
    holds("recovery")


upstream.start()
try:
    answers()
    streams()
    asyncio.run(async_streams())
    lists()
    errors()
    broken_streams()
    models_apart()
    quotas()
    retries()
    outage()
finally:
    upstream.kill()
