"""The shipped folders are found from a source tree and from a wheel, and nothing outside them is."""

from pathlib import Path

import pytest

from dsectl.cli import resources


@pytest.mark.parametrize("name", ["recipes", "completions"])
def test_folder_is_found(name: resources.Folder) -> None:
    assert "README.md" in [entry.name for entry in resources.folder(name).iterdir()]


@pytest.mark.parametrize("name", ["recipes", "completions"])
def test_file_is_read(name: resources.Folder) -> None:
    assert resources.resource(name, "README.md").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", ["no-such-file", "../pyproject.toml", "", "."])
def test_nothing_else_is_found(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="recipes holds no file"):
        resources.resource("recipes", name)


def test_wheel_comes_before_source_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "dsectl"
    shipped = package / "_data" / "recipes"
    shipped.mkdir(parents=True)
    (shipped / "one.md").write_text("from the wheel")
    (tmp_path / "completions").mkdir()
    (tmp_path / "completions" / "dsectl.fish").write_text("from the tree")
    monkeypatch.setattr(resources, "files", lambda _: package)

    assert resources.resource("recipes", "one.md").read_text() == "from the wheel"
    assert resources.resource("completions", "dsectl.fish").read_text() == "from the tree"
