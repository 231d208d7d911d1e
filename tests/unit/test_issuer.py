"""The keys of an issuer: found, kept while it is away, asked for again when they change, and not too often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.errors import Denied, Unavailable
from shared.events import SECOND
from shared.issuer import AGAIN, AGE_S, KEPT, Issuer, fetch
from tests.fakes_timer import Time
from tests.issuers import EC, ISSUER, NOON, OTHER_RSA, RSA, TRUST, FakeIssuer, claims, signed
from tests.receivers import Answer, HttpReceiver, http_receiver


@pytest.fixture
def time() -> Time:
    return Time(NOON)


@pytest.fixture
def there() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def issuer(there: FakeIssuer, time: Time) -> Issuer:
    return Issuer(TRUST, there.fetch, time)


async def test_its_keys_are_found_by_its_discovery_document(issuer: Issuer) -> None:
    assert (await issuer.caller(signed(claims()))).name == "subject alice"


async def test_its_keys_can_be_at_an_address_that_is_set(there: FakeIssuer, time: Time) -> None:
    there.discovery = {}
    issuer = Issuer(TRUST, there.fetch, time, jwks_url=f"{ISSUER}/keys")
    assert (await issuer.caller(signed(claims()))).name == "subject alice"


async def test_its_keys_are_asked_for_once(issuer: Issuer, there: FakeIssuer, time: Time) -> None:
    for _ in range(3):
        await issuer.caller(signed(claims(time())))
        time.pass_s(100)
    assert there.asked == 1


async def test_a_key_that_is_new_is_asked_for(issuer: Issuer, there: FakeIssuer, time: Time) -> None:
    await issuer.round()
    there.keys = [EC, RSA]
    time.pass_s(AGAIN / SECOND)
    assert (await issuer.caller(signed(claims(), EC, "ES256"))).name == "subject alice"


async def test_a_key_that_was_taken_back_opens_nothing_after_the_next_round(
    issuer: Issuer, there: FakeIssuer, time: Time
) -> None:
    assert await issuer.round() == AGE_S
    there.keys = [EC]
    await issuer.round()
    time.pass_s(1)
    with pytest.raises(Denied, match="none of the issuer's"):
        await issuer.caller(signed(claims()))


async def test_made_up_keys_do_not_turn_us_on_the_issuer(issuer: Issuer, there: FakeIssuer, time: Time) -> None:
    await issuer.round()
    for number in range(100):
        time.pass_s(0.1)
        with pytest.raises(Denied, match="none of the issuer's"):
            await issuer.caller(signed(claims(), OTHER_RSA, kid=f"made-up-{number}"))
    assert there.asked <= 2
    time.pass_s(AGAIN / SECOND)
    there.keys = [EC]
    assert (await issuer.caller(signed(claims(), EC, "ES256"))).name == "subject alice"


async def test_many_who_wait_for_the_same_key_ask_once(issuer: Issuer, there: FakeIssuer) -> None:
    found = await asyncio.gather(*(issuer.caller(signed(claims())) for _ in range(10)))
    assert len(found) == 10
    assert there.asked == 1


async def test_while_it_is_away_known_keys_go_on_for_a_day(issuer: Issuer, there: FakeIssuer, time: Time) -> None:
    await issuer.round()
    there.away = True
    time.pass_s(KEPT / SECOND - 1)
    assert await issuer.round() == AGAIN / SECOND
    assert (await issuer.caller(signed(claims(time())))).name == "subject alice"
    time.pass_s(1)
    with pytest.raises(Unavailable):
        await issuer.caller(signed(claims(time())))


async def test_while_it_is_away_nobody_is_told_that_their_key_is_wrong(
    issuer: Issuer, there: FakeIssuer, time: Time
) -> None:
    await issuer.round()
    there.away = True
    for passed in (AGAIN / SECOND, 1):  # also when it was asked only just now
        time.pass_s(passed)
        with pytest.raises(Unavailable, match=r"^The issuer of the tokens does not answer; try again\.$"):
            await issuer.caller(signed(claims(time()), EC, "ES256"))


async def test_before_it_answered_at_all_callers_come_back_later(issuer: Issuer, there: FakeIssuer, time: Time) -> None:
    there.away = True
    with pytest.raises(Unavailable):
        await issuer.caller(signed(claims()))
    there.away = False
    time.pass_s(AGAIN / SECOND)
    assert (await issuer.caller(signed(claims()))).name == "subject alice"


async def test_a_clock_that_is_set_back_stops_nothing(issuer: Issuer, there: FakeIssuer, time: Time) -> None:
    await issuer.round()
    time.pass_s(-3600)
    there.keys = [EC]
    assert (await issuer.caller(signed(claims(time()), EC, "ES256"))).name == "subject alice"


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example.com", "jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER, "jwks_uri": "http://login.example.com/keys"},
        {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": 7},
        {"issuer": ISSUER, "jwks_uri": "https://["},
        {},
    ],
)
async def test_a_discovery_document_that_is_not_its_own_is_not_followed(
    issuer: Issuer, there: FakeIssuer, discovery: dict[str, str]
) -> None:
    there.discovery = discovery
    with pytest.raises(Unavailable):
        await issuer.caller(signed(claims()))
    assert there.asked == 0


async def test_a_set_without_any_key_of_use_takes_nothing_away(issuer: Issuer, there: FakeIssuer, time: Time) -> None:
    await issuer.round()
    there.keys, there.more = [], [{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}]
    await issuer.round()
    time.pass_s(1)
    assert (await issuer.caller(signed(claims()))).name == "subject alice"


class TestFetching:
    @pytest.fixture
    async def server(self) -> AsyncIterator[HttpReceiver]:
        async with http_receiver() as receiver:
            yield receiver

    async def test_what_is_there_is_read(self, server: HttpReceiver) -> None:
        server.answer = lambda _: Answer(200, body=b"{}")
        assert await fetch(server.url) == b"{}"

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (Answer(404), "answers 404"),
            (Answer(302, {"location": "http://127.0.0.1:1/keys"}), "answers 302"),
            (Answer(200, body=b"x" * 300_000), "more than 262144 bytes"),
            (Answer(0), "hook: "),
        ],
    )
    async def test_anything_else_is_named(self, server: HttpReceiver, answer: Answer, told: str) -> None:
        server.answer = lambda _: answer
        with pytest.raises(Unavailable, match=told):
            await fetch(server.url)

    async def test_nobody_there(self) -> None:
        with pytest.raises(Unavailable):
            await fetch("http://127.0.0.1:1/keys")

    async def test_an_address_that_is_none(self) -> None:
        with pytest.raises(Unavailable):
            await fetch("https://[")
