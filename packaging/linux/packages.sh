# shellcheck shell=bash
# The packages Slipway needs, sourced by packaging/quickstart and tests/run. See the file beside this one.

packages_file=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/packages

# packages_missing PURPOSE...: those not installed, one a line, on standard output.
packages_missing() {
    local purpose package file wanted=" $* " installed
    installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Provides},\n' |
        sed -n 's/^installed //p' | tr -d ',' | tr ' ' '\n' | sort -u)
    while read -r purpose package file; do
        case $purpose in '' | '#'*) continue ;; esac
        [[ $wanted == *" $purpose "* ]] || continue
        if ! grep -qxF -- "$package" <<<"$installed" || { [ -n "$file" ] && [ ! -e "$file" ]; }; then
            printf '%s\n' "$package"
        fi
    done <"$packages_file"
}

# packages_line PACKAGE...: the command that installs them, for a person to type.
packages_line() {
    printf 'apt-get update && apt-get install --no-install-recommends --no-remove %s\n' "$*"
}

# has_open PID FILE
has_open() {
    local fd
    for fd in "/proc/$1/fd/"*; do
        [ ! "$fd" -ef "$2" ] || return 0
    done
    return 1
}

# Who holds dpkg's or apt's lock, as "apt-get (pid 812)"; nothing if nobody does.
packages_lock_holder() {
    local lock inode type pid rest
    for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
        inode=$(stat -c %i "$lock" 2>/dev/null) || continue
        # In one read: by lines, the kernel would pass over one while others come and go.
        while read -r _ type _ _ pid rest; do
            # Other file systems have the same inode numbers.
            if [ "$type" = POSIX ] && [[ $rest == *":$inode "* ]] && has_open "$pid" "$lock"; then
                printf '%s (pid %s)\n' "$(cat "/proc/$pid/comm" 2>/dev/null || echo another)" "$pid"
                return
            fi
        done < <(cat /proc/locks)
    done
}

# packages_wait_for_lock SECONDS: waits until nobody holds the locks, and says whom it waits for.
packages_wait_for_lock() {
    local until=$((SECONDS + $1)) holder said=
    while holder=$(packages_lock_holder) && [ -n "$holder" ]; do
        if [ "$SECONDS" -ge "$until" ]; then
            echo "packages: $holder has held apt's lock for $1 s: let it finish, or end it, and run this again" >&2
            return 1
        fi
        [ "$holder" = "$said" ] || echo "packages: waiting for $holder, which holds apt's lock"
        said=$holder
        sleep 1
    done
}

# packages_install PACKAGE...: as root. Nothing is ever removed for it.
packages_install() {
    local lock_seconds=300
    packages_wait_for_lock "$lock_seconds"
    export DEBIAN_FRONTEND=noninteractive
    # What an interrupted run has left half configured; apt refuses to go on before.
    dpkg --configure -a </dev/null || {
        echo "packages: dpkg --configure -a failed: put right what it names, and run this again" >&2
        return 1
    }
    apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout="$lock_seconds" update </dev/null || {
        echo "packages: apt-get update failed: check the network and /etc/apt/sources.list.d" >&2
        return 1
    }
    apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout="$lock_seconds" -o Dpkg::Use-Pty=0 \
        install --no-install-recommends --no-remove "$@" </dev/null || {
        echo "packages: could not install: $*" >&2
        return 1
    }
}
