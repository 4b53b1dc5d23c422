# The list of a project's exports: the documented sample to the letter, pages,
# filters, order, and what HTTP adds.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

plan tests => 71;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /a/b/projects/ { exports_api project; }
        location "/s p\"<é>/" { exports_api project; }
    }
    server {
        listen 127.0.0.1:%%PORT_noslash%%;
        location /projects { exports_api project; }
    }
    server {
        listen 127.0.0.1:%%PORT_regex%%;
        location ~ ^/api/v\d/ { exports_api project prefix=/api/v1/; }
    }
    server {
        listen 127.0.0.1:%%PORT_root%%;
        location / { exports_api project; }
    }
}
EOC

my (@lines, %token);

sub project {
    my ($project, @manifests) = @_;
    push @lines, map { project_line(project => $project, %$_) } @manifests;
}

# five with one a second, newest last; of these two not found
project('pages', map { {
    id => "exp_$_", created_at => stamp(1_700_000_000_000_000 + $_ * 1_000_000),
    status => $_ % 2 ? 'ready' : 'not_found',
} } 1 .. 5);

# 60 of one second
project('many', map { {
    id => sprintf('exp_%03d', $_), created_at => '2026-01-01T00:00:00Z',
} } 1 .. 60);

# fractions, in an order of which their text is not
my %fraction = (
    exp_a => '2026-01-01T00:00:00.5Z', exp_b => '2026-01-01T00:00:00.49Z',
    exp_c => '2026-01-01T00:00:00Z', exp_d => '2026-01-01T00:00:00.000001Z',
    exp_e => '2025-12-31T23:59:59.999999Z',
    exp_f => '2026-01-01T01:00:00.123456+01:00',
    exp_g => '1970-01-01T00:00:00Z', exp_h => '9999-12-31T23:59:59.999999Z',
);
project('fractions', map { { id => $_, created_at => $fraction{$_} } }
                     sort keys %fraction);

# values over an LMDB page: every byte of 1,024 doubles when escaped
my $long = '"' x 1024;
my %big = (id => 'exp_big', map { $_ => $long } qw(
    table download_name storage_backend content_type status_reason));
project('big', \%big);

my %odd = (
    id => 'exp_odd', table => "\"\\\b\f\n\r\t\x01\x1f/\x7f",
    download_name => "\x{fc}\x{20ac}\x{1f600}\x{2028}\x{2029}</script>.csv",
    content_type => 'text/csv; charset="utf-8"', row_count => 0,
    size_bytes => 9223372036854775807, table_count => 3,
    status => 'not_found', status_reason => "file\\missing\n",
    missing_at => '2026-06-03T00:00:00.25Z', expires_at => '2030-01-01T00:00:00Z',
);
project('odd', \%odd);

project('kinds',
    { id => 'exp_t', created_at => '2026-01-03T00:00:00Z' },
    { id => 'exp_d', kind => 'database_export', table => undef,
      format => 'sql', created_at => '2026-01-02T00:00:00Z' },
    { id => 'exp_s', kind => 'schema_export', table => undef,
      format => 'json', created_at => '2026-01-01T00:00:00Z' });

my $store = $t->store('store', project_line(), @lines);

$token{$_} = $t->token($store, project => $_)
    for qw(example_project pages many fractions big odd kinds none);

$t->run;

sub list {
    my ($project, $args, @rest) = @_;
    return $t->get("/projects/$project/exports" . ($args // ''),
                   Authorization => "Bearer $token{$project}", @rest);
}


# the sample of the documentation, key by key

my $r = list('example_project');

is $r->status, 200, 'sample: status';
is $r->header('Content-Type'), 'application/json', 'sample: content type';
is $r->header('Content-Length'), length $r->body, 'sample: content length';

is masked($r->body),
   '{"ok":true,"data":{"exports":[{"id":"exp_20260601_182345_a1b2c3d4e5",'
   . '"kind":"table_export","scope":"project","project":"example_project",'
   . '"table":"contacts","format":"csv","download_name":"contacts.csv",'
   . '"download_url":"/projects/example_project/export/download/'
   . 'exp_20260601_182345_a1b2c3d4e5","storage_backend":"local",'
   . '"content_type":"text/csv; charset=utf-8","row_count":25,'
   . '"table_count":null,"size_bytes":2048,"status":"ready",'
   . '"status_reason":null,"missing_at":null,'
   . '"created_at":"2026-06-02T01:23:45Z","expires_at":null}],"total":1,'
   . '"limit":50,"offset":0},"error":null,"request_id":"REQ",'
   . '"meta":{"generated_at":"NOW"}}', 'sample: body';

is_deeply [keys_of($r->body)], [
    'ok', 'data', 'data.exports',
    (map { "data.exports.$_" } @Exports::Test::ITEM_KEYS),
    'data.total', 'data.limit', 'data.offset', 'error', 'request_id', 'meta',
    'meta.generated_at',
], 'sample: keys in order';

is_page $r, ['exp_20260601_182345_a1b2c3d4e5'],
        { total => 1, limit => 50, offset => 0 }, 'sample: envelope';


# status

is_page list('pages'), [map { "exp_$_" } 5, 4, 3, 2, 1],
        { total => 5, limit => 50, offset => 0 }, 'newest first';
is_page list('pages', '?status=all'), [map { "exp_$_" } 5, 4, 3, 2, 1],
        { total => 5 }, 'status=all';
is_page list('pages', '?status=ready'), [map { "exp_$_" } 5, 3, 1],
        { total => 3 }, 'status=ready';
is_page list('pages', '?status=not_found'), [map { "exp_$_" } 4, 2],
        { total => 2 }, 'status=not_found';
is_page list('kinds'), [qw(exp_t exp_d exp_s)], { total => 3 }, 'all kinds';
is list('kinds')->json->{data}{exports}[1]{table}, undef,
   'no table outside table exports';


# pages

is_page list('pages', '?limit=2'), [qw(exp_5 exp_4)],
        { total => 5, limit => 2, offset => 0 }, 'first page';
is_page list('pages', '?limit=2&offset=2'), [qw(exp_3 exp_2)],
        { total => 5, limit => 2, offset => 2 }, 'second page';
is_page list('pages', '?limit=2&offset=4'), ['exp_1'],
        { total => 5, limit => 2, offset => 4 }, 'last page';
is_page list('pages', '?offset=4'), ['exp_1'], { total => 5 },
        'the last alone';
is_page list('pages', '?offset=5'), [], { total => 5, offset => 5 },
        'just beyond the end';
is_page list('pages', '?offset=1000'), [], { total => 5, offset => 1000 },
        'beyond the end';
is_page list('pages', '?offset=9223372036854775807'), [],
        { total => 5, offset => 9223372036854775807 }, 'the greatest offset';
is_page list('pages', '?limit=1&offset=1&status=ready'), ['exp_3'],
        { total => 3, limit => 1, offset => 1 }, 'page of a filter';
is_page list('pages', '?limit=500'), [map { "exp_$_" } 5, 4, 3, 2, 1],
        { total => 5, limit => 500 }, 'limit beyond the end';


# equal times: the greater hash first

my @ties = sort { tie($b) cmp tie($a) } map { sprintf 'exp_%03d', $_ } 1 .. 60;

is_page list('many'), [@ties[0 .. 49]], { total => 60, limit => 50 },
        'ties, default limit';
is_page list('many', '?offset=50'), [@ties[50 .. 59]], { total => 60 },
        'ties, second page';
is_page list('many', '?limit=7&offset=28&status=ready'), [@ties[28 .. 34]],
        { total => 60 }, 'ties, in the middle';
is_page list('many', '?status=not_found'), [], { total => 0 },
        'no match';


# fractions

$r = list('fractions');
is_page $r, [qw(exp_h exp_a exp_b exp_f exp_d exp_c exp_e exp_g)],
        { total => 8 }, 'fractions: order';
is_deeply [map { $_->{created_at} } @{ $r->json->{data}{exports} }], [qw(
    9999-12-31T23:59:59.999999Z
    2026-01-01T00:00:00.500000Z
    2026-01-01T00:00:00.490000Z
    2026-01-01T00:00:00.123456Z
    2026-01-01T00:00:00.000001Z
    2026-01-01T00:00:00Z
    2025-12-31T23:59:59.999999Z
    1970-01-01T00:00:00Z
)], 'fractions: printed with six digits or none, in UTC';


# long and odd strings

$r = list('big');
is_deeply $r->json->{data}{exports},
          [item_of('/projects/', project => 'big', %big)],
          'values larger than a page of the store';
cmp_ok length $r->body, '>', 10_000, 'these are that long';

my $item = item_of('/projects/', project => 'odd', %odd,
                   missing_at => '2026-06-03T00:00:00.250000Z');
$r = list('odd');
is_deeply $r->json->{data}{exports}, [$item], 'odd strings and numbers';
unlike $r->body, qr/[\x00-\x1f]/, 'no raw control characters';
like $r->body, qr/"size_bytes":9223372036854775807,/, 'a number of 63 bits';
like $r->body, qr/"download_name":"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80/,
     'UTF-8 as it is';


# a project whose scope exists, without manifests

is_page list('none'), [], { total => 0, limit => 50, offset => 0 },
        'empty project';
like list('none')->body, qr/"data":\{"exports":\[\],"total":0,/,
     'empty project: body';


# request ids and times

$r = list('none');
like $r->header('X-Request-Id'), qr/^$Exports::Test::REQUEST_ID\z/,
     'X-Request-Id';
is $r->header('X-Request-Id'), $r->json->{request_id}, 'the same in the body';

my ($second) = $r->header('X-Request-Id')
    =~ /^req_(\d{8}T\d{6})_/;
my ($now) = $r->json->{meta}{generated_at} =~ /^([\d:T-]+)Z/;
$now =~ tr/:-//d;
is $second, $now, 'the same time in both';

my $off = micros($r->json->{meta}{generated_at}) / 1e6 - time;
cmp_ok abs $off, '<=', 60, 'generated now';

my $c = $t->connect;
my %seen;
for (1 .. 1000) {
    $r = $c->get('/projects/none/exports',
                 Authorization => "Bearer $token{none}");
    $seen{$r->json->{request_id} =~ s/.*_//r}++;
    $seen{$r->header('X-Request-Id')}++;
}
is keys %seen, 2000, '1000 requests on one connection: ids differ at random';
$c->close;


# HEAD

my $get = list('pages', '?limit=3');
my @auth = (Authorization => "Bearer $token{pages}");
$c = $t->connect;
my $head = $c->request('HEAD', '/projects/pages/exports?limit=3', @auth);

is $head->status, 200, 'HEAD';
is $head->header('Content-Length'), length $get->body, 'HEAD: length';
is $head->header('Content-Type'), 'application/json', 'HEAD: type';
is $head->header('ETag'), $get->header('ETag'), 'HEAD: ETag';
is $head->header_names =~ s/connection //r,
   $get->header_names =~ s/connection //r, 'HEAD: the same headers';

$r = $c->get('/projects/pages/exports?limit=1', @auth);
is_page $r, ['exp_5'], { total => 5 }, 'no body came after HEAD';

$r = $c->request('HEAD', '/projects/pages/exports?limit=x', @auth);
is $r->status, 400, 'HEAD of an error';
$r = $c->request('HEAD', '/projects/pages/nothing');
is $r->status, 404, 'HEAD of no route';
is_page $c->get('/projects/pages/exports?limit=1', @auth), ['exp_5'],
        { total => 5 }, 'no bodies there either';
$c->close;


# HTTP/1.0

my $raw = $t->http("GET /projects/pages/exports?limit=1 HTTP/1.0\r\n"
                   . "Authorization: Bearer $token{pages}\r\n\r\n");
like $raw, qr{^HTTP/1\.1 200 OK\r\n}, 'HTTP/1.0';
like $raw, qr/\r\nConnection: close\r\n/, 'HTTP/1.0: closed';
unlike $raw, qr/chunked/, 'HTTP/1.0: not chunked';
like $raw, qr/\}\z/, 'HTTP/1.0: whole';

$raw = $t->http("GET /projects/pages/exports\r\n");
unlike $raw, qr{^HTTP/1}, 'HTTP/0.9: no headers';
like $raw, qr/"code":"missing_authorization"/, 'HTTP/0.9: an answer';


# pipelining: many answers, in order

$c = $t->connect;
$c->send(join '', map {
    Exports::Test::request_text($_ % 3 ? 'GET' : 'HEAD',
        "/projects/pages/exports?limit=1&offset=$_", @auth)
} 0 .. 299);

my @wrong;
for (0 .. 299) {
    $r = $c->response($_ % 3 ? 'GET' : 'HEAD');
    push @wrong, $_ if $r->status != 200
                       || $_ % 3 && $r->json->{data}{offset} != $_;
}
is "@wrong", '', '300 pipelined requests';
$c->close;


# prefixes

my $path = 'kinds/exports?limit=1';
my $link = 'kinds/export/download/exp_t';
@auth = (Authorization => "Bearer $token{kinds}");

sub link_of { $_[0]->json->{data}{exports}[0]{download_url} // $_[0]->raw }

is link_of($t->get("/projects/$path", @auth)), "/projects/$link",
   'prefix with a slash';
is link_of($t->get("/projects/$path", @auth, port => 'noslash')),
   "/projects/$link", 'prefix without a slash';
is link_of($t->get("/a/b/projects/$path", @auth)), "/a/b/projects/$link",
   'deeper prefix';
is link_of($t->get("/api/v1/$path", @auth, port => 'regex')),
   "/api/v1/$link", 'regex location';
is link_of($t->get("/$path", @auth, port => 'root')), "/$link",
   'root location';
is link_of($t->get("/s%20p%22%3c\xc3\xa9>/$path", @auth)),
   "/s%20p%22%3C%C3%A9%3E/$link", 'a prefix that has to be encoded';

is_error $t->get("/projectsx/$path", @auth, port => 'noslash'), 404,
         'not_found', 'what only begins like a prefix';
is_error $t->get("/projects", @auth, port => 'noslash'), 404, 'not_found',
         'the prefix alone';
is_error $t->get("/projects/", @auth), 404, 'not_found',
         'the prefix alone, with a slash';
is_error $t->get("/api/v2/$path", @auth, port => 'regex'), 404, 'not_found',
         'another prefix in the same regex location';


# what else is in a request line

is_page $t->get("/projects/./x/..//$path", @auth), ['exp_t'], { total => 3 },
        'a path that is normalized';
is_page $t->get("/projects/%6binds/%65xports?limit=1", @auth), ['exp_t'],
        { total => 3 }, 'an encoded path';
is link_of($t->get("/projects/%6binds/exports?limit=1", @auth)),
   "/projects/$link", 'links are of the decoded one';
is_page $t->get("http://elsewhere/projects/$path", @auth), ['exp_t'],
        { total => 3 }, 'an absolute URI';

$t->done;
