"""What is said of a class that cannot be loaded."""

import sys
from pathlib import Path

import pytest

from cluster.client.loading import load_service
from cluster.errors import Usage


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current one, with a package; what is loaded from it is forgotten."""
    inner = tmp_path / "parcels" / "inner"
    inner.mkdir(parents=True)
    for made in (inner, inner.parent):
        (made / "__init__.py").write_text("")
    (inner.parent / "sizes.py").write_text("LARGE = 3\n")
    (inner / "post.py").write_text("from ..sizes import LARGE\n\n\nclass Post: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_a_file_of_a_package_is_named_as_a_module(folder: Path) -> None:
    with pytest.raises(Usage, match="relative import") as refused:
        load_service("parcels/inner/post.py:Post")
    assert "`parcels.inner.post:Post`" in refused.value.help
    with pytest.raises(Usage, match="Post is not a service"):
        load_service("parcels.inner.post:Post")


def test_a_module_that_is_not_there(folder: Path) -> None:
    with pytest.raises(Usage, match="no module 'parcel'") as refused:
        load_service("parcel:Post")
    assert "current folder" in refused.value.help
