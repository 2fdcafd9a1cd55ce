"""Which key and which kind: what is written is what is offered."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Usage
from dsectl.load.plan import (
    DISTRIBUTIONS,
    PRESETS,
    SIZE_BYTES_MIN,
    KeySpace,
    Mix,
    Payloads,
    Sizes,
    Zipf,
    key_chooser,
    kind_chooser,
    parse_keys,
    parse_mix,
    parse_sizes,
)

DRAWS = 20_000


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("5000", KeySpace(5000)),
        ("uniform", KeySpace(1000, "uniform")),
        ("latest:20", KeySpace(20, "latest")),
        ("zipfian:1", KeySpace(1, "zipfian")),
    ],
)
def test_keys(text: str, space: KeySpace) -> None:
    assert parse_keys(text) == space


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "many", "uniform:", "uniform:x", "hot:5", "1e3", "uniform:0", "9999999"]
)
def test_what_is_no_set_of_keys(text: str) -> None:
    with pytest.raises(Usage):
        parse_keys(text)


def test_zipf_is_as_skewed_as_it_says() -> None:
    random, zipf = Random(1), Zipf(1000)
    counts = Counter(zipf.rank(random.random()) for _ in range(DRAWS))
    zeta = sum(1 / rank**0.99 for rank in range(1, 1001))
    for rank in (0, 1):  # Gray's method is exact for these, and an approximation behind them
        assert counts[rank] / DRAWS == pytest.approx(1 / (rank + 1) ** 0.99 / zeta, rel=0.1)
    below = sum(counts[rank] for rank in range(100)) / DRAWS
    assert below == pytest.approx(sum(1 / rank**0.99 for rank in range(1, 101)) / zeta, rel=0.05)


@given(count=st.integers(1, 300), more=st.integers(0, 300), uniform=st.floats(0, 1, exclude_max=True))
def test_zipf_stays_in_range_and_grows_as_if_made_so(count: int, more: int, uniform: float) -> None:
    zipf = Zipf(count)
    zipf.grow(count + more)
    assert 0 <= zipf.rank(uniform) < count + more
    assert zipf.rank(uniform) == Zipf(count + more).rank(uniform)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_meets_many_keys_and_no_other(distribution: str) -> None:
    chooser = key_chooser(KeySpace(100, distribution), Random(2))
    counts = Counter(chooser(100) for _ in range(DRAWS))
    assert set(counts) <= set(range(100)) and len(counts) > 80
    share = counts.most_common(1)[0][1] / DRAWS
    assert share < 0.02 if distribution == "uniform" else share > 0.15


def test_latest_follows_what_is_inserted_and_zipfian_scatters() -> None:
    latest = key_chooser(KeySpace(100, "latest"), Random(3))
    assert Counter(latest(500) for _ in range(1000)).most_common(1)[0][0] == 499
    first, second = (key_chooser(KeySpace(100, "zipfian"), Random(seed)) for seed in (4, 5))
    hot = [Counter(one(100) for _ in range(1000)).most_common(2) for one in (first, second)]
    assert hot[0][0][0] != hot[1][0][0] and abs(hot[0][0][0] - hot[0][1][0]) > 1


@pytest.mark.parametrize("letter", list(PRESETS))
def test_the_workloads_of_ycsb(letter: str) -> None:
    mix = parse_mix(letter.lower())
    assert mix is PRESETS[letter] and sum(mix.shares.values()) == 100
    assert mix.distribution == ("latest" if letter == "D" else "zipfian")


def test_a_mix_of_ones_own() -> None:
    assert parse_mix("read=95, write=5%").shares == {"read": 95, "write": 5}
    assert parse_mix("write=1,read=0") == Mix({"write": 1}) and not parse_mix("write=1").reads


@pytest.mark.parametrize(
    "text", ["", "G", "foo=1", "read", "read=", "read=-1", "read=x", "read=0", "read=1,read=2", "read=inf"]
)
def test_what_is_no_mix(text: str) -> None:
    with pytest.raises(Usage) as raised:
        parse_mix(text)
    assert "read=50,write=50" in raised.value.help


def test_kinds_are_picked_by_their_shares() -> None:
    mix = parse_mix("read=70,write=20,insert=10")
    pick = kind_chooser(mix, Random(6))
    counts = Counter(pick() for _ in range(DRAWS))
    assert counts["read"] / DRAWS == pytest.approx(0.7, abs=0.02)
    assert counts["insert"] / DRAWS == pytest.approx(0.1, abs=0.02)
    assert kind_chooser(parse_mix("C"), Random(7))() == "read"


@pytest.mark.parametrize("text", ["3B", "10", "1GiB", "4KiB..64B", "..", "64B.."])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(Usage):
        parse_sizes(text)


@given(
    least=st.integers(SIZE_BYTES_MIN, 300), more=st.integers(0, 9000), number=st.integers(1, 10**9), at=st.integers(0)
)
def test_a_payload_is_known_by_its_name_and_number_and_every_byte(least: int, more: int, number: int, at: int) -> None:
    payloads = Payloads(Sizes(least, least + more))
    payload = payloads.make("load-ab12cd-0-000123+1", number)
    assert least <= len(payload) <= least + more
    assert payloads.number("load-ab12cd-0-000123+1", payload) == number
    assert payloads.number("load-ab12cd-0-000124", payload) is None
    at %= len(payload)
    altered = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
    assert payloads.number("load-ab12cd-0-000123+1", altered) != number
    assert payloads.number("load-ab12cd-0-000123+1", payload[:-1]) is None
