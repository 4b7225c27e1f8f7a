#!/usr/bin/env bash
# demo.sh: the demonstration: a broker and two workers on free loopback ports, and real calls.
#
#     DROVER_BIN_DIR=build/debug/bin DROVER_MODULE_DIR=build/debug/modules demo.sh [--keep]
#
# Each step prints the command line that it runs and what comes out, and checks it: the first
# thing that is not as it should be ends the demonstration with a message and exit code 1. Nothing
# is left running, unless --keep asks for it.
set -euo pipefail

bin=$(realpath -- "${DROVER_BIN_DIR:?where the programs are}")
modules=$(realpath -- "${DROVER_MODULE_DIR:?where the modules are}")
PATH=$bin:$PATH
keep=
work=$(mktemp -d "${TMPDIR:-/tmp}/drover-demo.XXXXXX")
pids=()

case ${1-} in
'') ;;
--keep) keep=yes ;;
-h | --help)
    sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"
    exit 0
    ;;
*)
    echo "demo: unknown option '$1', only --keep is known" >&2
    exit 64
    ;;
esac

# ---- starting and stopping ---------------------------------------------------------------------

stop() {
    local status=$? pid at
    trap - EXIT
    if [[ -n $keep && $status -eq 0 ]]; then
        tell_how_to_go_on
        exit 0
    fi
    # The workers first, which were started last: a worker outlives a broker by design.
    for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
        pid=${pids[at]}
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" || true
    done
    if [[ $status -ne 0 ]]; then
        tail -n 20 "$work"/*.log >&2 || true
    fi
    rm -rf -- "$work"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tell_how_to_go_on() {
    cat <<TEXT

Left running, with logs in $work. Talk to it:

    export DROVER_BROKER=$DROVER_BROKER
    $bin/drover status

and stop it:

    kill ${pids[*]} && rm -r $work
TEXT
}

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# start NAME PROGRAM ARG...: shows and starts it; its ready line is in $ready once it serves.
start() {
    local name=$1
    shift
    show "$@"
    mkfifo "$name.ready"
    "$@" >"$name.ready" 2>"$name.log" &
    pids+=($!)
    ready=
    read -r -t 30 ready <"$name.ready" || true
    [[ $ready == ready\ * ]] || die "$name did not become ready"
    printf '%s\n' "$ready"
}

# The value of a word of the ready line.
ready_word() {
    local word
    for word in $ready; do
        [[ $word != "$1="* ]] || printf '%s\n' "${word#*=}"
    done
}

# ---- steps -------------------------------------------------------------------------------------

step() {
    printf '\n== %s\n' "$*"
}

# Prints a command line as it would be typed.
show() {
    local word line=
    for word in "$@"; do
        if [[ $word =~ ^[A-Za-z0-9_./:,=+\>-]+$ ]]; then
            line+=" $word"
        else
            line+=" '$word'"
        fi
    done
    printf '$%s\n' "$line"
}

# expect CODE OUTPUT COMMAND...: runs and shows it; its exit code and all it prints (errors
# included) must be these; OUTPUT may be a pattern.
expect() {
    local code=$1 wanted=$2 got=0
    shift 2
    show "$@"
    output=$("$@" 2>&1) || got=$?
    [[ -z $output ]] || printf '%s\n' "$output"
    [[ $got -eq $code ]] || die "exit code $got instead of $code"
    # shellcheck disable=SC2053 # a pattern on purpose
    [[ $output == $wanted ]] || die "not what was expected: $wanted"
}

# until_state ID STATE: waits for the state, asking the broker, for half a minute at most.
until_state() {
    local deadline=$((SECONDS + 30))
    until drover show "$1" | grep -x "state  *$2" >/dev/null; do
        ((SECONDS < deadline)) || die "task $1 is not $2"
    done
}

start_fleet() {
    local name
    step "a broker and two workers"
    start broker drover-broker --memory --bind 'tcp://127.0.0.1:*' \
        --bind-workers 'tcp://127.0.0.1:*'
    DROVER_BROKER=$(ready_word endpoint)
    DROVER_WORKER_BROKER=$(ready_word worker_endpoint)
    export DROVER_BROKER DROVER_WORKER_BROKER
    show export "DROVER_BROKER=$DROVER_BROKER" "DROVER_WORKER_BROKER=$DROVER_WORKER_BROKER"
    for name in one two; do
        start "$name" drover-worker --name "$name" --slots 4 --load "$modules/demo.so" \
            --allow-exec sha256sum
    done
}

calls() {
    step "the square of 5"
    expect 0 25 drover submit square 5 --wait

    step "square over 0..9, results in the order of the input"
    show seq 0 9 '>numbers'
    seq 0 9 >numbers
    expect 0 $'0\n1\n4\n9\n16\n25\n36\n49\n64\n81' drover map square numbers

    step "20 items in batches of 5"
    show seq 1 20 '>items'
    seq 1 20 >items
    expect 0 "$(for n in $(seq 1 20); do echo $((n * n)); done)" \
        drover map square --batch 5 items

    step "data written by one task, read by another"
    expect 0 '*' drover submit kv_put '{"key":"greeting","value":{"text":"hello","n":1}}' --wait
    expect 0 '{"text":"hello","n":1}' drover submit kv_get '"greeting"' --wait
    expect 0 '{"text":"hello","n":1}' drover kv get greeting
}

failures() {
    local id
    step "a task cancelled while it runs"
    expect 0 '*' drover submit sleep 60000
    id=$output
    until_state "$id" running
    expect 0 "$id cancelled" drover cancel "$id"
    expect 1 "drover: task $id cancelled: *" drover result "$id"

    step "one that fails, one that crashes, one that takes too long"
    expect 1 'drover: task * failed: handler: no such luck*' \
        drover submit fail '"no such luck"' --wait
    expect 1 'drover: task * failed: crash: *' drover submit crash --wait
    expect 1 'drover: task * failed: timeout: *' drover submit sleep 60000 --timeout 200ms --wait
}

checksums() {
    local count
    step "sha256 of every header under /usr/include, on both workers"
    show find /usr/include -type f -name '*.h' '>headers'
    find /usr/include -type f -name '*.h' >headers
    count=$(wc -l <headers)
    ((count > 0)) || die "there are no headers under /usr/include"
    show drover xargs --from headers sha256sum '>fleet.sums'
    drover xargs --from headers sha256sum >fleet.sums
    show xargs -d '\n' -a headers sha256sum '>local.sums'
    xargs -d '\n' -a headers sha256sum >local.sums
    show cmp fleet.sums local.sums
    cmp fleet.sums local.sums || die "the sums are not those of sha256sum"
    echo "$count headers, equal to what sha256sum says"
    both_have_worked
}

both_have_worked() {
    local name
    for name in one two; do
        # not grep -q: who stops reading makes the command before it fail
        drover worker show "$name" | grep -E '^tasks_done +[1-9]' >/dev/null ||
            die "worker $name has done nothing"
    done
}

statistics() {
    step "the fleet"
    expect 0 '*' drover status
    [[ $output == *"all hosts"* ]] || die "no sum over the hosts"
}

cd -- "$work"
start_fleet
calls
failures
checksums
statistics
