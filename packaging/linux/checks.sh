# shellcheck shell=bash
# What this host offers, sourced by packaging/quickstart. Nothing here changes anything. Each check sets
# what it found; `problem` collects what is in the way, each with its remedy, so that all are told at once.

problems=()
problem() { problems+=("$1"$'\n'"     -> $2"); }

is_root() { [ "$(id -u)" = 0 ]; }

check_system() {
    local id version
    id=$(. /etc/os-release && printf '%s' "${ID-}")
    version=$(. /etc/os-release && printf '%s' "${VERSION_ID-}")
    system_name=$(. /etc/os-release && printf '%s' "${NAME-Linux} ${VERSION_ID-}")
    system_name=${system_name/ GNU\/Linux/}
    kernel=$(uname -r | grep -oE '^[0-9]+\.[0-9]+')
    [ "$id $version" = "debian 12" ] ||
        problem "this is $system_name; the packages Slipway is built from are Debian 12's" \
            "run it on Debian 12, or in a machine or a container that is"
    local depth=$((${#root} + ${#proof_home_name} + 24))
    [ "$depth" -le 107 ] ||
        problem "the path $root is too long: sockets below it need $depth characters, a socket has 107" \
            "move the clone to a path that is $((depth - 107)) characters shorter"
}

# The namespaces a sandbox is made of. An ordinary user gets them inside a user namespace.
check_namespaces() {
    local user=()
    is_root || user=(--user --map-root-user)
    sandbox=yes
    unshare "${user[@]}" --mount --pid --fork --net --uts --ipc --cgroup true 2>/dev/null && return
    sandbox=no
    if is_root; then
        problem "the kernel or the container this runs in refuses new namespaces" \
            "in a container: start it with --privileged (gVisor can't run Slipway); else use a stock Debian kernel"
    else
        problem "this user may not make namespaces" \
            "have root run: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000   (or the quickstart)"
    fi
}

check_subordinate_ids() {
    ! is_root || return 0
    local file
    for file in /etc/subuid /etc/subgid; do
        grep -qE "^($(id -un)|$(id -u)):" "$file" 2>/dev/null && continue
        problem "$(id -un) has no range in $file, which a rootless machine needs" \
            "have root run: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
        return
    done
}

# yes, or no with its reason: the file relay needs it, `files = direct` does not. A machine of root's makes
# the node for itself where it may.
check_fuse() {
    if [ -c /dev/fuse ] && { : <>/dev/fuse; } 2>/dev/null; then
        fuse=yes
    elif is_root && grep -qw fuse /proc/filesystems && fuse_node_can_be_made; then
        fuse=yes
    elif [ -e /dev/fuse ] && ! is_root; then
        fuse="no: /dev/fuse is not for $(id -un); as root: chmod 666 /dev/fuse"
    else
        fuse="no: no /dev/fuse that may be used; modprobe fuse, or start this container with --device /dev/fuse"
    fi
}

# In a file system that is gone with the process.
fuse_node_can_be_made() {
    unshare --mount sh -c 'mount -t tmpfs none /mnt && mknod /mnt/fuse c 10 229 && : <>/mnt/fuse' 2>/dev/null
}

# Where NAT is missing, published ports still work; containers then have no way out.
check_nat() {
    if ! is_root; then
        nat="slirp4netns"
    elif command -v nft >/dev/null; then
        nat=nftables
        nft list tables >/dev/null 2>&1 || nat="no NAT: no nftables in this kernel; as root: modprobe -a nf_tables nft_chain_nat nft_masq"
    elif grep -q nf_tables /proc/modules 2>/dev/null || [ -e /proc/sys/net/netfilter ]; then
        nat=nftables
    else
        nat="known once nftables is installed"
    fi
}

check_cgroups() {
    local probe=/sys/fs/cgroup
    if [ "$(stat --file-system --format %T /sys/fs/cgroup 2>/dev/null)" = cgroup2fs ]; then
        cgroup=v2
    else
        cgroup=v1
        probe=/sys/fs/cgroup/memory
    fi
    if [ ! -e "$probe" ]; then
        problem "no cgroups are mounted at /sys/fs/cgroup" "in a container: start it with --privileged --cgroupns=private"
    elif is_root && [ ! -w "$probe" ]; then
        problem "$probe is read-only" "in a container: start it with --privileged; else: mount -o remount,rw $probe"
    fi
}

check_room() {
    local need_mb=$1 need_memory_mb=$2 free_mb
    free_mb=$(df --output=avail -m "$root" | tail -n 1 | tr -d ' ')
    free_gb=$((free_mb / 1024))
    [ "$free_mb" -ge "$need_mb" ] ||
        problem "$free_mb MB are free at $root; building and the machine need $need_mb MB" "free some, or clone elsewhere"
    memory_mb=$(awk '/^(MemAvailable|SwapFree):/ {sum += $2} END {print int(sum / 1024)}' /proc/meminfo)
    [ "$memory_mb" -ge "$need_memory_mb" ] ||
        problem "$memory_mb MB of memory are free; building needs $need_memory_mb MB" "end other programs, or add swap"
    # A compiler at work takes up to 1.5 GB here.
    jobs=$(nproc)
    [ "$((memory_mb / 1500))" -ge "$jobs" ] || jobs=$((memory_mb / 1500))
    [ "$jobs" -ge 1 ] || jobs=1
}

# The apt archive, the way apt itself would reach it, proxies included. Only where something is missing.
check_archive() {
    local uri suite probe
    read -r uri suite < <(archive_sources "$(host_suite)" 2>/dev/null | awk '{print $3, $4; exit}') || true
    if [ -z "${uri-}" ]; then
        problem "apt has no source of Debian's suite $(host_suite)" "add one to /etc/apt/sources.list.d"
        return
    fi
    probe=$(mktemp -d)
    timeout 60 /usr/lib/apt/apt-helper -o Acquire::Retries=2 -o APT::Sandbox::User=root \
        download-file "${uri%/}/dists/$suite/InRelease" "$probe/InRelease" >/dev/null 2>&1 ||
        problem "the Debian archive in apt's sources can't be reached; still to be fetched: $1" \
            "check the network, and Acquire::http::Proxy in /etc/apt/apt.conf.d"
    rm -r "$probe"
}

check_display() {
    display=no
    display_note="tray not started: no display; in a session of yours run build/release/bin/slipway-desktop"
    [ -n "${DISPLAY-}${WAYLAND_DISPLAY-}" ] || return 0
    display=yes display_note=
    if [[ ${XDG_CURRENT_DESKTOP-} == *GNOME* ]] && ! dpkg -s gnome-shell-extension-appindicator >/dev/null 2>&1; then
        display_note="GNOME shows no tray: apt-get install gnome-shell-extension-appindicator, and log in again"
    fi
}

# Engines of the user's own, which stay as they are.
check_neighbours() {
    local package version socket where
    neighbours=()
    for package in docker-ce docker.io podman moby-engine; do
        version=$(dpkg-query --show --showformat '${db:Status-Status} ${Version}' "$package" 2>/dev/null) || continue
        [ "${version%% *}" = installed ] || continue
        version=${version#* } version=${version#*:}
        where=
        [ "$package" = podman ] || for socket in /var/run/docker.sock "${XDG_RUNTIME_DIR-/nowhere}/docker.sock"; do
            [ ! -S "$socket" ] || where=" at $socket"
        done
        neighbours+=("found: $package ${version%%[-+~]*}$where; left alone")
    done
    if [ -n "${DOCKER_HOST-}" ]; then
        neighbours+=("DOCKER_HOST=$DOCKER_HOST is set and overrides contexts: unset it, or use docker --context")
    fi
}
