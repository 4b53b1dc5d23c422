# The rate limit of the user API: who is counted as whom, exactly by however
# many workers, and who has to give way when a zone is full.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX ();
use Test::More;

use Exports::Test;

# name, where: h(ttp) or l(ocation), text, what is said
my @bad = (
    ['a zone without a size', h => 'exports_rate_zone a;',
     qr/invalid zone "a"/],
    ['a zone without a name', h => 'exports_rate_zone :1m;',
     qr/invalid zone ":1m"/],
    (map { ["size $_", h => "exports_rate_zone a:$_;",
            qr/invalid size "$_" of zone "a"/] } '', 'x', '1x', '-1', '1.5m',
        '99999999999999999999'),
    ['8 pages less a byte', h => 'exports_rate_zone a:32767;',
     qr/zone "a" is too small/],
    ['a zone named off', h => 'exports_rate_zone off:1m;', qr/"off"/],
    ['a parameter of a zone', h => 'exports_rate_zone a:1m rate=5r/m;',
     qr/number of arguments/],
    ['a zone twice', h => 'exports_rate_zone a:1m; exports_rate_zone a:1m;',
     qr/zone "a" is defined twice/],
    ['a zone twice, of two sizes', h =>
     'exports_rate_zone a:1m; exports_rate_zone a:2m;',
     qr/zone "a" conflicts/],
    ['a zone in a location', l => 'exports_rate_zone a:1m;',
     qr/not allowed here/],
    ['no name', l => 'exports_rate_limit;', qr/number of arguments/],
    ['an empty name', l => 'exports_rate_limit "";', qr/empty name/],
    ['an unknown parameter', l => 'exports_rate_limit rates burst=5;',
     qr/invalid parameter "burst=5"/],
    ['a rate without a name', l => 'exports_rate_limit rates 5r/m;',
     qr{invalid parameter "5r/m"}],
    ['a rate of nothing', l => 'exports_rate_limit off rate=5r/m;',
     qr{invalid parameter "rate=5r/m"}],
    (map { ["rate=$_", l => "exports_rate_limit rates rate=$_;",
            qr{invalid rate "$_"}] } '', 'r/m', '0r/m', '-1r/m', '5', '5r/s',
        '5r/h', '5r/mm', 'xr/m', '5xr/m', '1.5r/m', '1000001r/m',
        '99999999999999999999r/m'),
    ['two rates', l => 'exports_rate_limit rates rate=5r/m rate=6r/m;',
     qr/number of arguments/],
    ['two zones in a location', l => 'exports_rate_limit rates; '
     . 'exports_rate_limit rates;', qr/duplicate/],
    ['on, and off', l => 'exports_rate_limit rates; exports_rate_limit off;',
     qr/duplicate/],
    ['a zone of another kind', l => 'exports_rate_limit ops;',
     qr/"ops" is already declared for a different use/],
    ['a zone that nothing defines', l => 'exports_rate_limit none;',
     qr/"none"/],
);

my @good = (
    ['8 pages', h => 'exports_rate_zone a:32k;'],
    ['used before it is defined', h =>
     'exports_rate_limit a; exports_rate_zone a:1m;'],
    (map { ["rate=$_", l => "exports_rate_limit rates rate=$_;"] }
        '1r/m', '500r/m', '1000000r/m'),
    ['off in a location', l => 'exports_rate_limit off;'],
);

my $t = Exports::Test->new;

my $KEYS = $t->write_file('keys', 'k' x 32 . "\n");
chmod 0640, $KEYS;

sub check {
    my ($where, $text) = @_;
    my %at = (h => '', l => '', $where => $text);

    return $t->check_conf(<<"EOC");
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_rate_zone rates:1m;
    exports_operation_zone ops:1m;
    $at{h}
    exports_store %%DIR%%/store; exports_link_key_file %%DIR%%/keys;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /exports {
            exports_api user;
            $at{l}
        }
    }
}
EOC
}

my ($exit, $said) = check(l => 'set_real_ip_from 127.0.0.1;');
plan skip_all => 'nginx without realip' if $said =~ /set_real_ip_from/;
plan tests => 2 * @bad + @good + 125;


# ---- configuration ---------------------------------------------------------

my %line = (h => 7, l => 13);

for (@bad) {
    my ($name, $where, $text, $said) = @$_;
    my ($exit, $message) = check($where, $text);
    my ($emerg) = $message =~ /\[emerg\] (.*)/;

    is $exit, 1, "$name: refused" or diag $message;
    ok defined $emerg && $emerg =~ $said
       && $emerg =~ /check\.conf:$line{$where}\b/, "$name: why, and the line"
        or diag $message;
}

for (@good) {
    my ($name, $where, $text) = @$_;
    my ($exit, $message) = check($where, $text);

    is $exit, 0, "$name: accepted" or diag $message;
}


# ---- the server ------------------------------------------------------------

my %size = (resized => '1m');
my %rate = (resized => 10);
my $zones = '';

sub conf {
    $t->conf(<<"EOC");
%%MAIN%%
worker_processes 4;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_rate_zone one:1m;
    exports_rate_zone two:1m;
    exports_rate_zone crowd:1m;
    exports_rate_zone address:1m;
    exports_rate_zone small:32k;
    exports_rate_zone full:32k;
    exports_rate_zone resized:$size{resized};
    $zones
    exports_link_key_file %%DIR%%/keys;
    set_real_ip_from 127.0.0.1;
    set_real_ip_from unix:;
    real_ip_header X-Forwarded-For;
    exports_store %%DIR%%/store;
    exports_rate_limit one;
    server {
        listen 127.0.0.1:%%PORT%%;
        listen unix:%%DIR%%/socket;
        location /exports { exports_api user; }
        location /five { exports_api user; exports_rate_limit two rate=5r/m; }
        location /three { exports_api user; exports_rate_limit two rate=3r/m; }
        location /other {
            exports_api user;
            exports_rate_limit two rate=5r/m;
            exports_store %%DIR%%/other;
        }
        location /down {
            exports_api user;
            exports_rate_limit two rate=5r/m;
            exports_store %%DIR%%/none;
        }
        location /crowd {
            exports_api user;
            exports_rate_limit crowd rate=50r/m;
        }
        location /flood {
            exports_api user;
            exports_rate_limit crowd rate=4000r/m;
        }
        location /address {
            exports_api user;
            exports_rate_limit address rate=4r/m;
        }
        location /small {
            exports_api user;
            exports_rate_limit small rate=100r/m;
        }
        location /full {
            exports_api user;
            exports_rate_limit full rate=100r/m;
        }
        location /resized {
            exports_api user;
            exports_rate_limit resized rate=$rate{resized}r/m;
        }
        location /off { exports_api user; exports_rate_limit off; }
    }
    server {
        listen 127.0.0.1:%%PORT_none%%;
        exports_rate_limit off;
        location /exports { exports_api user; }
        location /five { exports_api user; exports_rate_limit two rate=5r/m; }
    }
}
EOC
}

conf();

my $store = $t->store('store', user_line(user => 1, uuid => 'u-1'),
                      user_line(user => 2, uuid => 'u-2'));

# the first scope of another store has the same number

my $other = $t->store('other', user_line(user => 'else', uuid => 'u-9'));

my %token = (map { $_ => $t->token($store, user => /^1/ ? 1 : $_) }
                 1, '1b', 2 .. 9);
$token{else} = $t->token($other, user => 'else');

my @crowd = map { "crowd_$_" } 1 .. 400;
$t->ctl_ok('token', 'import', $store, '-', { stdin => join '', map {
    token_line($_, user => $_) . "\n" } @crowd });
$token{$_} = $_ for @crowd;

$t->allow_log(qr{/none});
$t->run;

sub auth { defined $_[0] ? (Authorization => "Bearer " . ($token{$_[0]}
                                                          // $_[0])) : () }

# status, limit, remaining, as one string
sub said {
    my ($r) = @_;
    return join ' ', $r->status, map { $r->header("X-RateLimit-$_") // '-' }
        'Limit', 'Remaining';
}

# ask('/five', 1, Header => 'value'): as user 1; undef: without a token
sub ask {
    my ($uri, $user, @headers) = @_;
    return said($t->get($uri, auth($user), @headers));
}

sub text {
    my ($uri, $user, @headers) = @_;
    return Exports::Test::request_text('GET', $uri, auth($user), @headers);
}

# of an address, by one connection: array of [uri, user, headers]
sub burst {
    my $c = $t->connect;

    $c->send(map { text(@$_) } @_);

    my @said = map { said($c->response) } @_;
    $c->close;

    return @said;
}

sub from { ('X-Forwarded-For' => $_[0]) }


# ---- the headers, and the limit --------------------------------------------

is ask('/exports', 1), '200 500 499', 'the default: 500';
is ask('/exports', 1), '200 500 498', 'the next';
is ask('/exports', '1b'), '200 500 497', 'another token of the same user';
is ask('/exports', 2), '200 500 499', 'another user';

is ask('/five', 1), "200 5 $_", "another zone: $_" for reverse 0 .. 4;

my $r = $t->get('/five', auth(1));
is said($r), '429 5 0', 'over the limit';
is $r->body, '{"message":"Too Many Attempts."}', 'over the limit: body';
like $r->header('Retry-After'), qr/^\d+\z/, 'over the limit: Retry-After';
cmp_ok $r->header('Retry-After'), '<=', 60, 'at most a minute';
cmp_ok $r->header('Retry-After'), '>', 20, 'and it has just begun';
is $r->header('Cache-Control'), 'no-store', 'over the limit: not stored';
is scalar($r->headers('X-RateLimit-Limit')), 1, 'each header once';

is ask('/five', '1b'), '429 5 0', 'nor with another token';
is ask('/five', 2), '200 5 4', 'but another user';
is ask('/five?per_page=x', 1), '429 5 0', '429 goes before 422';
is ask('/five?filter[x]=1', 1), '429 5 0', '429 goes before 400';
is ask('/exports', 1), '200 500 496', 'the other zone does not mind';

ok !defined $t->get('/exports', auth(2))->header('Retry-After'),
   'within the limit: no Retry-After';

# one zone, two limits: what is refused by one is not counted for the other

is ask('/three', 3), "200 3 $_", "a lower limit: $_" for reverse 0 .. 2;
is ask('/three', 3), '429 3 0', 'a lower limit: over it' for 1 .. 3;
is ask('/five', 3), '200 5 1', 'a higher limit of the same zone';
is ask('/five', 3), '200 5 0', 'and the last';
is ask('/five', 3), '429 5 0', 'and over it';
is ask('/three', 3), '429 3 0', 'far above the lower one';
is said($t->get('/five', auth(3), port => 'none')), '429 5 0',
   'in another server';

# stores number their scopes by themselves

is ask('/five', 1), '429 5 0', 'the first user of one store';
is ask('/other', 'else'), '200 5 4', 'is not the first of another';


# ---- what is counted -------------------------------------------------------

my $etag = $t->get('/exports', auth(4))->header('ETag');

is said($t->request('HEAD', '/exports', auth(4))), '200 500 498', 'HEAD';
$r = $t->get('/exports', auth(4), 'If-None-Match' => $etag);
is said($r), '304 500 497', 'status 304';
is ask('/exports?per_page=0', 4), '422 500 496', 'status 422';
is ask('/exports?filter[x]=1', 4), '400 500 495', 'status 400';
is ask('/exports/', 4), '404 - -', '404: no headers';
is ask('/exports/u-1/nothing', 4), '404 - -', 'no route: no headers';
is said($t->request('POST', '/exports', auth(4))), '405 - -',
   '405: no headers';
is ask('/exports', 4), '200 500 494', '404 and 405 are not counted';

is ask('/down', 4), '503 - -', '503: no headers' for 1 .. 6;
is ask('/five', 4), '200 5 4', '503 is not counted';

is ask('/exports/u-2/download', 5), '403 - -', 'a download: no headers';
is ask('/exports', 5), '200 500 499', 'a download is not counted';

is ask('/off', 1), '200 - -', 'off in a location' for 1, 2;
is said($t->get('/exports', auth(1), port => 'none')), '200 - -',
   'off in a server';


# ---- addresses -------------------------------------------------------------

# the same, as name: these addresses are one
sub one_address {
    my ($name, @from) = @_;
    my $left = 4;
    my @wrong;

    for my $from (@from[0 .. 3]) {
        my $got = ask('/address', undef, from($from));
        push @wrong, "$from: $got" if $got ne '401 4 ' . --$left;
    }

    for my $from (@from) {
        my $got = ask('/address', undef, from($from));
        push @wrong, "$from: $got" if $got ne '429 4 0';
    }

    is "@wrong", '', "one address: $name";
}

sub new_address {
    my ($from, $name) = @_;
    is ask('/address', undef, from($from)), '401 4 3', "another: $name";
}

$r = $t->get('/address', from('198.51.100.1'));
is said($r), '401 4 3', 'no token: by address';
is $r->body, '{"message":"Unauthenticated."}', 'no token: body';
is ask('/address', 'unknown', from('198.51.100.1')), '401 4 2',
   'an unknown token: by address';
is said($t->get('/address', Authorization => 'Basic eDp5',
                from('198.51.100.1'))), '401 4 1', 'no Bearer: by address';
is ask('/address', 6, from('198.51.100.1')), '200 4 3',
   'a valid token: by user';
is ask('/address', undef, from('198.51.100.1')), '401 4 0', 'the last';
$r = $t->get('/address', from('198.51.100.1'));
is said($r), '429 4 0', '429 goes before 401';
is $r->body, '{"message":"Too Many Attempts."}', '429 goes before 401: body';
cmp_ok $r->header('Retry-After'), '<=', 60, '429 goes before 401: Retry-After';
ok !defined $r->header('WWW-Authenticate'), '429 asks for no token';
is ask('/address', 'unknown', from('198.51.100.1')), '429 4 0',
   'an unknown token does not help';
is ask('/address', 6, from('198.51.100.1')), '200 4 2',
   'a user does not suffer from the address';

new_address('198.51.100.2', 'the next IPv4');
new_address('198.51.101.1', 'another /24');
one_address('IPv4, also as IPv6', '203.0.113.7', '::ffff:203.0.113.7',
            '::ffff:cb00:7107', '203.0.113.7');
new_address('::ffff:203.0.113.8', 'another mapped one');
one_address('a /64', '2001:db8:0:1::1', '2001:db8:0:1:ffff:ffff:ffff:ffff',
            '2001:db8:0:1::', '2001:db8:0:1:1:2:3:4', '2001:db8:0:1::5');
new_address('2001:db8:0:2::1', 'the next /64');
new_address('2001:db8:1:1::1', 'another /48');
new_address('::cb00:7107', 'an IPv6 that is not mapped');

my @left = map {
    my $s = IO::Socket::UNIX->new(Peer => $t->path('socket'))
        or die "socket: $!";
    print $s Exports::Test::request_text('GET', '/address',
                                         Connection => 'close');
    (do { local $/; <$s> }) =~ /X-RateLimit-Remaining: (\d+)/;
    $1;
} 1 .. 5;

is "@left", '3 2 1 0 0', 'Unix sockets: one for all';


# ---- several workers -------------------------------------------------------

for my $user (7, 8, undef) {
    my @c = map { $t->connect } 1 .. 120;

    $_->send(text('/crowd', $user)) for @c;

    my (%status, @left);

    for my $c (@c) {
        my $r = $c->response;
        $status{ $r->status }++;
        push @left, $r->header('X-RateLimit-Remaining') if $r->status != 429;
        $c->close;
    }

    my $name = defined $user ? "user $user" : 'an address';

    is_deeply \%status, { (defined $user ? 200 : 401) => 50, 429 => 70 },
        "120 at once, $name: exactly 50 pass" or diag explain \%status;
    is "@{[sort { $a <=> $b } @left]}", "@{[0 .. 49]}",
       "120 at once, $name: each is counted once";
}


# workers that were stopped meanwhile find all of it at once, and are in each
# other's way

my @c = map { $t->connect } 1 .. 16;
my %status;

$_->get('/off', auth(9)) for @c;

kill 'STOP', $t->workers;
$_->send(map { text('/flood', 9) } 1 .. 500) for @c;
kill 'CONT', $t->workers;

for my $c (@c) {
    $status{ $c->response->status }++ for 1 .. 500;
    $c->close;
}

is_deeply \%status, { 200 => 4000, 429 => 4000 },
    '8000 in 16 pipelines: exactly 4000 pass' or diag explain \%status;


# ---- small zones -----------------------------------------------------------

# some hundred windows fit into 32k

sub address { join '.', 10, map { ($_[0] >> $_) & 255 } 16, 8, 0 }

is ask('/small', 1), "200 100 $_", "a user: $_" for 99, 98, 97;
is ask('/small', undef, from('192.0.2.1')), '401 100 99', 'an address';
is ask('/small', undef, from('192.0.2.1')), '401 100 98', 'an address again';

my $wrong = 0;

for my $part (0 .. 49) {
    $_ eq '401 100 99' or $wrong++ for burst(map { ['/small', undef,
        from(address($part * 100 + $_))] } 0 .. 99);
}

is $wrong, 0, '5000 addresses: each is counted by itself';
is ask('/small', 1), '200 100 96', '5000 addresses: the user is still known';
is ask('/small', undef, from('192.0.2.1')), '401 100 99',
   '5000 addresses: the first is not';
is ask('/small', undef, from(address(4999))), '401 100 98',
   '5000 addresses: the last one is';

# the one that goes on is not forgotten

my @kept;

for my $part (1 .. 20) {
    push @kept, (burst(['/small', undef, from('192.0.2.2')], map {
        ['/small', undef, from(address(10_000 + $part * 100 + $_))]
    } 1 .. 100))[0];
}

is "@kept", join(' ', map { '401 100 ' . (100 - $_) } 1 .. 20),
   'an address that goes on is known among 2000 others';

# users take the place of addresses, and of the users before them

burst(map { ['/full', $_] } @crowd[0 .. 99]);
is ask('/full', undef, from('192.0.2.1')), '401 100 99',
   '100 users: an address';
is ask('/full', undef, from('192.0.2.1')), '401 100 98',
   '100 users: an address again';

burst(map { ['/full', $_] } @crowd);

is ask('/full', $crowd[399]), '200 100 98', '400 users: the last is known';
is ask('/full', undef, from('192.0.2.1')), '401 100 99',
   '400 users: an address is let through';
is ask('/full', undef, from('192.0.2.1')), '401 100 99',
   '400 users: uncounted' for 1 .. 3;
is ask('/full', $crowd[399]), '200 100 97', '400 users: the last is known';
is ask('/full', $crowd[300]), '200 100 98', '400 users: those before too';
is ask('/full', $crowd[0]), '200 100 99', '400 users: the first is not';

my @warned = $t->error_log =~ /\[warn\] (.* zone "\w+" is full.*)/g;
is scalar(@warned), 1, 'a full zone: said once a minute';
like $warned[0] // '', qr/exports zone "full" is full of users/,
     'a full zone: which';


# ---- reloads ---------------------------------------------------------------

is ask('/resized', 1), "200 10 $_", "before a reload: $_" for reverse 2 .. 9;

$t->reload;
is ask('/resized', 1), '200 10 1', 'a reload keeps state';
is ask('/five', 1), '429 5 0', 'in all zones';
ok $t->error_log !~ /starts empty/, 'a reload: nothing to be told';

$rate{resized} = 5;
conf();
$t->reload;
is ask('/resized', 1), '429 5 0', 'a lower limit than was used';

$rate{resized} = 20;
conf();
$t->reload;
is ask('/resized', 1), '200 20 10', 'a higher limit';
ok $t->error_log !~ /starts empty/, 'another limit: nothing to be told';

$size{resized} = '2m';
conf();
$t->reload;
is ask('/resized', 1), '200 20 19', 'another size: it starts empty';
is ask('/five', 1), '429 5 0', 'the other zones keep theirs';

my $notice = 'exports zone "resized" has another size now, its state starts '
             . "empty\n";
is scalar(() = $t->error_log =~ /\[notice\] .*: $notice/g), 1,
   'another size: that is said, once';

# a name that is given to another kind

$zones = 'exports_operation_zone changed:1m;';
conf();
$t->reload;
$zones = 'exports_rate_zone changed:1m;';
conf();
$t->reload;
is ask('/exports', 9), '200 500 499', 'a zone of another kind: served';
like $t->error_log, qr/exports zone "changed" has another use/,
     'a zone of another kind: that is said';

$t->done;
