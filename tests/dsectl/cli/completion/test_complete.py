"""`dsectl complete`: the names in a cluster that the completion files ask for."""

from dsectl.cli.invocation import Session
from dsectl.shell.names import LOOK_S
from tests.client.fake_node import CLUSTER, silence
from tests.client.scripts import healthy
from tests.dsectl.conftest import Run, Serve


def test_the_names_that_begin_so_are_listed(run: Run, serve: Serve) -> None:
    serve(healthy("n1"), healthy("n2"))
    assert run("complete", "key", "an").lines == ["an1", "ann1", "ann2"]
    assert run("complete", "key", "an", "--json").json == ["an1", "ann1", "ann2"]


def test_another_kind_is_refused(run: Run, serve: Serve) -> None:
    serve()
    ran = run("complete", "node")
    assert ran.code == 2 and "expected key, subject, service, operation" in ran.err


def test_nobody_who_answers_is_no_error_and_not_waited_for(run: Run, serve: Serve) -> None:
    serve(silence)
    session = Session()
    ran = run("complete", "key", "a", session=session)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert session.client(CLUSTER, None).timeout == LOOK_S == 0.3
    session.close()
    ran = run("complete", "service", "-C", "nowhere")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
