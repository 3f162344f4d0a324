"""A conversation as the application holds it."""

from phichat.screens.chat.conversation import Conversation, Turn


def test_only_the_last_turn_can_be_running() -> None:
    conversation = Conversation([Turn("a", "b", "done")])
    assert conversation.running is None
    turn = conversation.ask("c")
    assert conversation.running is turn
    turn.state = "done"
    assert conversation.running is None
    conversation.drop(turn)
    assert len(conversation.turns) == 1
