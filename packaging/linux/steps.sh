# shellcheck shell=bash
# How packaging/quickstart shows its steps, sourced by it: one line each with its time, what the
# commands print going to a log. On a terminal the line of a step that is under way shows how far it is.
#
#   step build "release, 2 jobs"     the step begins; the line is open
#   run COMMAND...                   what it prints goes to the log; a failure ends the quickstart
#   background NAME COMMAND...       the same, beside the steps that follow; await NAME collects it
#   step_done ["new text"]           the line is closed with the time it took

steps_total=0  # Set by the quickstart.
steps_log=     # Likewise.
lock=          # Likewise: the descriptor of its lock.
step_number=0
declare -A background_pid=() background_seconds=()

on_terminal() { [ -t 1 ] && [ "${TERM-dumb}" != dumb ]; }

# 65 -> "1 min 05 s"; below a minute with a tenth.
duration() {
    local ms=$1
    if [ "$ms" -lt 60000 ]; then
        printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
    else
        printf '%d min %02d s' $((ms / 60000)) $((ms % 60000 / 1000))
    fi
}

now_ms() {
    local now=${EPOCHREALTIME/[.,]/}
    printf '%s' $((now / 1000))
}

step() {
    step_name=$1 step_text=${2-}
    step_number=$((step_number + 1))
    step_began=$(now_ms)
    step_log_from=$(($(wc -c <"$steps_log") + 1))
    printf '\n=== %s\n' "$step_name" >>"$steps_log"
    step_show ""
}

step_show() {
    on_terminal || return 0
    local line
    line=$(printf '[%d/%d] %-9s %s %s' "$step_number" "$steps_total" "$step_name" "$step_text" "$1")
    printf '\r\e[K%s' "${line:0:$(($(tput cols 2>/dev/null || echo 80) - 1))}"
}

step_clear() { ! on_terminal || printf '\r\e[K'; }

step_done() {
    step_close "done" "${1-$step_text}"
}

# A line that goes below a step's own, aligned with its text.
step_note() {
    step_clear
    printf '%16s%s\n' '' "$1"
}

step_close() {
    step_clear
    printf '[%d/%d] %-9s %-48s %-6s %12s\n' "$step_number" "$steps_total" "$step_name" "$2" "$1" \
        "$(duration $(($(now_ms) - step_began)))"
}

# A failed step: what it printed last, where the rest is, how to go on.
step_failed() {
    local from=1
    step_close FAILED "$step_text"
    [ "$1" != "$steps_log" ] || from=$step_log_from
    tail -c "+$from" "$1" | tail -n 15 | sed 's/^/   /' >&2
    echo "All of it is in $1. Once that is put right, run packaging/quickstart again: it goes on from here." >&2
    exit 1
}

# Starts a command in a process group of its own, so that Ctrl-C can end all of it. It does not inherit
# the quickstart's lock, which would outlive it in whatever goes on running.
start_group() {
    local log=$1
    shift
    set -m
    "$@" >>"$log" 2>&1 </dev/null {lock}>&- &
    set +m
    group=$!
}

# "[57/212]", or a percentage, in the last line a command has printed.
progress_of() {
    tail -n 1 "$1" 2>/dev/null | grep -oE '\[[0-9]+/[0-9]+\]|[0-9]+ ?%' | tail -n 1
}

wait_for_group() {
    local pid=$1 log=$2 status=0
    while on_terminal && kill -0 "$pid" 2>/dev/null; do
        step_show "$(progress_of "$log")  $(duration $(($(now_ms) - step_began)))"
        sleep 0.2
    done
    wait "$pid" || status=$?
    return "$status"
}

run() {
    local log=$steps_log
    printf '$ %s\n' "$*" >>"$log"
    start_group "$log" "$@"
    wait_for_group "$group" "$log" || step_failed "$log"
    group=
}

background() {
    local name=$1 log=${steps_log%.log}-$1.log
    shift
    : >"$log"
    start_group "$log" timed "$@"
    background_pid[$name]=$group
    group=
}

# Runs a command and prints the milliseconds it took as its last line.
timed() {
    local began status=0
    began=$(now_ms)
    "$@" || status=$?
    echo "took $(($(now_ms) - began)) ms"
    return "$status"
}

# Waits for a background command; its step shows the time it took by itself.
await() {
    local name=$1 log=${steps_log%.log}-$1.log
    wait_for_group "${background_pid[$name]}" "$log" || step_failed "$log"
    unset "background_pid[$name]"
    step_began=$(($(now_ms) - $(sed -n '$s/^took \([0-9]*\) ms$/\1/p' "$log")))
    cat "$log" >>"$steps_log"
    rm "$log"
}

# Whether a process of the group still runs. Where process 1 reaps no orphans, as in a container without an
# init, what has ended stays in its group for good, and kill -0 finds it.
group_runs() { pgrep --pgroup "$1" --runstates R,S,D,T,t >/dev/null; }

# Ends what is under way, at Ctrl-C or after a failure, and waits until all of it has tidied up.
end_groups() {
    local pid until=$((SECONDS + 30))
    for pid in ${group-} "${background_pid[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || continue
        while group_runs "$pid"; do
            [ "$SECONDS" -lt "$until" ] || kill -KILL -- "-$pid" 2>/dev/null || true
            sleep 0.1
        done
    done
    background_pid=()
    group=
}
