"""A folder that serves the chat flow anywhere: the plain server, pinned requirements, a Dockerfile."""

from __future__ import annotations

import shutil
from pathlib import Path

from phichat.errors import ConfigError
from phichat.paths import bundled

SOURCES = ("plain.py", "deployment.py", "door.py", "page.html", "requirements.txt")
DOCKERFILE = """\
FROM python:3.11-slim
WORKDIR /flow
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY *.py page.html ./
USER 1000
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "import httpx; httpx.get('http://127.0.0.1:8080/health').raise_for_status()"]
CMD ["python", "plain.py", "--host", "0.0.0.0", "--port", "8080"]
"""
README = """\
# Chat flow

Serves `POST /score` with `{"question": "…", "chat_history": []}`, which answers `{"answer": "…"}`, or
server-sent events where the request accepts `text/event-stream`. `GET /health` says whether it runs; `GET /`
is a chat.

    docker build -t chat-flow .
    docker run -p 8080:8080 -e OPENAI_BASE_URL -e OPENAI_API_KEY -e CHAT_FLOW_KEY chat-flow

Without a container: `pip install -r requirements.txt`, then `python plain.py`, for this machine only.

| variable | meaning |
|---|---|
| `OPENAI_BASE_URL` | the deployment to ask; it must be reachable from where this runs |
| `OPENAI_API_KEY` | its key |
| `CHAT_FLOW_KEY` | what clients sign with: `Authorization: Bearer …`; to do without one: `--no-key` |
| `CHAT_FLOW_SYSTEM` | the instruction before every conversation |
| `CHAT_FLOW_OPTIONS` | more fields of the request, as JSON: `{"temperature": 0, "max_tokens": 200}` |
"""


def export(folder: Path) -> list[Path]:
    """Write the folder, which may exist if it is empty; returns its files.

    Raises:
        ConfigError: there is something in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already.", "Name a folder that is not, or an empty one.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        shutil.copy(bundled("flows") / "chat" / name, folder / name)
    for name, text in {
        "Dockerfile": DOCKERFILE,
        "README.md": README,
        ".dockerignore": "__pycache__\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return sorted(folder.iterdir())
