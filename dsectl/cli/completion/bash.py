"""Completion for bash, from 3.2 (macOS) on, with or without the package bash-completion."""

from dsectl.cli.completion.grammar import COMPLETE_WORD, LAST_WORD, Grammar
from dsectl.cli.completion.tables import HEAD, WALK_SH, Words, chain, sh_functions

WALK = r"""
_dsectl() {
    local IFS=$' \t\n' cur= lead= word name kind= command= first= cluster=${DSECTL_CLUSTER:-default}
    local closed= lost= glue= i at=0
    local words=()
    COMPREPLY=()
    # Bash takes `--cluster=one` and `user:1` for three words and `@file` for two; here they are one each.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        at=$((${#words[@]} - 1))
        if [[ $at -ge 0 && ( -n $glue || $word == : || ( $word == = && ${words[at]} == --* ) ) ]]; then
            words[at]+=$word
            glue=
            [[ $word == [=:] ]] && glue=1
        else
            words+=("$word")
            [[ $word == @ ]] && glue=1
        fi
    done
    cur=${words[${#words[@]}-1]}
    at=0
    for ((i = 0; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
@WORD@
    done
@LAST@
}

_dsectl_offer() {  # what $kind names and $cur begins
    local name at_once=
    set -- $kind
    case $1 in
        choice) shift; _dsectl_reply "$@" ;;
        cluster) _dsectl_folders "$(_dsectl_home)/clusters" ;;
        node) _dsectl_nodes ;;
        end) _dsectl_nodes; _dsectl_reply all ;;
        group)
            lead=$lead${cur%"${cur##*,}"}
            cur=${cur##*,}
            _dsectl_nodes
            _dsectl_reply rest
            ;;
        zone) _dsectl_zones ;;
        fault) _dsectl_faults ;;
        file) _dsectl_files ;;
        key | subject | service | operation) _dsectl_ask "$1" ;;
        recipe) shift; _dsectl_reply "$@"; _dsectl_files ;;
        value)
            [[ $cur == @* ]] || return
            lead=@
            cur=${cur#@}
            _dsectl_files
            ;;
    esac
}

_dsectl_reply() {  # those of the words that $cur begins, as readline wants them: it keeps what stands before =
    local word kept=$lead
    case $COMP_WORDBREAKS in *=*) [[ $kept == *= ]] && kept=${kept#*=} ;; esac
    for word in "$@"; do
        [[ $word == "$cur"* ]] && COMPREPLY+=("$kept$word")
    done
}

_dsectl_home() {
    local home=${DSECTL_HOME:-}
    case $home in
        '') case $OSTYPE in
            darwin*) home="$HOME/Library/Application Support/dsectl" ;;
            *) home=${XDG_STATE_HOME:-$HOME/.local/state}/dsectl ;;
        esac ;;
        '~' | '~/'*) home=$HOME${home#'~'} ;;
    esac
    printf '%s' "$home"
}

_dsectl_folders() {  # the names of the folders in $1
    local path name
    while IFS= read -r path; do
        name=${path##*/}
        [[ $name == .* ]] || _dsectl_reply "$name"
    done < <(compgen -d -- "$1/")
}

_dsectl_nodes() { _dsectl_folders "$(_dsectl_home)/clusters/$cluster/nodes"; }

_dsectl_zones() {
    local file text zone
    file=$(_dsectl_home)/clusters/$cluster/layout.json
    [[ -r $file ]] || return
    text=$(< "$file")
    local seen=' '
    while [[ $text == *'"zone":"'* ]]; do
        text=${text#*'"zone":"'}
        zone=${text%%'"'*}
        [[ $seen == *" $zone "* ]] || _dsectl_reply "$zone"
        seen="$seen$zone "
    done
}

_dsectl_faults() {  # those that `heal` can end; the file has one a line
    local file line
    file=$(_dsectl_home)/clusters/$cluster/faults.json
    [[ -r $file ]] || return
    while IFS= read -r line; do
        case $line in
            *'"active":false'* | *'"kind":"kill"'* | *'"kind":"pause"'*) ;;
            *'"id":"'*) line=${line#*'"id":"'}; _dsectl_reply "${line%%'"'*}" ;;
        esac
    done < "$file"
}

_dsectl_ask() {  # names in the cluster, which says nothing when no node answers soon
    local name colon=
    [[ $COMP_WORDBREAKS == *:* && $cur == *:* ]] && colon=${cur%"${cur##*:}"}
    while IFS= read -r name; do
        [[ $name == "$cur"* ]] || continue
        [[ $name == *. ]] && type compopt &> /dev/null && compopt -o nospace 2> /dev/null
        printf -v name %q "$name"
        COMPREPLY+=("${name#"$colon"}")
    done < <(command "${COMP_WORDS[0]}" complete "$1" "$cur" -C "$cluster" 2> /dev/null)
}

_dsectl_files() {
    local path
    type compopt &> /dev/null && compopt -o filenames 2> /dev/null
    while IFS= read -r path; do
        _dsectl_reply "$path"
    done < <(compgen -f -- "$cur")
}

complete -F _dsectl dsectl
"""


LAST = {
    "value": "_dsectl_offer",
    "nothing": "return",
    "joined": """_dsectl_option "$command" "${cur%%=*}"
lead=${cur%%=*}=
cur=${cur#*=}
[[ -n $kind ]] && _dsectl_offer""",
    "options": '_dsectl_options "$command"',
    "words": '_dsectl_words "$first"',
    "argument": '_dsectl_argument "$command" "$at"\n[[ -n $kind ]] && _dsectl_offer',
}


def render(grammar: Grammar) -> str:
    """The file `dsectl.bash`."""
    walk = WALK.replace("@WORD@", chain(COMPLETE_WORD, "sh", "$word", WALK_SH, 8))
    walk = walk.replace("@LAST@", chain(LAST_WORD, "sh", "$cur", LAST, 4))
    parts = [f"# Completion of dsectl for bash. {HEAD}", *sh_functions(grammar, _offer, _offer), walk.strip("\n")]
    return "\n\n".join(parts) + "\n"


def _offer(words: Words) -> str:
    return f"_dsectl_reply {' '.join(word for word, _ in words)}"
