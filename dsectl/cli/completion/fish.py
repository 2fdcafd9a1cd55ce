"""Completion for fish, from 3.1 on."""

from dsectl.cli.completion.grammar import COMPLETE_WORD, LAST_WORD, Grammar
from dsectl.cli.completion.tables import (
    HEAD,
    aliases,
    argument_rows,
    chain,
    described,
    first_words,
    option_rows,
    second_words,
)

WALK = r"""
function __dsectl_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct)
    set -l command ''
    set -l first ''
    set -l kind ''
    set -l closed ''
    set -l lost ''
    set -l at 0
    set -l cluster default
    test -n "$DSECTL_CLUSTER"; and set cluster $DSECTL_CLUSTER
    for word in $words
@WORD@
    end
@LAST@
end

# What a value of a kind may be: KIND CLUSTER LEAD TYPED PROGRAM, where LEAD stands before the value in the same word.
function __dsectl_offer
    set -l kind (string split ' ' -- $argv[1])
    set -l folder (__dsectl_home)/clusters
    set -l lead $argv[3]
    set -l typed $argv[4]
    switch "$kind[1]"
        case choice
            printf '%s\n' $lead$kind[2..-1]
        case cluster
            __dsectl_folders $folder | string replace -r '^' -- "$lead"
        case node
            __dsectl_folders $folder/$argv[2]/nodes | string replace -r '^' -- "$lead"
        case end
            begin
                __dsectl_folders $folder/$argv[2]/nodes
                echo all
            end | string replace -r '^' -- "$lead"
        case group
            set -l begun (string match -r -- '^.*,' $typed)
            begin
                __dsectl_folders $folder/$argv[2]/nodes
                echo rest
            end | string replace -r '^' -- "$lead$begun"
        case zone
            set -l file $folder/$argv[2]/layout.json
            test -r $file; or return
            string match -ra '"zone":"[^"]*"' <$file | string replace -r '"zone":"([^"]*)"' '$1' | sort -u |
                string replace -r '^' -- "$lead"
        case fault
            # Those that `heal` can end; the file has one a line.
            set -l file $folder/$argv[2]/faults.json
            test -r $file; or return
            string match -rv '"active":false|"kind":"(kill|pause)"' <$file |
                string replace -rf '.*"id":"([^"]*)".*' '$1'
        case key subject service operation
            # Names in the cluster, which says nothing when no node answers soon.
            command -q $argv[5]; or return
            command $argv[5] complete $kind[1] "$typed" -C $argv[2] 2>/dev/null | string replace -r '^' -- "$lead"
        case file
            __fish_complete_path "$typed" | string replace -r '^' -- "$lead"
        case recipe
            test (count $kind) -gt 1; and printf '%s\n' $kind[2..-1]
            __fish_complete_path "$typed"
        case value
            string match -q -- '@*' $typed; or return
            __fish_complete_path (string sub -s 2 -- $typed) | string replace -r '^' @
    end
end

function __dsectl_folders
    for path in $argv[1]/*/
        string replace -r '.*/([^/]+)/$' '$1' -- $path
    end
end

function __dsectl_home
    if test -n "$DSECTL_HOME"
        string replace -r '^~(?=/|$)' -- $HOME $DSECTL_HOME
    else if test (uname) = Darwin
        echo "$HOME/Library/Application Support/dsectl"
    else if test -n "$XDG_STATE_HOME"
        echo $XDG_STATE_HOME/dsectl
    else
        echo $HOME/.local/state/dsectl
    end
end

complete -c dsectl -e
complete -c dsectl -f -a '(__dsectl_complete)'
"""


WORD = {
    "value": """test "$kind" = cluster; and set cluster $word
set kind ''""",
    "close": "set closed 1",
    "joined": """set kind (__dsectl_option "$command" (string replace -r -- '=.*' '' $word))
test "$kind" = cluster; and set cluster (string replace -r -- '^[^=]*=' '' $word)
set kind ''""",
    "option": 'set kind (__dsectl_option "$command" $word)',
    "argument": "set at (math $at + 1)",
    "name": """set command (__dsectl_command (string trim -- "$first $word"))
if test -z "$command" -a -n "$first"
    set lost 1
else if test -z "$command"
    set first $word
    test -z (__dsectl_words $first | string collect); and set lost 1
end""",
}
LAST = {
    "value": """__dsectl_offer "$kind" $cluster '' $current $program""",
    "nothing": "return",
    "joined": """set -l option (string replace -r -- '=.*' '' $current)
set -l typed (string replace -r -- '^[^=]*=' '' $current)
__dsectl_offer (__dsectl_option "$command" $option) $cluster "$option=" "$typed" $program""",
    "options": '__dsectl_options "$command"',
    "words": '__dsectl_words "$first"',
    "argument": "__dsectl_offer (__dsectl_argument \"$command\" $at | string collect) $cluster '' $current $program",
}


def render(grammar: Grammar) -> str:
    """The file `dsectl.fish`."""
    walk = WALK.replace("@WORD@", chain(COMPLETE_WORD, "fish", '"$word"', WORD, 8))
    walk = walk.replace("@LAST@", chain(LAST_WORD, "fish", '"$current"', LAST, 4))
    return "\n\n".join([f"# Completion of dsectl for fish. {HEAD}", *_tables(grammar), walk.strip("\n")]) + "\n"


def _tables(grammar: Grammar) -> list[str]:
    """The functions that answer what the walk asks."""
    values = list(option_rows(grammar))
    own = [_arm(names, [f"echo '{spec}'"]) for names, spec in values if " " in names[0]]
    common = [_arm(names, [f"echo '{spec}'"]) for names, spec in values if " " not in names[0]]
    arguments = [_arm([f"{name} {at}"], [f"echo '{spec}'"]) for name, at, spec in argument_rows(grammar)]
    options = [_arm([one.name], _listed(described(one.options))) for one in grammar.commands.values() if one.options]
    words = [
        _arm([word], _listed(known)) for word, known in {"": first_words(grammar), **second_words(grammar)}.items()
    ]
    commands = [_arm([alias], [f"echo '{name}'"]) for alias, name in aliases(grammar).items()]
    commands.append(_arm(list(grammar.commands), ["echo $argv[1]"]))
    everywhere = ["    " + line for line in _listed(described(grammar.options))]
    return [
        _function("__dsectl_option", [*_switch("$argv[2]", common), *_switch("$argv[1] $argv[2]", own)]),
        _function("__dsectl_argument", _switch("$argv[1] $argv[2]", arguments)),
        _function("__dsectl_command", _switch("$argv[1]", commands)),
        _function("__dsectl_words", _switch("$argv[1]", words)),
        _function("__dsectl_options", [*_switch("$argv[1]", options), *everywhere]),
    ]


def _function(name: str, lines: list[str]) -> str:
    return "\n".join([f"function {name}", *lines, "end"])


def _switch(subject: str, arms: list[str]) -> list[str]:
    return [f'    switch "{subject}"', *arms, "    end"]


def _arm(patterns: list[str], actions: list[str]) -> str:
    return "\n".join(
        [f"        case {' '.join(_quote(one) for one in patterns)}", *(f"            {one}" for one in actions)]
    )


def _listed(words: list[tuple[str, str]]) -> list[str]:
    """Words with their help behind a tab, as fish takes them."""
    return [f"printf '%s\\t%s\\n' {word} '{help}'" for word, help in words]


def _quote(text: str) -> str:
    return f"'{text}'" if " " in text or not text or "*" in text else text
