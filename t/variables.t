# The variables for logs.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    log_format exports '$status $exports_scope $exports_total $exports_error '
                       '$exports_cache $exports_request_id';
    access_log %%DIR%%/access.log exports;

    server {
        listen 127.0.0.1:%%PORT%%;
        exports_store %%DIR%%/store;

        location /projects/ {
            exports_api project;
            add_header X-Scope "$exports_scope" always;
        }
        location /deny/ { exports_api project; deny all; }
        location /teapot/ { exports_api project; return 418; }
        location /down/ { exports_api project; exports_store %%DIR%%/none; }
        location /fallback/ { exports_api project; exports_fallback @app; }
        location /elsewhere/ { return 200 "$exports_request_id|$exports_total"; }
        location @app { return 200 app; }
    }
}
EOC

my $store = $t->store('store', map {
    project_line(project => 'demo', id => "exp_$_") } 1 .. 3);
my $token = $t->token($store, project => 'demo');
my @auth = (Authorization => "Bearer $token");
my $slug = 'x' x 128;

$t->allow_log(qr{/none});
$t->run;

my $etag = $t->get('/projects/demo/exports', @auth)->header('ETag');

# name, method, uri, headers, what is logged, whether an id is
my @requests = (
    ['list', GET => '/projects/demo/exports', \@auth, '200 demo 3 - BYPASS', 1],
    ['page', GET => '/projects/demo/exports?limit=1&status=ready', \@auth,
     '200 demo 3 - BYPASS', 1],
    ['no match', GET => '/projects/demo/exports?status=not_found', \@auth,
     '200 demo 0 - BYPASS', 1],
    ['HEAD', HEAD => '/projects/demo/exports', \@auth,
     '200 demo 3 - BYPASS', 1],
    ['not modified', GET => '/projects/demo/exports',
     [@auth, 'If-None-Match' => $etag], '304 demo - - REVALIDATED', 1],
    ['no token', GET => '/projects/demo/exports', [],
     '401 demo - missing_authorization -', 1],
    ['a bad token', GET => "/projects/$slug/exports", \@auth,
     "401 $slug - invalid_token -", 1],
    ['a bad argument', GET => '/projects/demo/exports?limit=0', \@auth,
     '400 demo - validation_failed -', 1],
    ['a bad status', GET => '/projects/demo/exports?status=0', \@auth,
     '400 demo - invalid_export_status -', 1],
    ['a bad method', POST => '/projects/demo/exports', \@auth,
     '405 demo - method_not_allowed -', 1],
    ['no route', GET => '/projects/nothing', \@auth, '404 - - not_found -', 1],
    ['no store', GET => '/down/demo/exports', \@auth,
     '503 demo - store_unavailable -', 1],
    ['denied by another module', GET => '/deny/demo/exports', \@auth,
     qr/^403 (?:demo|-) - forbidden - /, 1],
    ['a fallback', GET => '/fallback/x', \@auth, '200 - - - -', undef],
    ['elsewhere', GET => '/elsewhere/', \@auth, '200 - - - -', 0],
);

plan tests => 2 * @requests + 7;

my $c = $t->connect;
my $logged = 1;
my %seen;

for (@requests) {
    my ($name, $method, $uri, $headers, $want, $has_id) = @$_;
    my $r = $c->request($method, $uri, @$headers);
    my $log = '';

    # the line is written when the answer has been sent

    $logged++;
    wait_for { $log = $t->read_file('access.log');
               $logged == ($log =~ tr/\n//) };
    my ($line) = $log =~ /([^\n]*)\n\z/;

    if (ref $want) {
        like $line, $want, $name;
    } else {
        is $line =~ s/ \S+\z//r, $want, $name;
    }

    my ($id) = $line =~ /(\S+)\z/;
    if ($has_id) {
        is $id, $r->header('X-Request-Id'), "$name: request id";
    } elsif (defined $has_id) {
        is $id, '-', "$name: no request id";
    } else {
        like $id, qr/^(?:-|$Exports::Test::REQUEST_ID)\z/,
             "$name: request id or none";
    }
    $seen{$id}++;
}

# a body that turns out to be malformed when the page is ready

$c->send(Exports::Test::request_text('GET', '/projects/demo/exports', @auth,
             'Transfer-Encoding' => 'chunked'), "zz\r\n");
$c->response;
wait_for { $logged + 1 == ($t->read_file('access.log') =~ tr/\n//) };
like $t->read_file('access.log'), qr/^400 demo - bad_request \S+ \S+\n\z/m,
     'a malformed body: no total';

# in headers too, and elsewhere without harm

is $t->get('/projects/demo/exports', @auth)->header('X-Scope'), 'demo',
   'add_header';
is $t->get('/projects/demo/exports?limit=0', @auth)->header('X-Scope'), 'demo',
   'add_header to an error';
is $t->get('/elsewhere/')->body, '|', 'elsewhere they are empty';
ok !(grep { $seen{$_} > 1 && $_ ne '-' } keys %seen), 'ids are unique';
unlike $t->read_file('access.log'), qr/\Q$token/, 'no token is logged';

$t->done;
