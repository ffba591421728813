"""Makes the same calls with the Python clients of Ollama, OpenAI and Anthropic, and LangChain's, and prints what each gave, one JSON document a line.

Arguments: the server's address, a bearer token. The test runs it against Ollama and against the sidecar.
"""
import json
import sys

import anthropic
import ollama
import openai
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

address, token = sys.argv[1:]
native = ollama.Client(host=address, timeout=20, headers={"Authorization": f"Bearer {token}"})
sdk = openai.OpenAI(base_url=f"{address}/v1", api_key=token, max_retries=0, timeout=20)
claude = anthropic.Anthropic(base_url=address, api_key=token, max_retries=0, timeout=20)
chain = {"base_url": address, "client_kwargs": {"headers": {"Authorization": f"Bearer {token}"}, "timeout": 20}}
messages = [{"role": "user", "content": "hi"}]
weather = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}


def whole(answer):
    return [answer.model_dump(mode="json")]


def frames(stream):
    return [frame.model_dump(mode="json") for frame in stream]


def said(messages):
    """Of LangChain's messages what the model said: each run has an id of its own."""
    return [[m.content, m.usage_metadata, [[c["name"], c["args"]] for c in m.tool_calls]] for m in messages]


def first(stream):
    """Reads one frame and leaves."""
    for _ in stream:
        break
    stream.close()
    return ["left"]


def refused(call, kind):
    try:
        call()
    except kind as error:
        return [type(error).__name__, str(error), error.status_code]
    return ["not refused"]


calls = {
    "ollama chat": lambda: whole(native.chat("tiny", messages)),
    "ollama chat streamed": lambda: frames(native.chat("tiny", messages, stream=True)),
    "ollama chat tool": lambda: whole(native.chat("tiny", messages, tools=[weather])),
    "ollama chat tool streamed": lambda: frames(native.chat("tiny", messages, tools=[weather], stream=True)),
    "ollama generate": lambda: whole(native.generate("tiny", "hi")),
    "ollama generate streamed": lambda: frames(native.generate("tiny-emoji", "hi", stream=True)),
    "ollama list": lambda: whole(native.list()),
    "ollama unknown model": lambda: refused(lambda: native.chat("nope", messages), ollama.ResponseError),
    "ollama leaves midway": lambda: first(native.chat("slow-loop", messages, stream=True)),
    "openai completion": lambda: whole(sdk.chat.completions.create(model="tiny", messages=messages)),
    "openai completion streamed": lambda: frames(
        sdk.chat.completions.create(model="tiny", messages=messages, stream=True)
    ),
    "openai completion streamed with usage": lambda: frames(
        sdk.chat.completions.create(
            model="tiny", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    ),
    "openai tool": lambda: whole(sdk.chat.completions.create(model="tiny", messages=messages, tools=[weather])),
    "openai tool streamed": lambda: frames(
        sdk.chat.completions.create(model="tiny", messages=messages, tools=[weather], stream=True)
    ),
    "openai models": lambda: [model.model_dump(mode="json") for model in sdk.models.list()],
    "openai unknown model": lambda: refused(
        lambda: sdk.chat.completions.create(model="nope", messages=messages), openai.NotFoundError
    ),
    "ollama embed": lambda: whole(native.embed("tiny-embed", ["hi", "there"])),
    "ollama embeddings": lambda: whole(native.embeddings("tiny-embed", "hi")),
    "ollama show": lambda: whole(native.show("tiny")),
    "ollama ps": lambda: [m.model_dump(mode="json") for m in native.ps().models if m.model == "tiny-embed:latest"],
    "openai old completion": lambda: whole(sdk.completions.create(model="tiny", prompt="hi")),
    "openai old completion streamed": lambda: frames(sdk.completions.create(model="tiny", prompt="hi", stream=True)),
    "openai embeddings": lambda: whole(sdk.embeddings.create(model="tiny-embed", input=["hi", "there"])),
    "openai model": lambda: whole(sdk.models.retrieve("tiny")),
    "openai response": lambda: whole(sdk.responses.create(model="tiny", input="hi")),
    "openai response streamed": lambda: frames(sdk.responses.create(model="tiny", input="hi", stream=True)),
    "anthropic message": lambda: whole(claude.messages.create(model="tiny", messages=messages, max_tokens=50)),
    "anthropic message streamed": lambda: frames(
        claude.messages.create(model="tiny", messages=messages, max_tokens=50, stream=True)
    ),
    "anthropic tool": lambda: whole(
        claude.messages.create(
            model="tiny",
            messages=messages,
            max_tokens=50,
            tools=[{"name": "get_weather", "input_schema": weather["function"]["parameters"]}],
        )
    ),
    "anthropic models": lambda: frames(claude.models.list()),
    "anthropic unknown model": lambda: refused(
        lambda: claude.messages.create(model="nope", messages=messages, max_tokens=50), anthropic.NotFoundError
    ),
    "langchain chat": lambda: said([ChatOllama(model="tiny", **chain).invoke("hi")]),
    "langchain chat streamed": lambda: said(ChatOllama(model="tiny", **chain).stream("hi")),
    "langchain tool": lambda: said([ChatOllama(model="tiny", **chain).bind_tools([weather]).invoke("hi")]),
    "langchain generation": lambda: [OllamaLLM(model="tiny", **chain).invoke("hi")],
    "langchain embeddings": lambda: OllamaEmbeddings(model="tiny-embed", **chain).embed_documents(["hi", "there"]),
    "openai leaves midway": lambda: first(
        sdk.chat.completions.create(model="slow-loop", messages=messages, stream=True)
    ),
}
for name, call in calls.items():
    print(json.dumps({"call": name, "gave": call()}, separators=(",", ":"), ensure_ascii=False), flush=True)
