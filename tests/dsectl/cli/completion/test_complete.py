"""`dsectl complete`: the names in a cluster that the completion files ask for."""

import threading

from dsectl.cli.completion.cluster import ASKED, LOOK_S, soon
from dsectl.cli.completion.grammar import NameKind
from tests.client.fake_node import silence
from tests.client.scripts import healthy
from tests.dsectl.conftest import Run, Serve


def test_the_names_that_begin_so_are_listed(run: Run, serve: Serve) -> None:
    serve(healthy("n1"), healthy("n2"))
    assert run("complete", "key", "an").lines == ["an1", "ann1", "ann2"]
    assert run("complete", "key", "an", "--json").json == ["an1", "ann1", "ann2"]


def test_the_kinds_are_those_of_the_grammar() -> None:
    assert {*ASKED} <= {*NameKind}


def test_another_kind_is_refused(run: Run, serve: Serve) -> None:
    serve()
    ran = run("complete", "node")
    assert ran.code == 2 and "expected key, bucket, queue, subject, service, operation" in ran.err


def test_nobody_who_answers_is_no_error_and_not_waited_for(run: Run, serve: Serve) -> None:
    serve(silence)
    ran = run("complete", "key", "a")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    ran = run("complete", "service", "-C", "nowhere")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_a_look_that_hangs_or_fails_is_given_up() -> None:
    """The limit is that of the whole: a cluster that hangs takes several requests, each with its own."""
    never = threading.Event()
    assert soon(lambda: str(never.wait(60)), "nothing") == "nothing" and LOOK_S == 0.3
    never.set()
    assert soon(lambda: str(1 / 0), "nothing") == "nothing"
    assert soon(lambda: "found", "nothing") == "found"
