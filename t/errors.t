# What is not a list: unknown routes, other methods, errors that nginx or
# another module raises below the prefix, and the fallback.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

# paths that no route matches
my @unknown = (
    '/projects/', '/projects/demo', '/projects/demo/', '/projects//exports',
    '/projects/exports', '/projects/demo/exports/', '/projects/demo/exportsx',
    '/projects/demo/Exports', '/projects/demo/EXPORTS',
    '/projects/demo/exports%0A', '/projects/demo/exports%0D',
    '/projects/demo/exports%00', '/projects/demo/exports%20',
    '/projects/demo/exports%0A/', '/projects/demo/exports/exp_1',
    '/projects/demo/xexports', '/projects/demo/x/exports',
    '/projects/demo%2Fx/exports', '/projects/a%2F..%2Fdemo',
    '/projects/demo%0A/exports', '/projects/%0Ademo/exports',
    '/projects/demo%00/exports', '/projects/Demo/exports',
    '/projects/DEMO/exports', '/projects/d%C3%A9mo/exports',
    '/projects/de.mo/exports', '/projects/de+mo/exports',
    '/projects/de%20mo/exports', '/projects/demo;/exports',
    '/projects/' . 'x' x 129 . '/exports', '/projects/' . 'x' x 4000 . '/exports',
    '/projects/demo/export', '/projects/demo/export/download',
    '/projects/demo/export/download/', '/projects/demo/export/download/a.b',
    '/projects/demo/export/download/a/b', '/projects/demo/export/download/a%0A',
    '/projects/demo/export/download/' . 'x' x 129,
    '/projects/%FF%FE/exports', '/projects/<script>/exports',
);

my @methods = qw(POST PUT DELETE PATCH OPTIONS PROPFIND MKCOL COPY PURGE get);

plan tests => 2 * @unknown + 5 * @methods + 79;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    limit_req_zone $binary_remote_addr zone=few:1m rate=1r/m;
    error_page 400 401 403 404 405 413 418 429 500 503 /error.html;
    large_client_header_buffers 4 16k;
    lingering_timeout 100ms;

    server {
        listen 127.0.0.1:%%PORT%%;
        exports_store %%DIR%%/store;

        location = /error.html { internal; return 200 "error page\n"; }
        location /files/ { root %%DIR%%; }
        location /denied/ { deny all; root %%DIR%%; }

        location /projects/ { exports_api project; }

        location /deny/ { exports_api project; deny all; }
        location /few/ {
            exports_api project;
            limit_req zone=few;
            limit_req_status 429;
        }
        location /unavailable/ { exports_api project; limit_req zone=few; }
        location /small/ { exports_api project; client_max_body_size 8; }
        location /basic/ {
            exports_api project;
            auth_basic "somebody";
            auth_basic_user_file %%DIR%%/nobody;
        }
        location /either/ {
            exports_api project;
            satisfy any;
            auth_basic "somebody";
            auth_basic_user_file %%DIR%%/nobody;
            auth_request /granted;
        }
        location = /granted { return 204; }
        location /teapot/ { exports_api project; return 418; }
        location /broken/ { exports_api project; return 500; }
        location /upstream/ { exports_api project; return 502; }
        location /text/ { exports_api project; return 403 "not ours"; }
        location /moved/ { exports_api project; return 302 /files/; }
        location /own/ {
            exports_api project;
            error_page 403 404 /error.html;
            deny all;
        }
        location /nested/ {
            exports_api project;
            location ~ /x/ { return 200 "nested\n"; }
            location ~ /y/ { return 404; }
            location ~ /z/ { exports_api project prefix=/z; return 404; }
        }
        location /tea/ {
            exports_api project;
            if ($http_x_tea) { return 418; }
            limit_except GET { deny all; }
        }
        location /ownif/ {
            exports_api project;
            error_page 418 /error.html;
            if ($http_x_tea) { return 418; }
        }
        location /method/ { exports_api project; return 405; }
        location /odd/ { exports_api project; return 600; }
        location /bare/ { exports_store %%DIR%%/store; deny all; }
        location /internal/ { internal; exports_api project; }
    }

    server {
        listen 127.0.0.1:%%PORT_fallback%%;
        exports_store %%DIR%%/store;
        exports_fallback @app;

        location /projects/ { exports_api project; }
        location /down/ { exports_api project; exports_store %%DIR%%/none; }
        location /files/ { root %%DIR%%; }
        location /missing/ { exports_api project; exports_fallback @gone; }
        location /off/ { exports_api project; exports_fallback off; }
        location @app {
            add_header X-App "$request_method $request_uri";
            return 200 "application\n";
        }
        location @gone { return 404; }

        location /proxied/ { exports_api project; exports_fallback @proxy; }
        location @proxy { proxy_pass http://127.0.0.1:%%PORT_app%%; }
    }

    server {
        listen 127.0.0.1:%%PORT_app%%;
        location / { return 200 "$request_method $request_uri $content_length"; }
    }
}
EOC

$t->write_file('nobody', "somebody:{PLAIN}secret\n");
mkdir $t->path('files');
mkdir $t->path('denied');

my $store = $t->store('store', project_line(project => 'demo', id => 'exp_1'));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;


# unknown routes

my $c = $t->connect;

for (@unknown) {
    my $name = length > 60 ? substr($_, 0, 50) . '...' : $_;

    if (/%00/) {
        # nginx itself refuses a zero in a path, before there is a location
        is $t->get($_, @auth)->status, 400, $name;
        pass;
        next;
    }

    is_error $c->get($_, @auth), 404, 'not_found', $name;
    is $c->request('HEAD', $_, @auth)->status, 404, "HEAD $name";
}

is_error $t->get('/projects/' . 'x' x 128 . '/exports', @auth), 401,
         'invalid_token', 'a slug of 128 bytes is one';
is_error $t->get('/projects/-_09az/exports', @auth), 401, 'invalid_token',
         'all that a slug may hold';
is_page $c->get('/projects/demo/exports', @auth), ['exp_1'], { total => 1 },
        'the connection has survived';


# other methods, with a body and without

for my $method (@methods) {
    my $r = $t->request($method, '/projects/demo/exports', @auth);
    is $r->status, $method eq 'get' ? 400 : 405, "$method: status";

    if ($method eq 'get') {
        # no method at all: nginx's own answer
        pass for 1 .. 4;
        next;
    }

    is_error $r, 405, 'method_not_allowed', $method;
    is $r->header('Allow'), 'GET, HEAD', "$method: Allow";

    # the body of the first must not become the second request
    my $body = "GET /files/ HTTP/1.1\r\n\r\n" x 20;
    $c = $t->connect;
    $c->send(Exports::Test::request_text($method, '/projects/demo/exports',
                 @auth, 'Content-Length' => length $body), $body,
             Exports::Test::request_text('GET', '/projects/demo/exports',
                 @auth));
    is_error $c->response, 405, 'method_not_allowed', "$method with a body";

    my $next = eval { $c->response };
    ok !$next || ($next->status == 200 && $next->json->{data}{total} == 1),
       "$method: the connection is usable, or closed";
}

is $t->request('TRACE', '/projects/demo/exports')->status, 405, 'TRACE';

my $r = $t->request('GET', '/projects/demo/exports', @auth,
                    body => 'x' x 100_000);
is_page $r, ['exp_1'], { total => 1 }, 'GET with a body';

$c = $t->connect;
$c->send(Exports::Test::request_text('GET', '/projects/demo/exports', @auth,
             'Transfer-Encoding' => 'chunked'), "5\r\nhello\r\n0\r\n\r\n",
         Exports::Test::request_text('GET', '/projects/demo/exports', @auth));
is_page $c->response, ['exp_1'], { total => 1 }, 'GET with a chunked body';
is_page $c->response, ['exp_1'], { total => 1 }, 'and the next';

$c = $t->connect;
$c->send(Exports::Test::request_text('POST', '/projects/demo/exports', @auth,
             'Content-Length' => 10, Expect => '100-continue'));
is_error $c->response, 405, 'method_not_allowed', 'a body that is announced';


# what nginx and other modules raise below the prefix

is_error $t->get('/deny/demo/exports', @auth), 403, 'forbidden', 'deny';
is_error $t->get('/deny/nothing'), 403, 'forbidden', 'deny, no route';

is_page $t->get('/few/demo/exports', @auth), ['exp_1'], { total => 1 },
        'limit_req: the first';
is_error $t->get('/few/demo/exports', @auth), 429, 'too_many_requests',
         'limit_req: the second';
is_error $t->get('/unavailable/demo/exports', @auth), 503, qr/./,
         'limit_req: 503';

is_error $t->get('/small/demo/exports', @auth, body => 'x' x 9), 413,
         'payload_too_large', 'client_max_body_size';
is_page $t->get('/small/demo/exports', @auth, body => 'x' x 8), ['exp_1'],
        { total => 1 }, 'not larger';

$r = $t->get('/basic/demo/exports', @auth);
is_error $r, 401, qr/./, 'auth_basic';
is $r->header('WWW-Authenticate'), 'Basic realm="somebody"',
   'auth_basic: its challenge';

$r = $t->get('/either/demo/exports');
is_error $r, 401, 'missing_authorization', 'satisfy any, and no token';
is $r->header('WWW-Authenticate'), 'Bearer',
   'satisfy any: our challenge, not the one that was withdrawn';

is_error $t->get('/teapot/demo/exports', @auth), 418, qr/./, 'return 418';
is_error $t->get('/broken/demo/exports', @auth), 500, 'internal_error',
         'return 500';
is_error $t->get('/upstream/demo/exports', @auth), 502, 'bad_gateway',
         'return 502';
is_error $t->get('/text/demo/exports', @auth), 403, 'forbidden',
         'return with a text';
is_error $t->get('/internal/demo/exports', @auth), 404, 'not_found',
         'internal';

$r = $t->request('HEAD', '/deny/demo/exports');
is $r->status, 403, 'HEAD: deny';
is $r->header('Content-Type'), 'application/json', 'HEAD: type';
cmp_ok $r->header('Content-Length'), '>', 100, 'HEAD: length';

$r = $t->get('/moved/demo/exports');
is $r->status, 302, 'a redirection is none';
like $r->header('Location'), qr{/files/\z}, 'and stays as it is';

$c = $t->connect;
$c->send(Exports::Test::request_text('GET', '/projects/demo/exports', @auth,
             'Transfer-Encoding' => 'chunked'), "zz\r\n");
is_error $c->response, 400, 'bad_request', 'a malformed chunk';
ok $c->closed, 'a malformed chunk: closed';

$c = $t->connect;
$c->send(Exports::Test::request_text('POST', '/projects/demo/exports', @auth,
             'Transfer-Encoding' => 'chunked'), "zz\r\n");
$r = $c->response;
is_error $r, 400, 'bad_request', 'POST: a malformed chunk';
is $r->header('Allow'), undef, 'POST: a malformed chunk: it is not the method';
$c->close;

$r = $t->get('/method/demo/exports', @auth);
is_error $r, 405, 'method_not_allowed', 'another one\'s 405';
is $r->header('Allow'), 'GET, HEAD', 'another one\'s 405: Allow';
$r = $t->get('/odd/demo/exports', @auth);
is_error $r, 600, 'internal_error', 'a status of no class';
is $r->header('WWW-Authenticate'), undef, 'a status of no class: no challenge';

is_error $t->get('/deny/demo/exports', @auth, 'If-Match' => '"x"',
                 Range => 'bytes=0-1'), 403, 'forbidden',
         'conditions and ranges do not matter to errors';


# error_page: inherited ones do not apply, other locations keep them

unlike $t->get('/own/demo/exports', @auth)->body, qr/<center>/,
       'error_page of the location itself: no page of nginx\'s';
is $t->get('/nested/x/exports')->body, "nested\n",
   'a location inside of ours is not ours';

is $t->get('/nested/y/exports')->body, "error page\n",
   'and has the site\'s page';
is_error $t->get('/nested/z/exports'), 404, 'not_found',
         'but not one that is ours again';
is_error $t->get('/tea/demo/exports', @auth, 'X-Tea' => 1), 418, 'bad_request',
         'an if block inside of ours';
is_error $t->request('POST', '/tea/demo/exports', @auth), 403, 'forbidden',
         'a limit_except block';
is $t->get('/ownif/demo/exports', @auth, 'X-Tea' => 1)->body, "error page\n",
   'error_page of the location itself holds in its if block';

is $t->get('/files/none')->body, "error page\n", 'another location';
is $t->get('/denied/')->body, "error page\n", 'another location: deny';
is $t->get('/nothing')->body, "error page\n", 'no location';
is $t->get('/bare/')->body, "error page\n", 'a location with a store only';

$r = $t->get('/files/none', port => 'fallback');
like $r->body, qr/<center>nginx/, 'nginx\'s own page elsewhere';
is $r->header('X-Request-Id'), undef, 'no request id elsewhere';

$r = $t->get('/files/../projects/demo/exports', @auth);
is_page $r, ['exp_1'], { total => 1 }, 'a path from elsewhere';


# before there is a location, an answer is nginx's

like $t->http("GET /projects/%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
     qr{^HTTP/1\.1 400 }, 'malformed path';
like $t->http("GET /projects/demo/exports HTTP/1.1\r\n\r\n"),
     qr{^HTTP/1\.1 400 }, 'no Host';
like $t->http("GET /projects/demo/exports HTTP/3.0\r\nHost: x\r\n\r\n"),
     qr{^HTTP/1\.1 505 }, 'another protocol';
like $t->http("GET /" . 'x' x 20000 . " HTTP/1.1\r\nHost: x\r\n\r\n"),
     qr{^HTTP/1\.1 414 }, 'too long a path';


# the fallback

my @f = (@auth, port => 'fallback');

for (grep { !/%00/ } @unknown[0 .. 9]) {
    $r = $t->get($_, @f);
    is $r->body, "application\n", "fallback: $_";
}

$r = $t->get('/projects/demo/tables?x=%20', @f);
is $r->header('X-App'), 'GET /projects/demo/tables?x=%20',
   'fallback: the request as it came';
is $r->header('X-Request-Id'), undef, 'fallback: not our headers';
is $t->request('POST', '/projects/demo/rows', @f, body => '{}')->header('X-App'),
   'POST /projects/demo/rows', 'fallback: any method';

is $t->request('PUT', '/proxied/demo/rows?a=b', @f, body => 'x' x 100_000)->body,
   'PUT /proxied/demo/rows?a=b 100000', 'fallback: a body is passed on';

is_page $t->get('/projects/demo/exports', @f), ['exp_1'], { total => 1 },
        'a route does not go there';
is_error $t->get('/projects/demo/exports', port => 'fallback'), 401,
         'missing_authorization', 'nor does an error of one';
is_error $t->request('POST', '/projects/demo/exports', @f), 405,
         'method_not_allowed', 'nor another method';
is_error $t->get('/projects/demo/exports?limit=0', @f), 400,
         'validation_failed', 'nor bad arguments';

is $t->get('/down/demo/exports', @f)->body, "application\n",
   'fallback: the store is unavailable';
$r = $t->get('/missing/demo/x', @f);
is $r->status, 404, 'what the fallback says';
like $r->body, qr/<center>nginx/, 'is not ours';
is_error $t->get('/off/demo/tables', @f), 404, 'not_found',
         'off: that of the server does not count';

$t->allow_log(qr{/none});
$t->done;
