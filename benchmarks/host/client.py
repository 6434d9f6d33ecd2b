"""Talk to a ComfyUI server with the standard library only."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

Graph = dict[str, dict[str, Any]]

# A proxy named in the environment must not get between us and a server on this very machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class HostError(RuntimeError):
    """Something the server refused, failed at, or did not answer."""


class UnknownNode(HostError):
    """The server has no node of this name."""


class PromptRejected(HostError):
    """The graph did not pass the server's validation."""


class PromptFailed(HostError):
    """A node raised an error; `node_type` is its class and `entry` the whole history entry."""

    def __init__(self, message: str, node_type: str, entry: dict[str, Any]) -> None:
        super().__init__(message)
        self.node_type = node_type
        self.entry = entry


class PromptInterrupted(PromptFailed):
    """The run was interrupted while `node_type` was working."""


class Client:
    """The few routes of ComfyUI that a script needs."""

    patience = 60.0  # seconds that one answer may take

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def object_info(self, node: str) -> dict[str, Any]:
        """Return the description of one node class."""
        known: dict[str, Any] = self.get(f"/object_info/{urllib.parse.quote(node)}")
        if node not in known:
            raise UnknownNode(f"the server has no node called {node!r}: did the pack load?")
        return known[node]

    def queue(self, graph: Graph) -> str:
        """Queue an API-format graph and return the id of its run."""
        answer = self.post("/prompt", {"prompt": graph})
        if answer.get("node_errors"):
            raise PromptRejected(describe_rejection(answer))
        return answer["prompt_id"]

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the history entry of a run, or None while it has not ended."""
        return self.get(f"/history/{prompt_id}").get(prompt_id)

    def wait(self, prompt_id: str, timeout: float = 600.0) -> dict[str, Any]:
        """Wait for a run to end and return its history entry.

        Raises:
            PromptInterrupted: it was interrupted.
            PromptFailed: a node raised; the message is the node's own.
            HostError: it did not end in time.
        """
        end, pause = time.monotonic() + timeout, 0.02
        while time.monotonic() < end:
            entry = self.history(prompt_id)
            if entry is not None:
                raise_for_status(entry)
                return entry
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        raise HostError(f"run {prompt_id} did not end within {timeout:.0f} s")

    def run(self, graph: Graph, timeout: float = 600.0) -> dict[str, Any]:
        """Queue a graph, wait for it, and return its history entry."""
        return self.wait(self.queue(graph), timeout)

    def image(self, ref: Mapping[str, str]) -> bytes:
        """Return the file of one saved picture, given its reference in a history entry."""
        query = urllib.parse.urlencode({key: ref[key] for key in ("filename", "subfolder", "type")})
        return self.fetch(f"/view?{query}")

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Interrupt the run of this id, or whatever is running."""
        self.fetch("/interrupt", {"prompt_id": prompt_id} if prompt_id else {})

    def get(self, path: str) -> Any:
        """GET a JSON answer."""
        return json.loads(self.fetch(path))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST a JSON body and return the JSON answer."""
        return json.loads(self.fetch(path, body))

    def fetch(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Send one request (POST when there is a body) and return the raw answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with _DIRECT.open(request, timeout=self.patience) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code == 400 and path == "/prompt":
                raise PromptRejected(describe_rejection(json.loads(text))) from error
            raise HostError(f"{path}: the server answered {error.code}: {text[:500]}") from error
        except OSError as error:
            raise HostError(f"{path}: no answer from {self.url}: {error}") from error


def describe_rejection(answer: Mapping[str, Any]) -> str:
    """Put the server's account of a bad graph in a few lines, one for each fault."""
    lines = [answer["error"]["message"]] if answer.get("error") else []
    for node_id, problem in (answer.get("node_errors") or {}).items():
        lines += [
            f"node {node_id} ({problem['class_type']}): {fault['message']}: {fault['details']}"
            for fault in problem["errors"]
        ]
    return "the server did not accept the graph: " + "\n".join(lines)


def raise_for_status(entry: dict[str, Any]) -> None:
    """Raise what went wrong in a run that has ended; a successful one passes."""
    status = entry.get("status") or {}
    for kind, data in status.get("messages", []):
        if kind == "execution_interrupted":
            raise PromptInterrupted(f"interrupted in {data['node_type']}", data["node_type"], entry)
        if kind == "execution_error":
            message = f"{data['node_type']} (node {data['node_id']}): {data['exception_message'].strip()}"
            raise PromptFailed(message, data["node_type"], entry)
    if status.get("status_str") == "error":
        raise PromptFailed("the run failed without saying why", "", entry)


def cached_nodes(entry: Mapping[str, Any]) -> set[str]:
    """Return the ids of the nodes a run took from the server's cache instead of executing them."""
    return {node for kind, data in entry["status"]["messages"] if kind == "execution_cached" for node in data["nodes"]}


def images(entry: Mapping[str, Any], node_id: str) -> list[dict[str, str]]:
    """Return the references of the pictures one node saved."""
    return entry["outputs"][node_id]["images"]
