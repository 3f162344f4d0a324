"""What of a conversation the model is shown."""

from phichat.screens.conversation import Conversation, Turn


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in conversation.messages()]


def test_the_model_is_shown_every_answer_and_the_last_question() -> None:
    conversation = Conversation([Turn("a", "b", "done")])
    conversation.ask("c")
    assert said(conversation) == [("user", "a"), ("assistant", "b"), ("user", "c")]


def test_a_partial_answer_is_part_of_the_conversation() -> None:
    conversation = Conversation([Turn("a", "half of", "stopped"), Turn("b", "br", "failed")])
    conversation.ask("c")
    assert said(conversation)[:4] == [
        ("user", "a"),
        ("assistant", "half of"),
        ("user", "b"),
        ("assistant", "br"),
    ]


def test_a_question_that_nobody_answered_is_not_shown_to_the_model() -> None:
    conversation = Conversation([Turn("a", "", "failed")])
    conversation.ask("b")
    assert said(conversation) == [("user", "b")]


def test_only_the_last_turn_can_be_running() -> None:
    conversation = Conversation([Turn("a", "b", "done")])
    assert conversation.running is None
    turn = conversation.ask("c")
    assert conversation.running is turn
    turn.state = "done"
    assert conversation.running is None
    conversation.drop(turn)
    assert len(conversation.turns) == 1
