# Completion of dsectl for fish, as `dsectl completions fish` prints it. Written by hand, but for what
# `python -m dsectl.reference` writes between `generated` and `end`. A test compares that, and the conditions of the walk
# with the rules in dsectl/cli/completion/grammar.py.

# generated
function __dsectl_option
    switch "$argv[2]"
        case -C --cluster
            echo 'cluster'
        case --timeout
            echo 'any'
        case --via
            echo 'node'
    end
    switch "$argv[1] $argv[2]"
        case 'up -n' 'up --nodes'
            echo 'any'
        case 'up --zones'
            echo 'any'
        case 'up --replication'
            echo 'any'
        case 'up --profile'
            echo 'choice local lan'
        case 'up --durability'
            echo 'choice interval always none'
        case 'up --store'
            echo 'choice memory disk'
        case 'up --gateway'
            echo 'any'
        case 'up --base-port'
            echo 'any'
        case 'up --ttl'
            echo 'any'
        case 'up --wait'
            echo 'any'
        case 'logs --tail'
            echo 'any'
        case 'demo -n' 'demo --nodes'
            echo 'any'
        case 'add -n' 'add --nodes'
            echo 'any'
        case 'add --zone'
            echo 'zone'
        case 'add --wait'
            echo 'any'
        case 'leave --wait'
            echo 'any'
        case 'forget --wait'
            echo 'any'
        case 'revert --wait'
            echo 'any'
        case 'kill --zone'
            echo 'zone'
        case 'restart --wait'
            echo 'any'
        case 'slow --delay'
            echo 'any'
        case 'slow --jitter'
            echo 'any'
        case 'slow --loss'
            echo 'any'
        case 'slow --duplicate'
            echo 'any'
        case 'slow --reorder'
            echo 'any'
        case 'slow --rate'
            echo 'any'
        case 'disk --slow'
            echo 'any'
        case 'clock --skew'
            echo 'any'
        case 'ring --node'
            echo 'node'
        case 'ring --partition'
            echo 'any'
        case 'events --since'
            echo 'any'
        case 'events --kind'
            echo 'any'
        case 'events --key'
            echo 'key'
        case 'events --node'
            echo 'node'
        case 'events --limit'
            echo 'any'
        case 'repair --wait'
            echo 'any'
        case 'watch --every'
            echo 'any'
        case 'watch --count'
            echo 'any'
        case 'top --every'
            echo 'any'
        case 'top --count'
            echo 'any'
        case 'put --w'
            echo 'any'
        case 'put --ctx'
            echo 'any'
        case 'get --r'
            echo 'any'
        case 'get --only'
            echo 'node'
        case 'delete --w'
            echo 'any'
        case 'delete --ctx'
            echo 'any'
        case 'keys --limit'
            echo 'any'
        case 'keys --after'
            echo 'key'
        case 'kv import --prefix'
            echo 'any'
        case 'kv export --prefix'
            echo 'any'
        case 'incr --w'
            echo 'any'
        case 'decr --w'
            echo 'any'
        case 'sadd --w'
            echo 'any'
        case 'srem --w'
            echo 'any'
        case 'srem --ctx'
            echo 'any'
        case 'smembers --r'
            echo 'any'
        case 'smembers --only'
            echo 'node'
        case 'bucket create --resolver'
            echo 'choice siblings lww'
        case 'bucket create --r'
            echo 'any'
        case 'bucket create --w'
            echo 'any'
        case 'bucket create --ttl'
            echo 'any'
        case 'publish --header'
            echo 'any'
        case 'publish --id'
            echo 'any'
        case 'subscribe --group'
            echo 'any'
        case 'subscribe --count'
            echo 'any'
        case 'subscribe --wait'
            echo 'any'
        case 'queue create --shards'
            echo 'any'
        case 'queue create --visibility'
            echo 'any'
        case 'queue create --max-receives'
            echo 'any'
        case 'queue create --dead-letter'
            echo 'queue'
        case 'queue create --retention'
            echo 'any'
        case 'queue create --delay'
            echo 'any'
        case 'queue create --max-depth'
            echo 'any'
        case 'queue alter --visibility'
            echo 'any'
        case 'queue alter --max-receives'
            echo 'any'
        case 'queue alter --dead-letter'
            echo 'queue'
        case 'queue alter --retention'
            echo 'any'
        case 'queue alter --delay'
            echo 'any'
        case 'queue alter --max-depth'
            echo 'any'
        case 'queue redrive --to'
            echo 'queue'
        case 'queue redrive --limit'
            echo 'any'
        case 'send --delay'
            echo 'any'
        case 'send --dedup-id'
            echo 'any'
        case 'receive --max'
            echo 'any'
        case 'receive --wait'
            echo 'any'
        case 'receive --visibility'
            echo 'any'
        case 'nack --delay'
            echo 'any'
        case 'describe --diff'
            echo 'any'
        case 'request --key'
            echo 'key'
        case 'request --only'
            echo 'process'
        case 'request --version'
            echo 'any'
        case 'request --deadline'
            echo 'any'
        case 'drain --wait'
            echo 'any'
        case 'serve --on'
            echo 'nodes'
        case 'serve --copies'
            echo 'any'
        case 'serve --wait'
            echo 'any'
        case 'unserve --wait'
            echo 'any'
        case 'load kv --rate'
            echo 'any'
        case 'load kv --for'
            echo 'any'
        case 'load kv --clients'
            echo 'any'
        case 'load kv --mix'
            echo 'any'
        case 'load kv --keys'
            echo 'any'
        case 'load kv --size'
            echo 'any'
        case 'load kv --require'
            echo 'any'
        case 'load kv --intervals'
            echo 'file'
        case 'load kv --processes'
            echo 'any'
        case 'load kv --settle'
            echo 'any'
        case 'load kv --seed'
            echo 'any'
        case 'load publish --rate'
            echo 'any'
        case 'load publish --for'
            echo 'any'
        case 'load publish --clients'
            echo 'any'
        case 'load publish --subscribers'
            echo 'any'
        case 'load publish --size'
            echo 'any'
        case 'load publish --require'
            echo 'any'
        case 'load publish --intervals'
            echo 'file'
        case 'load publish --processes'
            echo 'any'
        case 'load publish --settle'
            echo 'any'
        case 'load queue --rate'
            echo 'any'
        case 'load queue --for'
            echo 'any'
        case 'load queue --clients'
            echo 'any'
        case 'load queue --consumers'
            echo 'any'
        case 'load queue --size'
            echo 'any'
        case 'load queue --require'
            echo 'any'
        case 'load queue --intervals'
            echo 'file'
        case 'load queue --processes'
            echo 'any'
        case 'load queue --settle'
            echo 'any'
        case 'load request --rate'
            echo 'any'
        case 'load request --for'
            echo 'any'
        case 'load request --clients'
            echo 'any'
        case 'load request --mix'
            echo 'any'
        case 'load request --deadline'
            echo 'any'
        case 'load request --retries'
            echo 'any'
        case 'load request --backoff'
            echo 'any'
        case 'load request --keys'
            echo 'any'
        case 'load request --low'
            echo 'any'
        case 'load request --size'
            echo 'any'
        case 'load request --require'
            echo 'any'
        case 'load request --intervals'
            echo 'file'
        case 'load request --processes'
            echo 'any'
        case 'load request --seed'
            echo 'any'
        case 'recipe run --junit'
            echo 'file'
        case 'recipe run --repeat'
            echo 'any'
        case 'recipe run --side-by-side'
            echo 'any'
        case 'shell -c'
            echo 'any'
    end
end

function __dsectl_argument
    switch "$argv[1] $argv[2]"
        case 'rm 0'
            echo 'cluster'
        case 'logs 0'
            echo 'process'
        case 'leave *'
            echo 'node'
        case 'forget *'
            echo 'node'
        case 'kill *'
            echo 'process'
        case 'restart *'
            echo 'process'
        case 'pause *'
            echo 'process'
        case 'resume *'
            echo 'process'
        case 'partition *'
            echo 'group'
        case 'slow 0'
            echo 'end'
        case 'slow 1'
            echo 'end'
        case 'disk 0'
            echo 'node'
        case 'clock 0'
            echo 'node'
        case 'heal *'
            echo 'fault'
        case 'repair 0'
            echo 'node'
        case 'put 0'
            echo 'key'
        case 'put 1'
            echo 'value'
        case 'get 0'
            echo 'key'
        case 'delete 0'
            echo 'key'
        case 'kv import 0'
            echo 'file'
        case 'kv export 0'
            echo 'file'
        case 'incr 0'
            echo 'key'
        case 'decr 0'
            echo 'key'
        case 'sadd 0'
            echo 'key'
        case 'srem 0'
            echo 'key'
        case 'smembers 0'
            echo 'key'
        case 'bucket show 0'
            echo 'bucket'
        case 'bucket empty 0'
            echo 'bucket'
        case 'publish 0'
            echo 'subject'
        case 'publish 1'
            echo 'value'
        case 'subscribe 0'
            echo 'subject'
        case 'queue alter 0'
            echo 'queue'
        case 'queue show 0'
            echo 'queue'
        case 'queue delete 0'
            echo 'queue'
        case 'queue bind 0'
            echo 'queue'
        case 'queue bind 1'
            echo 'subject'
        case 'queue unbind 0'
            echo 'queue'
        case 'queue unbind 1'
            echo 'subject'
        case 'queue purge 0'
            echo 'queue'
        case 'queue redrive 0'
            echo 'queue'
        case 'send 0'
            echo 'queue'
        case 'send 1'
            echo 'value'
        case 'receive 0'
            echo 'queue'
        case 'ack *'
            echo 'receipt'
        case 'nack *'
            echo 'receipt'
        case 'extend *'
            echo 'receipt'
        case 'describe 0'
            echo 'service'
        case 'request 0'
            echo 'operation'
        case 'drain *'
            echo 'node'
        case 'undrain *'
            echo 'node'
        case 'services weight 0'
            echo 'service'
        case 'unserve 0'
            echo 'served'
        case 'load request *'
            echo 'operation'
        case 'recipe run *'
            echo 'recipe a-crash-in-a-checkpoint a-deadline-that-travels a-node-leaves a-sixth-node a-wiped-disk a-zone-dies a-zone-outage-under-calls at-least-once back-pressure competing-consumers counters crash-recovery data-larger-than-memory deadlines-and-no-responders deduplication failure-detection fan-out hedging hinted-handoff last-writer-wins many-helpers one-membership one-way-links or-set partition-and-heal pause-versus-kill poison-message quorum read-repair repair-without-a-reader retry-storm rolling-restart routing-around-a-slow-node shedding siblings-and-context sloppy-quorum slow-subscriber suspect-and-refute symmetry topics your-own-service'
        case 'recipe check *'
            echo 'recipe a-crash-in-a-checkpoint a-deadline-that-travels a-node-leaves a-sixth-node a-wiped-disk a-zone-dies a-zone-outage-under-calls at-least-once back-pressure competing-consumers counters crash-recovery data-larger-than-memory deadlines-and-no-responders deduplication failure-detection fan-out hedging hinted-handoff last-writer-wins many-helpers one-membership one-way-links or-set partition-and-heal pause-versus-kill poison-message quorum read-repair repair-without-a-reader retry-storm rolling-restart routing-around-a-slow-node shedding siblings-and-context sloppy-quorum slow-subscriber suspect-and-refute symmetry topics your-own-service'
        case 'recipe show 0'
            echo 'recipe a-crash-in-a-checkpoint a-deadline-that-travels a-node-leaves a-sixth-node a-wiped-disk a-zone-dies a-zone-outage-under-calls at-least-once back-pressure competing-consumers counters crash-recovery data-larger-than-memory deadlines-and-no-responders deduplication failure-detection fan-out hedging hinted-handoff last-writer-wins many-helpers one-membership one-way-links or-set partition-and-heal pause-versus-kill poison-message quorum read-repair repair-without-a-reader retry-storm rolling-restart routing-around-a-slow-node shedding siblings-and-context sloppy-quorum slow-subscriber suspect-and-refute symmetry topics your-own-service'
        case 'present 0'
            echo 'recipe a-crash-in-a-checkpoint a-deadline-that-travels a-node-leaves a-sixth-node a-wiped-disk a-zone-dies a-zone-outage-under-calls at-least-once back-pressure competing-consumers counters crash-recovery data-larger-than-memory deadlines-and-no-responders deduplication failure-detection fan-out hedging hinted-handoff last-writer-wins many-helpers one-membership one-way-links or-set partition-and-heal pause-versus-kill poison-message quorum read-repair repair-without-a-reader retry-storm rolling-restart routing-around-a-slow-node shedding siblings-and-context sloppy-quorum slow-subscriber suspect-and-refute symmetry topics your-own-service'
        case 'completions 0'
            echo 'choice bash zsh fish'
        case 'complete 0'
            echo 'choice key bucket queue subject service operation'
        case 'help *'
            echo 'choice up down rm ps status env logs demo add leave forget revert kill restart pause resume partition slow disk clock heal faults members ring explain events health hints repair watch top put get delete keys kv incr decr sadd srem smembers bucket publish subscribe subscriptions queue send receive ack nack extend services describe request drain undrain serve unserve load recipe present learn completions complete shell help exit-codes errors options environment values units outcomes patterns queues recipes glossary'
    end
end

function __dsectl_command
    switch "$argv[1]"
        case del
            echo 'delete'
        case up down rm ps status env logs demo add leave forget revert kill restart pause resume partition slow disk clock heal faults members ring explain events health hints repair watch top put get delete keys 'kv import' 'kv export' incr decr sadd srem smembers 'bucket create' 'bucket list' 'bucket show' 'bucket empty' publish subscribe subscriptions 'queue create' 'queue alter' 'queue list' 'queue show' 'queue delete' 'queue bind' 'queue unbind' 'queue purge' 'queue redrive' send receive ack nack extend services describe request drain undrain 'services weight' serve unserve 'load kv' 'load publish' 'load queue' 'load request' 'recipe run' 'recipe check' 'recipe list' 'recipe show' present learn completions complete shell help
            echo $argv[1]
    end
end

function __dsectl_words
    switch "$argv[1]"
        case ''
            printf '%s\t%s\n' up 'Start a cluster and wait until it is ready'
            printf '%s\t%s\n' down 'Stop all nodes; the data stays'
            printf '%s\t%s\n' rm 'Stop a cluster and delete its data'
            printf '%s\t%s\n' ps 'List the clusters of this machine'
            printf '%s\t%s\n' status 'Show the verdict and each node’s state'
            printf '%s\t%s\n' env 'Print addresses, and what programs read, for a shell'
            printf '%s\t%s\n' logs 'Print the logs of nodes and workers'
            printf '%s\t%s\n' demo 'See a cluster survive a crash under load, in 10 s'
            printf '%s\t%s\n' add 'Add nodes, and move their share of the data to them'
            printf '%s\t%s\n' leave 'Take nodes out, after their data has moved'
            printf '%s\t%s\n' forget 'Take out nodes that are gone for good'
            printf '%s\t%s\n' revert 'Take back a change of members that is under way'
            printf '%s\t%s\n' kill 'Kill nodes, or workers, with SIGKILL'
            printf '%s\t%s\n' restart 'Start or restart nodes, and wait until they are ready'
            printf '%s\t%s\n' pause 'Freeze nodes, or workers, with SIGSTOP'
            printf '%s\t%s\n' resume 'Resume paused nodes or workers'
            printf '%s\t%s\n' partition 'Cut all links between groups of nodes'
            printf '%s\t%s\n' slow 'Add latency or loss to a link'
            printf '%s\t%s\n' disk 'Let a node’s disk be slow, full, damaged or lost'
            printf '%s\t%s\n' clock 'Let a node’s wall clock be wrong'
            printf '%s\t%s\n' heal 'End faults of links, disks and clocks'
            printf '%s\t%s\n' faults 'List faults, and how much each affected'
            printf '%s\t%s\n' members 'Show which nodes are alive, as one node or all see it'
            printf '%s\t%s\n' ring 'Draw which nodes own which partitions'
            printf '%s\t%s\n' explain 'Show who owns a key or message, and what each holds'
            printf '%s\t%s\n' events 'Show what nodes decided, and why'
            printf '%s\t%s\n' health 'Check that every node is healthy; exit 1 if not'
            printf '%s\t%s\n' hints 'Count the hints that wait for absent owners'
            printf '%s\t%s\n' repair 'Compare all replicas, and make equal what differs'
            printf '%s\t%s\n' watch 'Watch the cluster live'
            printf '%s\t%s\n' top 'Watch services live'
            printf '%s\t%s\n' put 'Write a value'
            printf '%s\t%s\n' get 'Read a value'
            printf '%s\t%s\n' delete 'Delete a key'
            printf '%s\t%s\n' keys 'List live keys'
            printf '%s\t%s\n' kv 'import, export'
            printf '%s\t%s\n' incr 'Add to a counter'
            printf '%s\t%s\n' decr 'Subtract from a counter'
            printf '%s\t%s\n' sadd 'Add items to a set'
            printf '%s\t%s\n' srem 'Remove items from a set'
            printf '%s\t%s\n' smembers 'List the items of a set'
            printf '%s\t%s\n' bucket 'create, list, show, empty'
            printf '%s\t%s\n' publish 'Publish a message to the subscribers of its subject'
            printf '%s\t%s\n' subscribe 'Print messages as they arrive'
            printf '%s\t%s\n' subscriptions 'List subscriptions, and what each got and missed'
            printf '%s\t%s\n' queue 'create, alter, list, show, delete, bind, unbind, purge, redrive'
            printf '%s\t%s\n' send 'Send a message to a queue'
            printf '%s\t%s\n' receive 'Receive messages of a queue, under a lease'
            printf '%s\t%s\n' ack 'Acknowledge messages: their work is done'
            printf '%s\t%s\n' nack 'Give messages back, to be delivered again'
            printf '%s\t%s\n' extend 'Extend the leases of messages'
            printf '%s\t%s\n' services 'List services and their endpoints'
            printf '%s\t%s\n' describe 'Show a service’s operations'
            printf '%s\t%s\n' request 'Call a service'
            printf '%s\t%s\n' drain 'Finish the requests in flight at nodes; send no new ones'
            printf '%s\t%s\n' undrain 'Let drained nodes take requests again'
            printf '%s\t%s\n' serve 'Host a service in workers beside nodes'
            printf '%s\t%s\n' unserve 'Drain and end workers of a service'
            printf '%s\t%s\n' load 'kv, publish, queue, request'
            printf '%s\t%s\n' recipe 'run, check, list, show'
            printf '%s\t%s\n' present 'Go through a recipe as a lesson, block by block'
            printf '%s\t%s\n' learn 'List the lessons by principle'
            printf '%s\t%s\n' completions 'Print a shell’s completion file'
            printf '%s\t%s\n' complete 'List names in the cluster, as Tab does'
            printf '%s\t%s\n' shell 'Type commands and steps at a prompt'
            printf '%s\t%s\n' help 'Show this list, a command, or a topic'
        case kv
            printf '%s\t%s\n' import 'Write keys from a file of JSON lines'
            printf '%s\t%s\n' export 'Write keys to a file of JSON lines'
        case bucket
            printf '%s\t%s\n' create 'Create a bucket: keys with rules of their own'
            printf '%s\t%s\n' list 'List the buckets'
            printf '%s\t%s\n' show 'Show the rules of a bucket'
            printf '%s\t%s\n' empty 'Delete all keys of an lww bucket at once'
        case queue
            printf '%s\t%s\n' create 'Create a queue'
            printf '%s\t%s\n' alter 'Change options of a queue'
            printf '%s\t%s\n' list 'List the queues, with what is in them'
            printf '%s\t%s\n' show 'Show a queue and its shards'
            printf '%s\t%s\n' delete 'Delete a queue with all that is in it'
            printf '%s\t%s\n' bind 'Send to a queue what is published to matching subjects'
            printf '%s\t%s\n' unbind 'Send a queue no longer what is published'
            printf '%s\t%s\n' purge 'Delete all messages of a queue'
            printf '%s\t%s\n' redrive 'Move dead letters back to a queue'
        case services
            printf '%s\t%s\n' weight 'Share the calls of a service by its versions'
        case load
            printf '%s\t%s\n' kv 'Read and write keys at a rate, and account for each write'
            printf '%s\t%s\n' publish 'Publish at a rate, and count what arrives'
            printf '%s\t%s\n' queue 'Send to a queue at a rate, and account for each message'
            printf '%s\t%s\n' request 'Call services at a rate'
        case recipe
            printf '%s\t%s\n' run 'Run recipes as tests, each on a cluster of its own'
            printf '%s\t%s\n' check 'Check recipes without running them'
            printf '%s\t%s\n' list 'List the recipes that come with dsectl'
            printf '%s\t%s\n' show 'Print a recipe'
    end
end

function __dsectl_options
    switch "$argv[1]"
        case up
            printf '%s\t%s\n' -n 'Number of nodes (default: 5)'
            printf '%s\t%s\n' --nodes 'Number of nodes (default: 5)'
            printf '%s\t%s\n' --zones 'Number of zones (default: 1)'
            printf '%s\t%s\n' --replication 'Quorums (default: 3/2/2)'
            printf '%s\t%s\n' --profile 'Timing of failure detection (default: local)'
            printf '%s\t%s\n' --durability 'When writes reach the disk (default: interval)'
            printf '%s\t%s\n' --store 'Where the nodes keep their rows (default: memory)'
            printf '%s\t%s\n' --gateway 'Protocols that other programs use, at each node; PORT is that of n1 (default: none)'
            printf '%s\t%s\n' --base-port 'Port of n1; the others follow (default: any that are free)'
            printf '%s\t%s\n' --ttl 'Time to live of the nodes (default: no end)'
            printf '%s\t%s\n' --wait 'Time to wait until it is ready (default: 30s)'
        case rm
            printf '%s\t%s\n' -y 'Delete without confirmation'
            printf '%s\t%s\n' --yes 'Delete without confirmation'
        case logs
            printf '%s\t%s\n' --all 'Print those of all, in the order of time'
            printf '%s\t%s\n' -f 'Go on until Ctrl-C'
            printf '%s\t%s\n' --follow 'Go on until Ctrl-C'
            printf '%s\t%s\n' --tail 'Number of last lines (default: all)'
        case demo
            printf '%s\t%s\n' -n 'Number of nodes, 4 to 20 (default: 5)'
            printf '%s\t%s\n' --nodes 'Number of nodes, 4 to 20 (default: 5)'
            printf '%s\t%s\n' --keep 'Leave the cluster running at the end'
        case add
            printf '%s\t%s\n' -n 'Number of nodes to add (default: 1)'
            printf '%s\t%s\n' --nodes 'Number of nodes to add (default: 1)'
            printf '%s\t%s\n' --zone 'Zone of the new nodes (default: the one with the fewest)'
            printf '%s\t%s\n' --wait 'Time to wait until the data has moved (default: 2m)'
        case leave
            printf '%s\t%s\n' --wait 'Time to wait until the data has moved (default: 2m)'
        case forget
            printf '%s\t%s\n' --accept-loss 'Go on where too few other owners are left to have everything'
            printf '%s\t%s\n' --force 'Go on without a majority of the members'
            printf '%s\t%s\n' -y 'With --force: go on without confirmation'
            printf '%s\t%s\n' --yes 'With --force: go on without confirmation'
            printf '%s\t%s\n' --wait 'Time to wait until the data has moved (default: 2m)'
        case revert
            printf '%s\t%s\n' --wait 'Time to wait until the data has moved (default: 2m)'
        case kill
            printf '%s\t%s\n' --zone 'Zone whose running nodes to kill'
            printf '%s\t%s\n' --random 'Kill one of the running nodes'
        case restart
            printf '%s\t%s\n' --all 'Start all nodes that do not run'
            printf '%s\t%s\n' --replace 'Start with an empty store, completed from the peers; old data is set aside'
            printf '%s\t%s\n' --wait 'Time to wait until they are ready (default: 30s)'
        case partition
            printf '%s\t%s\n' --one-way 'Drop only what the first group sends'
        case slow
            printf '%s\t%s\n' --both 'Slow the other direction, too'
            printf '%s\t%s\n' --delay 'Latency to add'
            printf '%s\t%s\n' --jitter 'Random part of the latency, ± D, uniform'
            printf '%s\t%s\n' --loss 'Share of packets lost; TCP retransmits'
            printf '%s\t%s\n' --duplicate 'Share of datagrams sent twice'
            printf '%s\t%s\n' --reorder 'Share of datagrams out of order'
            printf '%s\t%s\n' --rate 'Bandwidth, in bytes a second'
        case disk
            printf '%s\t%s\n' --slow 'Time to add to each append and sync of its log'
            printf '%s\t%s\n' --full 'Refuse what it writes, as without room'
            printf '%s\t%s\n' --flip-byte 'Change one byte of its log or tables; it notices when it next reads it'
            printf '%s\t%s\n' --wipe 'Kill it, DELETE its data, and start it empty; peers complete it'
        case clock
            printf '%s\t%s\n' --skew 'Time that it is ahead; -5m is behind'
        case faults
            printf '%s\t%s\n' --active 'List only those that have not ended'
        case members
            printf '%s\t%s\n' --matrix 'Show the view of every node'
        case ring
            printf '%s\t%s\n' --node 'Node whose partitions to show'
            printf '%s\t%s\n' --partition 'Partition to show (default: all)'
            printf '%s\t%s\n' --changes 'Show what the last changes of members moved'
        case explain
            printf '%s\t%s\n' --key 'Read the argument as a key (the default)'
            printf '%s\t%s\n' --message 'Read it as the id of a message of a queue'
        case events
            printf '%s\t%s\n' -f 'Go on until Ctrl-C'
            printf '%s\t%s\n' --follow 'Go on until Ctrl-C'
            printf '%s\t%s\n' --since 'Time, event or age to begin at (default: the oldest)'
            printf '%s\t%s\n' --kind 'Beginning of the kinds, as in member'
            printf '%s\t%s\n' --key 'Key that they concern'
            printf '%s\t%s\n' --node 'Node that decided, or that they concern'
            printf '%s\t%s\n' --limit 'Number of events at most (default: 1000)'
        case repair
            printf '%s\t%s\n' --status 'Show the progress only'
            printf '%s\t%s\n' --accept-loss 'Stop waiting for owners that cannot be reached'
            printf '%s\t%s\n' --wait 'Time to wait for equality (default: 30s)'
        case watch
            printf '%s\t%s\n' --every 'Time between two snapshots (default: 500ms)'
            printf '%s\t%s\n' --count 'Number of snapshots to end after (default: no end)'
        case top
            printf '%s\t%s\n' --every 'Time between two snapshots (default: 1s)'
            printf '%s\t%s\n' --count 'Number of snapshots to end after (default: no end)'
        case put
            printf '%s\t%s\n' --w 'Copies to wait for (default: the cluster’s W)'
            printf '%s\t%s\n' --strict 'Count owners only, no fallbacks'
            printf '%s\t%s\n' --ctx 'Context to replace (default: what the key holds now)'
            printf '%s\t%s\n' --blind 'Replace nothing: add a sibling to what is there'
            printf '%s\t%s\n' --literal 'Store - and @FILE as they are'
        case get
            printf '%s\t%s\n' --r 'Owners to ask (default: the cluster’s R)'
            printf '%s\t%s\n' --only 'Node to read from, asking no other'
            printf '%s\t%s\n' --strict 'Ask N-W+1 voting owners or more: see all ok writes'
        case delete
            printf '%s\t%s\n' --w 'Copies to wait for (default: the cluster’s W)'
            printf '%s\t%s\n' --strict 'Count owners only, no fallbacks'
            printf '%s\t%s\n' --ctx 'Context to delete (default: what the key holds now)'
            printf '%s\t%s\n' --blind 'Delete nothing that is there: add a tombstone'
        case keys
            printf '%s\t%s\n' --limit 'Number of keys at most (default: 1000)'
            printf '%s\t%s\n' --after 'Key after which to begin'
        case 'kv import'
            printf '%s\t%s\n' --prefix 'Beginning of the keys (default: all)'
        case 'kv export'
            printf '%s\t%s\n' --prefix 'Beginning of the keys (default: all)'
            printf '%s\t%s\n' --resume 'Go on where an interrupted export to the same file ended'
        case incr
            printf '%s\t%s\n' --w 'Copies to wait for (default: the cluster’s W)'
            printf '%s\t%s\n' --strict 'Count owners only, and read them first'
        case decr
            printf '%s\t%s\n' --w 'Copies to wait for (default: the cluster’s W)'
            printf '%s\t%s\n' --strict 'Count owners only, and read them first'
        case sadd
            printf '%s\t%s\n' --w 'Copies to wait for (default: the cluster’s W)'
            printf '%s\t%s\n' --strict 'Count owners only, and read them first'
        case srem
            printf '%s\t%s\n' --w 'Copies to wait for (default: the cluster’s W)'
            printf '%s\t%s\n' --strict 'Count owners only, and read them first'
            printf '%s\t%s\n' --ctx 'Context to remove (default: what the set holds now)'
        case smembers
            printf '%s\t%s\n' --r 'Owners to ask (default: the cluster’s R)'
            printf '%s\t%s\n' --only 'Node to read from, asking no other'
            printf '%s\t%s\n' --strict 'Ask N-W+1 voting owners or more: see all ok writes'
        case 'bucket create'
            printf '%s\t%s\n' --resolver 'What becomes of concurrent writes (default: all stay, as siblings)'
            printf '%s\t%s\n' --r 'Owners to ask (default: the cluster’s R)'
            printf '%s\t%s\n' --w 'Copies to wait for (default: the cluster’s W)'
            printf '%s\t%s\n' --ttl 'Time to live of each value, with lww (default: no end)'
        case publish
            printf '%s\t%s\n' --literal 'Send - and @FILE as they are'
            printf '%s\t%s\n' --header 'Header of the message; may be repeated'
            printf '%s\t%s\n' --id 'Id of the message; repeated with it, it is kept once by each queue'
            printf '%s\t%s\n' --request 'Wait for one answer, and print it'
        case subscribe
            printf '%s\t%s\n' --group 'Group, of which one member gets each message (default: none)'
            printf '%s\t%s\n' --count 'Number of messages to end after (default: no end)'
            printf '%s\t%s\n' --wait 'Time to end after (default: no end)'
        case 'queue create'
            printf '%s\t%s\n' --shards 'Shards, each on N owners of its own (default: 8)'
            printf '%s\t%s\n' --visibility 'Time that a lease lasts (default: 30s)'
            printf '%s\t%s\n' --max-receives 'Deliveries before a message is a dead letter (default: no end)'
            printf '%s\t%s\n' --dead-letter 'Queue for dead letters'
            printf '%s\t%s\n' --retention 'Time after which a message expires (default: 4d)'
            printf '%s\t%s\n' --delay 'Time before a message is visible (default: none)'
            printf '%s\t%s\n' --max-depth 'Messages that it holds at most (default: as many as fit)'
        case 'queue alter'
            printf '%s\t%s\n' --visibility 'Time that a lease lasts'
            printf '%s\t%s\n' --max-receives 'Deliveries before a message is a dead letter; 0: no end'
            printf '%s\t%s\n' --dead-letter 'Queue for dead letters; an empty name: none'
            printf '%s\t%s\n' --retention 'Time after which a message expires; of those sent from then on'
            printf '%s\t%s\n' --delay 'Time before a message is visible; of those sent from then on'
            printf '%s\t%s\n' --max-depth 'Messages that it holds at most; 0: as many as fit'
        case 'queue redrive'
            printf '%s\t%s\n' --to 'Queue to move them to (default: where each came from)'
            printf '%s\t%s\n' --limit 'Messages to move at most (default: all)'
        case send
            printf '%s\t%s\n' --delay 'Time before it is visible (default: the queue’s)'
            printf '%s\t%s\n' --dedup-id 'Deduplication id: of those sent with it in 5 minutes one is kept'
            printf '%s\t%s\n' --literal 'Send - and @FILE as they are'
        case receive
            printf '%s\t%s\n' --max 'Messages at a time (default: 1)'
            printf '%s\t%s\n' --wait 'Time to wait for one (default: none)'
            printf '%s\t%s\n' --visibility 'Time that the lease lasts (default: the queue’s)'
            printf '%s\t%s\n' --ack 'Acknowledge what is printed'
            printf '%s\t%s\n' --until-empty 'Go on until the queue is empty'
        case nack
            printf '%s\t%s\n' --delay 'Time before they are delivered (default: none)'
        case services
            printf '%s\t%s\n' --matrix 'Show the view of every node'
        case describe
            printf '%s\t%s\n' --diff 'Version whose callers are to go on working; show what breaks'
            printf '%s\t%s\n' --openapi 'Print an OpenAPI 3.1 document'
        case request
            printf '%s\t%s\n' --key 'Calls with the same key go to the same endpoint (default: none)'
            printf '%s\t%s\n' --only 'Node, or worker as n2/1, to call, and no other'
            printf '%s\t%s\n' --hedge 'Call a second endpoint when a readonly operation takes long'
            printf '%s\t%s\n' --version 'Version of the service to call (default: any)'
            printf '%s\t%s\n' --deadline 'Time to give up after (default: that of --timeout)'
        case drain
            printf '%s\t%s\n' --wait 'Time to wait for requests in flight (default: 5s)'
        case 'services weight'
            printf '%s\t%s\n' --even 'Remove the weights: all endpoints get equal shares'
        case serve
            printf '%s\t%s\n' --on 'Nodes to host it beside (default: the least used)'
            printf '%s\t%s\n' --all 'Host it beside every node that runs'
            printf '%s\t%s\n' --copies 'Number of workers at each node (default: 1)'
            printf '%s\t%s\n' --reload 'Drain and start anew when a Python file below this folder changes'
            printf '%s\t%s\n' --wait 'Time to wait until they are registered (default: 30s)'
        case unserve
            printf '%s\t%s\n' --wait 'Time for the requests in flight (default, and at most: 10s)'
        case 'load kv'
            printf '%s\t%s\n' --rate 'Operations per second, whatever is answered (default: 100)'
            printf '%s\t%s\n' --for 'Duration of the load (default: 10s)'
            printf '%s\t%s\n' --clients 'Clients at once; without --rate, each sends when it is answered'
            printf '%s\t%s\n' --mix 'Shares as in read=50,write=50, or YCSB’s A to F (default: A)'
            printf '%s\t%s\n' --keys 'Number and distribution: 1000, zipfian, uniform:5000, latest:1000'
            printf '%s\t%s\n' --size 'Payload size, or a range: 64B..4KiB (default: 100B)'
            printf '%s\t%s\n' --require 'Limit that must hold, as in ’p99<250ms’ or ’failed<1%’; the load fails if it does not'
            printf '%s\t%s\n' --intervals 'File for a line of JSON per second; - is stdout'
            printf '%s\t%s\n' --processes 'Generator processes, when one is too slow (default: 1)'
            printf '%s\t%s\n' --settle 'Time that reading back waits for repair (default: 10s)'
            printf '%s\t%s\n' --seed 'Seed for the choice of keys and operations'
        case 'load publish'
            printf '%s\t%s\n' --rate 'Operations per second, whatever is answered (default: 100)'
            printf '%s\t%s\n' --for 'Duration of the load (default: 10s)'
            printf '%s\t%s\n' --clients 'Clients at once; without --rate, each sends when it is answered'
            printf '%s\t%s\n' --subscribers 'Subscribers per generator (default: 1)'
            printf '%s\t%s\n' --size 'Payload size, or a range: 64B..4KiB (default: 100B)'
            printf '%s\t%s\n' --require 'Limit that must hold, as in ’p99<250ms’ or ’failed<1%’; the load fails if it does not'
            printf '%s\t%s\n' --intervals 'File for a line of JSON per second; - is stdout'
            printf '%s\t%s\n' --processes 'Generator processes, when one is too slow (default: 1)'
            printf '%s\t%s\n' --settle 'Time that reading back waits for repair (default: 10s)'
        case 'load queue'
            printf '%s\t%s\n' --rate 'Operations per second, whatever is answered (default: 100)'
            printf '%s\t%s\n' --for 'Duration of the load (default: 10s)'
            printf '%s\t%s\n' --clients 'Clients at once; without --rate, each sends when it is answered'
            printf '%s\t%s\n' --consumers 'Consumers per generator (default: 1)'
            printf '%s\t%s\n' --size 'Payload size, or a range: 64B..4KiB (default: 100B)'
            printf '%s\t%s\n' --require 'Limit that must hold, as in ’p99<250ms’ or ’failed<1%’; the load fails if it does not'
            printf '%s\t%s\n' --intervals 'File for a line of JSON per second; - is stdout'
            printf '%s\t%s\n' --processes 'Generator processes, when one is too slow (default: 1)'
            printf '%s\t%s\n' --settle 'Time that draining may take (default: 20s)'
        case 'load request'
            printf '%s\t%s\n' --rate 'Operations per second, whatever is answered (default: 100)'
            printf '%s\t%s\n' --for 'Duration of the load (default: 10s)'
            printf '%s\t%s\n' --clients 'Clients at once; without --rate, each sends when it is answered'
            printf '%s\t%s\n' --mix 'More operations with shares, as in echo.echo=80,flaky.work=20'
            printf '%s\t%s\n' --deadline 'Time that each attempt has (default: that of --timeout)'
            printf '%s\t%s\n' --retries 'Retries of its own for whatever was no answer (default: 0)'
            printf '%s\t%s\n' --backoff 'Longest pause before the first of them, doubled for each next (default: none)'
            printf '%s\t%s\n' --keys 'Keys for affinity, as in 1000, zipfian, uniform:5000 (default: none)'
            printf '%s\t%s\n' --low 'Share of the calls with low priority, counted by themselves (default: none)'
            printf '%s\t%s\n' --hedge 'Ask for a hedge with each call'
            printf '%s\t%s\n' --size 'Payload size, or a range: 64B..4KiB (default: 100B)'
            printf '%s\t%s\n' --require 'Limit that must hold, as in ’p99<250ms’ or ’failed<1%’; the load fails if it does not'
            printf '%s\t%s\n' --intervals 'File for a line of JSON per second; - is stdout'
            printf '%s\t%s\n' --processes 'Generator processes, when one is too slow (default: 1)'
            printf '%s\t%s\n' --seed 'Seed for the choice of keys and operations'
        case 'recipe run'
            printf '%s\t%s\n' --all 'Take all recipes that come with dsectl'
            printf '%s\t%s\n' --junit 'File for a JUnit report'
            printf '%s\t%s\n' --tap 'Print the result as TAP'
            printf '%s\t%s\n' --repeat 'Number of runs of each; gives the pass rate (default: 1)'
            printf '%s\t%s\n' --side-by-side 'Number of runs at a time (default: 1)'
            printf '%s\t%s\n' --keep 'Leave the clusters and their logs at the end'
            printf '%s\t%s\n' --strict 'Refuse a recipe with warnings, too'
            printf '%s\t%s\n' --red 'Make the replacement that red names; passed if it turns red'
        case 'recipe check'
            printf '%s\t%s\n' --all 'Take all recipes that come with dsectl'
            printf '%s\t%s\n' --strict 'Refuse a recipe with warnings, too'
        case shell
            printf '%s\t%s\n' -c 'Line to carry out instead of a prompt'
            printf '%s\t%s\n' --vi 'Keys to edit the line with (default: DSECTL_EDIT_MODE, or emacs)'
            printf '%s\t%s\n' --emacs 'Keys to edit the line with (default: DSECTL_EDIT_MODE, or emacs)'
    end
    printf '%s\t%s\n' -C 'Cluster to use (default: DSECTL_CLUSTER, or default)'
    printf '%s\t%s\n' --cluster 'Cluster to use (default: DSECTL_CLUSTER, or default)'
    printf '%s\t%s\n' --json 'Print one JSON value; an error is its last line'
    printf '%s\t%s\n' -q 'Print no messages on stderr but errors'
    printf '%s\t%s\n' --quiet 'Print no messages on stderr but errors'
    printf '%s\t%s\n' --raw 'Print values byte by byte'
    printf '%s\t%s\n' --timeout 'Time to wait for answers (default: 5s)'
    printf '%s\t%s\n' --via 'Node to talk to (default: the first that answers)'
    printf '%s\t%s\n' --no-input 'Never ask for confirmation'
    printf '%s\t%s\n' --version 'Print the version'
    printf '%s\t%s\n' --help 'Show the arguments and options'
end
# end

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
        if test -n "$kind"
            test "$kind" = cluster; and set cluster $word
            set kind ''
        else if test -z "$closed"; and string match -q -- '--' "$word"
            set closed 1
        else if test -z "$closed"; and string match -q -- '--*=*' "$word"
            set kind (__dsectl_option "$command" (string replace -r -- '=.*' '' $word))
            test "$kind" = cluster; and set cluster (string replace -r -- '^[^=]*=' '' $word)
            set kind ''
        else if test -z "$closed"; and string match -q -- '-?*' "$word"
            set kind (__dsectl_option "$command" $word)
        else if test -n "$command"
            set at (math $at + 1)
        else
            set command (__dsectl_command (string trim -- "$first $word"))
            if test -z "$command" -a -n "$first"
                set lost 1
            else if test -z "$command"
                set first $word
                test -z (__dsectl_words $first | string collect); and set lost 1
            end
        end
    end
    if test -n "$kind"
        __dsectl_offer "$kind" $cluster '' $current $program
    else if test -n "$lost"
        return
    else if test -z "$closed"; and string match -q -- '--*=*' "$current"
        set -l option (string replace -r -- '=.*' '' $current)
        set -l typed (string replace -r -- '^[^=]*=' '' $current)
        __dsectl_offer (__dsectl_option "$command" $option) $cluster "$option=" "$typed" $program
    else if test -z "$closed"; and string match -q -- '-*' "$current"
        __dsectl_options "$command"
    else if test -n "$command"
        set kind (__dsectl_argument "$command" $at | string collect)
        __dsectl_offer "$kind" $cluster '' $current $program
    else
        __dsectl_words "$first"
    end
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
        case process
            begin
                __dsectl_folders $folder/$argv[2]/nodes
                __dsectl_workers $folder/$argv[2]/nodes
            end | string replace -r '^' -- "$lead"
        case end
            begin
                __dsectl_folders $folder/$argv[2]/nodes
                echo all
            end | string replace -r '^' -- "$lead"
        case nodes group
            set -l begun (string match -r -- '^.*,' $typed)
            begin
                __dsectl_folders $folder/$argv[2]/nodes
                test $kind[1] = group; and echo rest
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
        case key bucket queue subject service operation
            # Names in the cluster, which says nothing when no node answers soon.
            command -q $argv[5]; or return
            command $argv[5] complete $kind[1] "$typed" -C $argv[2] 2>/dev/null | string replace -r '^' -- "$lead"
        case served
            __dsectl_offer service $argv[2..-1]
            __dsectl_workers $folder/$argv[2]/nodes | string replace -r '^' -- "$lead"
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

# Those that `serve` has started, as n2/1.
function __dsectl_workers
    for path in $argv[1]/*/workers/*/
        string replace -rf '.*/([^/]+)/workers/(\d+)/$' '$1/$2' -- $path
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
