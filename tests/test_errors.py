"""The registry of errors is complete, consistent, and survives the trip over the wire."""

import pytest

import cluster
from cluster import errors
from cluster.errors import EXIT_CODES, REGISTRY, ClusterError, from_code


def declared() -> list[type[ClusterError]]:
    """Every error class that the module defines, whether or not it registered itself."""
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ClusterError)]
    return sorted(found, key=lambda error: error.__name__)


def test_each_class_has_its_own_code() -> None:
    assert {error.code: error for error in declared()} == REGISTRY
    assert len({error.code for error in declared()}) == len(declared())


def test_a_taken_code_is_refused() -> None:
    before = dict(REGISTRY)
    with pytest.raises(AssertionError, match="two errors share maybe"):
        type("Impostor", (ClusterError,), {"code": "maybe"})
    assert before == REGISTRY


def test_an_exit_code_outside_the_table_is_refused() -> None:
    with pytest.raises(AssertionError, match="strange"):
        type("Strange", (ClusterError,), {"code": "strange", "exit_code": 99})
    assert "strange" not in REGISTRY


@pytest.mark.parametrize("error", declared(), ids=lambda error: error.code)
class TestEachError:
    def test_is_documented(self, error: type[ClusterError]) -> None:
        assert error.__doc__
        assert error.help_text.endswith((".", "`"))

    def test_exit_code_is_in_the_table_and_a_failure(self, error: type[ClusterError]) -> None:
        assert error.exit_code in EXIT_CODES
        assert error.exit_code != 0

    def test_is_safe_to_retry_only_if_definite(self, error: type[ClusterError]) -> None:
        assert error.definite or not error.retryable

    def test_survives_the_wire(self, error: type[ClusterError]) -> None:
        back = from_code(error.code, "what happened", node="n1")
        assert type(back) is error
        assert str(back) == back.message == "what happened"
        assert back.detail == {"node": "n1"}
        assert back.to_dict() == {
            "code": error.code,
            "definite": error.definite,
            "message": "what happened",
            "help": error.help_text,
        }


def test_the_help_of_one_case_replaces_the_general_one() -> None:
    assert ClusterError("x", help="do this").to_dict()["help"] == "do this"


def test_an_unknown_code_is_not_definite() -> None:
    """A newer node may send a code that this version does not know: nothing may be promised about it."""
    error = from_code("from-the-future", "?")
    assert type(error) is ClusterError
    assert not error.definite


def test_exit_codes_that_scripts_rely_on() -> None:
    assert list(EXIT_CODES) == [0, 1, 2, 3, 4, 5, 6, 7, 130, 141, 143]
    by_code = {
        code: (REGISTRY[code].exit_code, REGISTRY[code].definite) for code in ("maybe", "no-quorum", "not-found")
    }
    assert by_code == {"maybe": (5, False), "no-quorum": (7, True), "not-found": (6, True)}


def test_every_error_can_be_caught_by_its_name() -> None:
    """`except cluster.Maybe` is looked up only when something is raised, so that a missing name is found too late."""
    for code, error in REGISTRY.items():
        if error.__module__ == "cluster.errors":
            assert getattr(cluster, error.__name__) is error, code
