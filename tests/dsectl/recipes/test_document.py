"""A recipe's form: what is a case, a block, a question; and that nothing is skipped in silence."""

import pytest

from dsectl.recipes.document import BYTES_MAX, Block, Predict, Prose, read_recipe
from dsectl.script.tokens import Line, join_lines
from tests.dsectl.recipes.written import FENCE, problems, recipe, recipe_text

WHOLE = f"""---
nodes: 4
replication: 3/2/2
principles: [symmetry]
---
# Hand-off

Before the first case.

## First
Some *prose*.

{FENCE}dsectl
put cart "book"   # a comment

# a line of comment
explain cart \\
  .owners[0] -> $victim
{FENCE}

{FENCE}predict
Who has it?
{FENCE}

{FENCE}sh
echo this is only shown
{FENCE}

## Second
{FENCE}dsectl
get cart
{FENCE}
"""


def test_a_whole_file() -> None:
    found = read_recipe(WHOLE, "r.md")
    assert found.problems == []
    assert (found.title, found.meta.nodes, found.meta.principles) == ("Hand-off", 4, ("symmetry",))
    assert [(case.name, case.line) for case in found.cases] == [("Hand-off", 7), ("First", 10), ("Second", 29)]
    first = found.cases[1].parts
    assert first[0] == Prose(11, "Some *prose*.")
    block = first[1]
    assert isinstance(block, Block)
    assert block.steps == (
        Line(14, 'put cart "book"   # a comment'),
        Line(17, "explain cart    .owners[0] -> $victim"),
    )
    assert first[2] == Predict(21, "Who has it?")
    assert isinstance(first[3], Prose) and "echo this is only shown" in first[3].text
    assert found.cases[2].steps == [Line(31, "get cart")]


def test_steps_before_the_first_heading_belong_to_the_title() -> None:
    found = read_recipe(f"# T\n\n{FENCE}dsectl\nget k\n{FENCE}\n", "r.md")
    assert [case.name for case in found.cases] == ["T"] and found.problems == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems(end: str) -> None:
    found = read_recipe(recipe_text("get a", "get b").replace("\n", end), "r.md")
    assert [step.text for step in found.steps] == ["get a", "get b"] and found.problems == []


WRONG = {
    "not closed": (f"# T\n{FENCE}dsectl\nget k\n", 2, "not closed"),
    "in a list": (f"# T\n- a\n\n  {FENCE}dsectl\n  get k\n  {FENCE}\n", 4, "inside a list or a quote"),
    "in a quote": (f"# T\n> {FENCE}dsectl\n> get k\n> {FENCE}\n", 2, "inside a list or a quote"),
    "capitals": (f"# T\n{FENCE}Dsectl\nget k\n{FENCE}\n", 2, "is not run here"),
    "misspelt": (f"# T\n{FENCE}dsctl\nget k\n{FENCE}\n", 2, "is not run here"),
    "braces": (f"# T\n{FENCE}{{dsectl}}\nget k\n{FENCE}\n", 2, "is not run here"),
    "words behind": (f"# T\n{FENCE}dsectl now\nget k\n{FENCE}\n", 2, "nothing comes behind"),
    "no steps": ("# T\nprose\n", 1, "no steps"),
    "an empty file": ("", 1, "no steps"),
    "two titles": (f"# T\n# U\n{FENCE}dsectl\nget k\n{FENCE}\n", 2, "second title"),
    "one name twice": (f"# T\n## A\n{FENCE}dsectl\nget k\n{FENCE}\n## A\n", 6, "two cases"),
    "front matter open": (f"---\nnodes: 3\n# T\n{FENCE}dsectl\nget k\n{FENCE}\n", 1, "front matter is not closed"),
    "TOML": (f"+++\nnodes = 3\n+++\n# T\n{FENCE}dsectl\nget k\n{FENCE}\n", 1, "TOML"),
    "a key twice": (f"---\nnodes: 3\nnodes: 4\n---\n# T\n{FENCE}dsectl\nget k\n{FENCE}\n", 3, "twice"),
    "too long": ("x" * (BYTES_MAX + 1), 1, "at most 1 MiB"),
}


HEAD = f"# T\n{FENCE}dsectl\nget k\n{FENCE}\n\n"
"""Five lines; what is tried begins on the sixth."""
TEST = "expect get k .value == wrong"
NOT_RUN = {
    "indented by four": f"    {FENCE}dsectl\n    {TEST}\n    {FENCE}\n",
    "indented by a tab": f"\t{FENCE}dsectl\n\t{TEST}\n\t{FENCE}\n",
    "lazy continuation": f"Some text\n    {FENCE}dsectl\n    {TEST}\n    {FENCE}\n",
    "in a comment": f"<!--\n{FENCE}dsectl\n{TEST}\n{FENCE}\n-->\n",
    "on the line of a comment": f"<!-- {FENCE}dsectl\n{TEST}\n{FENCE} -->\n",
    "in HTML": f"<details>\n{FENCE}dsectl\n{TEST}\n{FENCE}\n</details>\n",
    "misspelt": f"{FENCE}dsecl\n{TEST}\n{FENCE}\n",
    "a longer mark": f"{FENCE}dsectl-steps\n{TEST}\n{FENCE}\n",
    "a second mark": f"{FENCE}sh dsectl\n{TEST}\n{FENCE}\n",
    "attributes": f"{FENCE}{{.dsectl #id}}\nget k\n{FENCE}\n",
    "an invisible character": f"{FENCE}dsectl\u200b\nget k\n{FENCE}\n",
    "full width": f"{FENCE}\uff44sectl\nget k\n{FENCE}\n",
    "tildes, misspelt": "~~~Dsectl\nget k\n~~~\n",
    "inside another block": f"{FENCE}{FENCE}markdown\n{FENCE}dsectl\nget k\n{FENCE}\n{FENCE}{FENCE}\n",
    "behind a block that is not closed": f"{FENCE}text\nab\n\n{FENCE}dsectl\nget k\n{FENCE}\n",
    "in a numbered list": f"1. {FENCE}dsectl\n   get k\n   {FENCE}\n",
    "in a quote of a quote": f"> > {FENCE}dsectl\n> > get k\n> > {FENCE}\n",
    "on one line": f"{FENCE}dsectl {TEST} {FENCE}\n",
    "a question, misspelt": f"{FENCE}predcit\nWhy?\n{FENCE}\n",
    "another language": f"{FENCE}text\n{TEST}\n{FENCE}\n",
    "no mark": f"{FENCE}\nwithin 2s: get k .value == wrong\n{FENCE}\n",
    "a line of prose": f"{TEST}\n",
    "an item of a list": f"- {TEST}\n",
    "an item that is ticked": f"1. [x] {TEST}\n",
    "a comment of one line": f"<!-- {TEST} -->\n",
    "a tag": f"<pre>{TEST}</pre>\n",
    "commands without a mark": f"{FENCE}\nput k v\nkill n1\n{FENCE}\n",
    "commands as indented code": "    put k v\n    !7 get k\n",
    "a setting below the title": "---\nnodes: 3\n---\n",
    "settings between rules": "---\n\nnodes: 3\n\n---\n",
    "settings in a block": f"{FENCE}yaml\nnodes: 3\nred:\n  replace: a\n{FENCE}\n",
}


@pytest.mark.parametrize("text", NOT_RUN.values(), ids=NOT_RUN)
def test_what_could_be_steps_and_is_not_run_is_refused(text: str) -> None:
    found = read_recipe(HEAD + text, "r.md").problems
    assert found and 6 <= found[0].line <= 9, found


SHOWN = {
    "a shell's line": f"{FENCE}sh\ndsectl put k v\n{FENCE}\n",
    "a transcript": f"{FENCE}console\n$ dsectl get k\n{FENCE}\n",
    "YAML": f"{FENCE}yaml\nname: ci\nnodes: 3\n{FENCE}\n\n---\n\nName: a rule above prose\n",
    "JSON": f'{FENCE}\n{{"value": 1}}\n{FENCE}\n',
    "commands marked as text": f"{FENCE}text\nput k v\n{FENCE}\n",
    "words in prose": "One expects within 5 s: `expect get k .value == 1` tells, and ```dsectl begins a block.\n",
    "indented prose": "    not a command at all\n",
    "other languages": f"{FENCE}select\nx\n{FENCE}\n\n{FENCE}dsl\nx\n{FENCE}\n\n{FENCE}direct\nx\n{FENCE}\n",
}


@pytest.mark.parametrize("text", SHOWN.values(), ids=SHOWN)
def test_what_is_only_shown_is_not_refused(text: str) -> None:
    assert read_recipe(HEAD + text, "r.md").problems == []


@pytest.mark.parametrize("before", ["", "\ufeff", "\n\n", "\ufeff \n"])
def test_front_matter_behind_a_byte_order_mark_or_empty_lines_counts(before: str) -> None:
    found = read_recipe(before + recipe_text("get k", front="nodes: 4"), "r.md")
    assert (found.meta.nodes, found.problems) == (4, [])
    assert found.steps[0].number == 8 + before.count("\n")


def test_a_question_may_end_with_its_answer() -> None:
    text = f"# T\n{FENCE}predict\nWho?\nAnd why?\nanswer: $owner, since it\n{FENCE}\n{FENCE}dsectl\nget k\n{FENCE}\n"
    (case,) = read_recipe(text, "r.md").cases
    assert case.parts[0] == Predict(2, "Who?\nAnd why?", "$owner, since it")


@pytest.mark.parametrize("text,line,message", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, message: str) -> None:
    found = [problem for problem in read_recipe(text, "r.md").problems if message in problem.message]
    assert found and found[0].line == line, read_recipe(text, "r.md").problems


def test_joined_lines_count_from_the_first() -> None:
    lines = ["get a \\", "--r 2", "", "get b \\"]
    assert list(join_lines(lines, 10)) == [Line(10, "get a  --r 2"), Line(13, "get b")]


def test_a_heading_in_a_quote_begins_no_case() -> None:
    found = read_recipe(recipe_text("get a") + "\n> ## no case\n", "r.md")
    assert [case.name for case in found.cases] == ["Case 1"]


def test_each_case_has_its_steps() -> None:
    assert [[step.text for step in case.steps] for case in recipe("get a\nget b", "get c").cases] == [
        ["get a", "get b"],
        ["get c"],
    ]


def test_code_with_a_name_is_a_file_and_stays_prose() -> None:
    code = f"{FENCE}python pricing.py\nclass Pricing: ...\n{FENCE}"
    found = read_recipe(recipe_text('expect get "$files" .value == 1') + code, "r.md")
    assert found.files == {"pricing.py": "class Pricing: ...\n"} and problems(found.text) == []
    last = found.cases[-1].parts[-1]
    assert isinstance(last, Prose) and "class Pricing" in last.text, "readers see it"
    shown = read_recipe(recipe_text("get k") + f"{FENCE}python\nx = 1\n{FENCE}\n", "r.md")
    assert shown.files == {}, "without a name it is only shown"


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (["python ../x.py"], "is no name of a file"),
        (["python x.txt"], "is no name of a file"),
        (["python x.py", "python x.py"], "two files called x.py"),
    ],
)
def test_a_file_that_cannot_be_is_refused(blocks: list[str], message: str) -> None:
    code = "".join(f"\n{FENCE}{info}\nx = 1\n{FENCE}\n" for info in blocks)
    assert [message in one.message for one in problems(recipe_text("expect get k .value == 1") + code)] == [True]


def test_the_folder_of_files_is_known_only_where_there_are_some() -> None:
    (one,) = problems(recipe_text('put k "@$files/x.py"\nexpect get k .value == 1'))
    assert "$files" in one.message


def test_a_worker_is_known_by_its_node() -> None:
    assert problems(recipe_text("!6 kill n3/1")) == []
    (one,) = problems(recipe_text("!6 kill n4/1"))
    assert "unknown node" in one.message
