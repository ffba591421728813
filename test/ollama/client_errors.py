"""Makes calls that are refused and prints what each client raised, as one JSON document.

Standard input: a list of {status, url, token, model}.
"""
import json
import sys

import anthropic
import ollama
import openai
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

messages = [{"role": "user", "content": "hi"}]


def clients(url, token, model):
    headers = {"Authorization": f"Bearer {token}"}
    native = ollama.Client(host=url, timeout=20, headers=headers)
    sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=20)
    claude = anthropic.Anthropic(base_url=url, api_key=token, max_retries=0, timeout=20)
    chain = {"base_url": url, "model": model, "client_kwargs": {"headers": headers, "timeout": 20}}
    asked = {"model": model, "messages": messages}
    return {
        "ollama": lambda: native.chat(**asked),
        "ollama, streamed": lambda: list(native.chat(**asked, stream=True)),
        "ollama, embeddings": lambda: native.embed(model, "hi"),
        "openai": lambda: sdk.chat.completions.create(**asked),
        "openai, streamed": lambda: list(sdk.chat.completions.create(**asked, stream=True)),
        "openai, responses": lambda: sdk.responses.create(model=model, input="hi"),
        "anthropic": lambda: claude.messages.create(**asked, max_tokens=50),
        "anthropic, streamed": lambda: list(claude.messages.create(**asked, max_tokens=50, stream=True)),
        "langchain": lambda: ChatOllama(**chain).invoke("hi"),
        "langchain, generation": lambda: OllamaLLM(**chain).invoke("hi"),
        "langchain, embeddings": lambda: OllamaEmbeddings(**chain).embed_query("hi"),
    }


failures = []
for case in json.load(sys.stdin):
    for client, call in clients(case["url"], case["token"], case["model"]).items():
        try:
            call()
        except Exception as error:
            failures.append(
                {
                    "client": client,
                    "asked": case["status"],
                    "kind": type(error).__name__,
                    "status": getattr(error, "status_code", None),
                    "message": str(error),
                }
            )
        else:
            failures.append({"client": client, "asked": case["status"], "kind": "not refused", "message": ""})
json.dump(failures, sys.stdout)
