# exports_gzip: bodies that we compress, with the cache and without it, and
# nginx's own gzip and gunzip filters beside them.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Uncompress::Gunzip ();
use Test::More;

use Exports::Test;
use Exports::User;

plan tests => 243;

my $t = Exports::Test->new;
my $cold = Exports::Test->new;

my $CONF = <<'EOC';
%%MAIN%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    <CACHE>
    exports_store <STORE>;
    exports_link_key_file <KEY>;
    exports_link_ttl 365d;
    exports_operation_zone runs:1m;
    add_header X-Cache $exports_cache always;

    server {
        listen 127.0.0.1:%%PORT%%;
        exports_gzip on;
        location /projects/ { exports_api project; }
        location /v3 { exports_api user; }
        location /runs/ { exports_api project; exports_operations runs; }
        location /off/ { exports_api project; exports_gzip off; }
        location /deny/ { exports_api project; deny all; }
        location /old/ { exports_api project; gzip_http_version 1.0; }
        location /any/ { exports_api project; gzip_proxied any; }
        location /private/ { exports_api project; gzip_proxied private; }
        location /vary/ { exports_api project; gzip_vary on; }
        location /gunzip/ { exports_api project; gunzip on; gzip_vary on; }
        location /both/ {
            exports_api project;
            gzip on;
            gzip_types application/json;
            gzip_min_length 0;
            gzip_vary on;
        }
    }
}
EOC

my $store = $t->store('store', (map { project_line(
    project => 'demo', id => "exp_$_", status => $_ % 3 ? 'ready' : 'not_found',
    created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. 520),
    (map { user_line(uuid => "u-$_", requested_at =>
           stamp(1_700_000_000_000_000 + $_)) } 1 .. 120),
    (map { project_line(project => 'long', id => "exp_$_",
           download_name => 'x' x 1000, status_reason => 'y' x 1000,
           created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. 250));
my @long = (Authorization => 'Bearer ' . $t->token($store, project => 'long'));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my @none = (Authorization => 'Bearer ' . $t->token($store, project => 'none'));
my @user = (Authorization => 'Bearer ' . $t->token($store, user => 42));
my @gzip = ('Accept-Encoding' => 'gzip');
my $key = key_file($t, 'key');

$t->conf($CONF =~ s/<CACHE>/exports_page_cache 4m;/r =~ s/<STORE>/$store/r
               =~ s/<KEY>/$key/r)->run;
$cold->conf($CONF =~ s/<CACHE>//r =~ s/<STORE>/$store/r
                  =~ s/<KEY>/$key/r)->run;

# one stream, its checksum and length right, and nothing behind it
sub gunzip {
    my ($bytes) = @_;
    my $text = '';
    my $z = IO::Uncompress::Gunzip->new(\$bytes, Strict => 1,
                                        MultiStream => 0) or return 'no gzip';

    while ((my $n = $z->read($text, 65536, length $text)) != 0) {
        return 'damaged' if $n < 0;
    }

    return length $z->trailingData ? 'more behind it' : $text;
}

sub encoding { $_[0]->header('Content-Encoding') // 'none' }

my $BOTH = 'accept-encoding authorization';


# ---- what comes out --------------------------------------------------------

for my $server ([$cold, 'BYPASS', 'BYPASS'], [$t, 'MISS', 'HIT']) {
    my ($s, $first, $again) = @$server;

    for (['/projects/demo/exports', \@auth],
         ['/projects/demo/exports?limit=500', \@auth],
         ['/projects/demo/exports?limit=1&offset=7', \@auth],
         ['/projects/demo/exports?status=not_found&limit=77', \@auth],
         ['/v3', \@user], ['/v3?per_page=100', \@user],
         ['/v3?per_page=1&page=3', \@user])
    {
        my ($uri, $headers) = @$_;
        my $plain = $s->get($uri, @$headers);

        for my $cache ($first, $again) {
            my $r = $s->get($uri, @$headers, @gzip);

            # what was kept uncompressed is compressed once more

            is encoding($r) . ' ' . $r->header('X-Cache'), "gzip $cache",
               "$uri: compressed, $cache";
            is masked(gunzip($r->body)), masked($plain->body),
               "$uri: the same, $cache";
            is $r->header('ETag'), $plain->header('ETag'),
               "$uri: the same ETag, $cache";
            is $r->tokens('Vary'), $BOTH, "$uri: Vary, $cache";

            my $h = $s->request('HEAD', $uri, @$headers, @gzip);
            my ($get, $head) = map { join "\n", sort map { lc }
                grep { !/^(?:date|x-request-id|x-cache):/i }
                split /\r\n/, ($_->raw =~ /^(.*?)\r\n\r\n/s)[0] } $r, $h;
            is $head, $get, "$uri: HEAD, $cache";
        }

        is encoding($plain), 'none', "$uri: not asked for";
    }
}

my ($one, $two) = map { $t->get('/projects/demo/exports', @auth, @gzip) } 1, 2;
my ($a, $b) = map { json(gunzip($_->body)) } $one, $two;
isnt $a->{request_id}, $b->{request_id}, 'each answer has its request ID';
is $b->{request_id}, $two->header('X-Request-Id'), 'that of its header';
cmp_ok length $one->body, '<', 5000, 'it is smaller';

my $r = $t->get('/runs/demo/exports', @auth, @gzip,
                'X-Operation-Key' => 'k' x 128,
                'X-Operation-Run-Id' => 'r' x 128);
is json(gunzip($r->body))->{operation_run_id}, 'r' x 128, 'an operation';

# what is short is not worth it

$r = $t->get('/projects/none/exports', @none, @gzip);
is encoding($r), 'none', 'an empty list';
is $r->tokens('Vary'), $BOTH, 'an empty list: Vary';
is $t->get('/projects/none/exports', @none, @gzip)->header('X-Cache'), 'HIT',
   'an empty list: kept as it is';

# what is long would keep others waiting

for my $server ([$cold, 'BYPASS', 'BYPASS'], [$t, 'MISS', 'HIT']) {
    my ($s, @caches) = @$server;

    for my $cache (@caches) {
        $r = $s->get('/projects/long/exports?limit=250', @long, @gzip);
        is encoding($r) . ' ' . $r->header('X-Cache'), "none $cache",
           "a long list, $cache";
        is $r->tokens('Vary'), $BOTH, "a long list: Vary, $cache";
        is @{ $r->json->{data}{exports} }, 250, "a long list: its items, $cache";
    }
}

my $etag = $r->header('ETag');
cmp_ok length $r->body, '>', 512 * 1024, 'it is long';
is $t->get('/projects/long/exports?limit=250', @long)->header('ETag'), $etag,
   'a long list: the same ETag';
is encoding($t->get('/projects/long/exports?limit=190', @long, @gzip)), 'gzip',
   'a shorter one of them';


# ---- who gets it -----------------------------------------------------------

for (['gzip', 1], ['deflate, gzip', 1], ['gzip,deflate,br', 1],
     ['br;q=1.0, gzip;q=0.8, *;q=0.1', 1], ['gzip;q=0.001', 1],
     ['gzip; q=1', 1], ['GZIP', 1],
     ['gzip;q=0', 0], ['gzip;q=0.0', 0], ['gzip;q=0.000, identity', 0],
     ['identity', 0], ['deflate', 0], ['*', 0], ['gzipped', 0], ['', 0])
{
    my ($value, $wanted) = @$_;
    is encoding($t->get('/projects/demo/exports', @auth,
                        'Accept-Encoding' => $value)),
       $wanted ? 'gzip' : 'none', "Accept-Encoding: $value";
}

sub old {
    my ($uri) = @_;
    my $c = $t->connect;
    $c->send("GET $uri HTTP/1.0\r\nAuthorization: $auth[1]\r\n"
             . "Accept-Encoding: gzip\r\n\r\n");
    return $c->response('GET');
}

is encoding(old('/projects/demo/exports')), 'none', 'HTTP/1.0';
$r = old('/old/demo/exports');
is encoding($r), 'gzip', 'HTTP/1.0, allowed';
like gunzip($r->body), qr/^\{"ok":true.*\}\}\z/, 'HTTP/1.0, allowed: all of it';

my @via = (@gzip, Via => '1.1 proxy');
for (['/projects/', 'none'], ['/any/', 'gzip'], ['/private/', 'gzip']) {
    my ($prefix, $wanted) = @$_;
    $r = $t->get("${prefix}demo/exports", @auth, @via);
    is encoding($r), $wanted, "$prefix: for a proxy";
    is join(', ', $r->headers('Cache-Control')), 'private, no-cache',
       "$prefix: for a proxy: Cache-Control";
}

$r = $t->get('/off/demo/exports', @auth, @gzip);
is encoding($r), 'none', 'off';
is $r->tokens('Vary'), 'authorization', 'off: Vary';


# ---- 304 and errors --------------------------------------------------------

for my $accept ([], \@gzip) {
    $r = $t->get('/projects/demo/exports', @auth, @$accept,
                 'If-None-Match' => $one->header('ETag'));
    is $r->status . ' ' . encoding($r), '304 none', 'not modified';
    is $r->tokens('Vary'), $BOTH, 'not modified: Vary';
}

$r = $t->get('/vary/demo/exports', @auth, 'If-None-Match' => '*');
is $r->tokens('Vary'), $BOTH, 'not modified: Vary with gzip_vary';

for (['/projects/demo/exports', 401, 'missing_authorization'],
     ['/projects/nothing', 404, 'not_found'], ['/deny/x', 403, 'forbidden'],
     ['/projects/demo/exports?limit=0', 400, 'validation_failed', @auth])
{
    my ($uri, $status, $code, @headers) = @$_;
    $r = $t->get($uri, @gzip, @headers);
    is encoding($r), 'none', "$status: not compressed";
    is_error $r, $status, $code, "$status $code";
}


# ---- beside nginx's own ----------------------------------------------------

for my $prefix ('/both/', '/gunzip/', '/vary/') {
    $r = $t->get("${prefix}demo/exports", @auth, @gzip);
    is join(' ', $r->headers('Content-Encoding')), 'gzip', "$prefix: once";
    is json(gunzip($r->body))->{data}{total}, 520, "$prefix: only once";
    is $r->tokens('Vary'), $BOTH, "$prefix: Vary";

    $r = $t->get("${prefix}demo/exports", @auth);
    is encoding($r), 'none', "$prefix: not asked for";
    is total($r), 520, "$prefix: not asked for: as it is";
    is $r->tokens('Vary'), $BOTH, "$prefix: not asked for: Vary";
}

# nginx may compress what is too short for us

$r = $t->get('/both/none/exports', @none, @gzip);
is encoding($r), 'gzip', 'an empty list, by nginx';
is json(gunzip($r->body))->{data}{total}, 0, 'an empty list, by nginx: right';
is $r->tokens('Vary'), $BOTH, 'an empty list, by nginx: Vary';

$r = $t->get('/both/long/exports?limit=250', @long, @gzip);
is join(' ', $r->headers('Content-Encoding')), 'gzip', 'a long list, by nginx';
is @{ json(gunzip($r->body))->{data}{exports} }, 250,
   'a long list, by nginx: right';
is $r->tokens('Vary'), $BOTH, 'a long list, by nginx: Vary';
like $r->header('ETag'), qr{^W/"[0-9a-f]{32}"\z}, 'a long list, by nginx: ETag';
is $t->get('/both/long/exports?limit=250', @long, @gzip, 'If-None-Match' =>
           $r->header('ETag'))->status, 304, 'a long list, by nginx: 304';

$cold->done;
$t->done;
