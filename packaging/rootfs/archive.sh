# shellcheck shell=bash
# A private apt for one Debian suite, sourced by the scripts that unpack packages without installing
# them. Its sources are the host's own with the suite's name replaced: whatever mirror or proxy the
# host uses is used here too, and the host's lists and package state are never touched.

readonly debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The host's suite, as its apt sources spell it.
host_suite() {
    (. /etc/os-release && printf '%s\n' "$VERSION_CODENAME")
}

# archive_sources SUITE: one-line apt sources of that suite, on standard output.
archive_sources() {
    local suite=$1 host uri release component entries=
    host=$(host_suite)
    while read -r uri release component; do
        case $release in
            "$host" | "$host-updates" | "$host-security") ;;
            *) continue ;;  # Somebody else's archive, or a suite such as backports.
        esac
        [ "$component" = main ] || continue
        entries+="deb [signed-by=$debian_keyring] $uri $suite${release#"$host"} main"$'\n'
    # Its caches would be written to the host.
    done < <(apt-get -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= indextargets --no-release-info \
        --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' | sort -u)
    if [ -z "$entries" ]; then
        echo "apt has no source of Debian's suite $host: add one to /etc/apt/sources.list.d" >&2
        return 1
    fi
    printf '%s' "$entries"
}

# archive_open SUITE FOLDER: sets private_apt, the options of an apt that knows only that suite and keeps
# everything below FOLDER, and fetches the suite's lists. FOLDER is an absolute path.
archive_open() {
    local suite=$1 folder=$2
    mkdir -p "$folder"/{lists/partial,cache/archives/partial}
    archive_sources "$suite" >"$folder/sources.list"
    : >"$folder/status"
    private_apt=(
        -o "Dir::State=$folder" -o "Dir::State::lists=$folder/lists" -o "Dir::State::status=$folder/status"
        -o "Dir::Cache=$folder/cache" -o "Dir::Etc::SourceList=$folder/sources.list"
        -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root
    )
    apt-get "${private_apt[@]}" -qq update
}
