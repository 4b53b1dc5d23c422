# The list of the user exports API: items, order, pages, links, base URLs.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX ();
use Test::More;

use Exports::Test;
use Exports::User;

my $t = Exports::Test->new;

$t->conf(<<'EOC' =~ s/<UE>/\xc3\xbc/r);
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_link_key_file %%DIR%%/key;
    exports_link_ttl 365d;
    keepalive_requests 100000;

    server {
        listen 127.0.0.1:%%PORT%%;
        server_name exports.example.com;
        location /api/v3/exports { exports_api user; }
        location /slash { exports_api user prefix=/slash/; }
        location ~ ^/v\d/exports { exports_api user prefix=/v1/exports; }
        location = /exact { exports_api user; }
        location = /split { exports_api user; }
        location /split/ { exports_api user; }
        location "/a b/<UE>\"%\\" { exports_api user; }
        location /copy { exports_api user; exports_store %%DIR%%/copy; }
    }

    server {
        listen 127.0.0.1:%%PORT_base%%;
        exports_base_url https://api.example.com;
        location /api/v3/exports { exports_api user; }
        location /slash { exports_api user;
                          exports_base_url https://api.example.com//; }
        location /path { exports_api user;
                         exports_base_url https://example.com:8443/a%20b/; }
        location /header { exports_api user; exports_base_url $http_x_base; }
        location /parts { exports_api user;
                          exports_base_url $scheme://$http_x_base/x/; }
    }

    server {
        listen 127.0.0.1:%%PORT_unnamed%%;
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_wildcard%%;
        server_name *.example.com;
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_domain%%;
        server_name .example.com;
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_placeholder%%;
        listen unix:%%DIR%%/socket;
        server_name _;
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_name%%;
        server_name Name-_0.example;
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_regex%%;
        server_name ~^(\w+)\.example;
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_ttl%%;
        exports_base_url https://api.example.com;
        exports_link_ttl 364d;
        location /api/v3/exports { exports_api user; }
    }
}
EOC

key_file($t, 'key');


# ---- manifests -------------------------------------------------------------

my $second = 1_700_000_000_000_000;
my (@lines, %order, %of);

sub user {
    my ($user, @manifests) = @_;

    for (@manifests) {
        my %m = (user => $user, requested_at => '2026-06-02T01:23:45Z', %$_);
        push @lines, user_line(%m);
        push @{ $of{$user} }, \%m;
    }

    $order{$user} = [map { $_->{uuid} } sort {
        micros($b->{requested_at}) <=> micros($a->{requested_at})
        || tie($b->{uuid}) cmp tie($a->{uuid}) } @{ $of{$user} }];
}

# by number and as a string: one user
user(42, map { {
    uuid => "u-$_", status => (qw(pending processing ready failed cancelled))
                              [$_ % 5],
    requested_at => stamp($second + $_ * 1_000_000),
} } 1 .. 30);
push @lines, map { user_line(user => '42', uuid => "s-$_",
                             requested_at => stamp($second + $_)) } 1 .. 5;
push @{ $order{42} }, map { "s-$_" } reverse 1 .. 5;

user('none-of-ann', { uuid => 'other', requested_at => stamp($second) });
user('ann', map { { uuid => sprintf('tie-%03d', $_),
                    requested_at => stamp($second) } } 1 .. 120);
user('fractions', map { { uuid => "f-$_->[0]", requested_at => $_->[1] } } (
    [a => '2026-01-01T00:00:00.5Z'], [b => '2026-01-01T00:00:00.49Z'],
    [c => '2026-01-01T00:00:00Z'], [d => '2026-01-01T00:00:00.000001Z'],
    [e => '2025-12-31T23:59:59.999999Z'], [g => '1970-01-01T00:00:00Z'],
    [h => '9999-12-31T23:59:59.999999Z']));

my %odd = (uuid => 'A-z-0-9', type => "\"\\\b\f\n\r\t\x01\x1f/\x7f;",
    filename => "\x{fc}\x{20ac}\x{1f600}\x{2028}</script>.csv",
    file_size => 9223372036854775807, row_count => 0,
    error_message => "no \"disk\"\n", status => 'failed',
    completed_at => undef, failed_at => '2026-06-02T01:25:00.250000Z',
    subject => { type => "\x{e4}", id => -9223372036854775807,
                 label => "\\" });
my %bare = (uuid => 'bare', status => 'pending', filename => undef,
    file_size => undef, row_count => undef, completed_at => undef,
    requested_at => '2026-06-01T00:00:00Z',
    subject => { type => 't', id => 0, label => undef });
my %big = (uuid => 'b' x 64, status => 'ready',
           (map { $_ => '"' x 1024 } qw(type filename error_message)),
           subject => { type => '"' x 1024, id => 1, label => '"' x 1024 },
           requested_at => '2026-05-01T00:00:00Z');
user('odd', \%odd, \%bare, \%big);

my $sample = user_line(user => 'sample');
my $store = $t->store('store', @lines, $sample,
                      project_line(project => 'demo', id => 'exp_1'));
my $copy = $t->store('copy', @lines);

my %token = map { $_ => $t->token($store, user => $_) }
            qw(42 ann fractions odd sample empty);
my %second = (42 => $t->token($store, user => 42));

$t->run;

my $host = 'localhost';
my $c = $t->connect;

sub list {
    my ($user, $args, @rest) = @_;
    return $c->get('/api/v3/exports' . ($args // ''),
                   Authorization => "Bearer $token{$user}", @rest);
}

my $url = "http://$host/api/v3/exports";


# ---- items and envelope ----------------------------------------------------

my $r = list('sample');
my $uuid = '0190a6d2-7b1e-7c3f-9a55-2f6f0f6e1a01';
my ($link) = links_of($r);

is $r->status, 200, 'sample: status';
is $r->header('Content-Length'), length $r->body, 'sample: content length';
is $r->header('Vary'), 'Authorization', 'sample: Vary';
like $link, qr{^\Q$url/$uuid\E/download\?$Exports::User::SIGNED\z},
     'sample: link';

is $r->body =~ s/$Exports::User::SIGNED/SIGNED/r,
   qq({"data":[{"uuid":"$uuid","type":"contacts","status":"ready",)
   . '"filename":"contacts.csv","file_size":2048,"row_count":25,'
   . '"error_message":null,"requested_at":"2026-06-02T01:23:45Z",'
   . '"completed_at":"2026-06-02T01:24:00Z","failed_at":null,'
   . qq("subject":null,"download_url":"$url/$uuid/download?SIGNED"}],)
   . qq("links":{"first":"$url?page=1","last":null,"prev":null,"next":null},)
   . qq("meta":{"current_page":1,"from":1,"path":"$url","per_page":25,"to":1}})
   , 'sample: body';

is_deeply [keys_of($r->body)], [
    'data', (map { "data.$_" } @Exports::User::ITEM_KEYS), 'links',
    (map { "links.$_" } qw(first last prev next)), 'meta',
    (map { "meta.$_" } qw(current_page from path per_page to)),
], 'sample: keys in order';

$r = list('odd');
is_list $r, [qw(A-z-0-9 bare), 'b' x 64],
        { from => 1, to => 3, next => undef }, 'odd values';

my @items = @{ $r->json->{data} };
$_->{download_url} &&= 1 for @items;
is_deeply \@items, [map { user_item(user => 'odd', %$_) } \%odd, \%bare, \%big],
          'odd strings, numbers, subjects';
like $r->body, qr/"subject":\{"type":"t","id":0,"label":null\}/,
     'a subject: keys in order';
like $r->body, qr/"file_size":9223372036854775807,/, 'a number of 63 bits';

$r = list(42, '?per_page=100');
is_deeply [map { $_->{status} . (defined $_->{download_url} ? ' link' : '') }
           @{ $r->json->{data} }[0 .. 4]],
          ['pending', 'cancelled', 'failed', 'ready link', 'processing'],
          'a link only when ready';


# ---- order, and whose ------------------------------------------------------

is_list $r, $order{42}, { from => 1, to => 35 },
        'newest first; a number and its digits are one user';
is_list list('ann', '?per_page=100'), [@{ $order{ann} }[0 .. 99]], {},
        'ties: the greater hash first';
is_list list('ann', '?per_page=100&page=2'), [@{ $order{ann} }[100 .. 119]],
        {}, 'ties: the second page';
is_list list('fractions'), [map { "f-$_" } qw(h a b d c e g)], {},
        'to the microsecond';
is_list list('empty'), [], { from => undef, to => undef },
        'a user without exports';
is_list $c->get('/api/v3/exports?user=42&filter=x',
                Authorization => "Bearer $token{sample}"), [$uuid], {},
        'only the token\'s own';


# ---- pages -----------------------------------------------------------------

my @ann = @{ $order{ann} };

sub page_is {
    my ($args, $uuids, $query, $page, $per_page, %want) = @_;
    my $n = @$uuids;
    my $from = ($page - 1) * $per_page + 1;

    is_list list('ann', $args), $uuids, {
        current_page => $page, per_page => $per_page, path => $url,
        from => $n ? $from : undef, to => $n ? $from + $n - 1 : undef,
        first => "$url?${query}page=1",
        prev => $page > 1 ? "$url?${query}page=" . ($page - 1) : undef,
        next => $page * $per_page < @ann ? "$url?${query}page=" . ($page + 1)
                                         : undef, %want,
    }, $args eq '' ? 'no arguments' : length $args > 60 ? 'long' : $args;
}

page_is('', [@ann[0 .. 24]], '', 1, 25);
page_is('?page=1', [@ann[0 .. 24]], '', 1, 25);
page_is('?page=2', [@ann[25 .. 49]], '', 2, 25);
page_is('?page=4', [@ann[75 .. 99]], '', 4, 25);
page_is('?page=5', [@ann[100 .. 119]], '', 5, 25);
page_is('?page=6', [], '', 6, 25);
page_is('?page=7', [], '', 7, 25);
page_is('?page=0000000000000000000000000000002', [@ann[25 .. 49]], '', 2, 25);
page_is('?per_page=25', [@ann[0 .. 24]], 'per_page=25&', 1, 25);
page_is('?per_page=1', [$ann[0]], 'per_page=1&', 1, 1);
page_is('?per_page=1&page=120', [$ann[119]], 'per_page=1&', 120, 1);
page_is('?per_page=1&page=121', [], 'per_page=1&', 121, 1);
page_is('?per_page=100', [@ann[0 .. 99]], 'per_page=100&', 1, 100);
page_is('?per_page=60', [@ann[0 .. 59]], 'per_page=60&', 1, 60);
page_is('?page=2&per_page=60', [@ann[60 .. 119]], 'per_page=60&', 2, 60);
page_is('?per_page=0099', [@ann[0 .. 98]], 'per_page=99&', 1, 99);
page_is('?page=3&page=2', [@ann[25 .. 49]], '', 2, 25);
page_is('?x=1&page=%32&y', [@ann[25 .. 49]], '', 2, 25);

# pages whose place is no number of ours any more

for my $page ('9223372036854775807', '9223372036854775806',
              '4611686018427387904', '92233720368547758', '4294967297')
{
    is_list list('ann', "?page=$page&per_page=100"), [], {
        current_page => $page, from => undef, to => undef, next => undef,
        first => "$url?per_page=100&page=1",
        prev => "$url?per_page=100&page=" . ($page - 1),
    }, "page $page";
}

is_list list('empty', '?page=3'), [], { prev => "$url?page=2", next => undef },
        'empty, page 3';


# ---- HEAD, conditions, request IDs -----------------------------------------

my $get = list('ann', '?page=2');
my @auth = (Authorization => "Bearer $token{ann}");
my $head = $c->request('HEAD', '/api/v3/exports?page=2', @auth);

is $head->status, 200, 'HEAD';
is $head->header('Content-Length'), length $get->body, 'HEAD: length';
is $head->header('ETag'), $get->header('ETag'), 'HEAD: ETag';
is $head->header_names, $get->header_names, 'HEAD: the same headers';
is_list list('ann', '?page=2'), [@ann[25 .. 49]], {}, 'no body came after it';
is $c->request('HEAD', '/api/v3/exports?page=0', @auth)->status, 422,
   'HEAD of an error';
is_list list('ann', '?page=2'), [@ann[25 .. 49]], {}, 'nor after that';

my %ids = map { list('empty')->header('X-Request-Id') => 1 } 1 .. 100;
is keys %ids, 100, 'each request has an ID of its own';

sub etag { list(42, @_)->header('ETag') // '' }

my $etag = etag();
like $etag, qr{^W/"[0-9a-f]{32}"\z}, 'a weak ETag';
is etag(), $etag, 'stable' for 1 .. 5;

my %seen = ($etag => 'no arguments');

for ('page=2', 'page=3', 'per_page=24', 'per_page=25', 'per_page=25&page=2',
     'filter[status]=ready', 'filter[status]=failed',
     'filter[status]=ready,failed', 'filter[type]=ready',
     'filter[type]=contacts', 'filter[type]=contacts,x',
     'filter[subject_type]=contacts', 'filter[subject_id]=1',
     'filter[subject_id]=-1', 'filter[subject_id]=0',
     'filter[subject_type]=contacts&filter[subject_id]=1')
{
    my $other = etag("?$_");
    ok !$seen{$other}, "ETag differs: $_" or diag "as of $seen{$other}";
    $seen{$other} = $_;
    is etag("?$_"), $other, "stable: $_";
}

is etag('?page=1'), $etag, 'the default page given';
is etag('?unknown=1&filter=2'), $etag, 'others do not count';
is etag('?filter[status][]=failed&filter%5Bstatus%5D=ready'),
   etag('?filter[status]=ready,failed'), 'nor the way a filter is written';
is etag('', 'X-Base' => 'x'), $etag, 'nor headers';
is $c->get('/api/v3/exports', Authorization => "Bearer $second{42}")
     ->header('ETag'), $etag, 'nor the token';
isnt list('ann')->header('ETag'), $etag, 'but the user';

@auth = (Authorization => "Bearer $token{42}");
isnt $t->get('/api/v3/exports', @auth)->header('ETag') // '', '', 'elsewhere';

sub etag_at {
    my ($port, $uri, @headers) = @_;
    my $r = $t->get($uri, @auth, @headers, port => $port);
    return $r->status == 200 ? $r->header('ETag') : 'none';
}

my $based = etag_at('base', '/api/v3/exports');
isnt $based, $etag, 'on the base URL';
isnt etag_at('', '/slash'), $etag, 'on the prefix';
isnt etag_at('ttl', '/api/v3/exports'), $based, 'on when links expire';
is etag_at('base', '/api/v3/exports'), $based, 'and on nothing else';
isnt etag_at('base', '/header', 'X-Base' => 'http://a'),
     etag_at('base', '/header', 'X-Base' => 'http://b'),
     'on variables in the base URL';
isnt $t->http("GET /api/v3/exports HTTP/1.0\r\nHost: a\r\n"
              . "Authorization: Bearer $token{42}\r\n\r\n")
         =~ s/.*\r\nETag: (\S+).*/$1/sr,
     $t->http("GET /api/v3/exports HTTP/1.0\r\nHost: b\r\n"
              . "Authorization: Bearer $token{42}\r\n\r\n")
         =~ s/.*\r\nETag: (\S+).*/$1/sr, 'on the host';
is $t->get('/copy', @auth)->status, 401, 'another store has other tokens';

$r = list(42, '', 'If-None-Match' => $etag);
is $r->status, 304, 'not modified';
is $r->header('ETag'), $etag, '304: ETag';
is $r->header('Cache-Control'), 'private, no-cache', '304: Cache-Control';
is $r->header('Vary'), 'Authorization', '304: Vary';
like $r->header('X-Request-Id'), qr/^$Exports::Test::REQUEST_ID\z/,
     '304: X-Request-Id';
ok !$r->header('Content-Length') && !$r->header('Content-Type')
   && !$r->header('Transfer-Encoding'), '304: nothing of a body';
is list(42, '', 'If-None-Match' => '*')->status, 304, '304: any';
is list(42, '', 'If-None-Match' => "\"x\", $etag")->status, 304,
   '304: of a list';
is list(42, '?page=2', 'If-None-Match' => $etag)->status, 200,
   'no 304 of another page';
is list('ann', '', 'If-None-Match' => $etag)->status, 200,
   'no 304 of another user';
is_list list(42, '?page=2', 'If-Match' => '"x"', 'If-Unmodified-Since' =>
             'Thu, 01 Jan 1970 00:00:00 GMT'), [@{ $order{42} }[25 .. 34]], {},
        'preconditions do not count';

# a write to another user changes nothing here

$t->load($store, user_line(user => 'empty', uuid => 'new'));
is list(42, '', 'If-None-Match' => $etag)->status, 304,
   'a write to another user';
$t->load($store, user_line(user => 42, uuid => 'u-1', status => 'failed',
                           requested_at => stamp($second + 1_000_000)));
$r = list(42, '', 'If-None-Match' => $etag);
is_list $r, [@{ $order{42} }[0 .. 24]], {}, 'a write to this one';
isnt $r->header('ETag'), $etag, 'and another ETag';


# ---- base URLs -------------------------------------------------------------

# all URLs of a page begin with this; faults
sub base_faults {
    my ($r, $base, $user) = @_;
    my @uuids = @{ $order{$user // 'ann'} }[0 .. 24];
    my @faults = list_faults($r, \@uuids, { path => $base, prev => undef,
        first => "$base?page=1", next => "$base?page=2" });
    my $ready = grep { /"download_url":"\Q$base\E\// }
                $r->body =~ /"download_url":"[^"]*"/g;

    push @faults, "links of items: $ready, not 25" if $ready != 25;

    return @faults;
}

sub base_is {
    my ($r, $base, $name) = @_;
    my @faults = base_faults($r, $base);

    ok !@faults, $name or diag join "\n", @faults, substr $r->raw, 0, 1000;
}

@auth = (Authorization => "Bearer $token{ann}");

base_is $t->get('/api/v3/exports', @auth, port => 'base'),
        'https://api.example.com/api/v3/exports', 'a base URL';
base_is $t->get('/slash', @auth, port => 'base'),
        'https://api.example.com/slash', 'with a slash at its end';
base_is $t->get('/path', @auth, port => 'base'),
        'https://example.com:8443/a%20b/path', 'with a port and a path';
base_is $t->get('/header', @auth, port => 'base', 'X-Base' => 'http://x:1/y'),
        'http://x:1/y/header', 'a variable';
base_is $t->get('/header', @auth, port => 'base', 'X-Base' => 'http://x/'),
        'http://x/header', 'a variable with a slash at its end';
base_is $t->get('/header', @auth, port => 'base'), '/header',
        'a variable without a value';
base_is $t->get('/parts', @auth, port => 'base', 'X-Base' => 'h'),
        'http://h/x/parts', 'text and variables';

# what a client sends never comes back as it is

my %hostile = (
    quotes => ['a"b', 'a%22b'], backslash => ['a\\', 'a%5C'],
    html => ['<script>\'', '%3Cscript%3E%27'],
    utf8 => ["\xc3\xbc", '%C3%BC'],
    'not UTF-8' => ["\xff\xc3\xfe\x80", '%FF%C3%FE%80'],
    braces => ['{a}|^`', '%7Ba%7D%7C%5E%60'],
    formats => ['%s%n%V', '%s%n%V'],
    port => ['EXAMPLE.com:8080', 'EXAMPLE.com:8080'],
    ipv6 => ['[::1]:8080', '[::1]:8080'],
    long => ['x' x 3000, 'x' x 3000],
);

# a later nginx refuses such hosts, wherever they are sent

my $refuses = sub {
    my ($host) = @_;
    return $t->http("GET /nowhere HTTP/1.0\r\nHost: $host\r\n\r\n")
           =~ m{^HTTP/1\.1 400 };
};

for (sort keys %hostile) {
    my ($sent, $shown) = @{ $hostile{$_} };

    base_is $t->get('/header', @auth, port => 'base',
                    'X-Base' => "http://$sent"),
            "http://$shown/header", "X-Base: $_";

    SKIP: {
        skip 'nginx refuses such a host', 1 if $refuses->($sent);

        my $c = $t->connect;
        $c->send("GET /api/v3/exports HTTP/1.1\r\nHost: $sent\r\n"
                 . "Authorization: $auth[1]\r\n\r\n");
        base_is $c->response, "http://$shown/api/v3/exports", "Host: $_";
    }
}

base_is $t->get('/header', @auth, port => 'base', 'X-Base' => "a\tb c"),
        'a%09b%20c/header', 'X-Base: white space';

sub http10 {
    my ($host, $port, $uri) = @_;
    my $c = $t->connect($port);
    $c->send('GET ' . ($uri // '/api/v3/exports') . " HTTP/1.0\r\n$host"
             . "Authorization: $auth[1]\r\n\r\n");
    return $c->response;
}

base_is http10(''), 'http://exports.example.com/api/v3/exports',
        'HTTP/1.0 without a host: the server\'s name';
base_is http10('', $_), 'http://127.0.0.1:' . $t->port($_) . '/api/v3/exports',
        "HTTP/1.0 without a host, $_: the server's address"
    for qw(unnamed wildcard regex placeholder);
base_is http10('', 'domain'), 'http://example.com/api/v3/exports',
        'HTTP/1.0 without a host: the name that all of a domain have in common';
base_is http10('', 'name'), 'http://name-_0.example/api/v3/exports',
        'HTTP/1.0 without a host: a name of all that there may be';
base_is http10("Host: a&b\r\n"), 'http://a%26b/api/v3/exports',
        'HTTP/1.0 with a host';

my $absolute = $t->connect;
$absolute->send("GET http://uri.example/api/v3/exports HTTP/1.1\r\n"
                . "Host: header.example\r\nAuthorization: $auth[1]\r\n\r\n");
base_is $absolute->response, 'http://header.example/api/v3/exports',
        'an absolute URI';
base_is http10('', '', 'http://uri.example/api/v3/exports'),
        'http://uri.example/api/v3/exports',
        'HTTP/1.0: an absolute URI without a host';

my $unix = IO::Socket::UNIX->new(Peer => $t->path('socket'))
    or die "socket: $!";
print $unix "GET /api/v3/exports HTTP/1.0\r\nAuthorization: $auth[1]\r\n\r\n";
$r = Exports::Test::Response->of((do { local $/; <$unix> })
                                 =~ /^(.*?\r\n\r\n)(.*)\z/s);
base_is $r, 'http://localhost/api/v3/exports', 'a Unix socket without a host';

my $raw = $t->http("GET /api/v3/exports\r\n");
is $raw, '{"message":"Unauthenticated."}', 'HTTP/0.9';


# ---- prefixes and routes ---------------------------------------------------

base_is $t->get('/slash', @auth), 'http://localhost/slash',
        'prefix with a slash';
base_is $t->get('/v1/exports', @auth), 'http://localhost/v1/exports',
        'regex location';
base_is $t->get('/exact', @auth), 'http://localhost/exact', 'exact location';
base_is $t->get('/split', @auth), 'http://localhost/split',
        'a location for the list';
base_is $t->get('/a%20b/%C3%BC%22%25%5C', @auth),
        'http://localhost/a%20b/%C3%BC%22%25%5C',
        'a prefix that has to be encoded';
base_is $t->get('/api/./v3/x/..//exports', @auth), $url,
        'a path that is normalized';
base_is $t->get('/%61pi/v3/%65xports', @auth), $url, 'an encoded path';

$r = $t->get('/a%20b/%C3%BC%22%25%5C', @auth);
my ($next) = $r->json->{links}{next} =~ m{^http://localhost(/.*)};
is_list $t->get($next, @auth), [@ann[25 .. 49]], {}, 'its links are followed';

for (qw(/api/v3/exports/ /api/v3/exportsx /api/v3/exports%0A /api/v3/exports%20
        /api/v3/exports/x /api/v3/exports/x/ /api/v3/exports/x/download/
        /api/v3/exports/x/downloads /api/v3/exports//download
        /api/v3/exports/x.y/download /api/v3/exports/x_y/download
        /api/v3/exports/x%2Fy/download /api/v3/exports/x%0A/download
        /api/v3/exports/x/download%0A /api/v3/exports/download
        /v2/exports /slash/ /split/ /exact/),
     '/api/v3/exports/' . 'x' x 65 . '/download')
{
    $r = $t->get($_, @auth);

    if ($_ eq '/exact/') {
        is $r->status, 404, 'below an exact location: not ours';
        next;
    }

    is_message $r, 404, 'There is no such route.',
               length > 50 ? 'a uuid of 65 bytes' : $_;
}

is_message $t->get('/api/v3/exports/' . 'x' x 64 . '/download'), 403,
           'Invalid signature.', 'a uuid of 64 bytes';

$c->close;
$t->done;
done_testing;
