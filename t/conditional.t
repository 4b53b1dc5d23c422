# ETag and If-None-Match of lists: what an ETag depends on, and the 304.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

plan tests => 84;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        expires 1h;
        location /off/ { exports_api project; expires off; }
        location /projects/ { exports_api project; }
        location /other/ { exports_api project; }
        location /copy/ { exports_api project; exports_store %%DIR%%/copy; }
    }
}
EOC

my @manifests = map { project_line(project => 'demo', id => "exp_$_",
    status => $_ % 2 ? 'ready' : 'not_found',
    created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. 9;

my $store = $t->store('store', @manifests,
                      project_line(project => 'other', id => 'exp_1'));
my $copy = $t->store('copy', @manifests);

my %auth = map { $_ => [Authorization => 'Bearer '
                        . $t->token($store, project => $_)] } qw(demo other);
my @second = (Authorization => 'Bearer '
              . $t->token($store, project => 'demo', admin => 1));
my @copied = (Authorization => 'Bearer '
              . $t->token($copy, project => 'demo'));

$t->run;

sub list {
    my ($args, @headers) = @_;
    return $t->get("/projects/demo/exports$args", @{ $auth{demo} }, @headers);
}

sub etag { list(@_)->header('ETag') // '' }


# an ETag

my $r = list('');
my $etag = $r->header('ETag');
like $etag, qr{^W/"[^"]+"\z}, 'weak';
is $r->header('Cache-Control'), 'private, no-cache', 'Cache-Control';
is $r->header('Vary'), 'Authorization', 'Vary';
is $r->header('Last-Modified'), undef, 'no Last-Modified';

is etag(''), $etag, 'stable' for 1 .. 10;


# what it depends on

my %other = (
    '?limit=49' => 'limit', '?offset=1' => 'offset',
    '?status=ready' => 'ready', '?status=not_found' => 'not found',
    '?limit=1&offset=49' => 'limit and offset',
    '?limit=49&offset=1' => 'offset and limit',
);
my %seen = ($etag => 1);

for (sort keys %other) {
    my $other = etag($_);
    ok !$seen{$other}++, "$other{$_}: differs";
    is etag($_), $other, "$other{$_}: stable";
}

is etag('?status=all&limit=50&offset=0'), $etag,
   'defaults that are given are the defaults';
is etag('?unknown=1'), $etag, 'others do not count';
is $t->get('/projects/demo/exports', @second)->header('ETag'), $etag,
   'not on the token';
isnt $t->get('/other/demo/exports', @{ $auth{demo} })->header('ETag'), $etag,
     'on the prefix';
isnt $t->get('/projects/other/exports', @{ $auth{other} })->header('ETag'),
     $etag, 'on the project';

my $r2 = $t->get('/copy/demo/exports', @copied);
is $r2->status, 200, 'another store';
isnt $r2->header('ETag'), $etag, 'on the store';


# 304

$r = list('', 'If-None-Match' => $etag);
is $r->status, 304, 'exact';
is $r->header('ETag'), $etag, '304: ETag';
is $r->header('Cache-Control'), 'private, no-cache', '304: Cache-Control';
is $r->header('Vary'), 'Authorization', '304: Vary';
like $r->header('X-Request-Id'), qr/^$Exports::Test::REQUEST_ID\z/,
     '304: X-Request-Id';
is $r->header('Content-Type'), undef, '304: no Content-Type';
ok !$r->header('Content-Length') && !$r->header('Transfer-Encoding'),
   '304: no length';

my $strong = $etag =~ s{^W/}{}r;
my %match = (
    'strong form' => $strong,
    'any' => '*',
    'first of a list' => "$etag, \"x\"",
    'last of a list' => "\"x\", W/\"y\",$etag",
    'last of a list, strong' => "\"x\" ,  $strong",
    'with white space' => "  $etag  ",
    'among commas' => ",, $etag ,,",
    'behind a tag with a comma' => "\"a, b\", $etag",
    'behind a tab' => "\"x\",\t$etag",
);
is list('', 'If-None-Match' => $match{$_})->status, 304, $_
    for sort keys %match;

my %differ = (
    another => '"x"',
    'another list' => 'W/"x", "y"',
    unquoted => $strong =~ tr/"//dr,
    'a part' => substr($etag, 0, -2) . '"',
    longer => substr($etag, 0, -1) . '0"',
    'lower case w' => "w/$strong",
    empty => '',
    'any, in a list' => '*, "x"',
    'neither weak nor strong' => "Wx$strong",
    'inside of another tag' => "\"x, $strong y\"",
);
is_page list('', 'If-None-Match' => $differ{$_}),
        [map { "exp_$_" } reverse 1 .. 9], { total => 9 }, "no match: $_"
    for sort keys %differ;

is list('?limit=1', 'If-None-Match' => $etag)->status, 200,
   'that of other arguments';

# no body, on a connection that goes on; HEAD too

my $c = $t->connect;
my @if = (@{ $auth{demo} }, 'If-None-Match' => $etag);
is $c->get('/projects/demo/exports', @if)->status, 304, 'one';
is $c->request('HEAD', '/projects/demo/exports', @if)->status, 304, 'HEAD';
is $c->get('/projects/demo/exports', @{ $auth{demo} })->status, 200,
   'and then a list';
$c->close;


# errors come first, and have no ETag

$r = $t->get('/projects/demo/exports', 'If-None-Match' => '*');
is_error $r, 401, 'missing_authorization', 'not without a token';
is $r->header('ETag'), undef, 'errors have none';
is_error list('?limit=0', 'If-None-Match' => '*'), 400, 'validation_failed',
         'not with bad arguments';


# other conditions

is list('', $_->[0] => $_->[1])->status, 200, "$_->[0] is ignored"
    for ['If-Match' => '"x"'],
        ['If-Unmodified-Since' => 'Thu, 01 Jan 1970 00:00:01 GMT'],
        ['If-Modified-Since' => 'Fri, 31 Dec 2100 00:00:00 GMT'],
        ['Range' => 'bytes=0-1'];
is list('', 'If-Match' => '"x"', 'If-None-Match' => $etag)->status, 304,
   'If-None-Match beside If-Match';


# with "expires" around it a list still has to be asked for

is join(', ', map { $t->get("/$_/demo/exports", @{ $auth{demo} })
                      ->headers('Cache-Control') } qw(projects off)),
   'private, no-cache, max-age=3600, private, no-cache', 'expires, and off';


# changes

my $other = $t->get('/projects/other/exports', @{ $auth{other} })
              ->header('ETag');

$t->load($store, project_line(project => 'other', id => 'exp_2'));
is etag(''), $etag, 'an import to another project';
isnt $t->get('/projects/other/exports', @{ $auth{other} })->header('ETag'),
     $other, 'changes that one\'s';

$t->load($store, project_line(project => 'demo', id => 'exp_new'));
$r = list('', 'If-None-Match' => $etag);
is $r->status, 200, 'an import to the project';
isnt $r->header('ETag'), $etag, 'another ETag';

my $now = $r->header('ETag');
$t->ctl_ok('delete', $store, '--project', 'demo', 'exp_new');
isnt etag(''), $now, 'a deletion';
isnt etag(''), $etag, 'does not bring the old one back';

$t->reload;
is etag(''), etag(''), 'stable after a reload';
is list('', 'If-None-Match' => etag(''))->status, 304, 'by either worker'
    for 1 .. 4;

$t->done;
