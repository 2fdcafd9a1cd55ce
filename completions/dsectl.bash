# Completion of dsectl for bash, as `dsectl completions bash` prints it. Written by hand, but for what
# `python -m dsectl.reference` writes between `generated` and `end`. A test compares that, and the conditions of the walk
# with the rules in dsectl/cli/completion/grammar.py.

# generated
_dsectl_option() {
    kind=
    case "$2" in
        -C | --cluster) kind=cluster ;;
        --timeout) kind=any ;;
        --via) kind=node ;;
    esac
    case "$1 $2" in
        'up -n' | 'up --nodes') kind=any ;;
        'up --zones') kind=any ;;
        'up --replication') kind=any ;;
        'up --profile') kind='choice local lan' ;;
        'up --durability') kind='choice interval always none' ;;
        'up --store') kind='choice memory disk' ;;
        'up --gateway') kind=any ;;
        'up --base-port') kind=any ;;
        'up --ttl') kind=any ;;
        'up --wait') kind=any ;;
        'logs --tail') kind=any ;;
        'demo -n' | 'demo --nodes') kind=any ;;
        'add -n' | 'add --nodes') kind=any ;;
        'add --zone') kind=zone ;;
        'add --wait') kind=any ;;
        'leave --wait') kind=any ;;
        'forget --wait') kind=any ;;
        'revert --wait') kind=any ;;
        'kill --zone') kind=zone ;;
        'restart --wait') kind=any ;;
        'slow --delay') kind=any ;;
        'slow --jitter') kind=any ;;
        'slow --loss') kind=any ;;
        'slow --duplicate') kind=any ;;
        'slow --reorder') kind=any ;;
        'slow --rate') kind=any ;;
        'disk --slow') kind=any ;;
        'clock --skew') kind=any ;;
        'ring --node') kind=node ;;
        'ring --partition') kind=any ;;
        'events --since') kind=any ;;
        'events --kind') kind=any ;;
        'events --key') kind=key ;;
        'events --node') kind=node ;;
        'events --limit') kind=any ;;
        'repair --wait') kind=any ;;
        'watch --every') kind=any ;;
        'watch --count') kind=any ;;
        'top --every') kind=any ;;
        'top --count') kind=any ;;
        'put --w') kind=any ;;
        'put --ctx') kind=any ;;
        'get --r') kind=any ;;
        'get --only') kind=node ;;
        'delete --w') kind=any ;;
        'delete --ctx') kind=any ;;
        'keys --limit') kind=any ;;
        'keys --after') kind=key ;;
        'kv import --prefix') kind=any ;;
        'kv export --prefix') kind=any ;;
        'incr --w') kind=any ;;
        'decr --w') kind=any ;;
        'sadd --w') kind=any ;;
        'srem --w') kind=any ;;
        'srem --ctx') kind=any ;;
        'smembers --r') kind=any ;;
        'smembers --only') kind=node ;;
        'bucket create --resolver') kind='choice siblings lww' ;;
        'bucket create --r') kind=any ;;
        'bucket create --w') kind=any ;;
        'bucket create --ttl') kind=any ;;
        'publish --header') kind=any ;;
        'publish --id') kind=any ;;
        'subscribe --group') kind=any ;;
        'subscribe --count') kind=any ;;
        'subscribe --wait') kind=any ;;
        'queue create --shards') kind=any ;;
        'queue create --visibility') kind=any ;;
        'queue create --max-receives') kind=any ;;
        'queue create --dead-letter') kind=queue ;;
        'queue create --retention') kind=any ;;
        'queue create --delay') kind=any ;;
        'queue create --max-depth') kind=any ;;
        'queue alter --visibility') kind=any ;;
        'queue alter --max-receives') kind=any ;;
        'queue alter --dead-letter') kind=queue ;;
        'queue alter --retention') kind=any ;;
        'queue alter --delay') kind=any ;;
        'queue alter --max-depth') kind=any ;;
        'queue redrive --to') kind=queue ;;
        'queue redrive --limit') kind=any ;;
        'send --delay') kind=any ;;
        'send --dedup-id') kind=any ;;
        'receive --max') kind=any ;;
        'receive --wait') kind=any ;;
        'receive --visibility') kind=any ;;
        'nack --delay') kind=any ;;
        'describe --diff') kind=any ;;
        'request --key') kind=key ;;
        'request --only') kind=process ;;
        'request --version') kind=any ;;
        'request --deadline') kind=any ;;
        'drain --wait') kind=any ;;
        'serve --on') kind=nodes ;;
        'serve --copies') kind=any ;;
        'serve --wait') kind=any ;;
        'unserve --wait') kind=any ;;
        'load kv --rate') kind=any ;;
        'load kv --for') kind=any ;;
        'load kv --clients') kind=any ;;
        'load kv --mix') kind=any ;;
        'load kv --keys') kind=any ;;
        'load kv --size') kind=any ;;
        'load kv --require') kind=any ;;
        'load kv --intervals') kind=file ;;
        'load kv --processes') kind=any ;;
        'load kv --settle') kind=any ;;
        'load kv --seed') kind=any ;;
        'load publish --rate') kind=any ;;
        'load publish --for') kind=any ;;
        'load publish --clients') kind=any ;;
        'load publish --subscribers') kind=any ;;
        'load publish --size') kind=any ;;
        'load publish --require') kind=any ;;
        'load publish --intervals') kind=file ;;
        'load publish --processes') kind=any ;;
        'load publish --settle') kind=any ;;
        'load queue --rate') kind=any ;;
        'load queue --for') kind=any ;;
        'load queue --clients') kind=any ;;
        'load queue --consumers') kind=any ;;
        'load queue --size') kind=any ;;
        'load queue --require') kind=any ;;
        'load queue --intervals') kind=file ;;
        'load queue --processes') kind=any ;;
        'load queue --settle') kind=any ;;
        'load request --rate') kind=any ;;
        'load request --for') kind=any ;;
        'load request --clients') kind=any ;;
        'load request --mix') kind=any ;;
        'load request --deadline') kind=any ;;
        'load request --retries') kind=any ;;
        'load request --backoff') kind=any ;;
        'load request --keys') kind=any ;;
        'load request --low') kind=any ;;
        'load request --size') kind=any ;;
        'load request --require') kind=any ;;
        'load request --intervals') kind=file ;;
        'load request --processes') kind=any ;;
        'load request --seed') kind=any ;;
        'recipe run --junit') kind=file ;;
        'recipe run --repeat') kind=any ;;
        'recipe run --side-by-side') kind=any ;;
        'shell -c') kind=any ;;
    esac
}

_dsectl_argument() {
    case "$1 $2" in
        'rm 0') kind=cluster ;;
        'logs 0') kind=process ;;
        'leave '*) kind=node ;;
        'forget '*) kind=node ;;
        'kill '*) kind=process ;;
        'restart '*) kind=process ;;
        'pause '*) kind=process ;;
        'resume '*) kind=process ;;
        'partition '*) kind=group ;;
        'slow 0') kind=end ;;
        'slow 1') kind=end ;;
        'disk 0') kind=node ;;
        'clock 0') kind=node ;;
        'heal '*) kind=fault ;;
        'repair 0') kind=node ;;
        'put 0') kind=key ;;
        'put 1') kind=value ;;
        'get 0') kind=key ;;
        'delete 0') kind=key ;;
        'kv import 0') kind=file ;;
        'kv export 0') kind=file ;;
        'incr 0') kind=key ;;
        'decr 0') kind=key ;;
        'sadd 0') kind=key ;;
        'srem 0') kind=key ;;
        'smembers 0') kind=key ;;
        'bucket show 0') kind=bucket ;;
        'bucket empty 0') kind=bucket ;;
        'publish 0') kind=subject ;;
        'publish 1') kind=value ;;
        'subscribe 0') kind=subject ;;
        'queue alter 0') kind=queue ;;
        'queue show 0') kind=queue ;;
        'queue delete 0') kind=queue ;;
        'queue bind 0') kind=queue ;;
        'queue bind 1') kind=subject ;;
        'queue unbind 0') kind=queue ;;
        'queue unbind 1') kind=subject ;;
        'queue purge 0') kind=queue ;;
        'queue redrive 0') kind=queue ;;
        'send 0') kind=queue ;;
        'send 1') kind=value ;;
        'receive 0') kind=queue ;;
        'ack '*) kind=receipt ;;
        'nack '*) kind=receipt ;;
        'extend '*) kind=receipt ;;
        'describe 0') kind=service ;;
        'request 0') kind=operation ;;
        'drain '*) kind=node ;;
        'undrain '*) kind=node ;;
        'services weight 0') kind=service ;;
        'unserve 0') kind=served ;;
        'load request '*) kind=operation ;;
        'recipe run '*) kind='recipe a-crash-in-a-checkpoint a-deadline-that-travels a-node-leaves a-sixth-node a-wiped-disk a-zone-dies a-zone-outage-under-calls at-least-once back-pressure competing-consumers counters crash-recovery data-larger-than-memory deadlines-and-no-responders deduplication failure-detection fan-out hedging hinted-handoff last-writer-wins many-helpers one-membership one-way-links or-set partition-and-heal pause-versus-kill poison-message quorum read-repair repair-without-a-reader retry-storm rolling-restart routing-around-a-slow-node shedding siblings-and-context sloppy-quorum slow-subscriber suspect-and-refute symmetry topics your-own-service' ;;
        'recipe check '*) kind='recipe a-crash-in-a-checkpoint a-deadline-that-travels a-node-leaves a-sixth-node a-wiped-disk a-zone-dies a-zone-outage-under-calls at-least-once back-pressure competing-consumers counters crash-recovery data-larger-than-memory deadlines-and-no-responders deduplication failure-detection fan-out hedging hinted-handoff last-writer-wins many-helpers one-membership one-way-links or-set partition-and-heal pause-versus-kill poison-message quorum read-repair repair-without-a-reader retry-storm rolling-restart routing-around-a-slow-node shedding siblings-and-context sloppy-quorum slow-subscriber suspect-and-refute symmetry topics your-own-service' ;;
        'recipe show 0') kind='recipe a-crash-in-a-checkpoint a-deadline-that-travels a-node-leaves a-sixth-node a-wiped-disk a-zone-dies a-zone-outage-under-calls at-least-once back-pressure competing-consumers counters crash-recovery data-larger-than-memory deadlines-and-no-responders deduplication failure-detection fan-out hedging hinted-handoff last-writer-wins many-helpers one-membership one-way-links or-set partition-and-heal pause-versus-kill poison-message quorum read-repair repair-without-a-reader retry-storm rolling-restart routing-around-a-slow-node shedding siblings-and-context sloppy-quorum slow-subscriber suspect-and-refute symmetry topics your-own-service' ;;
        'present 0') kind='recipe a-crash-in-a-checkpoint a-deadline-that-travels a-node-leaves a-sixth-node a-wiped-disk a-zone-dies a-zone-outage-under-calls at-least-once back-pressure competing-consumers counters crash-recovery data-larger-than-memory deadlines-and-no-responders deduplication failure-detection fan-out hedging hinted-handoff last-writer-wins many-helpers one-membership one-way-links or-set partition-and-heal pause-versus-kill poison-message quorum read-repair repair-without-a-reader retry-storm rolling-restart routing-around-a-slow-node shedding siblings-and-context sloppy-quorum slow-subscriber suspect-and-refute symmetry topics your-own-service' ;;
        'completions 0') kind='choice bash zsh fish' ;;
        'complete 0') kind='choice key bucket queue subject service operation' ;;
        'help '*) kind='choice up down rm ps status env logs demo add leave forget revert kill restart pause resume partition slow disk clock heal faults members ring explain events health hints repair watch top put get delete keys kv incr decr sadd srem smembers bucket publish subscribe subscriptions queue send receive ack nack extend services describe request drain undrain serve unserve load recipe present learn completions complete shell help exit-codes errors options environment values units outcomes patterns queues recipes glossary' ;;
    esac
}

_dsectl_command() {
    case "$1" in
        del) command=delete ;;
        up | down | rm | ps | status | env | logs | demo | add | leave | forget | revert | kill | restart | pause | resume | partition | slow | disk | clock | heal | faults | members | ring | explain | events | health | hints | repair | watch | top | put | get | delete | keys | 'kv import' | 'kv export' | incr | decr | sadd | srem | smembers | 'bucket create' | 'bucket list' | 'bucket show' | 'bucket empty' | publish | subscribe | subscriptions | 'queue create' | 'queue alter' | 'queue list' | 'queue show' | 'queue delete' | 'queue bind' | 'queue unbind' | 'queue purge' | 'queue redrive' | send | receive | ack | nack | extend | services | describe | request | drain | undrain | 'services weight' | serve | unserve | 'load kv' | 'load publish' | 'load queue' | 'load request' | 'recipe run' | 'recipe check' | 'recipe list' | 'recipe show' | present | learn | completions | complete | shell | help) command=$1 ;;
        kv) first=kv ;;
        bucket) first=bucket ;;
        queue) first=queue ;;
        load) first=load ;;
        recipe) first=recipe ;;
        *) lost=1 ;;
    esac
}

_dsectl_words() {
    case "$1" in
        '') _dsectl_reply up down rm ps status env logs demo add leave forget revert kill restart pause resume partition slow disk clock heal faults members ring explain events health hints repair watch top put get delete keys kv incr decr sadd srem smembers bucket publish subscribe subscriptions queue send receive ack nack extend services describe request drain undrain serve unserve load recipe present learn completions complete shell help ;;
        kv) _dsectl_reply import export ;;
        bucket) _dsectl_reply create list show empty ;;
        queue) _dsectl_reply create alter list show delete bind unbind purge redrive ;;
        services) _dsectl_reply weight ;;
        load) _dsectl_reply kv publish queue request ;;
        recipe) _dsectl_reply run check list show ;;
    esac
}

_dsectl_options() {
    case "$1" in
        up) _dsectl_reply -n --nodes --zones --replication --profile --durability --store --gateway --base-port --ttl --wait ;;
        rm) _dsectl_reply -y --yes ;;
        logs) _dsectl_reply --all -f --follow --tail ;;
        demo) _dsectl_reply -n --nodes --keep ;;
        add) _dsectl_reply -n --nodes --zone --wait ;;
        leave) _dsectl_reply --wait ;;
        forget) _dsectl_reply --accept-loss --force -y --yes --wait ;;
        revert) _dsectl_reply --wait ;;
        kill) _dsectl_reply --zone --random ;;
        restart) _dsectl_reply --all --replace --wait ;;
        partition) _dsectl_reply --one-way ;;
        slow) _dsectl_reply --both --delay --jitter --loss --duplicate --reorder --rate ;;
        disk) _dsectl_reply --slow --full --flip-byte --wipe ;;
        clock) _dsectl_reply --skew ;;
        faults) _dsectl_reply --active ;;
        members) _dsectl_reply --matrix ;;
        ring) _dsectl_reply --node --partition --changes ;;
        explain) _dsectl_reply --key --message ;;
        events) _dsectl_reply -f --follow --since --kind --key --node --limit ;;
        repair) _dsectl_reply --status --accept-loss --wait ;;
        watch) _dsectl_reply --every --count ;;
        top) _dsectl_reply --every --count ;;
        put) _dsectl_reply --w --strict --ctx --blind --literal ;;
        get) _dsectl_reply --r --only --strict ;;
        delete) _dsectl_reply --w --strict --ctx --blind ;;
        keys) _dsectl_reply --limit --after ;;
        'kv import') _dsectl_reply --prefix ;;
        'kv export') _dsectl_reply --prefix --resume ;;
        incr) _dsectl_reply --w --strict ;;
        decr) _dsectl_reply --w --strict ;;
        sadd) _dsectl_reply --w --strict ;;
        srem) _dsectl_reply --w --strict --ctx ;;
        smembers) _dsectl_reply --r --only --strict ;;
        'bucket create') _dsectl_reply --resolver --r --w --ttl ;;
        publish) _dsectl_reply --literal --header --id --request ;;
        subscribe) _dsectl_reply --group --count --wait ;;
        'queue create') _dsectl_reply --shards --visibility --max-receives --dead-letter --retention --delay --max-depth ;;
        'queue alter') _dsectl_reply --visibility --max-receives --dead-letter --retention --delay --max-depth ;;
        'queue redrive') _dsectl_reply --to --limit ;;
        send) _dsectl_reply --delay --dedup-id --literal ;;
        receive) _dsectl_reply --max --wait --visibility --ack --until-empty ;;
        nack) _dsectl_reply --delay ;;
        services) _dsectl_reply --matrix ;;
        describe) _dsectl_reply --diff --openapi ;;
        request) _dsectl_reply --key --only --hedge --version --deadline ;;
        drain) _dsectl_reply --wait ;;
        'services weight') _dsectl_reply --even ;;
        serve) _dsectl_reply --on --all --copies --reload --wait ;;
        unserve) _dsectl_reply --wait ;;
        'load kv') _dsectl_reply --rate --for --clients --mix --keys --size --require --intervals --processes --settle --seed ;;
        'load publish') _dsectl_reply --rate --for --clients --subscribers --size --require --intervals --processes --settle ;;
        'load queue') _dsectl_reply --rate --for --clients --consumers --size --require --intervals --processes --settle ;;
        'load request') _dsectl_reply --rate --for --clients --mix --deadline --retries --backoff --keys --low --hedge --size --require --intervals --processes --seed ;;
        'recipe run') _dsectl_reply --all --junit --tap --repeat --side-by-side --keep --strict --red ;;
        'recipe check') _dsectl_reply --all --strict ;;
        shell) _dsectl_reply -c --vi --emacs ;;
    esac
    _dsectl_reply -C --cluster --json -q --quiet --raw --timeout --via --no-input --version --help
}
# end

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
        if [[ -n $kind ]]; then
            [[ $kind == cluster ]] && cluster=$word
            kind=
        elif [[ -z $closed && $word == -- ]]; then
            closed=1
        elif [[ -z $closed && $word == --*=* ]]; then
            _dsectl_option "$command" "${word%%=*}"
            [[ $kind == cluster ]] && cluster=${word#*=}
            kind=
        elif [[ -z $closed && $word == -?* ]]; then
            _dsectl_option "$command" "$word"
        elif [[ -n $command ]]; then
            at=$((at + 1))
        else
            _dsectl_command "$first${first:+ }$word"
        fi
    done
    if [[ -n $kind ]]; then
        _dsectl_offer
    elif [[ -n $lost ]]; then
        return
    elif [[ -z $closed && $cur == --*=* ]]; then
        _dsectl_option "$command" "${cur%%=*}"
        lead=${cur%%=*}=
        cur=${cur#*=}
        [[ -n $kind ]] && _dsectl_offer
    elif [[ -z $closed && $cur == -* ]]; then
        _dsectl_options "$command"
    elif [[ -n $command ]]; then
        _dsectl_argument "$command" "$at"
        [[ -n $kind ]] && _dsectl_offer
    else
        _dsectl_words "$first"
    fi
}

_dsectl_offer() {  # what $kind names and $cur begins
    local name at_once=
    set -- $kind
    case $1 in
        choice) shift; _dsectl_reply "$@" ;;
        cluster) _dsectl_folders "$(_dsectl_home)/clusters" ;;
        node) _dsectl_nodes ;;
        process) _dsectl_nodes; _dsectl_workers ;;
        end) _dsectl_nodes; _dsectl_reply all ;;
        nodes | group)
            lead=$lead${cur%"${cur##*,}"}
            cur=${cur##*,}
            _dsectl_nodes
            [[ $1 == group ]] && _dsectl_reply rest
            ;;
        zone) _dsectl_zones ;;
        fault) _dsectl_faults ;;
        file) _dsectl_files ;;
        key | bucket | queue | subject | service | operation) _dsectl_ask "$1" ;;
        served) _dsectl_ask service; _dsectl_workers ;;
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
    case $COMP_WORDBREAKS in *=*) [[ $kept == --*=* ]] && kept=${kept#*=} ;; esac
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

_dsectl_workers() {  # those that `serve` has started, as n2/1
    local node path
    while IFS= read -r node; do
        while IFS= read -r path; do
            _dsectl_reply "${node##*/}/${path##*/}"
        done < <(compgen -d -- "$node/workers/")
    done < <(compgen -d -- "$(_dsectl_home)/clusters/$cluster/nodes/")
}

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
