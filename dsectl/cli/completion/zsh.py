"""Completion for zsh: put into `$fpath` as `_dsectl`, or sourced after compinit.

The first line must be `#compdef`, with nothing before it, or compinit does not see the file.
"""

from dsectl.cli.completion.grammar import COMPLETE_WORD, LAST_WORD, Grammar
from dsectl.cli.completion.tables import HEAD, WALK_SH, Words, chain, sh_functions

WALK = r"""
_dsectl() {
    local word kind= command= first= cluster=${DSECTL_CLUSTER:-default} closed= lost=
    local -a offered
    integer i at=0
    for ((i = 2; i < CURRENT; i++)); do
        word=${(Q)words[i]}
@WORD@
    done
@LAST@
}

_dsectl_offer() {  # what $kind names
    local expl file text
    local -a found
    local folder=$(_dsectl_home)/clusters
    case ${kind%% *} in
        choice) _wanted values expl value compadd -- ${=kind#* } ;;
        cluster) found=($folder/*(N-/:t)); _wanted clusters expl cluster compadd -a found ;;
        node | end | group)
            found=($folder/$cluster/nodes/*(N-/:t))
            [[ $kind == end ]] && found+=(all)
            [[ $kind == group ]] && compset -P '*,'
            [[ $kind == group ]] && found+=(rest)
            _wanted nodes expl node compadd -a found
            ;;
        zone)
            file=$folder/$cluster/layout.json
            [[ -r $file ]] || return 1
            text=$(< $file)
            while [[ $text == *'"zone":"'* ]]; do
                text=${text#*'"zone":"'}
                found+=(${text%%\"*})
            done
            found=(${(u)found})
            _wanted zones expl zone compadd -a found
            ;;
        fault)
            # Those that `heal` can end; the file has one a line.
            file=$folder/$cluster/faults.json
            [[ -r $file ]] || return 1
            for text in ${(f)"$(< $file)"}; do
                [[ $text == *'"id":"'* && $text != *('"active":false'|'"kind":"'(kill|pause)'"')* ]] || continue
                text=${text#*'"id":"'}
                found+=(${text%%\"*})
            done
            _wanted faults expl fault compadd -a found
            ;;
        file) _files ;;
        key | subject | service | operation)
            # Names in the cluster, which says nothing when no node answers soon.
            found=(${(f)"$(command $words[1] complete $kind "${(Q)PREFIX}" -C $cluster 2> /dev/null)"})
            _wanted names expl $kind compadd -a found
            ;;
        recipe)
            [[ $kind == *' '* ]] && _wanted recipes expl recipe compadd -- ${=kind#* }
            _files
            ;;
        value) compset -P @ && _files ;;
        *) return 1 ;;
    esac
}

_dsectl_home() {
    local home=${DSECTL_HOME:-}
    if [[ -z $home && $OSTYPE == darwin* ]]; then
        home="$HOME/Library/Application Support/dsectl"
    elif [[ -z $home ]]; then
        home=${XDG_STATE_HOME:-$HOME/.local/state}/dsectl
    elif [[ $home == '~' || $home == '~/'* ]]; then
        home=$HOME${home#'~'}
    fi
    print -rn -- "$home"
}
"""

START = r"""
# Autoloaded from $fpath, the file is the function's first call; sourced, it is not.
if [[ ${funcstack[1]-} == _dsectl ]]; then
    _dsectl "$@"
elif (($+functions[compdef])); then
    compdef _dsectl dsectl
else
    print -u2 'dsectl: no completion yet: run `autoload -Uz compinit && compinit` before this'
fi
"""


LAST = {
    "value": "_dsectl_offer",
    "nothing": "return 1",
    "joined": '_dsectl_option "$command" "${PREFIX%%=*}"\ncompset -P \'*=\'\n_dsectl_offer',
    "options": '_dsectl_options "$command"\n_describe -o -t options option offered',
    "words": '_dsectl_words "$first"\n_describe -t commands command offered',
    "argument": '_dsectl_argument "$command" $at\n_dsectl_offer',
}


def render(grammar: Grammar) -> str:
    """The file `_dsectl`."""
    walk = WALK.replace("@WORD@", chain(COMPLETE_WORD, "sh", "$word", WALK_SH, 8))
    walk = walk.replace("@LAST@", chain(LAST_WORD, "sh", "$PREFIX", LAST, 4))
    tables = sh_functions(
        grammar, lambda words: f"offered=({_listed(words)})", lambda words: f"offered+=({_listed(words)})"
    )
    parts = [f"#compdef dsectl\n# {HEAD}", *tables, walk.strip("\n"), START.strip("\n")]
    return "\n\n".join(parts) + "\n"


def _listed(words: Words) -> str:
    """Words as `_describe` takes them, one a line."""
    return "".join(f"\n            '{word}:{help}'" for word, help in words) + "\n        "
