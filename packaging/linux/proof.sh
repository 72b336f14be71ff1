# shellcheck shell=bash
# The proof at the end of packaging/quickstart, sourced by it: Docker through Slipway with a bind mount
# and a published port, each line shown with what was seen. Nothing comes from a registry.

proof_image=hello-slipway
proof_container=demo

# proof_line WHAT SEEN: one thing that was shown.
proof_line() { printf '   %-36s %-50s ok\n' "$1" "$2"; }

proof_failed() {
    printf '   %-36s %-50s FAILED\n' "$1" ""
    printf '%s\n' "$2" | tee -a "$steps_log" | sed 's/^/      /' >&2
    echo "See also: $bin/slipway status, $bin/slipway logs" >&2
    exit 1
}

# docker_at HOME ARGUMENT...: the unpacked command line on the endpoint of that Slipway, with a
# configuration of its own, so that nothing in the user's can change what is shown.
docker_at() {
    local home=$1
    shift
    DOCKER_CONFIG=$build/quickstart-docker "$build/cli/libexec/docker" --host "unix://$home/docker.sock" "$@"
}

# An image of busybox and inotifywait, with the libraries these are linked to.
make_image() {
    local home=$1 root=$build/hello-slipway program file
    rm -rf "$root"
    mkdir -p "$root/bin"
    for program in "$(command -v busybox)" "$(command -v inotifywait)"; do
        for file in "$program" $(ldd "$program" 2>/dev/null | grep -oE '/[^ ]+'); do
            install -D "$file" "$root$file"
        done
    done
    "$root$(command -v busybox)" --list | grep -vx busybox | while read -r program; do
        [ -e "$root/bin/$program" ] || ln -s "$(command -v busybox)" "$root/bin/$program"
    done
    tar --create --directory="$root" --owner=0 --group=0 --numeric-owner . |
        docker_at "$home" import --change 'CMD ["/bin/httpd", "-f", "-p", "80", "-h", "/site"]' \
            --change 'STOPSIGNAL KILL' - "$proof_image" >/dev/null  # As process 1 httpd ignores TERM.
    rm -rf "$root"
}

free_port() {
    local port
    while port=$((RANDOM % 20000 + 40000)) && [ -n "$(ss -HtlnA tcp "sport = :$port")" ]; do :; done
    echo "$port"
}

fetch() { curl --silent --show-error --fail --noproxy '*' --max-time 5 "http://localhost:$1/"; }

# fetch_until PORT TEXT: the milliseconds until the text came, or what came instead.
fetch_until() {
    local began seen
    began=$(now_ms)
    until seen=$(fetch "$1" 2>&1) && [ "$seen" = "$2" ]; do
        [ $(($(now_ms) - began)) -lt 10000 ] || { echo "$seen" && return 1; }
        sleep 0.01
    done
    echo $(($(now_ms) - began))
}

write_page() {
    printf '%s\n' "$1" >"$demo/index.html"
    give "$demo" "$demo/index.html"
}

# run_demo HOME PORT: the container, in place of that of an earlier run.
run_demo() {
    docker_at "$1" rm --force "$proof_container" >/dev/null 2>&1 || true
    docker_at "$1" run --detach --name "$proof_container" --volume "$demo:/site" \
        --publish "127.0.0.1:$2:80" "$proof_image" 2>&1
}

prove() {
    local home=$1 port page seen
    port=$(free_port)
    mkdir -p "$demo"
    page="Hello from $(hostname) at $(date +%T)"
    write_page "$page"

    echo "   docker run -v ./build/demo:/site -p 127.0.0.1:$port:80 $proof_image"
    seen=$(run_demo "$home" "$port") || proof_failed "docker run" "$seen"
    seen=$(fetch_until "$port" "$page") || proof_failed "GET http://localhost:$port/" "$seen"
    proof_line "GET http://localhost:$port/" "200, text from ./build/demo/index.html"

    page="Edited on the host at $(date +%T.%N)"
    write_page "$page"
    seen=$(fetch_until "$port" "$page") || proof_failed "edited on the host: next GET" "$seen"
    proof_line "edited on the host: next GET" "new text after $seen ms"

    prove_write "$home"
    prove_relay "$port"

    prove_refusal "$home" "$port"
}

prove_refusal() {
    local home=$1 port=$2 seen holder
    seen=$(docker_at "$home" run --rm --publish "127.0.0.1:$port:80" "$proof_image" true 2>&1) &&
        proof_failed "second container on port $port" "was not refused"
    holder=$(grep -oE 'held by [^.]*' <<<"$seen") || proof_failed "second container on port $port" "$seen"
    proof_line "second container on port $port" "refused: $holder"
}

prove_write() {
    local text seen
    text="written in the container at $(date +%T.%N)"
    rm -f "$demo/from-container"
    seen=$(docker_at "$1" exec "$proof_container" sh -c "echo $text >/site/from-container" 2>&1) ||
        proof_failed "written in the container" "$seen"
    seen=$(cat "$demo/from-container" 2>&1)
    [ "$seen" = "$text" ] || proof_failed "written in the container" "$seen"
    proof_line "written in the container" "is on the host, owner $(stat --format %U "$demo/from-container")"
}

# The same folder once more through the file relay, in a second Slipway that lives for this alone.
prove_relay() {
    local home=$root$proof_home_name port page seen
    if [[ $fuse == no* ]]; then
        printf '   %-36s %s\n' "same through the file relay (fuse)" "not shown: ${fuse#no: }"
        return
    fi
    relay_home=$home
    mkdir -p "$home"
    # The root file system is shared if it can be: both machines only read it.
    printf '{"files": "fuse", "rootfs": "%s"}\n' "$rootfs" >"$home/settings.json"
    give "$home" "$home/settings.json"
    seen=$(SLIPWAY_HOME=$home "$bin/slipway" start 2>&1) || proof_failed "same through the file relay (fuse)" "$seen"
    make_image "$home"

    port=$(free_port)
    page="Through the relay at $(date +%T.%N)"
    write_page "$page"
    seen=$(run_demo "$home" "$port") || proof_failed "same through the file relay (fuse)" "$seen"
    seen=$(fetch_until "$port" "$page") || proof_failed "same through the file relay (fuse)" "$seen"
    seen=$(prove_inotify "$home" "$port") || proof_failed "same through the file relay (fuse)" "$seen"
    proof_line "same through the file relay (fuse)" "$seen"
    end_relay
}

# A watch in the container hears of an edit on the host, and the page is the new one.
prove_inotify() {
    local home=$1 port=$2 watch line began ms page
    exec {watch}< <(docker_at "$home" exec "$proof_container" \
        inotifywait -e modify,attrib,close_write,create,moved_to /site 2>&1)
    until [[ ${line-} == *established* ]]; do
        read -r -t 10 -u "$watch" line || { echo "inotifywait: ${line-}" && return 1; }
    done
    page="Edited under a watch at $(date +%T.%N)"
    began=$(now_ms)
    write_page "$page"
    read -r -t 10 -u "$watch" line || { echo "no inotify event within 10 s of an edit on the host" && return 1; }
    ms=$(($(now_ms) - began))
    exec {watch}<&-
    fetch_until "$port" "$page" >/dev/null || { echo "the edit was not seen" && return 1; }
    echo "inotify fired after $ms ms"
}

end_relay() {
    [ -n "${relay_home-}" ] || return 0
    SLIPWAY_HOME=$relay_home "$bin/slipway" uninstall --yes >>"$steps_log" 2>&1 || true
    rm -rf --one-file-system "$relay_home"
    relay_home=
}
