"""The screen of `top` as text: every size is filled exactly, and says what matters."""

import msgspec
import pytest

from cluster.errors import DeadlinePassed, UnknownCluster
from dsectl.snapshot.services import ServicesSnapshot, ServiceStats, service_views
from dsectl.top.picture import TopChoices, operation_names, press, top_picture, top_plain
from dsectl.top.rates import ServiceRates
from dsectl.ui.text import PLAIN, length, painted
from tests.dsectl.snapshot.services import SLOW, endpoint, service, stats, totals


def busy(nodes: int = 3, panic: bool = False) -> ServiceRates:
    """Two looks at a cluster in which n2's endpoint of `flaky` is ejected as n1 sees it; the last is silent."""
    rates = ServiceRates()
    names = [f"n{number}" for number in range(1, nodes + 1)]
    for second in range(2):
        rows = [
            totals("flaky.work", calls=40 * second, bucket=SLOW, failed=6 * second, shed=2 * second, retries=second),
            totals("echo.echo", calls=100 * second, hedges=3 * second),
            totals("flaky.work", "n2", 10 * second, failed=10 * second),
            *(totals("echo.echo", name, 30 * second) for name in names),
        ]
        said = {name: msgspec.convert(stats(1.0 + second, *rows), ServiceStats) for name in names[:-1]}
        out = endpoint("n2", "ejected", "failed too often in a row; called again in 28 s")
        views = {
            name: service_views(
                [
                    service("echo", *(endpoint(one) for one in names), v1=90.0, v2=10.0),
                    service(
                        "flaky", *(out if one == "n2" and name == "n1" else endpoint(one) for one in names), panic=panic
                    ),
                ]
            )
            for name in names[:-1]
        }
        silent = {names[-1]: DeadlinePassed(f"{names[-1]}: did not answer in time")}
        rates.add(ServicesSnapshot("default", second, 1_700_000_000.0 + second, None, said, views, silent))
    return rates


def text(rates: ServiceRates, columns: int, rows: int, choices: TopChoices | None = None) -> list[str]:
    return [painted(line, PLAIN).rstrip() for line in top_picture(rates, columns, rows, choices or TopChoices())]


@pytest.mark.parametrize("columns", [30, 40, 59, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("rows", [8, 12, 24, 50])
@pytest.mark.parametrize("nodes", [2, 5, 40])
@pytest.mark.parametrize("by_entry", [False, True])
def test_every_size_is_filled_exactly(columns: int, rows: int, nodes: int, by_entry: bool) -> None:
    lines = top_picture(busy(nodes, panic=True), columns, rows, TopChoices(by_entry=by_entry, focus="flaky.work"))
    assert len(lines) == rows and {length(line) for line in lines} == {columns}


def test_operations_and_endpoints_say_what_matters() -> None:
    lines = text(busy(), 110, 24)
    assert "2 of 3 nodes answer" in lines[0] and "280 calls/s" in lines[0] and "12 errors/s" in lines[0]
    assert lines[1].split() == ["echo", "version", "1", "90%,", "version", "2", "10%"]
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["OPERATION"] == ["RATE", "P50", "P99", "ERRORS", "DECL", "SHED", "RETRY", "HEDGE", "OPEN"]
    assert rows["echo.echo"][0] == "200" and rows["echo.echo"][7] == "6.0", rows["echo.echo"]
    assert rows["flaky.work"][2:7] == ["197ms", "12", "0", "4.0", "2.0"], rows["flaky.work"]
    ejected = next(line for line in lines if line.startswith("flaky@n2"))
    assert "ejected: failed too often" in ejected and lines.index(ejected) < lines.index(
        next(line for line in lines if line.startswith("echo@n1"))
    ), "what is not ready comes first"
    assert any(line.startswith("!flaky@n2") for line in text(busy(), 60, 24)), "a sign where there is no room"


def test_panic_stands_above_all() -> None:
    lines = text(busy(panic=True), 120, 24)
    assert lines[1].startswith(" PANIC  flaky: over half of its endpoints") and "n1, n2" in lines[1]


def test_entry_nodes_and_one_operation() -> None:
    lines = text(busy(), 110, 24, TopChoices(by_entry=True, focus="echo.echo"))
    rows = {line.split()[0]: line for line in lines if line}
    assert rows["n1"].split()[1] == "100" and rows["n3"].rstrip().endswith("did not answer in time")
    assert "flaky@n2" not in rows
    chosen = text(busy(), 110, 24, TopChoices(focus="flaky.work"))
    assert any(line.startswith("flaky@n1") for line in chosen) and not any(line.startswith("echo@") for line in chosen)


def test_what_comes_first_is_chosen_by_key() -> None:
    rates = busy()
    assert operation_names(rates, TopChoices()) == ["echo.echo", "flaky.work"]
    for key, first in (("p", "flaky.work"), ("e", "flaky.work"), ("n", "echo.echo"), ("r", "echo.echo")):
        assert operation_names(rates, press(TopChoices(), key, []))[0] == first, key


def test_keys() -> None:
    names = ["a.b", "c.d"]
    one = press(TopChoices(), "down", names)
    assert one.focus == "a.b" and press(one, "up", names).focus is None and press(one, "0", names).focus is None
    assert press(press(one, "j", names), "j", names).focus is None, "round"
    assert press(TopChoices(), "q", names).done and press(TopChoices(), " ", names).frozen
    assert press(TopChoices(), "b", names).by_entry and press(TopChoices(), "x", names) == TopChoices()


def test_before_and_without_anything_to_show() -> None:
    rates = ServiceRates()
    assert text(rates, 80, 10)[0] == "looking"
    rates.add(ServicesSnapshot("c", 0.0, 0.0, UnknownCluster("unknown cluster 'c'")))
    assert "LOST" in text(rates, 80, 10)[0] and "unknown cluster" in text(rates, 80, 10)[0]
    rates.add(ServicesSnapshot("c", 0.0, 0.0))
    page = "\n".join(text(rates, 80, 10))
    assert "counting" in page and "dsectl load request" in page


def test_a_page_that_does_not_move_is_whole() -> None:
    lines = [painted(line, PLAIN) for line in top_plain(busy(40), 120, TopChoices())]
    assert sum(line.startswith("echo@") for line in lines) == 40
