# Downloads of the user exports API: a signed link is a permission by itself,
# whatever else comes with the request, and nothing of it reaches the storage
# or the log.  What makes a link valid: signed_links.t

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;
use Exports::User;

plan tests => 78;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_root %%DIR%%/files;
    exports_link_key_file %%DIR%%/key;
    exports_redirect s3 /s3/;
    exports_rate_zone rate:1m;
    exports_rate_limit rate rate=3r/m;
    keepalive_requests 100000;
    lingering_timeout 100ms;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /api/v3/exports { exports_api user; }
        location /slash/ { exports_api user; }
        location "/a b/%" { exports_api user; }
        location /down { exports_api user; exports_store %%DIR%%/none; }
        location /fallback {
            exports_api user;
            exports_store %%DIR%%/none;
            exports_fallback @app;
        }
        location @app { return 200 "application\n"; }
        location /s3/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_storage%%/;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_storage%%;
        location / {
            root %%DIR%%/storage;
            types { }
            default_type text/html;
            add_header X-Storage yes always;
            add_header X-Args "[$args]" always;
        }
        location = /denied { return 403 "$request_uri"; }
        location = /echo { return 200 "$request_uri"; }
    }
    server {
        listen 127.0.0.1:%%PORT_away%%;
        location /api/v3/exports {
            exports_api user;
            exports_redirect s3 /refused/;
        }
        location /refused/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_nobody%%/;
        }
    }
}
EOC

my @keys = ('first' x 7, 'second' x 6);
key_file($t, 'key', @keys);

mkdir $t->path($_) for qw(files storage);
$t->write_file('files/a.csv', "local bytes\n");
$t->write_file('files/uuid-by-id', "by its uuid\n");
$t->write_file('storage/b.csv', "stored bytes\n");

my %m = (
    'uuid-local' => { storage_key => 'a.csv', content_type => 'text/csv' },
    'uuid-by-id' => { filename => undef },
    'uuid-stored' => { storage_backend => 's3', storage_key => 'b.csv',
                       content_type => 'text/csv' },
    'uuid-denied' => { storage_backend => 's3', storage_key => 'denied' },
    'uuid-echo' => { storage_backend => 's3', storage_key => 'echo' },
    'uuid-lost' => { storage_backend => 's3', storage_key => 'lost' },
    'uuid-tape' => { storage_backend => 'tape' },
    'uuid-missing' => { storage_key => 'nothing' },
    'uuid-unicode' => { storage_key => 'a.csv', filename => "\x{fc}.csv" },
    map { +("uuid-$_" => { status => $_, storage_key => 'a.csv' }) }
        qw(pending processing failed cancelled),
);
my $store = $t->store('store',
    (map { user_line(user => 42, uuid => $_, %{ $m{$_} }) } sort keys %m),
    user_line(user => 7, uuid => 'uuid-theirs', storage_key => 'a.csv'));
my @auth = (Authorization => 'Bearer ' . $t->token($store, user => 42));

$t->run;

my $until = time + 3600;

# a link made by the tests themselves
sub signed {
    my ($uuid, %o) = @_;
    my $prefix = $o{prefix} // '/api/v3/exports';
    my $path = "$prefix/$uuid/download";
    my $expires = $o{expires} // $until;

    return ($o{at} // $path) . "?expires=$expires&signature="
           . signature($path, $expires, $o{key} // $keys[0]);
}

sub is_bytes {
    my ($r, $bytes, $name, $status) = @_;
    return ok($r->status == ($status // 200) && $r->body eq $bytes, $name)
           || diag substr $r->raw, 0, 1000;
}

sub is_refused { is_message(shift, 403, 'Invalid signature.', shift) }


# ---- links that hold -------------------------------------------------------

my $list = $t->get('/api/v3/exports', @auth);
my %link = map { $_->{uuid} => $_->{download_url} } @{ $list->json->{data} };
my ($link) = $link{'uuid-local'} =~ m{^https?://localhost(/.*)};

my $r = $t->get($link);
is_bytes $r, "local bytes\n", 'a link of the list';
is $r->header('Content-Type'), 'text/csv', 'Content-Type';
is $r->header('Content-Disposition'), 'attachment; filename="contacts.csv"',
   'Content-Disposition';
is $r->header('Cache-Control'), 'private, no-cache', 'Cache-Control';
is $r->header('X-Content-Type-Options'), 'nosniff', 'nosniff';
like $r->header('X-Request-Id'), qr/^$Exports::Test::REQUEST_ID\z/,
     'X-Request-Id';
is $r->header('Accept-Ranges'), 'bytes', 'Accept-Ranges';
unlike $r->header_names, qr/ratelimit/, 'it is not counted';

is_bytes $t->get(signed('uuid-local')), "local bytes\n", 'the same, made anew';
like $t->http('GET ' . signed('uuid-local') . " HTTP/1.1\r\n"
              . "Host: elsewhere.example\r\nConnection: close\r\n\r\n"),
     qr/\r\n\r\nlocal bytes\n\z/, 'the host does not matter';
is_bytes $t->get(signed('uuid-local'), @auth), "local bytes\n",
         'a token does not matter';
is_bytes $t->get(signed('uuid-local'), Authorization => 'Bearer nobodys'),
         "local bytes\n", 'nor does one that is not valid';
is_bytes $t->get(signed('uuid-theirs'), @auth), "local bytes\n",
         'nor whose it is';
is_bytes $t->request('HEAD', signed('uuid-local')), '', 'HEAD';
is_bytes $t->get(signed('uuid-local', key => $keys[1])), "local bytes\n",
         'the second key verifies too';
is_bytes $t->get(signed('uuid-local', expires => time + 30)), "local bytes\n",
         'before it expires';
is_bytes $t->get(signed('uuid-local', prefix => '/slash')), "local bytes\n",
         'a prefix that ends in a slash';
is_bytes $t->get(signed('uuid-local', prefix => '/a%20b/%25')),
         "local bytes\n", 'a prefix that is encoded';
is_bytes $t->get(signed('uuid-local',
             at => '/api/v3//./exports/x/../uuid-local/%64ownload')),
         "local bytes\n", 'a path that is written otherwise';

$r = $t->get(signed('uuid-by-id'));
is_bytes $r, "by its uuid\n", 'without a filename';
is $r->header('Content-Disposition'), 'attachment; filename="uuid-by-id"',
   'it is called by its uuid';
is $r->header('Content-Type'), 'application/octet-stream',
   'and is of any type';
is $t->get(signed('uuid-unicode'))->header('Content-Disposition'),
   q{attachment; filename="_.csv"; filename*=UTF-8''%C3%BC.csv},
   'a filename that is not ASCII';

is_bytes $t->get(signed('uuid-local'), Range => 'bytes=0-4'), 'local',
         'a range', 206;
my $etag = $t->get($link)->header('ETag');
is_bytes $t->get($link, 'If-None-Match' => $etag), '', 'not modified', 304;

$r = $t->get($link, Range => 'bytes=100-');
is_message $r, 416, 'The range cannot be satisfied.', 'no such range';
is $r->header('Content-Range'), 'bytes */12', 'no such range: of what';
is $r->header('Content-Disposition'), undef, 'no such range: not a file';
is_message $t->get($link, 'If-Match' => '"x"'), 412,
           'A precondition of the request does not hold.', 'a condition';


# ---- links that do not -----------------------------------------------------

my ($path, $query) = split /\?/, signed('uuid-local');

is_refused $t->get($path), 'no query';
is_refused $t->get("$path?$query&x=1"), 'one argument more';
is_refused $t->get($path, @auth), 'a token instead';
is_refused $t->get("$path?" . substr($query, 0, -1), @auth),
           'a token beside it';
is_refused $t->get(signed('uuid-local', expires => time - 2)), 'expired';
is_refused $t->get(signed('uuid-local',
    at => '/api/v3/exports/uuid-theirs/download')), "another one's";
is_refused $t->get(signed('uuid-local', at => '/slash/uuid-local/download')),
           'of another prefix';
is_refused $t->get('/api/v3/exports/uuid-nothing/download'),
           'of an export that is unknown';
is_refused $t->get($path, 'If-None-Match' => '*'), 'with a condition';
my $head = $t->request('HEAD', $path);
is $head->status . $head->body, '403', 'HEAD';


# ---- what is not there -----------------------------------------------------

is_message $t->get(signed($_->[0])), 404, $_->[1], "$_->[0]: 404"
    for ['uuid-nothing', 'There is no such export.'],
        ['UUID-LOCAL', 'There is no such export.'],
        (map { ["uuid-$_", 'The file of this export is missing.'] }
             qw(pending processing failed cancelled missing tape lost));

is_message $t->request($_, signed('uuid-local')), 405,
           'The method must be GET or HEAD.', $_ for qw(POST PUT DELETE);
is_message $t->get($_), 404, 'There is no such route.', $_
    for "/api/v3/exports/uuid-local/download/?$query",
        "/api/v3/exports/uuid-local?$query", "/api/v3/exports/download?$query",
        "/api/v3/exports/uuid_local/download?$query",
        '/api/v3/exports/' . 'x' x 65 . "/download?$query";

is_refused $t->get('/down/uuid-local/download'), 'no store: no signature';
$r = $t->get(signed('uuid-local', prefix => '/down'));
is_message $r, 503, 'The exports are not available at the moment.', 'no store';
is $r->header('Retry-After'), 1, 'no store: Retry-After';
is_bytes $t->get(signed('uuid-local', prefix => '/fallback')), "application\n",
         'no store: the fallback';


# ---- elsewhere -------------------------------------------------------------

$r = $t->get(signed('uuid-stored'), Authorization => 'Bearer x');
is_bytes $r, "stored bytes\n", 'in object storage';
is $r->header('Content-Type'), 'text/csv', 'storage: Content-Type';
is $r->header('Content-Disposition'), 'attachment; filename="contacts.csv"',
   'storage: Content-Disposition';
is $r->header('X-Storage'), undef, 'storage: its headers stay there';
is_bytes $t->get(signed('uuid-echo')), '/echo',
         'it does not get the signature';
is_message $t->get(signed('uuid-denied')), 502,
           'The storage behind this route failed.', 'storage: 403';
is_message $t->get(signed('uuid-stored'), 'If-Match' => '"x"'), 412,
           'A precondition of the request does not hold.', 'storage: 412';
$r = $t->get(signed('uuid-stored'), Range => 'bytes=100-');
is_message $r, 416, 'The range cannot be satisfied.', 'storage: 416';
is $r->header('Content-Range'), 'bytes */13', 'storage: 416: of what';
is_message $t->get(signed('uuid-stored'), port => 'away'), 502,
           'The storage behind this route failed.', 'storage: nobody is there';


# ---- many, and not counted -------------------------------------------------

my $c = $t->connect;
my %status;
for (1 .. 300) {
    $r = $c->get($_ % 3 ? signed('uuid-local') : $path);
    $status{ $r->status }++;
}
is join(' ', map { "$_:$status{$_}" } sort keys %status), '200:200 403:100',
   'many on one connection';
$c->close;


# ---- nothing of it is in the log -------------------------------------------

my $log = $t->error_log;
like $log, qr/exports request refused: 403/, 'a refusal is logged';
like $log, qr/exports artifact: .*nothing" failed .*request: "GET [^"?]*"/,
     'a missing file is logged, without arguments';
like $log, qr/connect\(\) failed .*request: "GET [^"?]*", upstream: /,
     "nginx's own messages too";
like $log, qr/refused: 405 .*request: "POST [^"?]*"/, 'another method too';
unlike $log, qr/signature=/, 'no signature';
unlike $log, qr/first|second|third/, 'no key';

$t->done;
