# exports_page_cache: what is kept, what tells pages apart, how much is kept,
# who still reads what was evicted.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;

use Exports::Test;
use Exports::User;

plan tests => 115;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    exports_page_cache 2m;
    exports_store %%DIR%%/store;
    exports_link_key_file %%DIR%%/key;
    exports_link_ttl 60s;
    exports_operation_zone runs:1m;
    add_header X-Cache $exports_cache always;
    add_header X-Total $exports_total always;

    server {
        listen 127.0.0.1:%%PORT%% sndbuf=16k;
        location /projects/ { exports_api project; exports_operations runs; }
        location /other/ { exports_api project; }
        location /v3 { exports_api user; exports_link_ttl 365d; }
        location /soon { exports_api user; }
        location /based {
            exports_api user;
            exports_link_ttl 365d;
            exports_base_url $http_x_base;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_key%%;
        exports_link_key_file %%DIR%%/key2;
        location /v3 { exports_api user; exports_link_ttl 365d; }
    }
    server {
        listen 127.0.0.1:%%PORT_copy%%;
        exports_store %%DIR%%/copy;
        location /projects/ { exports_api project; }
        location /v3 { exports_api user; exports_link_ttl 365d; }
    }
}
EOC

sub lines {
    my ($project, $n, %o) = @_;
    return map { project_line(project => $project, id => "exp_$project-$_",
        created_at => stamp(1_700_000_000_000_000 + $_), %o) } 1 .. $n;
}

my $store = $t->store('store', lines('demo', 600), lines('busy', 3),
    lines('long', 1, status_reason => "\x01" x 1024, scope => "\x01" x 1024),
    (map { user_line(uuid => "u-$_", type => $_ % 2 ? 'contacts' : 'deals',
           requested_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. 60));
my $copy = $t->store('copy', lines('demo', 2), user_line(uuid => 'copied'));
my @tokens = map { $t->token($_, project => 'demo', token => "t$_") }
             $store, $store;
my ($demo, $same) = map { [Authorization => "Bearer $_"] } @tokens[0, 1];
my $admin = [Authorization => 'Bearer '
             . $t->token($store, project => 'demo', admin => 1)];
my $busy = [Authorization => 'Bearer ' . $t->token($store, project => 'busy')];
my $wordy = [Authorization => 'Bearer ' . $t->token($store, project => 'long')];
my $user = [Authorization => 'Bearer ' . $t->token($store, user => 42)];
my $seven = [Authorization => 'Bearer ' . $t->token($store, user => 7)];
my $copied = [Authorization => 'Bearer '
              . $t->token($copy, project => 'demo')];
my $copied_user = [Authorization => 'Bearer ' . $t->token($copy, user => 42)];

key_file($t, 'key');
key_file($t, 'key2', 'x' x 40);
$t->run;

sub ask {
    my ($uri, $auth, %o) = @_;
    my $method = delete $o{method} // 'GET';
    return $t->request($method, $uri, @$auth, %o);
}

sub cache { $_[0]->header('X-Cache') // 'none' }

# the body of another request for a page that was answered from the cache
sub again {
    my ($uri, $auth, %o) = @_;
    my ($first, $second) = map { ask($uri, $auth, %o) } 1, 2;
    return cache($first) . ' ' . cache($second)
           . (masked($first->body) eq masked($second->body) ? '' : ' differs');
}


# ---- what is a hit ---------------------------------------------------------

my $uri = '/projects/demo/exports';
my $first = ask($uri, $demo);
my $second = ask($uri, $demo);

is cache($first), 'MISS', 'at first';
is cache($second), 'HIT', 'then';
is masked($second->body), masked($first->body), 'the same body';
is $second->header('ETag'), $first->header('ETag'), 'the same ETag';
is $second->header('X-Total'), 600, 'the total is known';
isnt $second->json->{request_id}, $first->json->{request_id},
     'each answer has its request ID';
is_page $second, [map { "exp_demo-$_" } reverse 551 .. 600],
        { total => 600, limit => 50, offset => 0 }, 'a page like any other';

is cache(ask($uri, $admin)), 'HIT', 'of another token of the project';
is cache(ask("$uri?limit=050&x=y&offset=0", $demo)), 'HIT',
   'other arguments that mean the same';
is cache(ask($uri, $demo, 'If-None-Match' => $first->header('ETag'))),
   'REVALIDATED', 'a 304';
is cache(ask($uri, [])), 'none', 'an error';
is_error ask($uri, $busy), 401, 'invalid_token', 'not for another project';
is_error ask("$uri?limit=0", $demo), 400, 'validation_failed', 'bad arguments';

my $head = ask($uri, $demo, method => 'HEAD');
is cache($head) . ' ' . $head->header('Content-Length'),
   'HIT ' . length $first->body, 'HEAD';

my $run = ask($uri, $demo, 'X-Operation-Key' => 'a-key',
              'X-Operation-Run-Id' => 'a-run');
is cache($run) . ' ' . $run->json->{operation_run_id}, 'HIT a-run',
   'with an operation';
is_page ask($uri, $demo), [map { "exp_demo-$_" } reverse 551 .. 600], {},
        'and without one again';

is again("$uri?$_", $demo), 'MISS HIT', "another page: $_"
    for 'limit=49', 'offset=1', 'status=ready', 'status=not_found',
        'offset=9223372036854775807';


# ---- what tells pages apart ------------------------------------------------

is again('/other/demo/exports', $demo), 'MISS HIT', 'another prefix';
like ask('/other/demo/exports', $demo)->body, qr{"/other/demo/export/download/},
     'another prefix: its links';
unlike ask($uri, $demo)->body, qr{/other/}, 'and only there';

is again('/projects/busy/exports', $busy), 'MISS HIT', 'another project';

for (1, 2) {
    my $r = $t->get($uri, @$copied, port => 'copy');
    is total($r), 2, 'the project of that name in another store';
    is cache($r), $_ == 1 ? 'MISS' : 'HIT', 'which has a page of its own';
    is total(ask($uri, $demo)), 600, 'and in this one';

    is scalar(() = uuids($t->get('/v3', @$copied_user, port => 'copy'))), 1,
       'the user of another store';
    is scalar(() = uuids(ask('/v3', $user))), 25, 'and of this one';
    is scalar(() = uuids(ask('/v3', $seven))), 0, 'another user';
}

is again("/v3?$_", $user), 'MISS HIT', "another page: $_"
    for 'page=2', 'per_page=24', 'filter[type][]=deals',
        'filter[status][]=ready', 'page=9223372036854775807',
        'page=9223372036854775806', 'per_page=25';

for my $host ('a.example.com', 'b.example.com', 'a.example.com') {
    my $c = $t->connect;
    $c->send("GET /v3 HTTP/1.1\r\nHost: $host\r\n"
             . "Authorization: $user->[1]\r\n\r\n");
    my $r = $c->response('GET');
    $c->close;
    my @links = grep { !m{^http://$host/} } links_of($r);
    is @links, 0, "$host: its own links" or diag $links[0];
    is $r->json->{meta}{path}, "http://$host/v3", "$host: its own path";
}

for my $base ('https://c.example.com', 'https://d.example.com/x') {
    is again('/based', $user, 'X-Base' => $base), 'MISS HIT', "$base";
    my @links = grep { !m{^\Q$base\E/based/} }
                links_of(ask('/based', $user, 'X-Base' => $base));
    is @links, 0, "$base: its own links" or diag $links[0];
}

for (1, 2) {
    my ($one) = links_of(ask('/v3', $user));
    my ($two) = links_of($t->get('/v3', @$user, port => 'key'));
    isnt $two, $one, 'signed by another key';
    my ($expires, $signature) = $two =~ $Exports::User::SIGNED;
    my ($path) = $two =~ m{^https?://[^/]+(/[^?]+)};
    is $signature, signature($path, $expires, 'x' x 40), 'by that one';
}

# a key too long to be kept

my $long = join '&', map { "filter[type][]=$_" . 'x' x 1000 } 'a' .. 'c';
is again("/v3?$long", $user), 'BYPASS BYPASS', 'long arguments';


# ---- what is out of date ---------------------------------------------------

for my $round (1 .. 3) {
    my $before = ask('/projects/busy/exports', $busy);
    $t->load($store, project_line(project => 'busy', id => "exp_new-$round",
                                  created_at => stamp(1_800_000_000_000_000)));
    my $r = ask('/projects/busy/exports', $busy);

    is cache($r) . ' ' . total($r), 'MISS ' . (3 + $round), 'after a commit';
    isnt $r->header('ETag'), $before->header('ETag'), 'another ETag';
    is again('/projects/busy/exports', $busy), 'HIT HIT', 'kept again';
    is cache(ask($uri, $demo)), 'HIT', 'another project is not concerned';
}

my ($expires) = ask('/soon', $user)->body =~ /expires=(\d+)/;
my $next;
my $later = wait_for {
    $next = ask('/soon', $user);
    ($next->body =~ /expires=(\d+)/)[0] != $expires;
};
ok $later, 'links are renewed';
is cache($next), 'MISS', 'by a page that is made anew';


# ---- how much is kept ------------------------------------------------------

# slowly: a client that does not read
sub slow {
    my ($uri, $auth) = @_;
    my $c = $t->connect;
    setsockopt $c->{socket}, SOL_SOCKET, SO_RCVBUF, 32768;
    $c->send(Exports::Test::request_text('GET', $uri, @$auth));

    # the answer has begun, that is, the page is in use
    $c->_until(sub { $c->{in} =~ /\r\n\r\n/ }) or die 'no answer';

    return $c;
}

sub finish {
    my ($c) = @_;
    setsockopt $c->{socket}, SOL_SOCKET, SO_RCVBUF, 1048576;
    my $r = $c->response('GET');
    $c->close;
    return $r;
}

my $big = '/projects/demo/exports?limit=500';
my $want = masked(ask($big, $demo)->body);
my @slow = map { slow($big, $demo) } 1 .. 3;

like $slow[0]{in}, qr/X-Cache: HIT/, 'a page that is kept is read slowly';

# so many requests for this one that no other has been used for long enough
sub make_idle { ask($big, $demo, method => 'HEAD') for 1 .. 200 }

# as many pages as drive everything out that is not in use
sub drive_out {
    my %how;
    make_idle();
    $how{ cache(ask("$uri?limit=400&offset=$_", $demo)) }++ for 1 .. 30;
    return \%how;
}

my $how = drive_out();
cmp_ok $how->{MISS}, '>', 5, 'other pages take the place of idle ones';
is $how->{HIT}, undef, 'and all of them are new';

# unless it was being sent still
ok wait_for { cache(ask($uri, $demo)) ne 'HIT' or drive_out(), 0 },
   'the page used longest ago is gone';
is cache(ask($big, $demo)), 'HIT', 'one in use is not';

$t->load($store, project_line(project => 'demo', id => 'exp_late'));
is cache(ask($big, $demo)), 'MISS', 'one in use may be out of date';
is drive_out()->{HIT}, undef, 'and all others are';

is masked(finish($_)->body), $want, 'what was evicted is read whole' for @slow;

# when all that is kept is in use, others are served without

make_idle();
my @all = (slow($big, $demo),
           map { slow("$uri?limit=450&offset=$_", $demo) } 1 .. 14);
my %turns;
$turns{ ($_->{in} =~ /X-Cache: (\w+)/)[0] }++ for @all;
ok $turns{HIT} == 1 && $turns{MISS} && $turns{BYPASS},
   'in use: no room for more' or diag join ' ', %turns;
my $r = ask("$uri?limit=450&offset=99", $demo);
is cache($r) . ' ' . total($r), 'BYPASS 601', 'served all the same';
is total(finish($_)), 601, 'each to its end' for @all;
make_idle();
is again("$uri?limit=450&offset=98", $demo), 'MISS HIT', 'then there is room';


# ---- at the end of a worker ------------------------------------------------

$t->reload;
is again($uri, $demo), 'MISS HIT', 'a new worker begins anew';

# however long the items of others are

ask("/projects/long/exports?limit=$_", $wordy) for 1 .. 20;
is again("$uri?offset=7", $demo), 'MISS HIT', 'beside pages of long items';

# one that has kept nothing, for all is too large for it

$t->{template} =~ s/page_cache 2m/page_cache 64k/ or die 'no page cache';
$t->reload;
is again("$uri?limit=450", $demo), 'BYPASS BYPASS', 'too large a page';
$t->stop;

my @said = $t->error_log =~ /exports page cache: (.*)/g;
is @said, 3, 'each worker has said what it kept';
like pop @said, qr/^0 hits, 0 misses, .*, 2 declined, .* 0 pages of 0 bytes$/,
     'also that it is too small';
for (@said) {
    my ($hits, $misses, $pages, $bytes) =
        /^(\d+) hits, (\d+) misses, .*, (\d+) pages of (\d+) bytes$/
        or diag $_;
    cmp_ok $bytes, '<=', 2 * 1024 * 1024, "no more than allowed: $bytes";
    cmp_ok $hits * $misses * $pages, '>', 0, "figures: $_";
}
like $said[0], qr/ [1-9]\d* $_,/, "some $_"
    for 'evicted', 'out of date', 'declined', 'refused';

$t->done;
