"""Makes the same calls with the Python clients of Ollama and OpenAI and prints what each gave, one JSON document a line.

Arguments: the server's address, a bearer token. The test runs it against Ollama and against the sidecar.
"""
import json
import sys

import ollama
import openai

address, token = sys.argv[1:]
native = ollama.Client(host=address, timeout=20, headers={"Authorization": f"Bearer {token}"})
sdk = openai.OpenAI(base_url=f"{address}/v1", api_key=token, max_retries=0, timeout=20)
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
    "openai leaves midway": lambda: first(
        sdk.chat.completions.create(model="slow-loop", messages=messages, stream=True)
    ),
}
for name, call in calls.items():
    print(json.dumps({"call": name, "gave": call()}, separators=(",", ":"), ensure_ascii=False), flush=True)
