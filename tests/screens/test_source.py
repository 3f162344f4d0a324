"""Where an answer came from: model, backend, deployment, and whether the model knows the chat template."""

from __future__ import annotations

from functools import partial

import pytest
from textual.pilot import Pilot

from phichat.backends.base import Deployment, DeploymentState, Usage
from phichat.errors import UnavailableError
from phichat.history import Conversation, StoredMessage
from phichat.screens.chat.branches import source_of, turns_of
from phichat.screens.chat.messages import LINE, note
from tests.screens.driving import ask, chat, picture, settled, until
from tests.screens.scripted import Script

TOLD = "▲ asked in another chat template than the model was trained with"


def said(script: Script, template: str) -> None:
    """Give an answer to a conversation that was shown in a template."""
    script.answers.put_nowait("Yes.")
    usage = Usage(prompt_tokens=9, completion_tokens=1, finish_reason="stop", template_sha256=template)
    script.answers.put_nowait(usage)


def trained(script: Script, template: str) -> None:
    """The deployment that answers serves a model that was trained with a template."""
    state = DeploymentState(deployment=Deployment(id="smollm2"), healthy=True, template_sha256=template)
    script.deployed = [state]


@pytest.mark.parametrize(
    ("model", "deployment", "source"),
    [
        ("smollm2", "smollm2", "smollm2 on azureml"),
        ("first", "phichat-lab-1/first-0a", "first on azureml, deployment first-0a"),
        ("", "flow server", "flow server on azureml"),
    ],
)
def test_the_names_are_said_once(model: str, deployment: str, source: str) -> None:
    message = StoredMessage(
        conversation_id=Conversation().id,
        role="assistant",
        backend="azureml",
        model=model,
        deployment=deployment,
    )
    assert source_of(message) == source
    assert source_of(message.model_copy(update={"backend": ""})) == ""


async def test_an_answer_says_where_it_came_from_also_when_it_is_read_again(
    pilot: Pilot[None], script: Script
) -> None:
    said(script, "")
    await ask(pilot, "Is it there?")
    await settled(pilot)
    assert "first after 0.0 s · smollm2 on local" in picture(pilot)
    (turn,) = chat(pilot).conversation.turns
    turn.source = "first on azureml, deployment first-0123abcd of a long name"
    assert note(turn).plain.splitlines()[1:] == [turn.source], "what has no room has a line of its own"
    assert all(len(line) <= LINE for line in note(turn).plain.splitlines())
    log = chat(pilot).conversation.log
    assert log is not None and turns_of(log.transcript)[0].source == "smollm2 on local"


def told(pilot: Pilot[None], count: int) -> bool:
    return picture(pilot).count(TOLD) == count


async def test_another_chat_template_is_told_with_the_answer_and_once_as_news(
    pilot: Pilot[None], script: Script
) -> None:
    trained(script, "abc")
    said(script, "abc")
    await ask(pilot, "Is it there?")
    await settled(pilot)
    assert TOLD not in picture(pilot) and not pilot.app._notifications
    for count in (1, 2):
        said(script, "xyz")
        await ask(pilot, "And now?")
        await until(pilot, partial(told, pilot, count))
        (news,) = pilot.app._notifications
        assert "The chat template of smollm2 is not the one" in news.message


async def test_where_nobody_knows_the_models_template_nothing_is_told(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(script, "")
    said(script, "xyz")
    await ask(pilot, "Is it there?")
    await settled(pilot)
    assert TOLD not in picture(pilot)

    async def away() -> list[DeploymentState]:
        raise UnavailableError("Nobody answers.")

    session = chat(pilot).session
    assert session.project is not None
    session._templates = None
    monkeypatch.setattr(session.project.backend, "deployments", away)
    said(script, "xyz")
    await ask(pilot, "And now?")
    await settled(pilot)
    assert TOLD not in picture(pilot) and "✗" not in picture(pilot)
