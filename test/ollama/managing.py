"""Makes, copies, shows, pulls, pushes and removes models with the Python client of Ollama, and prints what each call gave, one JSON document a line.

Arguments: the server's address, a bearer token, a file of weights, the address of a registry that nobody answers at. The
test runs it against Ollama and against the sidecar; a call that is refused is printed as such.
"""
import json
import sys

import ollama

address, token, weights, registry = sys.argv[1:]
client = ollama.Client(host=address, timeout=20, headers={"Authorization": f"Bearer {token}"})
away = f"{registry}/library/made"


def create():
    digest = client.create_blob(weights)
    steps = client.create("made", files={"weights.gguf": digest}, license="none", stream=True)
    return [digest, [step.status for step in steps]]


def frames(stream):
    return [frame.model_dump(mode="json") for frame in stream]


def names():
    return sorted(model.model for model in client.list().models)


calls = {
    "create": create,
    "copy": lambda: client.copy("made", "copied").model_dump(mode="json"),
    "copy under another host": lambda: client.copy("made", away).model_dump(mode="json"),
    "show": lambda: client.show("copied").license,
    "list": names,
    "pull": lambda: frames(client.pull(away, stream=True)),
    "pull whole": lambda: client.pull(away).model_dump(mode="json"),
    "push": lambda: frames(client.push(away, stream=True)),
    "delete": lambda: [client.delete(name).model_dump(mode="json") for name in ("made", "copied", away)],
    "delete what is gone": lambda: client.delete("made").model_dump(mode="json"),
    "list at the end": names,
}
for name, call in calls.items():
    try:
        gave = call()
    except ollama.ResponseError as error:
        gave = [type(error).__name__, str(error), error.status_code]
    print(json.dumps({"call": name, "gave": gave}, separators=(",", ":"), ensure_ascii=False), flush=True)
