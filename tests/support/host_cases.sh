# shellcheck shell=bash
# What a host may lack, for tests: each function takes it away from the mount namespace or the process that
# calls it. /mnt must be a file system of its own there.

# as_root_without CAPABILITY COMMAND...: as root of a container has less than all.
as_root_without() {
    local capability=$1
    shift
    setpriv "--bounding-set=-$capability" "--inh-caps=-$capability" "$@"
}

# /dev with the usual nodes, of the further ones only those named.
with_nodes_only() {
    local node
    mkdir /mnt/dev
    mount -t tmpfs -o mode=755 host-cases /mnt/dev
    for node in null zero full random urandom tty fd stdin stdout stderr "$@"; do
        mkdir -p "$(dirname "/mnt/dev/$node")"
        [ ! -e "/dev/$node" ] || cp -a "/dev/$node" "/mnt/dev/$node"
    done
    mount --rbind /mnt/dev /dev
}

without_fuse_in_kernel() {
    with_nodes_only
    grep -v fuse /proc/filesystems >/mnt/filesystems
    mount --bind /mnt/filesystems /proc/filesystems
}

with_read_only_cgroups() {
    local point
    while read -r _ _ _ _ point _; do
        [[ $point != /sys/fs/cgroup* ]] || mount -o remount,bind,ro "$point"
    done </proc/self/mountinfo
}

# with_tool NAME SCRIPT: what is run by that name is the script.
with_tool() {
    mkdir -p /mnt/tools
    printf '#!/bin/sh\n%s\n' "$2" >"/mnt/tools/$1"
    chmod 755 "/mnt/tools/$1"
    export PATH="/mnt/tools:${PATH#/mnt/tools:}"
}

# failing_tools NAME...: as where the kernel lacks what they need.
failing_tools() {
    local name
    for name in "$@"; do
        with_tool "$name" "echo '$name: Operation not supported' >&2; exit 1"
    done
}
