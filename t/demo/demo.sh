#!/bin/sh
#
# The demo; ./run demo builds first and starts it with its environment.
#
# Makes a store and artifacts in a temporary directory, starts nginx there,
# shows requests and responses, and serves until it is interrupted.

set -eu
umask 022

usage() {
    echo 'usage: ./run demo [--once] [--port N]'
}

die() {
    printf '%s\n' "demo: error: $*" >&2
    exit 1
}

misuse() {
    printf '%s\n' "demo: $*" >&2
    usage >&2
    exit 2
}


once=no
port=8080

while [ $# -gt 0 ]; do
    case $1 in
    --once)
        once=yes
        ;;
    --port)
        [ $# -gt 1 ] || misuse "--port: a number must follow"
        shift
        port=$1
        ;;
    --port=*)
        port=${1#--port=}
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        misuse "unknown argument: $1"
        ;;
    esac
    shift
done

case $port in
'' | *[!0-9]* | ??????*) misuse "--port: not a port: $port" ;;
esac

[ "$port" -le 65535 ] || misuse "--port: not a port: $port"

# 0: one that is free

# shellcheck disable=SC2016 # perl's variables
free=$(perl -MIO::Socket::INET -e '
    my $socket = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
                                       LocalAddr => "127.0.0.1",
                                       LocalPort => shift) or exit 1;
    print $socket->sockport' "$port") \
    || die "port $port of 127.0.0.1 is taken; choose another: --port N"
port=$free


demo=$EXPORTS_TOP/t/demo
dir=$(mktemp -d "${TMPDIR:-/tmp}/exports-demo.XXXXXX")
pid=

# shellcheck disable=SC2317 # called by the trap
cleanup() {
    if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then
        wait "$pid" || :
    fi
    rm -rf "$dir"
}

trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# workers of an nginx that root starts are another user, whom all must let in

chmod 755 "$dir"
group=
user=

if [ "$(id -u)" = 0 ]; then
    if id www-data >/dev/null 2>&1; then
        user=www-data
    else
        user=nobody
    fi
    group=$(id -gn $user)
fi


# The store, as an operator would make it.

ctl() {
    printf '%s\n' "\$ exportsctl $*"
    "$EXPORTSCTL" "$@"
}

ctl init "$dir/store" ${group:+--group "$group"}
ctl import "$dir/store" "$demo/manifests.ndjson"

token() {
    "$EXPORTSCTL" token create "$dir/store" --json "$@" \
        | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p'
}

project_token=$(token --project example_project)
admin_token=$(token --project example_project --admin)
user_token=$(token --user 42)

if [ -z "$project_token" ] || [ -z "$admin_token" ] || [ -z "$user_token" ]
then
    die "exportsctl made no token"
fi

perl "$demo/artifacts.pl" "$demo/manifests.ndjson" "$dir/artifacts"

# links are signed with it; nobody but nginx's master has to read it

(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/link.key")


# nginx.

cat >"$dir/nginx.conf" <<END
$TEST_NGINX_GLOBALS
${user:+user $user $group;}
worker_processes 2;
daemon off;
error_log $dir/error.log;
pid $dir/nginx.pid;

events {
}

http {
    access_log off;

    client_body_temp_path $dir/client;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;

    exports_operation_zone operations:1m;
    exports_rate_zone users:1m;
    exports_rate_zone few:1m;

    exports_store $dir/store;
    exports_root $dir/artifacts;
    exports_link_key_file $dir/link.key;

    server {
        listen 127.0.0.1:$port;

        location /projects/ {
            exports_api project;
            exports_operations operations;
        }

        location /api/v3/exports {
            exports_api user;
            exports_rate_limit users;
        }

        # one request a minute, to show what comes then

        location /limited/exports {
            exports_api user;
            exports_rate_limit few rate=1r/m;
        }
    }
}
END

printf '%s\n' "\$ nginx -c $dir/nginx.conf"
"$TEST_NGINX_BINARY" -e "$dir/error.log" -c "$dir/nginx.conf" &
pid=$!

base=http://127.0.0.1:$port
tries=0

until curl -s -o /dev/null "$base/"; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 "$pid" 2>/dev/null; then
        cat "$dir/error.log" >&2
        die "nginx did not start"
    fi
    sleep 0.1
done


# Requests.

shown=0
failed=0

# JSON with one value a line, its keys left in their order

pretty() {
    # shellcheck disable=SC2016 # perl's variables
    perl -0777 -ne '
        my $indent = 0;
        while (/\G\s*("(?:[^"\\]|\\.)*"|[{\[]\s*[}\]]|[{}\[\],:]
                      |[^\s{}\[\],:"]+)/gx) {
            my $token = $1;
            if ($token =~ /^[{\[]$/) {
                print $token, "\n", "  " x ++$indent;
            } elsif ($token =~ /^[}\]]$/) {
                print "\n", "  " x --$indent, $token;
            } elsif ($token eq ",") {
                print ",\n", "  " x $indent;
            } else {
                print $token, $token eq ":" ? " " : "";
            }
        }
        print "\n"'
}

# show STATUS TITLE CURL-ARGUMENT...: a request that must get that status

show() {
    expected=$1
    printf '\n# %s\n$ curl -si' "$2"
    shift 2
    head=no

    for arg; do
        case $arg in
        -I) head=yes ;;
        esac
        case $arg in
        *[!A-Za-z0-9/._:=-]*) printf " '%s'" "$arg" ;;
        *) printf ' %s' "$arg" ;;
        esac
    done
    echo

    : >"$dir/headers"
    : >"$dir/body"
    status=$(curl -s -D "$dir/headers" -o "$dir/body" -w '%{http_code}' "$@") \
        || :
    tr -d '\r' <"$dir/headers" | sed '/^$/d'

    if [ $head = no ] && [ -s "$dir/body" ]; then
        echo
        if grep -qi '^content-type: *application/json' "$dir/headers"; then
            pretty <"$dir/body"
        else
            echo "($(wc -c <"$dir/body") bytes)"
        fi
    fi

    shown=$((shown + 1))

    if [ "$status" != "$expected" ]; then
        failed=$((failed + 1))
        echo "*** the status is $status and should be $expected"
    fi
}

# of the last answer: what its body must have in it, a value of its JSON, a
# header

must_have() {
    if ! grep -qF "$1" "$dir/body"; then
        failed=$((failed + 1))
        echo "*** the body should have in it: $1"
    fi
}

value() {
    grep -o "\"$1\":\"[^\"]*\"" "$dir/body" | head -n 1 \
        | sed 's/^[^:]*:"//; s/"$//'
}

header() {
    tr -d '\r' <"$dir/headers" | sed -n "s/^$1: *//Ip"
}

project=$base/projects/example_project
download=$project/export/download
auth="Authorization: Bearer $project_token"
admin="Authorization: Bearer $admin_token"
key='X-Operation-Key: daily-report-export'

show 200 'the two newest exports of a project' \
    -H "$auth" "$project/exports?limit=2"
etag=$(header ETag)
show 304 'the same again: nothing has changed' \
    -H "$auth" -H "If-None-Match: $etag" "$project/exports?limit=2"
show 200 'only those whose artifact is gone' \
    -H "$auth" "$project/exports?status=not_found"
show 200 'a page further down of those that are ready' \
    -H "$auth" "$project/exports?status=ready&limit=1&offset=5"
show 200 'headers alone' \
    -I -H "$auth" "$project/exports"

show 200 'the first request of an operation: a run is generated' \
    -H "$auth" -H "$key" "$project/exports?limit=1"
must_have '"operation_grouping_status":"generated_run"'
run=$(value operation_run_id)
show 200 'the next one belongs to the same run' \
    -H "$auth" -H "$key" "$project/exports?limit=1"
must_have "\"operation_run_id\":\"$run\""
must_have '"operation_grouping_status":"continued_run"'
show 200 'a run that the client names itself' \
    -H "$auth" -H "$key" -H 'X-Operation-Run-Id: nightly-2026-06-02' \
    "$project/exports?limit=1"
must_have '"operation_grouping_status":"accepted_provided_run"'

show 200 'the file of a table export' \
    -H "$auth" "$download/exp_20260601_182345_a1b2c3d4e5"
etag=$(header ETag)
show 304 'the same again' \
    -H "$auth" -H "If-None-Match: $etag" \
    "$download/exp_20260601_182345_a1b2c3d4e5"
show 206 'its last 100 bytes' \
    -H "$auth" -r -100 "$download/exp_20260601_182345_a1b2c3d4e5"
show 200 'a file whose name is not plain ASCII, headers alone' \
    -I -H "$auth" "$download/exp_20260604_161718_Zm9v-YmFy_x"
show 403 'a database export takes more than a plain token' \
    -H "$auth" "$download/exp_20260605_120501_99aa88bb77"
show 200 'an admin token' \
    -H "$admin" "$download/exp_20260605_120501_99aa88bb77"
show 404 'an export whose file is gone' \
    -H "$auth" "$download/exp_20260420_090000_c0ffee0001"

show 400 'a status that there is not' \
    -H "$auth" "$project/exports?status=lost"
show 400 'a limit that is too large' \
    -H "$auth" "$project/exports?limit=501"
show 401 'no token' \
    "$project/exports"
show 401 'a token of this project for another' \
    -H "$auth" "$base/projects/other_project/exports"
show 404 'no such route' \
    -H "$auth" "$project/imports"
show 405 'a method that is not GET or HEAD' \
    -X DELETE -H "$auth" "$project/exports"

user=$base/api/v3/exports
mine="Authorization: Bearer $user_token"

show 200 'the exports of a user, two a page' \
    -H "$mine" "$user?per_page=2"
etag=$(header ETag)
next=$(value next)
show 304 'the same again: nothing has changed' \
    -H "$mine" -H "If-None-Match: $etag" "$user?per_page=2"
show 200 'the next page, by the link in the first' \
    -H "$mine" "$next"
must_have '"current_page":2'
filter='filter[type][]=charge_sessions'
filter="$filter&filter[status][]=ready&filter[status][]=failed"
show 200 'those of a type that are ready or failed' \
    -g -H "$mine" "$user?$filter"
link=$(value download_url)
show 200 'of one subject' \
    -g -H "$mine" "$user?filter[subject_type]=charger&filter[subject_id]=1201"

show 200 'the file, by the signed link in the list: no token' \
    "$link"
show 403 'a link that was altered' \
    "$(printf '%s' "$link" | sed 's/expires=/expires=9/')"
show 400 'a filter that there is not' \
    -g -H "$mine" "$user?filter[state]=ready"
show 422 'values that a filter and a page cannot have' \
    -g -H "$mine" "$user?filter[status][]=lost&page=0"
show 401 'no token' \
    "$user"

show 200 'a location with one request a minute' \
    -H "$mine" "$base/limited/exports?per_page=1"
show 429 'the second' \
    -H "$mine" "$base/limited/exports?per_page=1"

echo

if [ $failed -gt 0 ]; then
    cat "$dir/error.log" >&2
    die "$failed of $shown requests were not answered as they should be"
fi

echo "$shown requests, all answered as they should be."

if [ $once = yes ]; then
    exit 0
fi

cat <<END

Serving on $base until Ctrl-C.  The store is $dir/store,
errors go to $dir/error.log.  Tokens:

  project example_project               $project_token
  project example_project, as admin     $admin_token
  user 42                               $user_token

To try:

  curl -i -H '$auth' '$project/exports'
  curl -i -H '$auth' '$project/exports?status=ready&limit=3&offset=1'
  curl -i -H '$auth' -H '$key' '$project/exports'
  curl -OJ -H '$admin' '$download/exp_20260605_120501_99aa88bb77'
  curl -ig -H '$mine' '$user?filter[status][]=ready&per_page=1'
  curl -OJ '$link'
  $EXPORTSCTL list $dir/store --project example_project
  $EXPORTSCTL verify $dir/store
  $EXPORTSCTL sweep $dir/store --root $dir/artifacts --dry-run
END

trap 'exit 0' INT TERM
wait "$pid" || :
pid=
cat "$dir/error.log" >&2
die "nginx ended"
