# nginx's own gzip filter on top of our answers.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Uncompress::Gunzip ();
use Test::More;

use Exports::Test;

plan tests => 22;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    gzip on;
    gzip_types application/json;
    gzip_min_length 0;
    gzip_vary on;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /deny/ { exports_api project; deny all; }
    }
}
EOC

my $store = $t->store('store', map { project_line(
    project => 'demo', id => "exp_$_",
    created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. 500);
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my @gzip = ('Accept-Encoding' => 'gzip');

$t->run;

sub gunzip {
    my ($bytes) = @_;
    my $text = '';
    IO::Uncompress::Gunzip::gunzip(\$bytes, \$text) or return 'no gzip';
    return $text;
}

for my $args ('', '?limit=500', '?limit=1', '?offset=1000') {
    my $uri = "/projects/demo/exports$args";
    my $plain = $t->get($uri, @auth);
    my $r = $t->get($uri, @auth, @gzip);

    is $r->header('Content-Encoding'), 'gzip', "gzip: $args";
    is masked(gunzip($r->body)), masked($plain->body), "the same: $args";
    is $r->header('ETag'), $plain->header('ETag'), "the same ETag: $args";
}

my $r = $t->get('/projects/demo/exports', @auth, @gzip);
is $r->tokens('Vary'), 'accept-encoding authorization', 'Vary';
is $r->header('Cache-Control'), 'private, no-cache', 'Cache-Control';
my $etag = $r->header('ETag');
$r = $t->get('/projects/demo/exports', @auth, @gzip, 'If-None-Match' => $etag);
is $r->status, 304, 'not modified';
is $r->body, '', 'not modified: no body';

$r = $t->get('/projects/demo/exports', @auth);
is $r->header('Content-Encoding'), undef, 'not asked for';
$r = $t->request('HEAD', '/projects/demo/exports', @auth, @gzip);
is $r->status, 200, 'HEAD';

for (['/projects/demo/exports', 401, 'missing_authorization'],
     ['/projects/nothing', 404, 'not_found'], ['/deny/x', 403, 'forbidden'])
{
    my ($uri, $status, $code) = @$_;
    $r = $t->get($uri, @gzip);
    my $body = $r->header('Content-Encoding') ? gunzip($r->body) : $r->body;
    is $r->status . ' ' . json($body)->{error}{code}, "$status $code",
       "error $status";
}

$t->done;
