# Runs inside the container, in front of the program: `sh -c "$(cat keeper.sh)" keeper PROGRAM [ARGUMENT...]`.
#
# - Standard input is a pipe that Clio holds. Its end means that Clio is gone, however it went, and everything
#   here is ended too; only program and keeper, should this not be a process namespace of its own.
# - What the program prints goes to .terminal where it runs, for the case that it dies before it wrote a log.
# - What it cost goes to .clio-figures when it ends, and its largest resident size so far to .clio-peak,
#   so that this much is known of a program that is killed. Engines read these files and remove them.
#
# Only the shell, `cat` and `sleep` are needed. It leaves with the status of the program, 128 + n for signal n.
umask 022
exec 3<&0 4>&2 </dev/null 2>/dev/null

# The program keeps descriptor 4: whoever holds the other end sees when the last of us is gone.
"$@" >.terminal 2>&1 3<&- &
program=$!

# When a process began, in clock ticks since the machine did.
begun() {
    read -r line <"/proc/$1/stat" || return 1
    set -- ${line##*) }
    shift 19
    echo "$1"
}

# Whether all processes in sight are of this container: its first began with us. Elsewhere they are the user's.
alone() {
    first=$(begun 1) && own=$(begun $$) && [ $((own - first)) -le "$a_minute" ]
}
a_minute=6000

{
    cat >/dev/null
    if alone; then
        kill -KILL -1
    else
        kill -KILL "$program" $$
    fi
} <&3 4>&- &

{
    exec 3<&- 4>&-
    peak=0
    pause=0.02
    while sleep "$pause"; do
        while read -r key value unit; do
            if [ "$key" = VmHWM: ] && [ "$value" -gt "$peak" ]; then
                peak=$value
                echo "$peak" >.clio-peak
            fi
        done <"/proc/$program/status"
        case $pause in
            0.02) pause=0.08 ;;
            *) pause=0.25 ;;
        esac
    done
} &

exec 3<&-
wait "$program"
status=$?
{
    echo "status $status"
    times
    cat /proc/$$/io
    # Of the cgroup, version 1 or 2, where the engine shows it.
    cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events
} >.clio-figures
exit "$status"
