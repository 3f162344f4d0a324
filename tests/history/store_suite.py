"""What every history store does, whatever it is made of: subclass `StoreSuite` and say how to open one."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import pytest

from phichat.backends.base import ChatOptions, Usage
from phichat.errors import NotFoundError
from phichat.history import Conversation, HistoryStore, Merged, StoredMessage, Transcript
from phichat.history.values import Role

HOSTILE = [
    '"', '""', "'", "*", "**", "a*b", "-", "NOT", "AND OR", "a AND", "NEAR(a b)", "NEAR/2", "(", ")", "^a",
    "content:a", "title : a", "{a b}", "+", "a + b", ";", "--", "%", "_", "\\", "\\%", "\0", "a\0b", "\ud800",
    "🎉", "e\u0301", "你好", "?", "x" * 5000, '"' * 700, "w " * 3000, "\n\t ", "'; DROP TABLE messages; --",
]  # fmt: skip
"""Searches that a query language might choke on."""
ANY_CHARACTER = [*range(0xD800), *range(0xE000, 0x110000)]


class StoreSuite(ABC):
    """The tests; a subclass only has to open a store, the same one each time within a test."""

    @abstractmethod
    async def open_store(self) -> HistoryStore:
        """Another handle on this test's store, as another program would open it."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[HistoryStore]:
        """This test's store."""
        async with closing(await self.open_store()) as store:
            yield store

    async def reread(self, conversation: Conversation) -> Transcript:
        """The conversation as another program finds it."""
        async with closing(await self.open_store()) as other:
            return await other.read(conversation.id)

    # Conversations

    async def test_a_conversation_is_there_as_it_was_made(self, store: HistoryStore) -> None:
        made = Conversation(title="Über “Phi”\n🎉", project="/home/me/p", system="Be brief.")
        await store.create(made)
        assert await store.get(made.id) == made
        assert await self.reread(made) == Transcript(made)

    async def test_creating_it_again_changes_nothing(self, store: HistoryStore) -> None:
        made = await begun(store, title="First")
        await store.create(made.model_copy(update={"title": "Second"}))
        assert (await store.get(made.id)).title == "First"

    async def test_what_is_not_there_is_told(self, store: HistoryStore) -> None:
        made = await begun(store)
        message = StoredMessage(conversation_id="nothing", role="user")
        for attempt in (
            store.get("nothing"),
            store.get("\ud800"),
            store.read("nothing"),
            store.rename("nothing", "x"),
            store.delete("nothing"),
            store.undelete("nothing"),
            store.select("nothing", "x"),
            store.select(made.id, "nothing"),
            store.append(message),
            store.append(StoredMessage(conversation_id=made.id, parent_id="nothing", role="user")),
            store.finish(message),
            store.finish(StoredMessage(conversation_id=made.id, role="assistant")),
            store.extend("nothing", "x", "text"),
            store.extend(made.id, "nothing", "text"),
        ):
            with pytest.raises(NotFoundError, match=r"(?i)\bno (message|conversation|answer)"):
                await attempt

    async def test_a_new_title_is_a_decision(self, store: HistoryStore) -> None:
        made = await begun(store, title="Old")
        await store.rename(made.id, "New")
        renamed = (await self.reread(made)).conversation
        assert renamed.title == "New"
        assert renamed.revised > made.revised
        assert renamed.updated == made.updated

    async def test_a_deleted_conversation_can_be_brought_back(self, store: HistoryStore) -> None:
        made = await begun(store)
        message = await said(store, made, "Keep this")
        await store.delete(made.id)
        deleted = (await store.get(made.id)).deleted
        assert deleted is not None
        await store.delete(made.id)
        assert (await store.get(made.id)).deleted == deleted
        assert await listed(store) == []
        assert await listed(store, deleted=True) == [made.id]
        assert not await store.search("Keep")
        await store.undelete(made.id)
        assert await listed(store) == [made.id]
        assert (await self.reread(made)).messages == (message,)
        assert await store.search("Keep")

    async def test_talking_on_brings_a_deleted_conversation_back(self, store: HistoryStore) -> None:
        made = await begun(store)
        await store.delete(made.id)
        await said(store, made, "Still here")
        assert await listed(store) == [made.id]

    async def test_a_purged_conversation_is_gone_for_good(self, store: HistoryStore) -> None:
        made, other = await begun(store, title="Doomed"), await begun(store)
        await said(store, made, "Doomed as well")
        kept = await said(store, other, "Spared")
        await store.purge(made.id)
        await store.purge(made.id)
        with pytest.raises(NotFoundError):
            await store.read(made.id)
        assert not await store.search("Doomed")
        assert (await store.read(other.id)).messages == (kept,)

    async def test_the_bin_is_emptied_of_what_is_old(self, store: HistoryStore) -> None:
        old, recent, alive = [await begun(store) for _ in range(3)]
        for conversation in (old, recent):
            await store.delete(conversation.id)
        limit = (await store.get(recent.id)).deleted
        assert limit is not None
        assert await store.empty_trash(limit) == 1
        assert await listed(store, deleted=True) == [recent.id]
        assert await listed(store) == [alive.id]

    async def test_what_is_brought_back_while_the_bin_is_emptied_stays(
        self, store: HistoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, last = await begun(store), await begun(store)
        for conversation in (first, last):
            await store.delete(conversation.id)
        purge = store.purge

        async def slow(conversation_id: str) -> None:
            await store.undelete(last.id if conversation_id == first.id else first.id)
            await purge(conversation_id)

        monkeypatch.setattr(store, "purge", slow)
        assert await store.empty_trash(time.time() + 60) == 1
        assert len(await listed(store)) == 1

    async def test_it_is_found_by_the_beginning_of_its_id(self, store: HistoryStore) -> None:
        one, other = await begun(store), await begun(store)
        await store.delete(other.id)
        assert await store.find(one.id[:18].upper()) == one
        assert (await store.find(other.id)).id == other.id
        for nothing in ("", "zz", "\ud800"):
            with pytest.raises(NotFoundError, match="no conversation"):
                await store.find(nothing)
        with pytest.raises(NotFoundError, match="2 conversations"):
            await store.find(one.id[:4])

    # Lists

    async def test_the_latest_message_comes_first(self, store: HistoryStore) -> None:
        one, two, three = [await begun(store) for _ in range(3)]
        await said(store, one, "Hello")
        assert await listed(store) == [one.id, three.id, two.id]

    async def test_pages_have_everything_once(self, store: HistoryStore) -> None:
        made = [await begun(store, created=float(i // 3)) for i in range(10)]
        for order in ("updated", "id"):
            seen: list[str] = []
            cursor = None
            for size in (4, 4, 2):
                page = await store.page(order=order, limit=4, cursor=cursor)
                assert len(page.conversations) == size
                seen += [conversation.id for conversation in page.conversations]
                cursor = page.cursor
            assert cursor is None
            assert len(seen) == 10 and set(seen) == {conversation.id for conversation in made}
            if order == "id":
                assert seen == sorted(seen)
            assert (await store.page(order=order, limit=10)).cursor is None

    async def test_by_id_nothing_is_missed_that_changes_meanwhile(self, store: HistoryStore) -> None:
        made = [await begun(store) for _ in range(6)]
        first = await store.page(order="id", limit=3)
        for conversation in made:
            await said(store, conversation, "Hello")
        second = await store.page(order="id", limit=3, cursor=first.cursor)
        both = first.conversations + second.conversations
        assert [conversation.id for conversation in both] == [conversation.id for conversation in made]

    async def test_a_project_has_its_own(self, store: HistoryStore) -> None:
        one = await begun(store, project="/a", title="quokka")
        await said(store, one, "quokka")
        two = await begun(store, project="/b", title="quokka")
        await said(store, two, "quokka")
        none = await begun(store, title="quokka")
        assert await listed(store, project="/a") == [one.id]
        assert await listed(store, project="") == [none.id]
        assert await listed(store, project="/nowhere \ud800") == []
        assert {hit.conversation.id for hit in await store.search("quokka")} == {one.id, two.id, none.id}
        assert [hit.conversation.id for hit in await store.search("quokka", project="/b")] == [two.id] * 2
        assert not await store.search("quokka", project="/nowhere")

    # Messages

    async def test_a_message_keeps_all_that_is_known_of_it(self, store: HistoryStore) -> None:
        made = await begun(store)
        question = await said(store, made, "Why?\r\n\0 🎉 \u202e")
        answer = StoredMessage(
            conversation_id=made.id,
            parent_id=question.id,
            role="assistant",
            content="Because.",
            state="failed",
            backend="local",
            deployment="base",
            model="smollm2",
            template_hash="abc",
            options=ChatOptions(temperature=0.1, seed=7, stop=("a", "b")),
            usage=Usage(prompt_tokens=1, completion_tokens=2, finish_reason="length", context=2048),
            ttft_s=0.1234567890123,
            tokens_per_s=12.5,
            detail="the server went away",
        )
        await store.append(answer)
        assert (await self.reread(made)).messages == (question, answer)

    async def test_adding_it_again_changes_nothing(self, store: HistoryStore) -> None:
        made = await begun(store)
        first = await said(store, made, "First")
        last = await said(store, made, "Last", first)
        await store.append(first.model_copy(update={"content": "Other"}))
        found = await self.reread(made)
        assert found.messages == (first, last)
        assert found.conversation.leaf == last.id

    async def test_versions_are_siblings_and_a_branch_can_be_chosen(self, store: HistoryStore) -> None:
        made = await begun(store)
        question = await said(store, made, "Who?")
        answers = [await said(store, made, text, question, "assistant") for text in ("Gates", "Allen")]
        edited = await said(store, made, "What?")
        found = await self.reread(made)
        assert found.conversation.leaf == edited.id
        assert found.branch() == [edited]
        assert found.versions(question.id) == [question, edited]
        assert found.versions(answers[0].id) == answers
        await store.select(made.id, answers[0].id)
        assert (await self.reread(made)).branch() == [question, answers[0]]

    async def test_an_answer_grows_and_is_finished_once(self, store: HistoryStore) -> None:
        made = await begun(store)
        question = await said(store, made, "Who?")
        answer = StoredMessage(
            conversation_id=made.id, parent_id=question.id, role="assistant", state="partial"
        )
        await store.append(answer)
        for piece in ("Bill", " Gates", "", " 🎉"):
            await store.extend(made.id, answer.id, piece)
        so_far = (await self.reread(made)).message(answer.id)
        assert (so_far.content, so_far.state) == ("Bill Gates 🎉", "partial")
        finished = so_far.model_copy(update={"state": "complete", "content": "Bill Gates.", "model": "m"})
        await store.finish(finished)
        await store.finish(finished.model_copy(update={"content": "Other"}))
        with pytest.raises(NotFoundError, match="being written"):
            await store.extend(made.id, answer.id, "more")
        assert (await self.reread(made)).message(answer.id) == finished

    async def test_two_programs_that_answer_at_once_lose_nothing(self, store: HistoryStore) -> None:
        made = await begun(store)
        question = await said(store, made, "Who?")
        async with closing(await self.open_store()) as other:

            async def talk(handle: HistoryStore, name: str) -> None:
                parent = question
                for turn in range(10):
                    parent = await said(handle, made, f"{name} {turn}", parent)

            await asyncio.gather(talk(store, "one"), talk(other, "two"))
        found = await self.reread(made)
        assert len(found.messages) == 21
        ends = [message for message in found.messages if message.content.endswith(" 9")]
        for end in ends:
            name = end.content.split()[0]
            told = [message.content for message in found.branch(end.id)]
            assert told == ["Who?", *(f"{name} {turn}" for turn in range(10))]

    # Search

    async def test_words_beginnings_and_phrases_are_found(self, store: HistoryStore) -> None:
        made = await begun(store, title="Holiday plans")
        naive = await said(store, made, "The naïve QUOKKA of Rottnest Island\nsmiles at everyone.")
        other = await said(store, made, "An island is not a quarrel.")
        await said(store, made, "Nothing to see")
        for typed, expected in {
            "quokka": {naive.id},
            "naive": {naive.id},
            "Naïve quok": {naive.id},
            "island": {naive.id, other.id},
            "isl": {naive.id, other.id},
            "isl everyone": set(),
            "isl* everyone": {naive.id},
            '"rottnest island"': {naive.id},
            '"island rottnest"': set(),
            '"rottnest isl': {naive.id},
            '"rottnest isl"': set(),
            "quokka quarrel": set(),
            "holi": {None},
            "quokk ": set(),
            "": set(),
        }.items():
            assert {hit.message_id for hit in await store.search(typed)} == expected, typed

    async def test_scripts_without_spaces_and_signs_are_found(self, store: HistoryStore) -> None:
        made = await begun(store, title="東京旅行")
        chinese = await said(store, made, "你好，世界")
        sign = await said(store, made, "100 % 🎉 sure_thing \\o/")
        for typed, expected in {
            "世界": chinese.id,
            "🎉": sign.id,
            "%": sign.id,
            "\\": sign.id,
            "京旅": None,
        }.items():
            assert [hit.message_id for hit in await store.search(typed)] == [expected], typed
        assert not await store.search("世 界 %")

    async def test_the_match_is_marked_in_its_surroundings(self, store: HistoryStore) -> None:
        made = await begun(store)
        await said(store, made, f"{'before ' * 50}the\nnaïve quokka{' after' * 50}")
        (hit,) = await store.search('"naive quok"* after')
        text = hit.snippet.text
        assert text.startswith("…") and text.endswith("…") and len(text) < 200 and "\n" not in text
        marked = [text[start:end] for start, end in hit.snippet.marks]
        assert marked[:2] == ["naïve quokka", "after"]

    async def test_the_better_match_comes_first(self, store: HistoryStore) -> None:
        made = await begun(store)
        among = f"a quokka among {'many other words ' * 20}"
        older = await said(store, made, among)
        much = await said(store, made, "quokka, quokka and quokka")
        newer = await said(store, made, among)
        titled = await begun(store, title="On the quokka")
        found = await store.search("quokka")
        assert [hit.message_id for hit in found] == [None, much.id, newer.id, older.id]
        assert found[0].conversation.id == titled.id
        assert [hit.message_id for hit in await store.search("quokka", limit=2)] == [None, much.id]

    async def test_titles_do_not_hide_messages(self, store: HistoryStore) -> None:
        for _ in range(4):
            await said(store, await begun(store, title="quokka"), "quokka")
        kinds = [hit.message_id is None for hit in await store.search("quokka", limit=4)]
        assert kinds == [True, True, False, False]

    async def test_what_has_changed_is_found_as_it_is_now(self, store: HistoryStore) -> None:
        made = await begun(store, title="Wombat")
        await store.rename(made.id, "Numbat")
        assert not await store.search("wombat")
        assert await store.search("numbat")

    @pytest.mark.parametrize("typed", HOSTILE, ids=range(len(HOSTILE)))
    async def test_any_input_is_a_search(self, store: HistoryStore, typed: str) -> None:
        await said(store, await begun(store, title="a"), "a b")
        await store.search(typed)
        await store.search(typed, project=typed)

    async def test_a_search_can_be_abandoned(self, store: HistoryStore) -> None:
        made = await begun(store)
        await said(store, made, "quokka")
        for _ in range(20):
            typing = asyncio.create_task(store.search("quok"))
            await asyncio.sleep(0)
            typing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await typing
        assert await store.search("quokka")

    # Copies from elsewhere

    async def test_a_copy_is_taken_in_once(self, store: HistoryStore) -> None:
        copy = elsewhere()
        assert await store.merge([copy]) == Merged(1, 0, 0)
        assert await self.reread(copy.conversation) == copy
        assert await store.merge([copy]) == Merged(0, 0, 1)
        assert await self.reread(copy.conversation) == copy
        assert await store.search("Gates")

    async def test_two_copies_become_one(self, store: HistoryStore) -> None:
        theirs = elsewhere()
        question, answer = theirs.messages
        ours = Transcript(
            theirs.conversation.model_copy(update={"leaf": question.id}),
            (question, answer.model_copy(update={"state": "partial", "content": "Bill"})),
        )
        await store.merge([ours])
        mine = await said(store, ours.conversation, "Who else?", question)
        await store.rename(ours.conversation.id, "Ours")
        assert await store.merge([theirs]) == Merged(0, 1, 0)
        found = await self.reread(ours.conversation)
        assert set(found.messages) == {question, answer, mine}
        assert found.conversation.title == "Ours"
        assert found.conversation.leaf == mine.id
        assert {hit.message_id for hit in await store.search("Gates")} == {answer.id}

    async def test_the_same_text_moves_back_and_forth(self, store: HistoryStore) -> None:
        chance = random.Random(0)
        for length in range(20):
            copy = elsewhere("".join(map(chr, chance.choices(ANY_CHARACTER, k=length))))
            await store.merge([copy])
            assert await self.reread(copy.conversation) == copy


@contextlib.asynccontextmanager
async def closing(store: HistoryStore) -> AsyncIterator[HistoryStore]:
    """The store, closed in the end."""
    try:
        yield store
    finally:
        await store.aclose()


async def begun(
    store: HistoryStore, *, title: str = "", project: str = "", created: float | None = None
) -> Conversation:
    """A new conversation."""
    made = Conversation(title=title, project=project)
    if created is not None:
        made = Conversation(title=title, project=project, created=created)
    await store.create(made)
    return made


async def said(
    store: HistoryStore,
    conversation: Conversation,
    text: str,
    parent: StoredMessage | None = None,
    role: Role = "user",
) -> StoredMessage:
    """A new message."""
    message = StoredMessage(
        conversation_id=conversation.id, parent_id=parent.id if parent else None, role=role, content=text
    )
    await store.append(message)
    return message


async def listed(store: HistoryStore, *, project: str | None = None, deleted: bool = False) -> list[str]:
    """The ids of the first page."""
    page = await store.page(project=project, deleted=deleted)
    return [conversation.id for conversation in page.conversations]


def elsewhere(text: str = "Who founded Microsoft?") -> Transcript:
    """A conversation that was held in another store."""
    conversation = Conversation(title="Elsewhere", project="/b", system=text)
    question = StoredMessage(conversation_id=conversation.id, role="user", content=text)
    answer = StoredMessage(
        conversation_id=conversation.id,
        parent_id=question.id,
        role="assistant",
        content="Bill Gates",
        model="m",
    )
    shown = conversation.model_copy(update={"leaf": answer.id, "updated": answer.created})
    return Transcript(shown, (question, answer))
