# What the user exports API refuses, how it says so, and in which order.

use warnings;
use strict;

use FindBin;
use List::Util qw(pairmap);
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;
use Exports::User;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_link_key_file %%DIR%%/key;
    error_page 400 401 403 404 405 413 500 502 503 /error.html;
    keepalive_requests 100000;
    large_client_header_buffers 4 16k;
    lingering_timeout 100ms;

    server {
        listen 127.0.0.1:%%PORT%%;
        location = /error.html { internal; return 200 "error page\n"; }
        location /api/v3/exports { exports_api user; }
        location /down { exports_api user; exports_store %%DIR%%/none; }
        location /app { exports_api user; exports_store %%DIR%%/none;
                        exports_fallback @app; }
        location @app { return 200 "application\n"; }
        location /deny { exports_api user; deny all; }
        location /small { exports_api user; client_max_body_size 8; }
        location /broken { exports_api user; return 500; }
        location /upstream { exports_api user; return 504; }
    }
}
EOC

key_file($t, 'key');

my $store = $t->store('store',
    user_line(user => 42, uuid => 'one', subject => { type => 'a', id => 1 }),
    project_line(project => 'demo', id => 'exp_1'));

my $token = $t->token($store, user => 42);
my %token = (
    unknown => 'nobody-has-this-one',
    expired => $t->token($store, user => 42,
                         expires_at => '2020-01-01T00:00:00Z'),
    'of a project' => $t->token($store, project => 'demo'),
    inactive => $t->token($store, user => 42, active => 0),
    'with something behind it' => "$token ",
    'of another case' => uc $token,
    'in quotes' => "\"$token\"",
);

$t->run;

my @auth = (Authorization => "Bearer $token");
my $c = $t->connect;

sub list { $c->get("/api/v3/exports$_[0]", @auth) }


# ---- who is asking ---------------------------------------------------------

is_message $t->get('/api/v3/exports'), 401, 'Unauthenticated.', 'no token';
is_message $t->get('/api/v3/exports', Authorization => "Basic $token"), 401,
           'Unauthenticated.', 'another scheme';
is_message $t->get('/api/v3/exports', Authorization => 'Bearer'), 401,
           'Unauthenticated.', 'a scheme only';
is_message $t->get('/api/v3/exports', Authorization => $token), 401,
           'Unauthenticated.', 'a token only';
is_message $t->get("/api/v3/exports?token=$token&access_token=$token"), 401,
           'Unauthenticated.', 'a token among the arguments';

for (sort keys %token) {
    next if $token{$_} =~ / \z/;
    is_message $t->get('/api/v3/exports', Authorization =>
                       "Bearer $token{$_}"), 401, 'Unauthenticated.',
               "a token that is $_";
}

is_list $t->get('/api/v3/exports', Authorization => "bEARER   $token"),
        ['one'], {}, 'the scheme in any case';

my $r = $c->request('HEAD', '/api/v3/exports');
is $r->status, 401, 'HEAD: 401';
is $r->header('Content-Length'), length '{"message":"Unauthenticated."}',
   'HEAD: its length';
is_list list(''), ['one'], {}, 'HEAD: no body of an error';


# ---- in which order --------------------------------------------------------

my @other = (Authorization => "Bearer $token{unknown}");

is_message $t->request('POST', '/api/v3/exports/?filter[x]=1'), 404, qr/route/,
           'route before method';
is_message $t->request('POST', '/api/v3/exports?filter[x]=1', body => 'x'),
           405, qr/GET, HEAD|GET or HEAD/, 'method before token';
is_message $t->get('/api/v3/exports?filter[x]=1'), 401, 'Unauthenticated.',
           'no token before a filter';
is_message $t->get('/api/v3/exports?page=x'), 401, 'Unauthenticated.',
           'no token before a value';
is_message $t->get('/api/v3/exports?filter[x]=1', @other), 401,
           'Unauthenticated.', 'a bad token before a filter';
is_message $t->get('/api/v3/exports?page=0', @other), 401,
           'Unauthenticated.', 'a bad token before a value';
is_message list('?page=0&filter[status]=x&filter[x]=1'), 400, qr/`x`/,
           '400 before 422';
is_message $t->get('/down?page=0', @auth), 503, qr/./,
           'a store that is missing before a value';

for (qw(POST PUT DELETE PATCH OPTIONS)) {
    is_message $t->request($_, '/api/v3/exports', @auth), 405,
               'The method must be GET or HEAD.', $_;
}

is_message $t->request('POST', '/api/v3/exports/one/download', @auth), 405,
           'The method must be GET or HEAD.', 'POST of a download';


# ---- around us -------------------------------------------------------------

$r = $t->get('/down', @auth);
is_message $r, 503, 'The exports are not available at the moment.', 'no store';
is $r->header('Retry-After'), 1, 'no store: Retry-After';
is $t->get('/app', @auth)->body, "application\n", 'no store, but a fallback';
is $t->get('/app/x/y', @auth)->body, "application\n",
   'no route, but a fallback';
is_message $t->get('/app'), 401, 'Unauthenticated.',
           'no token: not to the fallback';
is_message $t->request('PUT', '/app'), 405, qr/./,
           'a method: not to the fallback';
is_message $t->get('/deny', @auth), 403,
           'Access to this route is forbidden.', 'deny';
is_message $t->get('/small', @auth, body => 'x' x 9), 413,
           'The request body is too large.', 'client_max_body_size';
is_message $t->get('/broken'), 500, qr/./, 'return 500';
is_message $t->get('/upstream'), 504, qr/./, 'return 504';
is_message $t->get('/api/v3/exports/one/download'), 403, 'Invalid signature.',
           'a download without a signature';
is_list $t->get('/api/v3/exports', @auth, body => 'x' x 100_000), ['one'], {},
        'GET with a body';


# ---- filters that do not exist ---------------------------------------------

sub not_allowed {
    my ($filter) = @_;
    return "Requested filter `$filter` is not allowed. Allowed filters are "
           . '`status, type, subject_type, subject_id`.';
}

for ('x', 'Status', 'STATUS', ' status', 'status ', 'statuses', 'user',
     'subject', 'subject.id', 'uuid', '__proto__', '0', "a\"b", 'a\\b', "a'b",
     "\n\r\t\b\f", "\x01\x1f", "\x7f", '<script>alert(1)</script>', '%s%n', '`',
     '}{,:', "\x{e4}\x{20ac}\x{1f600}", "\x{2028}\x{2029}", "\x{10ffff}",
     "\x{d7ff}\x{e000}", 'x' x 1024, '"' x 1024, "\x{fffd}", 'filter[status')
{
    my $name = length > 50 ? length . ' bytes' : $_ =~ /[^ -~]/
               ? 'U+' . join ' ', map { sprintf '%04X', ord } split // : $_;

    is_message list(query_string("filter[$_]", 1)), 400, not_allowed($_),
               "filter: $name";
}

for ("\0", "a\0b", "\xff", "\xc3", "\xc3\x28", "\xc0\x80", "\xe0\x80\x80",
     "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
     "\xf8\x90\x80\x80", "\xc3\xfe", "\xe2\x82", "\xf0\x9f\x98", "x\x80y",
     'x' x 1025)
{
    my $name = length > 50 ? length . ' bytes' : unpack 'H*', $_;

    is_message list('?filter%5B' . percent($_) . '%5D=1'), 400,
               not_allowed('?'),
               "a filter that cannot be named: $name";
}

is_message list('?filter[]=x'), 400, not_allowed(''), 'no name';
is_message list('?filter[x]'), 400, not_allowed('x'), 'no value';
is_message list('?filter[x][]=%zz'), 400, not_allowed('x'), 'a bad value';
is_message list('?filter[x][0]=1'), 400, not_allowed('x'), 'a list';
is_message list('?filter%5bx%5D=1'), 400, not_allowed('x'), 'encoded';
is_message list('?%66ilter[x]=1'), 400, not_allowed('x'), 'encoded otherwise';
is_message list("?filter$_->[0]=ready"), 400, not_allowed($_->[1]),
           "more than a name: filter$_->[0]"
    for ['[x][a][b]', 'x][a][b'], ['[status][][]', 'status][]['],
        ['[status]x', 'status]x'], ['[status]]', 'status]'],
        ['[status][a]b', 'status][a]b'], ['[[status]]', '[status]'],
        ['[status][', 'status]['], ['[status][x', 'status][x'],
        ['[]]', ']'], ['[][][]', '][]['];
is_message list('?filter[type]=a&filter[b]=1&filter[a]=1'), 400,
           not_allowed('b'), 'the first is named';
is_message list('?filter[status]=ready&filter[x]=1&page=0'), 400,
           not_allowed('x'), 'among good and bad ones';


# ---- what is no filter -----------------------------------------------------

for ('filter=x', 'filter', 'filters[status]=x', 'Filter[status]=x',
     'FILTER[x]=1', 'filter[status', 'filter(status)=x', 'xfilter[status]=x',
     'filter]status[=x', 'status=x', 'type=x', 'sort=-x', 'PAGE=0', 'Page=0',
     'page[]=0', 'page[number]=9', 'per_page[]=0', 'perpage=0', 'per-page=0',
     'limit=0', 'offset=x', '=', '&&&', '&=&', '%zz=1', '%00=1', 'a=%00',
     "a=\xff", '%FF=%FF', '?', 'x' x 5000)
{
    is_list list("?$_"), ['one'], { current_page => 1, per_page => 25,
        first => 'http://localhost/api/v3/exports?page=1' },
        'ignored: ' . (length > 50 ? length . ' bytes'
                                   : $_ =~ s/([^ -~])/sprintf '\x%02x', ord $1
                                          /ger);
}


# ---- values ----------------------------------------------------------------

my $long = 'x' x 1025;
my @bytes = ('%00', 'a%00', 'a%00b', '%FF', '%C3', '%C3%28', '%C0%80',
             '%C1%BF', '%E0%80%80', '%E0%9F%BF', '%ED%A0%80', '%ED%BF%BF',
             '%F0%80%80%80', '%F0%8F%BF%BF', '%F4%90%80%80', '%F5%80%80%80',
             '%F8%90%80%80', '%C3%FE', '%E2%82', '%F0%9F%98', '%80', 'a%BFb',
             "\xff", $long, '%C3%A4' x 512 . 'x', '%zz', '%', 'a%4', '%g0',
             '%%', '%0');

sub numbered { my $field = shift; map { "$field.$_" } @_ }

# arguments, and the fields that are bad
my @bad = (
    (map { ["filter[status]=$_", numbered('filter.status', 0)] }
        '', 'x', 'Ready', 'READY', 'ready%20', '+ready', 'ready%00', 'read',
        'readyy', 'all', 'not_found', 'ready;failed', 'ready%0A', '%zz',
        'ready%', '1', 'null', $long),
    ['filter[status]', 'filter.status.0'],
    ['filter[status][]', 'filter.status.0'],
    ['filter[status][]=', 'filter.status.0'],
    ['filter[status]=ready,', 'filter.status.1'],
    ['filter[status]=,ready', 'filter.status.0'],
    ['filter[status]=,', numbered('filter.status', 0, 1)],
    ['filter[status]=,,', numbered('filter.status', 0 .. 2)],
    ['filter[status]=ready,,failed', 'filter.status.1'],
    ['filter[status]=ready,%20failed', 'filter.status.1'],
    ['filter[status]=ready%2Cx%2Cfailed%2cy', numbered('filter.status', 1, 3)],
    ['filter[status]=ready&filter[status][]=x&filter%5Bstatus%5D[7]=failed,y',
     numbered('filter.status', 1, 3)],
    ['filter[status][9]=x', 'filter.status.0'],
    ['filter[status][a]=x', 'filter.status.0'],
    ['filter[status]=' . join(',', ('ready') x 100, 'x'), 'filter.status.100'],
    ['filter[status]=' . ',' x 3000, numbered('filter.status', 0 .. 3000)],

    (map { ["filter[type]=$_", 'filter.type.0'] } '', @bytes),
    ['filter[type]', 'filter.type.0'],
    ['filter[type][]=a&filter[type][]=', 'filter.type.1'],
    ['filter[type]=a,,b', 'filter.type.1'],
    ['filter[type]=a,%FF,b,%FE', numbered('filter.type', 1, 3)],
    ["filter[type]=a&filter[type]=b,$long", 'filter.type.2'],

    (map { ["filter[subject_type]=$_", 'filter.subject_type'] } '', @bytes),
    ['filter[subject_type]', 'filter.subject_type'],
    ['filter[subject_type]=a&filter[subject_type]=', 'filter.subject_type'],
    ['filter[subject_type][]=', 'filter.subject_type'],

    (map { ["filter[subject_id]=$_", 'filter.subject_id'] }
        '', 'x', '1.5', '1.0', '%2B1', '+1', '1+', '0x1', '--1', '-', '-x',
        '1-',
        '1e3', '1,2', '1%00', '%zz', '9223372036854775808',
        '-9223372036854775809', '-92233720368547758080',
        '-9223372036854775808%00', '-9223372036854775808%zz',
        '-18446744073709551616', '18446744073709551617', '9' x 30,
        '-' . '9' x 30, '%D9%A1'),
    ['filter[subject_id]', 'filter.subject_id'],
    ['filter[subject_id]=1&filter[subject_id]=x', 'filter.subject_id'],

    (map { ["page=$_", 'page'] }
        '', '0', '000', '-1', 'x', '1.0', '1x', '%2B1', '+1', '1+', '0x1',
        '1%00', '%zz', '9223372036854775808', '18446744073709551616',
        '18446744073709551617', '9' x 30),
    ['page', 'page'], ['page=1&page=0', 'page'],

    (map { ["per_page=$_", 'per_page'] }
        '', '0', '101', '00101', '-1', 'x', '25.0', '25x', '%2B5', '5+', '%zz',
        '4294967297', '9223372036854775808', '18446744073709551617'),
    ['per_page', 'per_page'], ['per_page=25&per_page=101', 'per_page'],

    ['page=0&per_page=0', 'page', 'per_page'],
    ['per_page=0&page=0', 'page', 'per_page'],
    ['per_page=x&page=y&filter[subject_id]=z&filter[subject_type]=%FF'
     . '&filter[type]=,&filter[status]=ready,x',
     'filter.type.0', 'filter.type.1', 'filter.status.1',
     'filter.subject_type', 'filter.subject_id', 'page', 'per_page'],
    ['filter[status]=x&filter[type]=&filter[status]=y&filter[type]=',
     'filter.status.0', 'filter.type.0', 'filter.status.1', 'filter.type.1'],
);

for (@bad) {
    my ($args, @fields) = @$_;
    my $name = $args =~ s/([^ -~])/sprintf '\x%02x', ord $1/ger;

    is_invalid list("?$args"), \@fields,
               length $name > 70 ? substr($name, 0, 60) . '...' : $name;
}

like list('?filter[status]=x')->json->{message},
     qr/pending, processing, ready, failed, or cancelled/,
     'the message names the statuses';
like list('?per_page=0')->json->{message}, qr/between 1 and 100/,
     'and the bounds';

# all that can be said, to the byte

my @said = (
    'filter.type.66' => 'must be 1 to 1024 bytes of UTF-8',
    'filter.status.0' => 'must be pending, processing, ready, failed, or '
                         . 'cancelled',
    'filter.status.12' => 'must be pending, processing, ready, failed, or '
                          . 'cancelled',
    'filter.subject_type' => 'must be 1 to 1024 bytes of UTF-8',
    'filter.subject_id' => 'must be an integer',
    page => 'must be an integer of at least 1',
    per_page => 'must be an integer between 1 and 100',
    filter => 'must not name more than 64 combinations',
);
my $said = join ',', pairmap { qq("$a":["The $a field $b."]) } @said;
my $wrong = '?per_page=0&page=0&filter[subject_id]=x&filter[subject_type]='
            . '&filter[type]=' . join(',', 1 .. 66, '') . '&filter[status]='
            . join ',', '"', ('ready') x 11, '\\';

is list($wrong)->body,
   qq({"message":"The $said[0] field $said[1].","errors":{$said}}),
   'a body with all of them';
is $c->request('HEAD', "/api/v3/exports$wrong", @auth)
     ->header('Content-Length'), length list($wrong)->body,
   'its length without it';

# these are as far as it goes

for ('filter[type]=' . 'x' x 1024, 'filter[type]=' . '%C3%A4' x 512,
     'filter[type]=%F4%8F%BF%BF', 'filter[type]=%ED%9F%BF',
     'filter[type]=%EE%80%80', 'filter[type]=%F0%90%80%80',
     'filter[type]=%E0%A0%80', 'filter[type]=%C2%80', 'filter[type]=%01%7F',
     'filter[type]=+', 'filter[subject_type]=' . 'x' x 1024,
     'filter[subject_type]=a,b', 'filter[subject_id]=9223372036854775807',
     'filter[subject_id]=-9223372036854775808',
     'filter[subject_id]=-' . '0' x 50 . '9223372036854775808',
     'page=9223372036854775807')
{
    is_list list("?$_"), [], {},
            'valid: ' . (length > 70 ? substr($_, 0, 60) . '...' : $_);
}

is_list list('?filter[subject_id]=' . '0' x 50 . '1'), ['one'], {},
        'leading zeros';
is_list list('?filter[type]=x&filter[subject_id]=x&filter[subject_id]=1'), [],
        {}, 'of a single value the last counts, and the others not at all';


# ---- lists at once ---------------------------------------------------------

sub types { 'filter[type]=' . join ',', map { "t$_" } 1 .. $_[0] }

my $all = 'filter[status]=pending,processing,ready,failed,cancelled';

for (types(64), types(64) . '&' . types(64),
     types(64) . '&filter[status]=ready',
     types(32) . '&filter[status]=ready,failed',
     types(21) . '&filter[status]=ready,failed,pending',
     types(16) . '&filter[status]=ready,failed,pending,cancelled',
     types(64) . "&$all", types(13) . "&$all", "$all&$all",
     types(64) . '&filter[subject_type]=a&filter[subject_id]=1')
{
    is_list list("?$_"), /type/ ? [] : ['one'], {},
            'up to 64 lists: ' . s/t1,.*?t(\d+)(?!\d|,)/t1..t$1/gr;
}

for (types(65), types(64) . ',t1,t65',
     'filter[type]=t1,' . substr(types(65), 13),
     types(65) . '&filter[status]=ready', types(65) . "&$all",
     types(200), types(400) . '&filter[status]=ready,failed',
     types(33) . '&filter[status]=ready,failed',
     types(64) . '&filter[status]=ready,failed',
     types(22) . '&filter[status]=ready,failed,pending',
     types(17) . '&filter[status]=ready,failed,pending,cancelled')
{
    is_invalid list("?$_"), ['filter'],
               'more: ' . s/t1,.*?t(\d+)(?!\d|,)/t1..t$1/gr;
}

is_invalid list('?' . types(65) . ',%FF&filter[status]=x&page=0'),
           ['filter.type.65', 'filter.status.0', 'page', 'filter'],
           'more, and other faults';

# however it goes, the connection lives and nothing else has changed

is_list list(''), ['one'], {}, 'the connection has survived';
$c->close;

$t->allow_log(qr{/none});
$t->done;
done_testing;
